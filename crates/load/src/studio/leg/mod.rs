//! One phone's media: what it sends, what it receives.

mod batch;
mod receive;
mod send;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cau_drive::media;
use cau_rtp::{
    h264::Mode,
    jitter,
    keyframe::{Feedback, Requester, Responder},
    nack,
    session::{Config, Session},
    stream::Sender,
};
use cau_sip::sdp::{Audio, Negotiated, Stream, Video as VideoLine};

use super::{
    Event, Port,
    beacons::Beacons,
    stats::{FREEZE, Gaps, Line, STANDS, Stats},
    watching::Watching,
    way::Way,
};
use crate::{
    clip::{Sound, Video},
    eye::Seen,
    plan::{Codec, PhoneId, Plan},
};

/// Where decoding phones send what they receive.
pub(crate) type EyeSender = crossbeam_channel::Sender<Seen>;

/// One sound frame.
const FRAME: Duration = Duration::from_millis(20);
/// A driver that was late by more than this does not catch up: the line was cut.
const LATEST: Duration = Duration::from_millis(400);
/// Two missing sound frames in a row are heard.
const SILENCE: Duration = Duration::from_millis(60);

/// One phone.
pub(super) struct Leg {
    phone: PhoneId,
    plan: Box<Plan>,
    wall: (Instant, SystemTime),
    seed: u64,
    sight: Option<EyeSender>,
    /// Pictures go there just now.
    looks: bool,
    beacons: Arc<Beacons>,
    way: Option<Box<Way>>,
    /// The entry in the studio's queue that is valid.
    pub scheduled: Option<Instant>,
    /// Something has come since the last turn.
    pub touched: bool,
    audio: Option<AudioLeg>,
    video: Option<VideoLeg>,
    next_report: Instant,
    /// The clip's own time runs from here; jumps to a key frame move it back, for sound and pictures alike, so that lips stay with voice.
    began: Option<Instant>,
    ssrc_changes: Option<Instant>,
    size_changes: Option<Instant>,
    /// What came before the answer was read: who offers must be ready to receive (RFC 3264 5.1), and an MCU's first key frame comes with
    /// its answer.
    early: Vec<(Instant, Port, Bytes)>,
    stats: Stats,
}

struct AudioLeg {
    line: Audio,
    codec: Codec,
    sound: Arc<Sound>,
    session: Session,
    next: Instant,
    timestamp: u32,
    gaps: Gaps,
    octets: u64,
    /// What it hears goes through here, where it plays it, and when it next takes from there.
    buffer: Option<jitter::Audio>,
    next_pull: Instant,
}

struct VideoLeg {
    line: VideoLine,
    clip: Option<Arc<Video>>,
    session: Session,
    next: Instant,
    /// Place in the endless loop of the clip.
    place: u64,
    timestamp: u32,
    responder: Responder,
    /// A key frame is to be sent at this time.
    key_at: Option<Instant>,
    keys_sent: u64,
    requester: Requester,
    watching: Watching,
    /// The other side limits the rate, kbit/s.
    limit: Option<u32>,
    gaps: Gaps,
    /// Stretches without a whole picture that refers to whole ones.
    still: Gaps,
    /// The picture refers to something that is missing.
    hurt: bool,
    /// What may be asked for again, and what is to be sent again, where that was negotiated.
    history: Option<nack::History>,
    again: Vec<u16>,
    asker: nack::Asker,
    /// Something is missing: look again then whether it is to be asked for.
    ask_at: Option<Instant>,
    pestered: Option<Instant>,
    first_unit: Option<Instant>,
    last_unit: Option<Instant>,
    since: Instant,
}

impl Leg {
    pub fn new(
        now: Instant,
        phone: PhoneId,
        plan: Box<Plan>,
        wall: (Instant, SystemTime),
        sight: Option<EyeSender>,
        beacons: Arc<Beacons>,
        seed: u64,
    ) -> Self {
        let way = plan.persona.line.map(|road| Box::new(Way::new(road, seed)));
        Self {
            phone,
            plan,
            wall,
            seed,
            sight,
            looks: false,
            beacons,
            way,
            scheduled: None,
            touched: false,
            audio: None,
            video: None,
            next_report: now + Duration::from_secs(1),
            began: None,
            ssrc_changes: None,
            size_changes: None,
            early: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// Takes what was negotiated, anew or for the first time; streams that go on keep their SSRC and sequence.
    pub fn agree(&mut self, now: Instant, agreed: &Negotiated) {
        let began = *self.began.get_or_insert(now);
        if self.ssrc_changes.is_none() {
            self.ssrc_changes = self.plan.persona.ssrc_change_after.map(|after| began + after);
        }
        if self.size_changes.is_none() {
            self.size_changes = self.plan.persona.size_change_after.map(|after| began + after);
        }
        let config = |clock_rate, kbps, seed| Config {
            clock_rate,
            cname: format!("phone{}@cau-load", self.phone.0),
            name: self.plan.name.clone(),
            kbps,
            reduced_size: false,
            wall: self.wall,
            seed,
        };
        self.audio = agreed.audio.as_ref().and_then(|line| {
            let codec = Codec::of(&line.codec);
            let sound = self.plan.sound.iter().find(|(c, _)| *c == codec)?.1.clone();
            self.stats.codec = Some(codec);
            Some(match self.audio.take() {
                Some(mut old) => {
                    if old.codec != codec {
                        old.session.sender.set_clock_rate(line.clock_hz);
                        old.session.receiver.set_clock_rate(line.clock_hz);
                    }
                    old.gaps.pause();
                    AudioLeg { line: line.clone(), codec, sound, ..old }
                }
                None => AudioLeg {
                    line: line.clone(),
                    codec,
                    sound,
                    session: Session::new(now, config(line.clock_hz, 64, self.seed ^ 1)),
                    next: now,
                    timestamp: 0,
                    gaps: Gaps::default(),
                    octets: 0,
                    buffer: (self.plan.persona.plays).then(|| playout(line)),
                    next_pull: now,
                },
            })
        });
        self.video = agreed.video.as_ref().map(|line| {
            let mode = Mode::from_number(line.mode.number()).unwrap_or(Mode::SingleNal);
            self.stats.mode = Some(line.mode.number());
            let feedback = Feedback { pli: line.feedback.pli, fir: line.feedback.fir };
            let limit = self.video.as_ref().and_then(|v| v.limit);
            let clip = self.plan.reel.as_ref().and_then(|r| r.within(mode, limit)).cloned();
            match self.video.take() {
                Some(mut old) => {
                    old.requester.negotiated(feedback);
                    old.gaps.pause();
                    old.still.pause();
                    old.since = now;
                    VideoLeg { line: line.clone(), clip, ..old }
                }
                None => VideoLeg {
                    line: line.clone(),
                    clip,
                    session: Session::new(now, config(90_000, self.plan.max_kbps.max(64), self.seed ^ 2)),
                    next: now,
                    place: 0,
                    timestamp: 0,
                    responder: Responder::new(2),
                    key_at: None,
                    keys_sent: 0,
                    requester: Requester::new(feedback, true),
                    watching: Watching::new(
                        self.sight.is_some()
                            || self.way.is_some()
                            || self.plan.persona.plays
                            || line.feedback.nack,
                    ),
                    limit: None,
                    gaps: Gaps::default(),
                    still: Gaps::default(),
                    hurt: false,
                    history: line.feedback.nack.then(|| nack::History::new(nack::Keep::default())),
                    again: Vec::new(),
                    asker: nack::Asker::default(),
                    ask_at: None,
                    pestered: None,
                    first_unit: None,
                    last_unit: None,
                    since: now,
                },
            }
        });
        for (at, port, data) in std::mem::take(&mut self.early) {
            self.arrive(at, port, data);
        }
    }

    pub fn poll_timeout(&self) -> Instant {
        let mut at = self.next_report;
        if let Some(audio) = &self.audio {
            at = at.min(audio.session.poll_timeout());
            if sends(&audio.line.stream) {
                at = at.min(audio.next);
            }
            if audio.buffer.is_some() {
                at = at.min(audio.next_pull);
            }
        }
        if let Some(video) = &self.video {
            at = at.min(video.session.poll_timeout());
            if sends(&video.line.stream) && video.clip.is_some() {
                at = at.min(video.next);
            }
            let waits = [
                video.watching.poll_timeout(),
                video.requester.poll_timeout(),
                video.ask_at,
                video.pestered.zip(self.plan.persona.pesters).map(|(at, every)| at + every),
            ];
            at = waits.into_iter().flatten().fold(at, Instant::min);
        }
        self.way.as_ref().and_then(|way| way.poll_timeout()).map_or(at, |way| at.min(way))
    }

    pub fn handle_timeout(
        &mut self,
        now: Instant,
        out: &mut VecDeque<media::Transmit<Port>>,
        events: &mut VecDeque<Event>,
    ) {
        let Some(mut way) = self.way.take() else { return self.act(now, out, events) };
        while let Some((port, data)) = way.arrived(now) {
            self.arrive(now, port, data);
        }
        let mut sent = VecDeque::new();
        self.act(now, &mut sent, events);
        way.send(now, &mut sent, out);
        self.way = Some(way);
    }

    fn act(&mut self, now: Instant, out: &mut VecDeque<media::Transmit<Port>>, events: &mut VecDeque<Event>) {
        self.take_pictures(now);
        self.change_ssrc(now);
        self.change_size(now);
        self.send_video(now, out);
        self.repeat(out);
        self.play(now);
        self.send_audio(now, out);
        self.ask(now, events);
        self.send_rtcp(now, out);
        if now >= self.next_report {
            self.next_report = now + Duration::from_secs(1);
            if self.began.is_some() {
                events.push_back(Event::Stats(self.phone, Box::new(self.stats(now))));
            }
        }
    }

    /// Goes over to the other clip, which begins with a key frame, as every encoder does whose size changes.
    fn change_size(&mut self, now: Instant) {
        let then = self.plan.reel.as_ref().and_then(|reel| reel.then.as_deref());
        if self.size_changes.is_some_and(|at| at <= now)
            && let (Some(video), Some(then)) = (&mut self.video, then.cloned())
        {
            let mode = Mode::from_number(video.line.mode.number()).unwrap_or(Mode::SingleNal);
            video.clip = then.of(mode).cloned();
            video.place = 0;
            self.plan.reel = Some(then);
        }
    }

    fn change_ssrc(&mut self, now: Instant) {
        if self.ssrc_changes.is_some_and(|at| at <= now)
            && let Some(video) = &mut self.video
        {
            self.ssrc_changes = Some(now + Duration::from_secs(1 << 20));
            video.session.sender = Sender::new(90_000, self.wall, self.seed.rotate_left(17));
            video.key_at = Some(now);
        }
    }

    /// Nothing more will be seen.
    pub fn leave_sight(&mut self) {
        if let Some(sight) = self.sight.take() {
            let _ = sight.try_send(Seen::Gone(self.phone));
        }
    }

    /// The figures as of now.
    pub fn stats(&self, now: Instant) -> Stats {
        let mut stats = self.stats.clone();
        if let Some(audio) = &self.audio {
            fill(&mut stats.audio, &audio.session, audio.octets);
            let gaps = if audio.line.stream.recv { audio.gaps.at(now, SILENCE) } else { audio.gaps };
            stats.sound_gaps = gaps.count;
            stats.longest_sound_gap_ms = millis(gaps.longest);
            if let Some(heard) = audio.buffer.as_ref().map(jitter::Audio::counters) {
                stats.played = heard.played + heard.concealed;
                stats.made_up = heard.concealed - heard.recovered;
            }
        }
        if let Some(video) = &self.video {
            let octets = video.session.receiver.stats().octets;
            fill(&mut stats.video, &video.session, octets);
            let gaps = if video.line.stream.recv { video.gaps.at(now, FREEZE) } else { video.gaps };
            stats.freezes = gaps.count;
            stats.longest_gap_ms = millis(gaps.longest);
            stats.asks = video.requester.sent();
            let still = if video.line.stream.recv { video.still.at(now, STANDS) } else { video.still };
            stats.stood_ms = millis(still.total);
            let since = stats.first_decodable.map(|first| now.saturating_duration_since(first));
            stats.watched_ms = since.map_or(0.0, millis);
            if let (Some(first), Some(last)) = (video.first_unit, video.last_unit) {
                let span = last.saturating_duration_since(first).as_secs_f64();
                let steps = (stats.pictures + stats.damaged).saturating_sub(1);
                stats.fps = if span > 0.0 { steps as f64 / span } else { 0.0 };
            }
        }
        stats
    }
}

/// A playout buffer for what may come.
fn playout(line: &Audio) -> jitter::Audio {
    let formats = line.pt_recv.iter().map(|(pt, codec)| (*pt, Codec::of(codec).payload()));
    jitter::Audio::new(jitter::Config::new(formats))
}

fn fill(line: &mut Line, session: &Session, octets: u64) {
    let receiver = session.receiver.stats();
    line.packets = receiver.packets;
    line.octets = octets;
    line.lost = receiver.lost;
    line.jitter_ms = millis(receiver.jitter);
    line.last_packet = receiver.last_packet;
    line.sent = u64::from(session.sender.sent().0);
    line.rtt_ms = session.sender.rtt().map(millis);
    line.remote_loss = session.sender.remote().map(|b| f32::from(b.fraction_lost) / 256.0);
}

fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}

fn sends(stream: &Stream) -> bool {
    stream.send && !stream.remote.ip().is_unspecified() && stream.remote.port() != 0
}
