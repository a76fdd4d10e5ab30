//! Picture of one leg, in and out.

use std::time::{Duration, Instant};

use cau_model::ParticipantId;
use cau_rtp::{
    Packet,
    keyframe::{self, Ask, Heard, Requester, Responder},
    nack,
    rate::{self, Controller},
    rtcp::ReportBlock,
    session::Notice,
    stream::Outgoing,
};

use super::{
    line::{Line, Origin},
    progress::Progress,
    thrift::Thrift,
};
use crate::{
    Media,
    command::{Config, Mode, VideoLeg},
    conference::{Passed, Place},
    event::Event,
    forward::Repairs,
    job::Spawner,
    out::Out,
    profile::{self, Profile},
    source::Source,
    view::{
        output::{CLOCK, Encoded},
        watch::Watch,
    },
};

/// Bandwidth RTCP reckons with, kbit/s.
const KBPS: u32 = 1000;
/// IP, UDP and RTP headers of a packet, bytes.
const HEADERS: u64 = 40;
/// Ticks by which a time stamp follows the one before at least: two encodings of one picture meet when a receiver changes between them.
const LEAST_STEP: u64 = CLOCK / 1000;
/// After its first packet a source is given this long to finish a key frame before it is asked for one.
const FIRST: Duration = Duration::from_millis(150);
/// A source of which nothing has come is asked in spite of it after this long.
const NOTHING: Duration = Duration::from_millis(1000);
/// A receiver that does not ask when it is hurt, but reports loss, gets a key frame this often at most.
const MUTE_LOSS: Duration = Duration::from_secs(5);
/// Who asks later than this after the (re-)INVITE asks because it is hurt; before, many ask to get started and never again.
const STARTED: Duration = Duration::from_secs(3);

/// Picture of one leg.
pub struct Video {
    config: VideoLeg,
    /// Its edge.
    pub line: Line,
    /// What it sends.
    pub source: Source,
    /// What it gets.
    pub watch: Watch,
    /// Which view and bitrate it gets.
    pub place: Option<Place>,
    /// It is to join its view again, as after a re-INVITE.
    pub rejoin: bool,
    /// What suits it.
    pub profile: Profile,
    /// The key frame it was sent last, when that was passed on.
    pub passed: Option<Passed>,
    /// What it may be sent.
    rate: Controller,
    /// Sequence numbers left out so far.
    skipped: u64,
    /// What it is asked to send while nobody sees it.
    thrift: Thrift,
    /// Some scene shows or prepares it.
    pub needed: bool,
    /// How often it needed repair.
    pub repairs: Repairs,
    requester: Requester,
    /// Asks for missing packets, where that was negotiated.
    asker: nack::Asker,
    responder: Responder,
    negotiated: Instant,
    first_packet: Option<Instant>,
    epoch: Instant,
    last_timestamp: Option<u64>,
    sent: u32,
    progress: Progress,
    /// It has shown that it asks when it is hurt: for a key frame, or for the packets it misses.
    asks: bool,
    loss_answered: Option<Instant>,
    /// When sequence numbers were last left out.
    gap: Option<Instant>,
    asked_for_key: bool,
    /// [`Event::VideoLost`] was told, and not yet that it is over.
    told_lost: bool,
    changed: bool,
    ssrc: Option<u32>,
    /// See [`Self::set_pressed`].
    pressed: bool,
    /// Round trip and jitter of the last report without pressure.
    delay: (Option<Duration>, Duration),
    /// The last report on the sound of the same leg.
    sound: Option<ReportBlock>,
}

impl Video {
    /// As negotiated; asks for a key frame.
    pub fn new(
        now: Instant,
        config: VideoLeg,
        worker: &Config,
        spawner: &Spawner,
        epoch: Instant,
        origin: Origin,
    ) -> Self {
        let mut line = Line::new(now, Media::Video, &config.stream, CLOCK as u32, KBPS, origin);
        line.keep_history(config.feedback.nack);
        line.set_rtx(config.rtx.as_ref());
        let mut rate = Controller::new(&profile::LINES, ceiling(&config));
        rate.set_repeats(config.feedback.nack);
        let profile = Profile::choose(&config, rate.allowed(), worker);
        line.set_pace(profile.kbps);
        let mut watch = Watch::default();
        watch.set_single(config.mode == Mode::Single);
        let mut requester = Requester::new(feedback(&config), true);
        requester.request(now);
        Self {
            line,
            source: Source::new(spawner),
            watch,
            place: None,
            rejoin: false,
            passed: None,
            profile,
            rate,
            skipped: 0,
            thrift: Thrift::default(),
            needed: true,
            repairs: Repairs::default(),
            requester,
            asker: nack::Asker::default(),
            responder: Responder::default(),
            negotiated: now,
            first_packet: None,
            epoch,
            last_timestamp: None,
            sent: 0,
            progress: Progress::new(now),
            asks: false,
            loss_answered: None,
            gap: None,
            asked_for_key: false,
            told_lost: false,
            changed: true,
            ssrc: None,
            pressed: false,
            delay: (None, Duration::ZERO),
            sound: None,
            config,
        }
    }

    /// Negotiated anew: many devices send no key frame after a re-INVITE, and show nothing before they get one.
    pub fn update(&mut self, now: Instant, config: VideoLeg, worker: &Config) {
        self.line.update(now, &config.stream);
        self.line.keep_history(config.feedback.nack);
        self.line.set_rtx(config.rtx.as_ref());
        self.watch.set_single(config.mode == Mode::Single);
        self.rate.set_ceiling(ceiling(&config));
        self.rate.set_repeats(config.feedback.nack);
        self.responder.set_quick(self.rate.is_fragile());
        self.rate.poll(now);
        self.requester.negotiated(feedback(&config));
        if config.stream.recv {
            self.requester.request(now);
            self.requester.renew(now);
        } else {
            self.source.stop();
        }
        self.thrift.renew();
        self.negotiated = now;
        self.first_packet = None;
        self.passed = None;
        self.rejoin = true;
        self.changed = true;
        self.config = config;
        self.choose(worker);
    }

    fn choose(&mut self, worker: &Config) {
        self.profile = Profile::choose(&self.config, self.rate.allowed(), worker);
        self.line.set_pace(self.profile.kbps);
    }

    /// What was negotiated.
    pub fn config(&self) -> &VideoLeg {
        &self.config
    }

    /// Something may be sent to it, and its line has room for a picture.
    pub fn can_send(&self) -> bool {
        self.line.can_send() && self.rate.has_room()
    }

    /// What its line takes of pictures now, headers included, kbit/s.
    pub fn line_kbps(&self) -> u32 {
        self.rate.allowed()
    }

    /// How often each packet of pictures is sent to it.
    pub fn copies(&self) -> u32 {
        self.rate.copies()
    }

    /// Takes a packet.
    pub fn insert(&mut self, now: Instant, packet: Packet) {
        self.first_packet.get_or_insert(now);
        self.source.insert(now, packet);
    }

    /// Takes a packet that was sent again; nothing but what is waited for.
    pub fn insert_repair(&mut self, now: Instant, packet: Packet) {
        if self.source.waits_for(packet.seq) {
            self.source.insert(now, packet);
        }
    }

    /// Asks for what is missing, at once.
    pub fn repair(&mut self, now: Instant, participant: ParticipantId, out: &mut Out) {
        if !self.config.feedback.nack || !self.line.can_receive() {
            return;
        }
        let rtt = self.line.session.sender.rtt();
        let patience = (!self.asker.is_useless()).then(|| nack::patience(rtt));
        let (missing, lost) = self.source.missing(patience);
        let ask = self.asker.poll(now, &missing, lost, rtt);
        if !ask.is_empty() {
            out.totals.asked_again += ask.len() as u64;
            self.line.session.nack(&ask);
            self.line.send_rtcp(now, participant, out);
        }
    }

    /// RTCP came.
    pub fn handle_notice(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        notice: &Notice,
        out: &mut Out,
    ) {
        match notice {
            Notice::Nack(lost) => {
                // Its reports count as lost what is just being repaired.
                self.asks = true;
                self.line.repeat(now, participant, lost, out);
            }
            Notice::KeyFrame(heard) => self.hear(now, *heard),
            Notice::Limit { owner, bits } => self.rate.limit(*owner, *bits),
            Notice::Estimate(bits) => self.rate.estimate(now, *bits),
            Notice::Limited(bits) => self.thrift.answered(*bits),
            Notice::Bye(gone) => gone.iter().for_each(|owner| self.rate.unlimit(*owner)),
            Notice::Report => {
                self.note_report(now);
                let lost = self.line.session.sender.remote().is_some_and(|r| r.fraction_lost > 0);
                if let Some(rtt) = self.line.session.sender.rtt() {
                    self.responder.set_rtt(rtt);
                }
                let rested =
                    self.loss_answered.is_none_or(|at| now.saturating_duration_since(at) >= MUTE_LOSS);
                // What was missing already when it came to us is no fault of this line.
                let upstream = self.gap.is_some_and(|at| now.saturating_duration_since(at) < MUTE_LOSS);
                if lost && !upstream && !self.asks && rested {
                    self.loss_answered = Some(now);
                    self.asked_for_key = true;
                }
            }
            _ => {}
        }
    }

    /// The worker has more to do than it can: what reports say of delay is of that, and not of the line.
    pub fn set_pressed(&mut self, pressed: bool) {
        self.pressed = pressed;
    }

    /// The far end reported on the sound of the same leg.
    pub fn note_sound(&mut self, report: Option<ReportBlock>) {
        self.sound = report;
    }

    fn note_report(&mut self, now: Instant) {
        let sender = &self.line.session.sender;
        let Some(block) = sender.remote().copied() else { return };
        let (packets, octets) = sender.sent();
        if !self.pressed {
            let jitter = Duration::from_micros(u64::from(block.jitter) * 1_000_000 / CLOCK);
            self.delay = (sender.rtt(), jitter);
        }
        let (rtt, jitter) = self.delay;
        let report = rate::Report {
            block,
            rtt,
            jitter,
            octets: octets + u64::from(packets) * HEADERS,
            skipped: self.skipped,
            missed: self.line.missed(),
            nominal: self.profile.line_kbps(),
            sound: self.sound,
        };
        self.rate.report(now, report);
        self.responder.set_quick(self.rate.is_fragile());
    }

    /// Nothing but key frames heals its picture, and it loses packets.
    pub fn is_fragile(&self) -> bool {
        self.rate.is_fragile()
    }

    /// The far end's decoder asks for a key frame.
    pub fn hear(&mut self, now: Instant, heard: Heard) {
        self.asks |= now.saturating_duration_since(self.negotiated) >= STARTED;
        self.rate.complaint(now);
        self.asked_for_key |= self.responder.handle(now, heard);
    }

    /// The far end needs a key frame; told once.
    pub fn take_asked_for_key(&mut self) -> bool {
        std::mem::take(&mut self.asked_for_key)
    }

    /// Views must be planned anew because of it; told once.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Timers.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        worker: &Config,
        out: &mut Out,
    ) {
        if self.rate.poll(now) {
            let before = self.profile;
            self.choose(worker);
            self.changed = true;
            let copies = self.rate.copies();
            tracing::debug!(%participant, line = self.rate.allowed(), copies, from = before.kbps, to = self.profile.kbps, "rate");
        }
        self.line.set_copies(self.rate.copies());
        self.source.handle_timeout(now, out);
        self.repair(now, participant, out);
        self.changed |= self.line.watch_target(now);
        let news = self.source.take_news();
        if news.back {
            self.requester.renew(now);
            self.changed = true;
            // The first picture of a call is no news: that the site joined was told.
            if std::mem::take(&mut self.told_lost) {
                out.events.push_back(Event::VideoBack { participant });
            }
        }
        if news.lost {
            self.changed = true;
            self.told_lost = true;
            out.events.push_back(Event::VideoLost { participant });
            self.requester.request(now);
        }
        if self.source.ssrc() != self.ssrc {
            self.ssrc = self.source.ssrc();
            self.changed = true;
        }
        if news.got_key {
            self.requester.key_frame(now);
        }
        if news.wants_key {
            self.requester.request(now);
        }
        if self.line.can_receive() && self.may_ask(now) {
            self.ask(now, participant, out);
        }
        self.asked_for_key |= self.responder.poll(now);
        if worker.thrift && self.config.feedback.tmmbr && self.line.can_receive() {
            self.save(now);
        }
        self.line.send_rtcp(now, participant, out);
    }

    /// Nobody sees it or wants to, it is asked for nothing, and nothing of it is missing.
    pub fn is_calm(&self) -> bool {
        !self.needed && self.requester.poll_timeout().is_none() && self.source.is_calm()
    }

    /// Asks a site that nobody sees to send little, and sets it free in time.
    fn save(&mut self, now: Instant) {
        let needed = self.needed || self.source.is_visible() || self.source.is_wanted();
        self.thrift.set_needed(now, needed);
        if let Some(bits) = self.thrift.poll(now) {
            self.line.session.limit(bits);
        }
    }

    /// Not before the first packet, and not while the first picture, mostly a key frame, is still coming.
    fn may_ask(&self, now: Instant) -> bool {
        let waited = |since: Instant, time| now.saturating_duration_since(since) >= time;
        self.source.is_live()
            || self.first_packet.is_some_and(|at| waited(at, FIRST))
            || waited(self.negotiated, NOTHING)
    }

    fn ask(&mut self, now: Instant, participant: ParticipantId, out: &mut Out) {
        match self.requester.poll(now) {
            Some(Ask::Info) => out.events.push_back(Event::AskInfoFastUpdate { participant }),
            Some(ask) => {
                self.line.session.ask(ask);
            }
            None => {}
        }
    }

    /// Sends a picture. `names`: what stands for which SSRC where its source is named.
    pub fn send(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        unit: &Encoded,
        (csrc, names): (&[u32], &[(u32, u32)]),
        out: &mut Out,
    ) {
        if !self.can_send() {
            return;
        }
        if unit.gap > 0 {
            self.line.session.sender.skip(unit.gap);
            self.skipped += u64::from(unit.gap);
            self.gap = Some(now);
        }
        if unit.payloads.is_empty() {
            return;
        }
        let own = unit.csrc.map(|source| [named(source, names)]);
        let csrc = own.as_ref().map_or(csrc, |ssrc| ssrc.as_slice());
        let nanos = unit.time.saturating_duration_since(self.epoch).as_nanos();
        let ticks = u64::try_from(nanos * u128::from(CLOCK) / 1_000_000_000).unwrap_or(u64::MAX);
        let ticks = self.last_timestamp.map_or(ticks, |last| ticks.max(last + LEAST_STEP));
        self.last_timestamp = Some(ticks);
        self.sent += 1;
        let pt = self.config.pt_send;
        let packets = unit.payloads.iter().map(|payload| Outgoing {
            pt,
            marker: payload.marker,
            source: 0,
            timestamp: ticks as u32,
            csrc,
            payload: payload.bytes.clone(),
            origin: 0,
        });
        self.line.send(now, participant, packets, out);
        if unit.key {
            self.responder.key_sent(now);
        }
    }

    /// Tells how many pictures the encoder of its place has made, and whether it got one of them; see [`Progress`].
    pub fn is_stranded(&mut self, now: Instant, made: u64, got_some: bool) -> bool {
        let idle = !self.can_send();
        self.progress.is_stranded(now, made, got_some || idle)
    }

    /// Pictures sent since the last call.
    pub fn take_sent(&mut self) -> u32 {
        std::mem::take(&mut self.sent)
    }
}

/// What names a source: what it was given, or what it calls itself.
pub fn named(source: u32, names: &[(u32, u32)]) -> u32 {
    names.iter().find(|(ssrc, _)| *ssrc == source).map_or(source, |(_, name)| *name)
}

/// What description and settings of the far end allow for pictures, kbit/s.
fn ceiling(config: &VideoLeg) -> u32 {
    config.max_kbps.unwrap_or(u32::MAX)
}

fn feedback(config: &VideoLeg) -> keyframe::Feedback {
    keyframe::Feedback { pli: config.feedback.pli, fir: config.feedback.fir }
}
