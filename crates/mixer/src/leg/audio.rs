//! Sound of one leg, in and out.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cau_model::ParticipantId;
use cau_rtp::{Packet, dtmf, session::Notice, stream::Outgoing};

use super::{
    line::{self, Line, Origin},
    playout::Playout,
};
use crate::{
    Media,
    command::AudioLeg,
    dropped::Dropped,
    event::Event,
    out::Out,
    sound::{coding::Coding, room::Site},
};

/// Bandwidth RTCP reckons with, kbit/s.
const KBPS: u32 = 64;

/// A packet of sound in this time: it flows (senders that pause in silence say so more often).
const FLOWS: Duration = Duration::from_secs(2);

/// Sound of one leg.
pub struct Audio {
    config: AudioLeg,
    /// Its edge.
    pub line: Line,
    /// Its part in the mix.
    pub site: Site,
    playout: Playout,
    dtmf: dtmf::Receiver,
    ssrc: Option<u32>,
    coding: Coding,
    /// Time stamp of the next packet, in ticks of the codec sent.
    timestamp: u32,
    /// Counts changes of the codec sent, so that time stamps go on in its clock.
    timeline: u64,
    /// Nothing was sent before this packet.
    pause: bool,
}

impl Audio {
    /// As negotiated.
    pub fn new(now: Instant, config: AudioLeg, origin: Origin) -> Self {
        let line = Line::new(now, Media::Audio, &config.stream, config.codec.clock_rate(), KBPS, origin);
        Self {
            line,
            site: Site::default(),
            playout: Playout::new(&config),
            dtmf: dtmf::Receiver::default(),
            ssrc: None,
            coding: Coding::new(config.codec, config.max_kbps),
            timestamp: 0,
            timeline: 0,
            pause: true,
            config,
        }
    }

    /// Negotiated anew.
    pub fn update(&mut self, now: Instant, config: AudioLeg) {
        self.line.update(now, &config.stream);
        if config.pt_recv != self.config.pt_recv || config.comfort_noise != self.config.comfort_noise {
            self.playout = Playout::new(&config);
        }
        if config.codec.clock_rate() != self.config.codec.clock_rate() {
            self.line.session.sender.set_clock_rate(config.codec.clock_rate());
            self.timeline += 1;
        }
        self.coding = Coding::new(config.codec, config.max_kbps);
        self.config = config;
    }

    /// What is sent, when something is.
    pub fn coding(&self) -> Option<Coding> {
        self.line.can_send().then_some(self.coding)
    }

    /// Mean time from a packet's coming to its being heard; `None`: nothing comes.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let last = self.line.session.receiver.stats().last_packet?;
        let flows = now.saturating_duration_since(last) < FLOWS && self.site.needs_sound();
        self.playout.wait().filter(|_| flows)
    }

    /// Share of what is sent that the last report calls lost, per cent.
    pub fn reported_loss(&self) -> u8 {
        let lost = self.line.session.sender.remote().map_or(0, |report| report.fraction_lost);
        (u32::from(lost) * 100).div_ceil(256) as u8
    }

    /// Payload types that may come in.
    pub fn knows(config: &AudioLeg, pt: u8) -> bool {
        config.pt_recv.iter().any(|(p, _)| *p == pt)
            || config.dtmf.iter().any(|(p, _)| *p == pt)
            || config.comfort_noise == Some(pt)
    }

    /// Takes a datagram.
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        rtcp: bool,
        data: Bytes,
        out: &mut Out,
    ) -> Option<line::Input> {
        let Self { line, config, .. } = self;
        line.receive(now, from, rtcp, data, |pt| Self::knows(config, pt), out)
    }

    /// Takes a packet.
    pub fn insert(&mut self, now: Instant, participant: ParticipantId, packet: Packet, out: &mut Out) {
        if let Some((_, clock_hz)) = self.config.dtmf.iter().find(|(pt, _)| *pt == packet.pt) {
            self.dtmf.insert(now, &packet, *clock_hz);
            self.report_keys(participant, out);
            return;
        }
        if self.ssrc.replace(packet.ssrc).is_some_and(|before| before != packet.ssrc) {
            self.playout.reset();
        }
        // The clock of the reports' jitter is that of the codec that comes.
        if let Some((_, codec)) = self.config.pt_recv.iter().find(|(pt, _)| *pt == packet.pt) {
            self.line.session.receiver.set_clock_rate(codec.clock_rate());
        }
        self.playout.insert(now, packet);
    }

    /// What was dropped since the last call.
    pub fn take_dropped(&mut self) -> Dropped {
        let mut dropped = self.line.take_dropped();
        dropped += self.playout.take_dropped();
        dropped
    }

    /// RTCP came.
    pub fn handle_notice(&mut self, notice: &Notice) {
        // BYE, reports and names are kept by the session; key-frame requests have nothing to do with sound.
        if let Notice::Bye(gone) = notice {
            self.ssrc = self.ssrc.filter(|ssrc| !gone.contains(ssrc));
        }
    }

    /// Timers.
    pub fn handle_timeout(&mut self, now: Instant, participant: ParticipantId, out: &mut Out) {
        self.line.watch_target(now);
        self.dtmf.handle_timeout(now);
        self.report_keys(participant, out);
        self.line.send_rtcp(now, participant, out);
        out.totals.codec_errors += self.playout.take_errors();
    }

    fn report_keys(&mut self, participant: ParticipantId, out: &mut Out) {
        while let Some(press) = self.dtmf.poll() {
            out.events.push_back(Event::Dtmf { participant, digit: press.digit });
        }
    }

    /// Gets the 20 ms of this tick ready in [`Self::site`]. What nobody will hear is not decoded.
    pub fn pull(&mut self, now: Instant) {
        let discard = !self.site.needs_sound() || !self.line.can_receive();
        // Only where there is nothing to hear may whole packets go or come: music and tones are no speech.
        let meter = &self.site.meter;
        self.playout.quiet(!meter.speaking() && !meter.is_audible());
        self.site.fresh = self.playout.pull(now, &mut self.site.frame, discard);
    }

    /// Sends 20 ms.
    pub fn send(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        payload: &Bytes,
        csrc: &[u32],
        out: &mut Out,
    ) {
        let outgoing = Outgoing {
            pt: self.config.pt_send,
            marker: std::mem::take(&mut self.pause),
            source: self.timeline,
            timestamp: self.timestamp,
            csrc,
            payload: payload.clone(),
            origin: 0,
        };
        self.line.send(now, participant, std::iter::once(outgoing), out);
        self.advance();
    }

    /// Sends nothing for 20 ms.
    pub fn skip(&mut self) {
        self.pause = true;
        self.advance();
    }

    fn advance(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(self.config.codec.clock_rate() / 50);
    }

    /// SSRC of what comes in.
    pub fn ssrc_in(&self) -> Option<u32> {
        self.ssrc
    }

    /// Codec of what comes in, as in SDP.
    pub fn codec_in(&self) -> &'static str {
        self.playout.codec().unwrap_or(self.config.codec).name()
    }
}
