//! An outgoing stream: one SSRC for the whole call, sequence and timestamps that go on whatever source is behind it.

use crate::packet::Packet;
use crate::rtcp::{ReportBlock, SenderInfo, Wall, from_short};
use crate::seq::ts_diff;
use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// What is to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// Payload type.
    pub pt: u8,
    /// Marker bit.
    pub marker: bool,
    /// Which timeline `timestamp` belongs to: any number that differs between sources (an encoder, a forwarded device).
    pub source: u64,
    /// Timestamp on that source's own clock.
    pub timestamp: u32,
    /// Contributing sources to name.
    pub csrc: &'a [u32],
    /// Payload.
    pub payload: Bytes,
    /// Where the caller finds this packet again for a retransmission (its place in a ring); kept with the sequence number.
    pub origin: u64,
}

/// One outgoing stream.
#[derive(Debug)]
pub struct Sender {
    ssrc: u32,
    clock_rate: u32,
    seq: u16,
    wall: Wall,
    /// The source now sending and what is added to its timestamps.
    mapping: Option<(u64, u32)>,
    last: Option<(Instant, u32)>,
    first_timestamp: u32,
    /// A moment on both clocks, for sender reports.
    anchor: Option<(Instant, u32)>,
    packets: u32,
    octets: u32,
    total_octets: u64,
    history: VecDeque<(u16, u64)>,
    max_history: usize,
    remote: Option<ReportBlock>,
    rtt: Option<Duration>,
}

/// A source whose timestamps run away from real time by this has begun anew, s.
const RUNAWAY: i64 = 10;

impl Sender {
    /// SSRC, first sequence number and first timestamp are random from `seed`. `wall`: one moment on both clocks.
    pub fn new(clock_rate: u32, wall: (Instant, SystemTime), seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        Self {
            ssrc: rng.random_range(1..=u32::MAX),
            clock_rate: clock_rate.max(1),
            // The lower half: a wrap soon after the start is what SRTP without a rollover counter stumbles over (RFC 3711 3.3.1).
            seq: rng.random_range(0..0x8000),
            wall: Wall::new(wall),
            mapping: None,
            last: None,
            first_timestamp: rng.random(),
            anchor: None,
            packets: 0,
            octets: 0,
            total_octets: 0,
            history: VecDeque::new(),
            max_history: 0,
            remote: None,
            rtt: None,
        }
    }

    /// Remembers where the last `packets` packets came from, for retransmissions.
    pub fn with_history(mut self, packets: usize) -> Self {
        self.max_history = packets.min(1 << 15);
        self
    }

    /// The SSRC; it never changes.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The clock rate changed with the codec; the timestamps go on.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        self.clock_rate = clock_rate.max(1);
        self.mapping = None;
        self.anchor = None;
    }

    /// Makes the next packet. Its timestamp continues the stream: within one source the steps are the source's, at a change of source the
    /// step is the time that has passed.
    pub fn send(&mut self, now: Instant, out: Outgoing<'_>) -> Packet {
        let timestamp = self.map(now, out.source, out.timestamp);
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(out.payload.len() as u32);
        self.total_octets += out.payload.len() as u64;
        if self.last.is_none_or(|(_, ts)| ts != timestamp) {
            self.note_anchor(now, timestamp);
            self.last = Some((now, timestamp));
        }
        if self.max_history > 0 {
            if self.history.len() >= self.max_history {
                self.history.pop_front();
            }
            self.history.push_back((seq, out.origin));
        }
        Packet {
            pt: out.pt,
            marker: out.marker,
            seq,
            timestamp,
            ssrc: self.ssrc,
            csrc: out.csrc.iter().take(15).copied().collect(),
            payload: out.payload,
        }
    }

    fn map(&mut self, now: Instant, source: u64, timestamp: u32) -> u32 {
        let Some((then, before)) = self.last else {
            let offset = self.first_timestamp.wrapping_sub(timestamp);
            self.mapping = Some((source, offset));
            return timestamp.wrapping_add(offset);
        };
        let passed = self.ticks(now.saturating_duration_since(then));
        if let Some((s, offset)) = self.mapping.filter(|(s, _)| *s == source) {
            let mapped = timestamp.wrapping_add(offset);
            let step = ts_diff(mapped, before) - i64::from(passed);
            if step.abs() < RUNAWAY * i64::from(self.clock_rate) {
                self.mapping = Some((s, offset));
                return mapped;
            }
        }
        let mapped = before.wrapping_add(passed.max(1));
        self.mapping = Some((source, mapped.wrapping_sub(timestamp)));
        mapped
    }

    fn ticks(&self, d: Duration) -> u32 {
        (d.as_micros() * u128::from(self.clock_rate) / 1_000_000) as u32
    }

    /// Packets sent late now and then must not move what the reports say: the anchor follows slowly, and at once only when it is 100 ms off.
    fn note_anchor(&mut self, now: Instant, timestamp: u32) {
        let Some((at, ts)) = self.anchor else {
            self.anchor = Some((now, timestamp));
            return;
        };
        let passed = self.ticks(now.saturating_duration_since(at));
        let error = ts_diff(timestamp, ts.wrapping_add(passed));
        let shift = if error.abs() > i64::from(self.clock_rate / 10) { error } else { error / 64 };
        self.anchor = Some((now, ts.wrapping_add(passed).wrapping_add(shift as u32)));
    }

    /// Leaves a gap of `packets` sequence numbers: a gap that came from upstream stays one (RFC 7667 3.6).
    pub fn skip(&mut self, packets: u16) {
        self.seq = self.seq.wrapping_add(packets);
    }

    /// Sequence number of the next packet.
    pub fn next_seq(&self) -> u16 {
        self.seq
    }

    /// What [`Outgoing::origin`] was of the packet with this sequence number, when it is still remembered.
    pub fn origin(&self, seq: u16) -> Option<u64> {
        self.history.iter().rev().find(|(s, _)| *s == seq).map(|(_, o)| *o)
    }

    /// What the next sender report says; None before the first packet.
    pub fn report(&self, now: Instant) -> Option<SenderInfo> {
        let (at, ts) = self.anchor.or(self.last)?;
        Some(SenderInfo {
            ntp: self.wall.ntp(now),
            rtp_timestamp: ts.wrapping_add(self.ticks(now.saturating_duration_since(at))),
            packets: self.packets,
            octets: self.octets,
        })
    }

    /// When the last packet with a new timestamp was sent.
    pub fn last_sent(&self) -> Option<Instant> {
        self.last.map(|(at, _)| at)
    }

    /// The other side reports on this stream: loss and round trip (RFC 3550 6.4.1). Blocks about other sources are ignored.
    pub fn handle_report(&mut self, now: Instant, block: &ReportBlock) {
        if block.ssrc != self.ssrc {
            return;
        }
        self.remote = Some(*block);
        if block.last_sr != 0 {
            let rtt = self.wall.middle(now).wrapping_sub(block.last_sr).wrapping_sub(block.delay);
            // Clocks that step or devices that lie: a round trip of more than a minute is none.
            if rtt < 60 << 16 {
                self.rtt = Some(from_short(rtt));
            } else if rtt > u32::MAX - (1 << 16) {
                self.rtt = Some(Duration::ZERO);
            }
        }
    }

    /// The last report of the other side.
    pub fn remote(&self) -> Option<&ReportBlock> {
        self.remote.as_ref()
    }

    /// Round trip time by the last report.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Packets and payload bytes sent so far.
    pub fn sent(&self) -> (u32, u64) {
        (self.packets, self.total_octets)
    }
}
