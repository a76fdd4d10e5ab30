//! Packets in order → access units: aggregation, fragments, and where a picture ends.

use super::depacketizer::Counters;
use super::nal::{SliceHead, aggregated, is_slice, kind, kind_of};
use super::params::Parameters;
use super::unit::{Unit, look};
use crate::packet::Packet;
use bytes::{Bytes, BytesMut};
use std::time::{Duration, Instant};

/// Silence after which the picture of a sender that forgets markers is complete.
const IDLE_UNMARKED: Duration = Duration::from_millis(40);
/// The same after a marker of a sender whose markers come too early.
const IDLE_MARKED: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Open {
    nals: Vec<Bytes>,
    bytes: usize,
    timestamp: u32,
    csrc: Option<u32>,
    first: Instant,
    last: Instant,
    marked: bool,
    damaged: bool,
    /// A gap stands before the first packet: the beginning may be missing.
    after_gap: bool,
}

#[derive(Debug)]
struct Fragment {
    kind: u8,
    bytes: BytesMut,
}

#[derive(Debug)]
pub(super) struct Assembler {
    max_unit: usize,
    max_nals: usize,
    ssrc: u32,
    open: Option<Open>,
    fragment: Option<Fragment>,
    /// A gap came and no packet since.
    gap: bool,
    /// The open picture had payloads that cannot be used.
    spoilt: bool,
    /// So much of a picture could not be used that nothing is left of it; whoever asks for key frames should know.
    pub vanished: bool,
    /// Timestamp of the picture given out last.
    finished: Option<u32>,
    unmarked_run: u32,
    distrust_marker: bool,
    /// Changed parameter sets that came alone: they go before the next picture, whatever it is.
    alone: Vec<Bytes>,
    pub parameters: Parameters,
}

impl Assembler {
    pub fn new(max_unit: usize, max_nals: usize) -> Self {
        Self {
            max_unit,
            max_nals,
            ssrc: 0,
            open: None,
            fragment: None,
            gap: true,
            spoilt: false,
            vanished: false,
            finished: None,
            unmarked_run: 0,
            distrust_marker: false,
            alone: Vec::new(),
            parameters: Parameters::default(),
        }
    }

    /// Packets are missing here.
    pub fn gap(&mut self, counters: &mut Counters) {
        self.gap = true;
        if self.fragment.take().is_some() {
            counters.orphan_fragments += 1;
        }
        // A picture still open has not seen its marker: part of it is missing.
        if let Some(open) = &mut self.open {
            open.damaged |= !open.marked;
        }
    }

    /// The source began anew: gives out what was open.
    pub fn restart(&mut self, counters: &mut Counters) -> Option<Unit> {
        self.gap(counters);
        let unit = self.finish(counters);
        self.finished = None;
        self.unmarked_run = 0;
        self.distrust_marker = false;
        unit
    }

    /// The next packet in order; gives out the pictures it completes: one it ended by another timestamp, one by its marker.
    pub fn take(&mut self, arrived: Instant, packet: &Packet, counters: &mut Counters) -> [Option<Unit>; 2] {
        if self.ssrc != packet.ssrc {
            self.ssrc = packet.ssrc;
            self.parameters.forget();
            self.alone.clear();
        }
        let mut before = None;
        if self.open.as_ref().is_some_and(|o| o.timestamp != packet.timestamp) {
            if self.open.as_ref().is_some_and(|o| !o.marked && !o.damaged) {
                counters.unmarked += 1;
                self.unmarked_run = self.unmarked_run.saturating_add(1);
            }
            before = self.finish(counters);
        }
        let gap = std::mem::take(&mut self.gap);
        let open = self.open.get_or_insert_with(|| Open {
            nals: Vec::new(),
            bytes: 0,
            timestamp: packet.timestamp,
            csrc: packet.csrc.first().copied(),
            first: arrived,
            last: arrived,
            marked: false,
            damaged: false,
            after_gap: gap,
        });
        open.damaged |= gap && open.bytes > 0;
        open.first = open.first.min(arrived);
        open.last = open.last.max(arrived);
        self.payload(&packet.payload, counters);
        let Some(open) = &mut self.open else { return [before, None] };
        if !packet.marker {
            return [before, None];
        }
        open.marked = true;
        self.unmarked_run = 0;
        // A slice in the middle of a picture whose timestamp was closed already: this sender marks packets, not pictures.
        if !gap
            && !self.distrust_marker
            && self.finished == Some(packet.timestamp)
            && open.nals.first().is_some_and(|n| begins_inside(n))
        {
            counters.early_markers += 1;
            self.distrust_marker = true;
        }
        let after = if self.distrust_marker { None } else { self.finish(counters) };
        [before, after]
    }

    /// When an open picture may be taken as complete although nothing says so.
    pub fn idle_end(&self) -> Option<Instant> {
        let open = self.open.as_ref()?;
        if self.distrust_marker && open.marked {
            Some(open.last + IDLE_MARKED)
        } else {
            (self.unmarked_run >= 2).then(|| open.last + IDLE_UNMARKED)
        }
    }

    fn payload(&mut self, payload: &Bytes, counters: &mut Counters) {
        match kind_of(payload) {
            Some(kind::FU_A) => self.fragment(payload, 2, counters),
            Some(kind::FU_B) => {
                counters.interleaved += 1;
                self.fragment(payload, 4, counters);
            }
            Some(kind::STAP_A) => self.aggregate(payload, 1, 0, counters),
            Some(kind::STAP_B) => {
                counters.interleaved += 1;
                self.aggregate(payload, 3, 0, counters);
            }
            Some(k @ (kind::MTAP16 | kind::MTAP24)) => {
                counters.interleaved += 1;
                self.aggregate(payload, 3, if k == kind::MTAP16 { 3 } else { 4 }, counters);
            }
            Some(1..=23) => {
                self.abandon_fragment(counters);
                self.push(payload.clone(), counters);
            }
            _ => self.malformed(counters),
        }
    }

    fn aggregate(&mut self, payload: &Bytes, head: usize, skip: usize, counters: &mut Counters) {
        self.abandon_fragment(counters);
        let Some(body) = payload.get(head..).filter(|b| !b.is_empty()) else {
            self.malformed(counters);
            return;
        };
        for nal in aggregated(body, skip) {
            match nal {
                Some(nal) if matches!(kind_of(nal), Some(1..=23)) => {
                    self.push(payload.slice_ref(nal), counters)
                }
                _ => counters.malformed += 1,
            }
        }
    }

    /// A fragment under way that another payload cuts off.
    fn abandon_fragment(&mut self, counters: &mut Counters) {
        if self.fragment.take().is_some() {
            counters.orphan_fragments += 1;
            self.hurt();
        }
    }

    /// A payload that cannot be used: something of the picture is missing although no packet is.
    fn malformed(&mut self, counters: &mut Counters) {
        counters.malformed += 1;
        self.spoilt = true;
        self.hurt();
    }

    fn hurt(&mut self) {
        if let Some(open) = &mut self.open {
            open.damaged = true;
        }
    }

    /// RFC 6184 5.8. FU-B carries a decoding order number behind the FU header, of its first fragment only.
    fn fragment(&mut self, payload: &Bytes, head: usize, counters: &mut Counters) {
        let (Some(&indicator), Some(&fu)) = (payload.first(), payload.get(1)) else {
            self.malformed(counters);
            return;
        };
        let (start, end, k) = (fu & 0x80 != 0, fu & 0x40 != 0, fu & 0x1f);
        let body = payload.get(if start { head } else { 2 }..).unwrap_or_default();
        if !(1..=23).contains(&k) {
            self.malformed(counters);
            return;
        }
        if start {
            self.abandon_fragment(counters);
            counters.whole_fragments += u64::from(end);
            let mut bytes = BytesMut::with_capacity(1 + body.len() * if end { 1 } else { 8 });
            bytes.extend_from_slice(&[indicator & 0xe0 | k]);
            self.fragment = Some(Fragment { kind: k, bytes });
        }
        let room = self.max_unit.saturating_sub(self.open.as_ref().map_or(0, |o| o.bytes));
        match &mut self.fragment {
            Some(f) if f.kind == k && f.bytes.len() + body.len() <= room => f.bytes.extend_from_slice(body),
            Some(f) if f.kind == k => {
                counters.too_big += 1;
                self.fragment = None;
                self.hurt();
                return;
            }
            _ => {
                self.fragment = None;
                counters.orphan_fragments += 1;
                self.hurt();
                return;
            }
        }
        if end && let Some(f) = self.fragment.take() {
            self.push(whole(f.bytes), counters);
        }
    }

    fn push(&mut self, nal: Bytes, counters: &mut Counters) {
        let Some(open) = &mut self.open else { return };
        match kind_of(&nal) {
            Some(kind::AUD | 12) => return, // delimiters and filler say nothing a decoder needs
            Some(kind::PREFIX | kind::SLICE_EXTENSION | 15 | 21) => {
                counters.scalable += 1;
                return;
            }
            Some(kind::SPS | kind::PPS) if self.parameters.learn(&nal) => {
                self.alone.retain(|n| n != &nal);
                self.alone.push(nal.clone());
            }
            _ => {}
        }
        if open.nals.len() >= self.max_nals || open.bytes + nal.len() > self.max_unit {
            counters.too_big += 1;
            open.damaged = true;
            return;
        }
        open.bytes += nal.len();
        open.nals.push(nal);
    }

    /// Closes the open picture. Parameter sets that came alone wait for the next one.
    pub fn finish(&mut self, counters: &mut Counters) -> Option<Unit> {
        self.abandon_fragment(counters);
        let spoilt = std::mem::take(&mut self.spoilt);
        let mut open = self.open.take()?;
        let seen = look(&open.nals);
        if !seen.slices {
            self.gap |= open.damaged || open.after_gap;
            self.vanished |= spoilt;
            self.alone.truncate(32);
            return None;
        }
        self.finished = Some(open.timestamp);
        let mut alone = std::mem::take(&mut self.alone);
        alone.retain(|n| !open.nals.contains(n));
        let brought = |k: u8| alone.iter().any(|n| kind_of(n) == Some(k));
        let (has_sps, has_pps) = (seen.sps || brought(kind::SPS), seen.pps || brought(kind::PPS));
        if !alone.is_empty() {
            alone.append(&mut open.nals);
            open.nals = alone;
        }
        let recovery = !seen.idr && (seen.recovery_point || seen.intra);
        let known = if seen.idr || recovery {
            self.parameters.complete(&mut open.nals, has_sps, has_pps)
        } else {
            true
        };
        if seen.idr && !known {
            counters.parameterless += 1;
        }
        let damaged = open.damaged || (open.after_gap && seen.headless);
        counters.units += 1;
        counters.damaged += u64::from(damaged);
        Some(Unit {
            nals: open.nals,
            timestamp: open.timestamp,
            key: seen.idr && known,
            recovery,
            damaged,
            first: open.first,
            arrived: open.last,
            ssrc: self.ssrc,
            csrc: open.csrc,
        })
    }
}

/// A NAL unit that is kept for a second does not keep the room that was made for a longer one.
fn whole(bytes: BytesMut) -> Bytes {
    if bytes.capacity() > bytes.len() + bytes.len() / 4 {
        Bytes::copy_from_slice(&bytes)
    } else {
        bytes.freeze()
    }
}

fn begins_inside(nal: &[u8]) -> bool {
    kind_of(nal).is_some_and(is_slice) && SliceHead::parse(nal).is_some_and(|h| h.first_mb != 0)
}
