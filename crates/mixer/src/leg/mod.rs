//! One participant's media.

pub mod audio;
pub mod latch;
pub mod line;
mod pace;
pub mod playout;
mod progress;
mod thrift;
pub mod video;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cau_codec::video::Picture;
use cau_model::ParticipantId;
use cau_rtp::keyframe::Heard;

use crate::{
    Media, Port,
    command::{Config, Ear, LegConfig},
    conference::Shared,
    event::{Event, Statistics, VideoIn, VideoKind, VideoOut},
    out::Out,
    source::Shown,
};
use audio::Audio;
use line::{Input, Line, Origin};
use video::Video;

/// Louder than this nobody is made, dB.
const MAX_GAIN: f32 = 20.0;
/// A leg of which nothing is wanted just now is seen to this often, instead of every 20 ms.
const CALM: Duration = Duration::from_millis(100);
/// Softer than this is silence, dB.
const MIN_GAIN: f32 = -60.0;

/// What the operator set for a participant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Switches {
    /// He is not heard.
    pub muted: bool,
    /// He hears nothing.
    pub deafened: bool,
    /// Gain, dB.
    pub volume_db: f32,
    /// He is not shown.
    pub hidden: bool,
}

/// One participant's media.
pub struct Leg {
    participant: ParticipantId,
    name: Arc<str>,
    /// Sound, when negotiated.
    pub audio: Option<Audio>,
    /// Picture, when negotiated.
    pub video: Option<Video>,
    /// What it hears.
    pub ear: Ear,
    /// What names it in CSRC lists; `None`: its SSRC.
    pub named: Option<u32>,
    switches: Switches,
    origin: Origin,
    timed_out: bool,
    /// When it was last seen to.
    attended: Instant,
    /// When statistics were last taken.
    reported: Instant,
}

impl Leg {
    /// As negotiated.
    pub fn new(
        now: Instant,
        participant: ParticipantId,
        config: LegConfig,
        shared: &Shared,
        wall: (Instant, SystemTime),
        seed: u64,
    ) -> Self {
        let cname = config.cname.clone().unwrap_or_else(|| shared.config.cname.clone());
        let mut leg = Self {
            participant,
            name: config.name.clone(),
            audio: None,
            video: None,
            ear: Ear::All,
            named: None,
            switches: Switches::default(),
            origin: Origin { cname, wall, seed },
            timed_out: false,
            attended: now,
            reported: now,
        };
        leg.update(now, config, shared);
        leg
    }

    /// Negotiated anew: what is still there goes on.
    pub fn update(&mut self, now: Instant, config: LegConfig, shared: &Shared) {
        self.name = config.name;
        self.audio = match (self.audio.take(), config.audio) {
            (Some(mut audio), Some(config)) => {
                audio.update(now, config);
                Some(audio)
            }
            (None, Some(config)) => Some(Audio::new(now, config, self.origin.clone())),
            (_, None) => None,
        };
        self.video = match (self.video.take(), config.video) {
            (Some(mut video), Some(config)) => {
                video.update(now, config, &shared.config);
                Some(video)
            }
            (None, Some(config)) => {
                let origin = Origin { seed: self.origin.seed ^ 0x7669_6465_6f00, ..self.origin.clone() };
                Some(Video::new(now, config, &shared.config, &shared.spawner, shared.epoch, origin))
            }
            (_, None) => None,
        };
        self.timed_out = false;
        self.apply_switches();
    }

    /// Takes the operator's switches; true when views must be planned anew.
    pub fn set_switches(&mut self, switches: Switches) -> bool {
        let hidden = switches.hidden != self.switches.hidden;
        self.switches = switches;
        self.apply_switches();
        hidden
    }

    fn apply_switches(&mut self) {
        let Some(audio) = &mut self.audio else { return };
        let gain = self.switches.volume_db;
        audio.site.muted = self.switches.muted;
        audio.site.deafened = self.switches.deafened;
        audio.site.volume =
            if gain.is_nan() || gain < MIN_GAIN { 0.0 } else { 10f32.powf(gain.min(MAX_GAIN) / 20.0) };
    }

    /// A datagram came; `heard`: when, by the ticks of sound.
    pub fn handle_packet(
        &mut self,
        (now, heard): (Instant, Instant),
        port: Port,
        from: SocketAddr,
        data: Bytes,
        out: &mut Out,
    ) {
        match port.media {
            Media::Audio => self.handle_audio((now, heard), port, from, data, out),
            Media::Video => self.handle_video(now, port, from, data, out),
        }
    }

    fn handle_audio(
        &mut self,
        (now, heard): (Instant, Instant),
        port: Port,
        from: SocketAddr,
        data: Bytes,
        out: &mut Out,
    ) {
        let Some(audio) = &mut self.audio else {
            out.totals.dropped_unexpected += 1;
            return;
        };
        match audio.receive(now, from, port.rtcp, data, out) {
            Some(Input::Packets(packets)) => {
                for packet in packets {
                    audio.insert(heard, port.participant, packet, out);
                }
            }
            Some(Input::Notices(notices)) => {
                notices.iter().for_each(|n| audio.handle_notice(n));
                if let Some(video) = &mut self.video {
                    video.note_sound(audio.line.session.sender.remote().copied());
                }
            }
            Some(Input::Repair(_)) | None => {}
        }
    }

    fn handle_video(&mut self, now: Instant, port: Port, from: SocketAddr, data: Bytes, out: &mut Out) {
        let Some(video) = &mut self.video else {
            out.totals.dropped_unexpected += 1;
            return;
        };
        let known: smallvec::SmallVec<[u8; 4]> = video.config().pt_recv.iter().map(|(pt, _)| *pt).collect();
        match video.line.receive(now, from, port.rtcp, data, |pt| known.contains(&pt), out) {
            Some(Input::Packets(packets)) => {
                packets.into_iter().for_each(|p| video.insert(now, p));
                video.repair(now, port.participant, out);
            }
            Some(Input::Repair(packet)) => video.insert_repair(now, packet),
            Some(Input::Notices(notices)) => {
                notices.iter().for_each(|n| video.handle_notice(now, port.participant, n, out));
            }
            None => {}
        }
    }

    /// The far end asked for a key frame by signalling.
    pub fn fast_update(&mut self, now: Instant) {
        if let Some(video) = &mut self.video {
            video.hear(now, Heard::Info);
        }
    }

    /// Timers.
    pub fn handle_timeout(&mut self, now: Instant, shared: &Shared, out: &mut Out) {
        let participant = self.participant;
        // A thousand legs are many lines of memory to look at only to find that there is nothing to do.
        let due = now.saturating_duration_since(self.attended) >= CALM;
        if let Some(video) = self.video.as_mut().filter(|video| due || !video.is_calm()) {
            let wait = self.audio.as_ref().and_then(|audio| audio.wait(now)).unwrap_or_default();
            video.source.go_with_sound(wait);
            video.set_pressed(shared.pressure.is_high(now));
            video.handle_timeout(now, participant, &shared.config, out);
        }
        if !due {
            return;
        }
        self.attended = now;
        if let Some(audio) = &mut self.audio {
            audio.handle_timeout(now, participant, out);
        }
        self.watch_silence(now, &shared.config, out);
    }

    /// Silence is reported, and only where there should be none: not while held, and not of a site we have muted.
    fn watch_silence(&mut self, now: Instant, config: &Config, out: &mut Out) {
        let lines = [self.audio.as_ref().map(|a| &a.line), self.video.as_ref().map(|v| &v.line)];
        let due = lines.into_iter().flatten().filter(|l| l.can_receive()).map(Line::heard).max();
        let silent = due.is_some_and(|at| now.saturating_duration_since(at) >= config.media_timeout);
        let silent = silent && !self.switches.muted;
        if silent && !self.timed_out {
            tracing::info!(participant = %self.participant, name = %self.name, "nothing comes from this site any more");
            out.events.push_back(Event::MediaTimeout { participant: self.participant });
        }
        self.timed_out = silent;
    }

    /// The far end's decoder needs a key frame; told once.
    pub fn take_asked_for_key(&mut self) -> bool {
        self.video.as_mut().is_some_and(Video::take_asked_for_key)
    }

    /// It has sent a picture that is passed on; told once.
    pub fn take_relayed(&mut self) -> bool {
        self.video.as_mut().is_some_and(|v| v.source.take_relayed())
    }

    /// When a picture of it that waits for its sound goes on, when that is news.
    pub fn take_due(&mut self) -> Option<Instant> {
        self.video.as_mut()?.source.take_due()
    }

    /// Pictures that waited for their sound go on; when the next does, when that is news.
    pub fn release(&mut self, now: Instant) -> Option<Instant> {
        let source = &mut self.video.as_mut()?.source;
        source.release(now);
        source.take_due()
    }

    /// Views must be planned anew because of this leg; told once.
    pub fn take_changed(&mut self) -> bool {
        self.video.as_mut().is_some_and(Video::take_changed)
    }

    /// SSRCs of what it is sent.
    pub fn own_sources(&self) -> impl Iterator<Item = u32> {
        let lines = [self.audio.as_ref().map(|a| &a.line), self.video.as_ref().map(|v| &v.line)];
        lines.into_iter().flatten().flat_map(Line::sources)
    }

    /// Counts what its sessions and buffers dropped since the last call.
    pub fn count_dropped(&mut self, out: &mut Out) {
        if let Some(audio) = &mut self.audio {
            out.totals.dropped += audio.take_dropped();
        }
        if let Some(video) = &mut self.video {
            out.totals.dropped += video.line.take_dropped();
            out.totals.dropped += video.source.take_dropped();
        }
    }

    /// Says BYE.
    pub fn bye(&mut self, now: Instant, out: &mut Out) {
        if let Some(audio) = &mut self.audio {
            audio.line.bye(now, self.participant, out);
        }
        if let Some(video) = &mut self.video {
            video.line.bye(now, self.participant, out);
        }
    }

    /// Where views find its picture; `None`: it has none to show.
    pub fn shown(&self) -> Option<Arc<Shown>> {
        let video = self.video.as_ref().filter(|v| v.line.can_receive() && !self.switches.hidden)?;
        Some(video.source.shown().clone())
    }

    /// SSRC of the picture that comes in.
    pub fn video_ssrc(&self) -> Option<u32> {
        self.video.as_ref()?.source.ssrc()
    }

    /// What names its picture in CSRC lists.
    pub fn video_name(&self) -> Option<u32> {
        let source = &self.video.as_ref()?.source;
        self.named.or(source.carried()).or(source.ssrc())
    }

    /// Since when its picture is the one named so; `None`: it is not.
    pub fn carries(&self, csrc: u32) -> Option<Instant> {
        self.video.as_ref()?.source.carries(csrc)
    }

    /// Views show it, or do not. `needed`: some scene shows or prepares it.
    pub fn set_visible(&mut self, now: Instant, visible: bool, needed: bool) {
        let hidden = self.switches.hidden;
        if let Some(video) = &mut self.video {
            video.needed = needed;
            video.source.set_visible(now, visible && !hidden && video.line.can_receive());
        }
    }

    /// A picture is wanted until then, although no view shows it.
    pub fn want_picture(&mut self, now: Instant, until: Instant) {
        if let Some(video) = &mut self.video {
            video.source.want_until(now, until);
        }
    }

    /// The latest picture it sent.
    pub fn picture(&self) -> Option<Picture> {
        self.video.as_ref()?.source.picture()
    }

    /// It has a decoder.
    pub fn is_decoded(&self) -> bool {
        self.video.as_ref().is_some_and(|v| v.source.is_decoded())
    }

    /// Figures since the last call; `gets`: what it is sent and of which size.
    pub fn statistics(&mut self, now: Instant, gets: Option<(VideoKind, (u32, u32))>) -> Statistics {
        let mut s = Statistics { level_dbov: crate::sound::voice::SILENCE, ..Statistics::default() };
        let seconds = now.saturating_duration_since(self.reported).as_secs_f32().max(0.001);
        self.reported = now;
        let (mut expected, mut lost) = (0, 0);
        let lines = [self.audio.as_mut().map(|a| &mut a.line), self.video.as_mut().map(|v| &mut v.line)];
        for line in lines.into_iter().flatten() {
            let (rx, tx) = line.take_rates(now);
            s.rx_kbps += rx;
            s.tx_kbps += tx;
            let (e, l) = line.take_loss();
            expected += e;
            lost += l;
            let sender = &line.session.sender;
            let jitter = line.session.receiver.stats().jitter.as_secs_f32() * 1000.0;
            s.jitter_ms = s.jitter_ms.max(jitter);
            if let Some(rtt) = sender.rtt() {
                s.rtt_ms = Some(s.rtt_ms.unwrap_or(0.0).max(rtt.as_secs_f32() * 1000.0));
            }
            if let Some(report) = sender.remote() {
                s.loss_out = Some(s.loss_out.unwrap_or(0.0).max(f32::from(report.fraction_lost) / 256.0));
            }
        }
        s.loss = if expected > 0 { (lost as f32 / expected as f32).min(1.0) } else { 0.0 };
        if let Some(audio) = &self.audio {
            s.audio_codec = Some(audio.codec_in());
            s.level_dbov = audio.site.meter.level_dbov();
            s.speaking = audio.site.meter.speaking();
        }
        if let Some(video) = &mut self.video {
            let fps = video.source.take_units() as f32 / seconds;
            if video.source.is_live() {
                let (width, height) = video.source.size().unwrap_or((0, 0));
                s.video =
                    Some(VideoIn { codec: "H264", width, height, fps, visible: video.source.is_visible() });
            }
            let sent = video.take_sent();
            if let Some((kind, (width, height))) =
                gets.filter(|_| video.can_send() && video.watch.is_started())
            {
                let (kbps, fps) = (video.profile.kbps, sent as f32 / seconds);
                s.send = VideoOut { kind, width, height, fps, kbps, copies: video.copies() };
            }
        }
        s
    }
}
