//! One phone's media: what it sends, what it receives.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cau_drive::media;
use cau_rtp::{
    Packet,
    h264::{Mode, starts_key_frame},
    jitter,
    keyframe::{Ask, Feedback, Heard, Requester, Responder},
    nack,
    packet::{Class, HEADER, classify},
    session::{Config, Notice, Session},
    stream::{Outgoing, Sender},
};
use cau_sip::sdp::{Audio, Negotiated, Stream, Video as VideoLine};

use super::{
    Event, Port,
    beacons::Beacons,
    stats::{FREEZE, Gaps, Line, STANDS, Stats},
    watching::{Came, Watching},
    way::Way,
};
use crate::{
    clip::{Sound, Video},
    eye::Seen,
    persona::KeyFrames,
    plan::{Codec, PhoneId, Plan},
};

/// Where decoding phones send what they receive.
pub(crate) type EyeSender = crossbeam_channel::Sender<Seen>;

/// One sound frame.
const FRAME: Duration = Duration::from_millis(20);
/// Packets kept that come before the answer.
const EARLY: usize = 500;
/// A driver that was late by more than this does not catch up: the line was cut.
const LATEST: Duration = Duration::from_millis(400);
/// Two missing sound frames in a row are heard.
const SILENCE: Duration = Duration::from_millis(60);
/// A picture is expected this long after the call stands; then it is asked for.
const FIRST_PICTURE: Duration = Duration::from_millis(500);

/// While packets are missing, it is looked this often whether to ask for them.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Packets sent again in one turn at most.
const MOST_AGAIN: usize = 256;

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

    /// The other side wants a key frame.
    pub fn asked(&mut self, now: Instant, heard: Heard) {
        self.stats.asked += 1;
        let Some(video) = &mut self.video else { return };
        let persona = &self.plan.persona;
        let obeys = match persona.key_frames {
            KeyFrames::Regular | KeyFrames::Asked | KeyFrames::Late => true,
            KeyFrames::InfoOnly => heard == Heard::Info,
            KeyFrames::Never => false,
        };
        if obeys && video.responder.handle(now, heard) {
            let late = persona.key_frames == KeyFrames::Late;
            video.key_at.get_or_insert(if late { now + persona.key_frame_delay } else { now });
        }
    }

    /// A datagram came. True when a turn is wanted because of it: most bring nothing but a number to count.
    pub fn handle_packet(&mut self, now: Instant, port: Port, data: Bytes) -> bool {
        match &mut self.way {
            Some(way) => {
                way.came(now, port, data);
                true
            }
            None => self.arrive(now, port, data),
        }
    }

    fn arrive(&mut self, now: Instant, port: Port, data: Bytes) -> bool {
        if self.began.is_none() {
            if self.early.len() < EARLY {
                self.early.push((now, port, data));
            }
            return false;
        }
        match classify(&data) {
            Class::Rtcp => {
                self.handle_rtcp(now, port.video, &data);
                true
            }
            Class::Rtp => {
                let Ok(packet) = Packet::parse(data) else { return false };
                if port.video {
                    self.handle_video(now, packet);
                    self.video.as_ref().is_some_and(|video| video.watching.has_news())
                } else {
                    self.handle_audio(now, packet);
                    false
                }
            }
            _ => false,
        }
    }

    fn handle_rtcp(&mut self, now: Instant, is_video: bool, data: &[u8]) {
        let notices = match (is_video, &mut self.audio, &mut self.video) {
            (false, Some(audio), _) => audio.session.handle_rtcp(now, data),
            (true, _, Some(video)) => video.session.handle_rtcp(now, data),
            _ => return,
        };
        for notice in notices {
            match notice {
                Notice::KeyFrame(heard) if is_video => self.asked(now, heard),
                Notice::Limit { bits, .. } if is_video && self.plan.persona.obeys_limits => {
                    self.limited(now, bits)
                }
                Notice::Nack(lost) => {
                    if let Some(video) = self.video.as_mut().filter(|v| is_video && v.history.is_some()) {
                        video
                            .again
                            .extend(lost.iter().copied().take(MOST_AGAIN.saturating_sub(video.again.len())));
                    }
                }
                _ => {}
            }
        }
    }

    /// The other side wants no more than so many bit/s (TMMBR): another clip, beginning with a key frame.
    fn limited(&mut self, now: Instant, bitrate: u64) {
        self.stats.limits += 1;
        let Some(video) = &mut self.video else { return };
        video.limit = Some(u32::try_from(bitrate / 1000).unwrap_or(u32::MAX));
        let mode = Mode::from_number(video.line.mode.number()).unwrap_or(Mode::SingleNal);
        let clip = self.plan.reel.as_ref().and_then(|reel| reel.within(mode, video.limit));
        if let (Some(clip), Some(before)) = (clip, &video.clip)
            && !Arc::ptr_eq(clip, before)
        {
            // Where it would be had it always been this one: sound and pictures stay together.
            if let Some(began) = self.began {
                let frame = Duration::from_secs(1) / clip.fps;
                let elapsed = video.next.saturating_duration_since(began);
                video.place = (elapsed.as_nanos() / frame.as_nanos().max(1)) as u64;
            }
            video.clip = Some(clip.clone());
            video.key_at = Some(now);
        }
    }

    fn handle_audio(&mut self, now: Instant, packet: Packet) {
        let Some(audio) = &mut self.audio else { return };
        let known =
            audio.line.pt_recv.iter().find(|(pt, _)| *pt == packet.pt).map(|(_, codec)| Codec::of(codec));
        self.stats.audio.first_packet.get_or_insert(now);
        for packet in audio.session.receive(now, packet) {
            audio.gaps.mark(now, SILENCE);
            audio.octets += packet.payload.len() as u64;
            if let Some(buffer) = &mut audio.buffer {
                buffer.insert(now, packet.clone());
            }
            if let (Some(sight), Some(codec)) = (&self.sight, known) {
                let seen = Seen::Sound { phone: self.phone, at: now, codec, packet };
                self.stats.missed += u64::from(sight.try_send(seen).is_err());
            }
        }
    }

    fn handle_video(&mut self, now: Instant, packet: Packet) {
        let Some(video) = &mut self.video else { return };
        self.stats.video.first_packet.get_or_insert(now);
        if self.stats.first_key.is_none() && starts_key_frame(&packet.payload) {
            self.stats.first_key = Some(now);
        }
        if !video.line.pt_recv.iter().any(|(pt, _)| *pt == packet.pt) {
            return;
        }
        for packet in video.session.receive(now, packet) {
            video.watching.insert(now, packet);
        }
    }

    /// Pictures that became whole, losses.
    fn take_pictures(&mut self, now: Instant) {
        let Some(video) = &mut self.video else { return };
        video.watching.handle_timeout(now);
        self.stats.asked_again += video.ask_again(now);
        while let Some(came) = video.watching.poll() {
            match came {
                Came::Picture { arrived, key, damaged, unit } => {
                    self.stats.pictures += u64::from(!damaged);
                    self.stats.damaged += u64::from(damaged);
                    if key && !damaged {
                        self.stats.key_frames += 1;
                        self.stats.first_decodable.get_or_insert(arrived);
                        video.requester.key_frame(now);
                    }
                    if damaged && self.plan.persona.asks_key_frames {
                        video.requester.request(now);
                    }
                    video.hurt = damaged || video.hurt && !key;
                    if !video.hurt && self.stats.first_decodable.is_some() {
                        video.still.mark(arrived, STANDS);
                    }
                    if self.stats.first_decodable.is_some() {
                        video.gaps.mark(arrived, FREEZE);
                    }
                    video.first_unit.get_or_insert(arrived);
                    video.last_unit = Some(arrived);
                    self.looks = looks(self.phone, self.plan.persona.glimpse, arrived, self.wall.0)
                        && (self.looks || key);
                    if let (Some(sight), Some(unit)) = (self.sight.as_ref().filter(|_| self.looks), unit) {
                        let seen = Seen::Unit { phone: self.phone, unit };
                        self.stats.missed += u64::from(sight.try_send(seen).is_err());
                    }
                }
                Came::Lost => {
                    video.hurt = true;
                    if self.plan.persona.asks_key_frames {
                        video.requester.request(now);
                    }
                }
            }
        }
        let waited = now.saturating_duration_since(video.since) >= FIRST_PICTURE;
        if waited
            && video.line.stream.recv
            && self.plan.persona.asks_key_frames
            && self.stats.first_decodable.is_none()
        {
            video.requester.request(now);
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

    fn send_video(&mut self, now: Instant, out: &mut VecDeque<media::Transmit<Port>>) {
        let Some(video) = &mut self.video else { return };
        let Some(clip) = video.clip.clone() else { return };
        if !sends(&video.line.stream) {
            video.next = now;
            return;
        }
        let frame = Duration::from_secs(1) / clip.fps;
        if video.next + LATEST < now {
            video.next = now;
        }
        if video.responder.poll(now) {
            video.key_at.get_or_insert(now);
        }
        while video.next <= now {
            if video.key_at.is_some_and(|at| at <= now) {
                let skip = clip.next_key(video.place) - video.place;
                video.place += skip;
                if let Some(began) = &mut self.began {
                    *began = began.checked_sub(frame * skip as u32).unwrap_or(*began);
                }
                video.key_at = None;
            }
            let unit = clip.unit(video.place);
            if unit.key {
                video.responder.key_sent(now);
                video.keys_sent += 1;
            }
            let port = Port { phone: self.phone, video: true, rtcp: false };
            let mut batch =
                Batch::new(port, video.line.stream.remote, unit.payloads.iter().map(|p| p.bytes.len()));
            for payload in &unit.payloads {
                let packet = video.session.send(
                    now,
                    Outgoing {
                        pt: video.line.pt_send,
                        marker: payload.marker,
                        source: 0,
                        timestamp: video.timestamp,
                        csrc: &[],
                        payload: payload.bytes.clone(),
                        origin: 0,
                    },
                );
                if let Some(history) = &mut video.history {
                    history.push(now, packet.clone());
                }
                batch.push(&packet, out);
            }
            batch.flush(out);
            if clip.judged {
                self.beacons.picture(self.plan.id, self.phone, clip.number(video.place), now);
            }
            video.place += 1;
            video.timestamp = video.timestamp.wrapping_add(90_000 / clip.fps);
            video.next += frame;
        }
    }

    fn send_audio(&mut self, now: Instant, out: &mut VecDeque<media::Transmit<Port>>) {
        let (Some(audio), Some(began)) = (&mut self.audio, self.began) else { return };
        if !sends(&audio.line.stream) {
            audio.next = now;
            return;
        }
        if audio.next + LATEST < now {
            audio.next = now;
        }
        while audio.next <= now {
            let place = audio.next.saturating_duration_since(began).as_millis() / FRAME.as_millis();
            let packet = audio.session.send(
                now,
                Outgoing {
                    pt: audio.line.pt_send,
                    marker: audio.timestamp == 0,
                    source: 0,
                    timestamp: audio.timestamp,
                    csrc: &[],
                    payload: audio.sound.frame(place as u64).clone(),
                    origin: 0,
                },
            );
            if audio.sound.begins_burst(place as u64) {
                self.beacons.burst(self.plan.id, self.phone, now);
            }
            let mut data = Vec::with_capacity(packet.wire_len());
            packet.write(&mut data);
            let port = Port { phone: self.phone, video: false, rtcp: false };
            out.push_back(media::Transmit {
                port,
                to: audio.line.stream.remote,
                data: data.into(),
                segment: None,
            });
            let ticks =
                audio.codec.ticks() * (audio.line.clock_hz / audio.line.codec.clock_hz().max(1)).max(1);
            audio.timestamp = audio.timestamp.wrapping_add(ticks);
            audio.next += FRAME;
        }
    }

    /// Sends again what was asked for.
    fn repeat(&mut self, out: &mut VecDeque<media::Transmit<Port>>) {
        let Some(video) = &mut self.video else { return };
        let port = Port { phone: self.phone, video: true, rtcp: false };
        for seq in std::mem::take(&mut video.again) {
            let Some(packet) = video.history.as_mut().and_then(|h| h.again(seq)) else { continue };
            self.stats.repeated += 1;
            let mut data = Vec::with_capacity(packet.wire_len());
            packet.write(&mut data);
            out.push_back(media::Transmit {
                port,
                to: video.line.stream.remote,
                data: data.into(),
                segment: None,
            });
        }
    }

    /// Takes 20 ms of sound after the other, as a sound card does.
    fn play(&mut self, now: Instant) {
        let Some(audio) = &mut self.audio else { return };
        let Some(buffer) = &mut audio.buffer else { return };
        if audio.next_pull + LATEST < now {
            audio.next_pull = now;
        }
        while audio.next_pull <= now {
            buffer.pull(audio.next_pull);
            audio.next_pull += FRAME;
        }
    }

    fn ask(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        let Some(video) = &mut self.video else { return };
        if let Some(every) = self.plan.persona.pesters
            && video.pestered.is_none_or(|at| now.saturating_duration_since(at) >= every)
        {
            video.pestered = Some(now);
            video.session.ask(Ask::Pli);
        }
        match video.requester.poll(now) {
            Some(Ask::Info) => events.push_back(Event::AskInfo(self.phone)),
            Some(ask) => {
                video.session.ask(ask);
            }
            None => {}
        }
    }

    fn send_rtcp(&mut self, now: Instant, out: &mut VecDeque<media::Transmit<Port>>) {
        let reports = self.plan.persona.sender_reports;
        let phone = self.phone;
        let mut send = |session: &mut Session, stream: &Stream, video| {
            if let Some(data) = session.poll_rtcp(now) {
                let data = if reports { data } else { without_sender_report(data) };
                let port = Port { phone, video, rtcp: !stream.rtcp_mux };
                out.push_back(media::Transmit {
                    port,
                    to: stream.remote_rtcp,
                    data: data.into(),
                    segment: None,
                });
            }
        };
        if let Some(audio) = &mut self.audio {
            send(&mut audio.session, &audio.line.stream, false);
        }
        if let Some(video) = &mut self.video {
            send(&mut video.session, &video.line.stream, true);
        }
    }

    /// BYE on both lines.
    pub fn goodbye(&mut self, now: Instant, out: &mut VecDeque<media::Transmit<Port>>) {
        let phone = self.phone;
        let mut bye = |session: &mut Session, stream: &Stream, video| {
            let port = Port { phone, video, rtcp: !stream.rtcp_mux };
            let data = session.goodbye(now).into();
            out.push_back(media::Transmit { port, to: stream.remote_rtcp, data, segment: None });
        };
        if let Some(audio) = &mut self.audio {
            bye(&mut audio.session, &audio.line.stream, false);
        }
        if let Some(video) = &mut self.video {
            bye(&mut video.session, &video.line.stream, true);
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

impl VideoLeg {
    /// Asks for what is missing, where that was negotiated; how many packets.
    fn ask_again(&mut self, now: Instant) -> u64 {
        self.ask_at = None;
        if self.history.is_none() {
            return 0;
        }
        let rtt = self.session.sender.rtt();
        let patience = (!self.asker.is_useless()).then(|| nack::patience(rtt));
        let (missing, lost) = self.watching.missing(patience);
        let ask = self.asker.poll(now, &missing, lost, rtt);
        if !ask.is_empty() {
            self.session.nack(&ask);
        }
        self.ask_at = (!missing.is_empty()).then_some(now + LOOK_AGAIN);
        ask.len() as u64
    }
}

/// A playout buffer for what may come.
fn playout(line: &Audio) -> jitter::Audio {
    let formats = line.pt_recv.iter().map(|(pt, codec)| (*pt, Codec::of(codec).payload()));
    jitter::Audio::new(jitter::Config::new(formats))
}

/// Who decodes now and then only: is it this phone's second? It begins with the first key frame in it.
fn looks(phone: PhoneId, glimpse: u32, now: Instant, start: Instant) -> bool {
    let second = now.saturating_duration_since(start).as_secs();
    glimpse <= 1 || (second + u64::from(phone.0) * 7).is_multiple_of(u64::from(glimpse))
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

/// Packets of one picture put together as the kernel wants them: equal sizes, the last one may be shorter.
struct Batch {
    port: Port,
    to: std::net::SocketAddr,
    data: Vec<u8>,
    segment: usize,
}

impl Batch {
    /// For packets with payloads of these sizes.
    fn new(port: Port, to: std::net::SocketAddr, payloads: impl Iterator<Item = usize>) -> Self {
        let data = Vec::with_capacity(payloads.map(|size| HEADER + size).sum());
        Self { port, to, data, segment: 0 }
    }

    fn push(&mut self, packet: &Packet, out: &mut VecDeque<media::Transmit<Port>>) {
        let len = packet.wire_len();
        if self.data.is_empty() {
            self.segment = len;
        } else if len > self.segment {
            self.flush(out);
            self.segment = len;
        }
        packet.write(&mut self.data);
        if len < self.segment {
            self.flush(out);
        }
    }

    fn flush(&mut self, out: &mut VecDeque<media::Transmit<Port>>) {
        if !self.data.is_empty() {
            let data = Bytes::from(std::mem::take(&mut self.data));
            out.push_back(media::Transmit {
                port: self.port,
                to: self.to,
                data,
                segment: Some(self.segment),
            });
        }
    }
}

/// The same compound packet with a receiver report in place of the sender report.
fn without_sender_report(mut data: Vec<u8>) -> Vec<u8> {
    if data.get(1) == Some(&200) && data.len() >= 28 {
        let words = u16::from_be_bytes([data[2], data[3]]).saturating_sub(5);
        data[1] = 201;
        data[2..4].copy_from_slice(&words.to_be_bytes());
        data.drain(8..28);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_packets_leave_in_one_call_and_a_longer_one_begins_the_next() {
        let port = Port { phone: PhoneId(1), video: true, rtcp: false };
        let mut out = VecDeque::new();
        let mut batch = Batch::new(port, "127.0.0.1:9".parse().unwrap(), [100; 2].into_iter());
        for len in [20usize, 100, 100, 40, 60] {
            let packet = Packet {
                pt: 97,
                marker: false,
                seq: 0,
                timestamp: 0,
                ssrc: 1,
                csrc: Default::default(),
                payload: vec![0; len].into(),
            };
            batch.push(&packet, &mut out);
        }
        batch.flush(&mut out);
        let sent: Vec<(usize, Option<usize>)> = out.iter().map(|t| (t.data.len(), t.segment)).collect();
        assert_eq!(sent, [(32, Some(32)), (112 + 112 + 52, Some(112)), (72, Some(72))]);
    }

    #[test]
    fn a_sender_report_becomes_a_receiver_report_with_the_same_blocks() {
        let mut report = vec![0x81, 200, 0, 12];
        report.extend([7; 4]);
        report.extend([1; 20]);
        report.extend([2; 24]);
        let out = without_sender_report(report);
        assert_eq!((out[1], u16::from_be_bytes([out[2], out[3]])), (201, 7));
        assert_eq!(out.len(), 32);
        assert_eq!(&out[8..], [2; 24]);
    }
}
