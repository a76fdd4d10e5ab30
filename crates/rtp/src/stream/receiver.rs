//! An incoming stream (RFC 3550 A.1, A.3, A.8): which source is followed, what is lost, how much it jitters.

use crate::packet::Packet;
use crate::rtcp::{ReportBlock, SenderInfo, to_short};
use crate::seq::{diff, ts_diff};
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// What was dropped or odd, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets more than 128 behind the newest.
    pub stale: u64,
    /// Packets of sources that did not prove themselves.
    pub foreign: u64,
    /// Changes to another SSRC.
    pub source_changes: u64,
    /// Sequence numbers that began anew within one SSRC.
    pub sequence_restarts: u64,
}

/// The stream at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Source followed.
    pub ssrc: Option<u32>,
    /// Packets received, duplicates not counted, over all sources so far.
    pub packets: u64,
    /// Payload bytes of those.
    pub octets: u64,
    /// Packets that should have come from the present source.
    pub expected: u64,
    /// Of those not come; negative with reordering at the edge.
    pub lost: i64,
    /// Share lost, 0–1, between the last two reports.
    pub loss: f32,
    /// Interarrival jitter.
    pub jitter: Duration,
    /// When the last packet came.
    pub last_packet: Option<Instant>,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    base: u64,
    highest: u64,
    /// Bit i: highest − i was received.
    window: u128,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    jitter: f64,
    transit: Option<(Instant, u32)>,
    last: Instant,
    proven: bool,
    gone: bool,
    report: Option<(u32, Instant)>,
}

/// Packets that would follow a source or sequence not yet believed, kept so that nothing of it is lost once it is.
#[derive(Debug)]
struct Candidate {
    ssrc: u32,
    expected: u16,
    run: u32,
    held: Vec<(Instant, Packet)>,
}

/// RFC 3550 A.1.
const MAX_DROPOUT: i32 = 3_000;
const MAX_MISORDER: i32 = -128;
const MIN_SEQUENTIAL: u32 = 2;
/// A source followed is left for another only when it has been silent this long, or has said goodbye.
const SILENT: Duration = Duration::from_millis(100);
/// Packets kept of a candidate.
const MAX_HELD: usize = 128;

/// One incoming stream. The first source is followed at once; another one when it has sent two packets in sequence and the one before is silent.
/// Its packets are kept meanwhile, so a device that changes SSRC in the middle of a call loses nothing.
#[derive(Debug)]
pub struct Receiver {
    clock_rate: u32,
    source: Option<Source>,
    candidate: Option<Candidate>,
    counters: Counters,
    packets: u64,
    octets: u64,
    loss: f32,
}

impl Receiver {
    /// `clock_rate`: ticks per second of the timestamps.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            source: None,
            candidate: None,
            counters: Counters::default(),
            packets: 0,
            octets: 0,
            loss: 0.0,
        }
    }

    /// The clock rate changed with the payload type.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        let clock_rate = clock_rate.max(1);
        if clock_rate != self.clock_rate {
            self.clock_rate = clock_rate;
            if let Some(s) = &mut self.source {
                s.transit = None;
                s.jitter = 0.0;
            }
        }
    }

    /// Takes one packet; gives back those to be used, in the order they came: none (dropped or kept for now), one, or those kept of a source
    /// that has proven itself.
    pub fn insert(&mut self, now: Instant, packet: Packet) -> SmallVec<[Packet; 1]> {
        let Some(source) = &mut self.source else {
            return self.follow(now, packet);
        };
        if source.ssrc != packet.ssrc {
            return self.consider(now, packet, false);
        }
        let step = diff(packet.seq, source.highest as u16);
        if !(MAX_MISORDER + 1..=MAX_DROPOUT).contains(&step) {
            if (MAX_MISORDER * 4..=MAX_MISORDER).contains(&step) {
                self.counters.stale += 1;
                return SmallVec::new();
            }
            return self.consider(now, packet, true);
        }
        if step <= 0 {
            let bit = 1u128 << step.unsigned_abs();
            if source.window & bit != 0 {
                self.counters.duplicate += 1;
                return SmallVec::new();
            }
            source.window |= bit;
        } else {
            source.window = source.window.checked_shl(step.unsigned_abs()).unwrap_or(0) | 1;
            source.highest += u64::from(step.unsigned_abs());
            source.proven |= step == 1;
        }
        source.base = source.base.min(source.highest.saturating_add_signed(i64::from(step.min(0))));
        source.received += 1;
        source.last = now;
        source.gone = false;
        source.note_jitter(now, packet.timestamp, self.clock_rate);
        self.packets += 1;
        self.octets += packet.payload.len() as u64;
        if self.candidate.as_ref().is_some_and(|c| c.ssrc != packet.ssrc || step == 1) {
            self.drop_candidate();
        }
        SmallVec::from_elem(packet, 1)
    }

    fn follow(&mut self, now: Instant, packet: Packet) -> SmallVec<[Packet; 1]> {
        let highest = (1 << 16) + u64::from(packet.seq);
        let mut source = Source {
            ssrc: packet.ssrc,
            base: highest,
            highest,
            window: 1,
            received: 1,
            expected_prior: 0,
            received_prior: 0,
            jitter: 0.0,
            transit: None,
            last: now,
            proven: false,
            gone: false,
            report: None,
        };
        source.note_jitter(now, packet.timestamp, self.clock_rate);
        self.source = Some(source);
        self.packets += 1;
        self.octets += packet.payload.len() as u64;
        SmallVec::from_elem(packet, 1)
    }

    /// A packet of another source, or out of all sequence of this one.
    fn consider(&mut self, now: Instant, packet: Packet, same: bool) -> SmallVec<[Packet; 1]> {
        if self.candidate.as_ref().is_none_or(|c| c.ssrc != packet.ssrc) {
            self.drop_candidate();
            self.candidate =
                Some(Candidate { ssrc: packet.ssrc, expected: packet.seq, run: 0, held: Vec::new() });
        }
        let Some(c) = &mut self.candidate else { return SmallVec::new() };
        c.run = if packet.seq == c.expected { c.run + 1 } else { 1 };
        c.expected = packet.seq.wrapping_add(1);
        if c.run == 1 || c.held.len() >= MAX_HELD {
            self.counters.foreign += c.held.len() as u64;
            c.held.clear();
        }
        c.held.push((now, packet));
        let free = self
            .source
            .as_ref()
            .is_none_or(|s| same || s.gone || !s.proven || now.saturating_duration_since(s.last) >= SILENT);
        if c.run < MIN_SEQUENTIAL || !free {
            return SmallVec::new();
        }
        let held = self.candidate.take().map(|c| c.held).unwrap_or_default();
        let report = self.source.take().filter(|_| same).and_then(|s| s.report);
        if same {
            self.counters.sequence_restarts += 1;
        } else {
            self.counters.source_changes += 1;
        }
        let mut out = SmallVec::new();
        for (at, packet) in held {
            out.extend(self.insert(at, packet));
        }
        if let Some(s) = &mut self.source {
            s.report = report;
        }
        out
    }

    fn drop_candidate(&mut self) {
        if let Some(c) = self.candidate.take() {
            self.counters.foreign += c.held.len() as u64;
        }
    }

    /// The source said goodbye: another may follow at once.
    pub fn goodbye(&mut self, ssrc: u32) {
        if let Some(s) = self.source.as_mut().filter(|s| s.ssrc == ssrc) {
            s.gone = true;
        }
    }

    /// A sender report of the source came.
    pub fn sender_report(&mut self, now: Instant, ssrc: u32, info: &SenderInfo) {
        if let Some(s) = self.source.as_mut().filter(|s| s.ssrc == ssrc) {
            s.report = Some(((info.ntp >> 16) as u32, now));
        }
    }

    /// Source followed.
    pub fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|s| s.ssrc)
    }

    /// The report block for the next RTCP packet; begins a new interval of the fraction lost. None before the first packet.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let s = self.source.as_mut()?;
        let expected = s.expected();
        let interval = expected.saturating_sub(s.expected_prior);
        let received = s.received - s.received_prior;
        s.expected_prior = expected;
        s.received_prior = s.received;
        let lost = interval.saturating_sub(received);
        let fraction_lost = (lost * 256).checked_div(interval).unwrap_or(0).min(255) as u8;
        self.loss = if interval > 0 { lost as f32 / interval as f32 } else { 0.0 };
        let (last_sr, delay) =
            s.report.map_or((0, 0), |(lsr, at)| (lsr, to_short(now.saturating_duration_since(at))));
        Some(ReportBlock {
            ssrc: s.ssrc,
            fraction_lost,
            lost: i32::try_from(s.lost()).unwrap_or(i32::MAX).clamp(-0x80_0000, 0x7f_ffff),
            highest: (s.highest - (1 << 16)) as u32,
            jitter: s.jitter as u32,
            last_sr,
            delay,
        })
    }

    /// The stream at this moment.
    pub fn stats(&self) -> Stats {
        let Some(s) = &self.source else { return Stats::default() };
        Stats {
            ssrc: Some(s.ssrc),
            packets: self.packets,
            octets: self.octets,
            expected: s.expected(),
            lost: s.lost(),
            loss: self.loss,
            jitter: Duration::from_secs_f64(s.jitter / f64::from(self.clock_rate)),
            last_packet: Some(s.last),
        }
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

impl Source {
    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }

    fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    /// RFC 3550 A.8. Packets of one picture share a timestamp and say nothing of the line; jumps beyond 10 s neither.
    fn note_jitter(&mut self, now: Instant, timestamp: u32, clock_rate: u32) {
        let Some((then, before)) = self.transit.replace((now, timestamp)) else { return };
        if timestamp == before {
            self.transit = Some((then, before));
            return;
        }
        let came = now.saturating_duration_since(then).as_secs_f64() * f64::from(clock_rate);
        let d = (came - ts_diff(timestamp, before) as f64).abs();
        if d < 10.0 * f64::from(clock_rate) {
            self.jitter += (d - self.jitter) / 16.0;
        }
    }
}
