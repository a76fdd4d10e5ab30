//! One media line: its incoming and outgoing stream and the RTCP between them (RFC 3550, RFC 4585, RFC 5506).

use crate::keyframe::{Ask, Heard};
use crate::packet::Packet;
use crate::rtcp::{self, Item, Limit, Schedule, Writer};
use crate::stream::{Outgoing, Receiver, Sender};
use bytes::Bytes;
use smallvec::SmallVec;
use std::time::{Duration, Instant, SystemTime};

/// What a session is made with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Ticks per second of the timestamps, both ways.
    pub clock_rate: u32,
    /// Canonical name: the same for all lines of one call.
    pub cname: String,
    /// Name shown, where there is one.
    pub name: Option<String>,
    /// Bandwidth of the line, kbit/s: RTCP takes at most 5 % of it.
    pub kbps: u32,
    /// Feedback may go alone (`a=rtcp-rsize`); else always in a compound packet.
    pub reduced_size: bool,
    /// One moment on both clocks.
    pub wall: (Instant, SystemTime),
    /// Origin of SSRC, sequence and timestamp bases, report times.
    pub seed: u64,
}

/// What RTCP brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The other side wants a key frame.
    KeyFrame(Heard),
    /// It misses packets of ours.
    Nack(Vec<u16>),
    /// It limits our rate (TMMBR; the notification is sent by itself).
    Limit {
        /// Who set it.
        owner: u32,
        /// bit/s, headers included.
        bits: u64,
    },
    /// It tells which limit of ours is in force (TMMBN), bit/s; `None`: none.
    Limited(Option<u64>),
    /// It estimates what the way carries (REMB), bit/s.
    Estimate(u64),
    /// These sources end.
    Bye(SmallVec<[u32; 2]>),
    /// It reported on what we send: see [`Sender::remote`], [`Sender::rtt`].
    Report,
    /// It names itself (SDES NAME or CNAME).
    Name(Bytes),
}

/// What was dropped, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// RTCP datagrams that came.
    pub rtcp: u64,
    /// RTCP packets in them that are malformed.
    pub malformed: u64,
    /// RTCP packets of unknown types.
    pub skipped: u64,
}

/// One media line.
#[derive(Debug)]
pub struct Session {
    /// The incoming stream.
    pub receiver: Receiver,
    /// The outgoing stream.
    pub sender: Sender,
    config: Config,
    schedule: Schedule,
    asks: SmallVec<[Ask; 2]>,
    nacks: Vec<u16>,
    limit: Option<Limit>,
    limit_for: Option<u64>,
    fir: u8,
    remote: Option<u32>,
    counters: Counters,
    reported: Option<Instant>,
    /// Another source of ours beside the stream (repairs): described with it.
    companion: Option<u32>,
}

/// Silence after which we are no longer a sender (RFC 3550 6.3.5: two intervals).
const SENDER: Duration = Duration::from_secs(10);

impl Session {
    /// A new line; nothing sent or received.
    pub fn new(now: Instant, config: Config) -> Self {
        Self {
            receiver: Receiver::new(config.clock_rate),
            sender: Sender::new(config.clock_rate, config.wall, config.seed),
            schedule: Schedule::new(now, config.kbps, config.seed ^ 0x5eed),
            asks: SmallVec::new(),
            nacks: Vec::new(),
            limit: None,
            limit_for: None,
            fir: 0,
            remote: None,
            counters: Counters::default(),
            reported: None,
            companion: None,
            config,
        }
    }

    /// Another source of ours that goes with the stream, or none any more: it gets the same CNAME (RFC 4588 5.2).
    pub fn set_companion(&mut self, ssrc: Option<u32>) {
        self.companion = ssrc;
    }

    /// Takes an RTP packet; see [`Receiver::insert`].
    pub fn receive(&mut self, now: Instant, packet: Packet) -> SmallVec<[Packet; 1]> {
        self.receiver.insert(now, packet)
    }

    /// Makes an RTP packet; see [`Sender::send`].
    pub fn send(&mut self, now: Instant, out: Outgoing<'_>) -> Packet {
        self.sender.send(now, out)
    }

    /// Takes an RTCP datagram.
    pub fn handle_rtcp(&mut self, now: Instant, datagram: &[u8]) -> Vec<Notice> {
        let compound = rtcp::parse(datagram);
        self.counters.rtcp += 1;
        self.counters.malformed += u64::from(compound.malformed);
        self.counters.skipped += u64::from(compound.skipped);
        let mut notices = Vec::new();
        for item in compound.items {
            self.handle_item(now, item, &mut notices);
        }
        notices
    }

    fn handle_item(&mut self, now: Instant, item: Item, notices: &mut Vec<Notice>) {
        let ours = self.sender.ssrc();
        match item {
            Item::SenderReport { ssrc, info, blocks } => {
                self.remote = Some(ssrc);
                self.receiver.sender_report(now, ssrc, &info);
                self.handle_blocks(now, &blocks, notices);
            }
            Item::ReceiverReport { ssrc, blocks } => {
                self.remote = Some(ssrc);
                self.handle_blocks(now, &blocks, notices);
            }
            Item::Description(d) => notices.extend(d.name.or(d.cname).map(Notice::Name)),
            Item::Bye(ssrcs) => {
                for ssrc in &ssrcs {
                    self.receiver.goodbye(*ssrc);
                }
                notices.push(Notice::Bye(ssrcs));
            }
            // Feedback that names another source is still meant for us: there is only one stream on this line, and devices write 0 or an
            // SSRC they saw before a re-INVITE.
            Item::Pli { .. } => notices.push(Notice::KeyFrame(Heard::Pli)),
            Item::Fir { sender, targets } => {
                let own = targets.iter().find(|(t, _)| *t == ours).or(targets.first());
                notices.extend(own.map(|&(_, seq)| Notice::KeyFrame(Heard::Fir { from: sender, seq })));
            }
            Item::FirRfc2032 { .. } => notices.push(Notice::KeyFrame(Heard::FirRfc2032)),
            Item::Nack { media, lost, .. } if media == ours => notices.push(Notice::Nack(lost)),
            Item::Tmmbr { sender, limits } => {
                if let Some(limit) = limits.iter().find(|l| l.ssrc == ours) {
                    self.limit = Some(Limit { ssrc: sender, ..*limit });
                    self.schedule.hurry();
                    notices.push(Notice::Limit { owner: sender, bits: limit.bitrate });
                }
            }
            Item::Remb { bitrate, .. } => notices.push(Notice::Estimate(bitrate)),
            Item::Tmmbn { limits, .. } => {
                let own = limits.iter().find(|l| l.ssrc == ours);
                notices.push(Notice::Limited(own.map(|l| l.bitrate)));
            }
            Item::Nack { .. } => {}
        }
    }

    fn handle_blocks(&mut self, now: Instant, blocks: &[rtcp::ReportBlock], notices: &mut Vec<Notice>) {
        let ours = self.sender.ssrc();
        for block in blocks.iter().filter(|b| b.ssrc == ours) {
            self.sender.handle_report(now, block);
            notices.push(Notice::Report);
        }
    }

    /// Asks for a key frame by RTCP with the next [`Self::poll_rtcp`], at once. False for [`Ask::Info`], which is the signalling's, and before
    /// anything was received that could be asked.
    pub fn ask(&mut self, ask: Ask) -> bool {
        if ask == Ask::Info || self.target().is_none() {
            return false;
        }
        if !self.asks.contains(&ask) {
            self.asks.push(ask);
        }
        self.schedule.hurry();
        true
    }

    /// Asks for packets again with the next [`Self::poll_rtcp`]; ascending.
    pub fn nack(&mut self, lost: &[u16]) {
        self.nacks.extend(lost.iter().take(256usize.saturating_sub(self.nacks.len())));
        self.schedule.hurry();
    }

    /// Limits the rate of the other side (TMMBR), bit/s, with the next [`Self::poll_rtcp`].
    pub fn limit(&mut self, bitrate: u64) {
        self.limit_for = Some(bitrate);
        self.schedule.hurry();
    }

    /// The RTCP datagram that is due now, if one is.
    pub fn poll_rtcp(&mut self, now: Instant) -> Option<Vec<u8>> {
        if !self.schedule.due(now) {
            return None;
        }
        let mut w = Writer::new();
        let only_feedback = self.config.reduced_size && self.has_feedback() && !self.report_due(now);
        if !only_feedback {
            self.write_report(now, &mut w);
        }
        self.write_feedback(&mut w);
        self.schedule.sent(now, w.len());
        Some(w.finish())
    }

    /// When [`Self::poll_rtcp`] will have something.
    pub fn poll_timeout(&self) -> Instant {
        self.schedule.poll_timeout()
    }

    /// The last datagram: a report and BYE (RFC 3550 6.6). Send it when the line is closed.
    pub fn goodbye(&mut self, now: Instant) -> Vec<u8> {
        let mut w = Writer::new();
        self.write_report(now, &mut w);
        w.bye(self.sender.ssrc());
        w.finish()
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The SSRC to ask: of the stream received, or of who sends reports.
    fn target(&self) -> Option<u32> {
        self.receiver.ssrc().or(self.remote)
    }

    fn has_feedback(&self) -> bool {
        !self.asks.is_empty() || !self.nacks.is_empty() || self.limit.is_some() || self.limit_for.is_some()
    }

    fn report_due(&self, now: Instant) -> bool {
        self.reported.is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_secs(1))
    }

    fn write_report(&mut self, now: Instant, w: &mut Writer) {
        self.reported = Some(now);
        let ssrc = self.sender.ssrc();
        let block = self.receiver.report(now);
        let active = self.sender.last_sent().is_some_and(|at| now.saturating_duration_since(at) < SENDER);
        match self.sender.report(now).filter(|_| active) {
            Some(info) => w.sender_report(ssrc, &info, block.as_slice()),
            None => w.receiver_report(ssrc, block.as_slice()),
        };
        w.description(ssrc, &self.config.cname, self.config.name.as_deref());
        if let Some(ssrc) = self.companion {
            w.description(ssrc, &self.config.cname, None);
        }
    }

    fn write_feedback(&mut self, w: &mut Writer) {
        let ssrc = self.sender.ssrc();
        let target = self.target().unwrap_or(0);
        for ask in std::mem::take(&mut self.asks) {
            match ask {
                Ask::Pli => {
                    w.pli(ssrc, target);
                }
                Ask::Fir => {
                    w.fir(ssrc, target, self.fir);
                    self.fir = self.fir.wrapping_add(1);
                }
                Ask::FirRfc2032 => {
                    w.fir_rfc2032(target);
                }
                Ask::Info => {}
            }
        }
        if !self.nacks.is_empty() {
            w.nack(ssrc, target, &std::mem::take(&mut self.nacks));
        }
        if let Some(bitrate) = self.limit_for.take() {
            w.tmmbr(ssrc, &Limit { ssrc: target, bitrate, overhead: 40 });
        }
        if let Some(limit) = self.limit.take() {
            w.tmmbn(ssrc, &[limit]);
        }
    }
}
