//! From the NAL units of a picture to RTP payloads (RFC 6184 5.6–5.8, 6.2, 6.3).

use super::nal::{kind, kind_of};
use bytes::{BufMut, Bytes, BytesMut};

/// Payload bytes of a packet by default: with RTP, UDP and IPv6 headers and an SRTP tag it stays well below 1,280, the least any path takes.
pub const DEFAULT_BUDGET: usize = 1_200;

/// The negotiated packetization mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// packetization-mode=0: one NAL unit a packet, so the encoder must make slices that fit.
    SingleNal,
    /// packetization-mode=1: fragmentation units too.
    NonInterleaved,
}

impl Mode {
    /// From the number in `packetization-mode`; None for 2 (interleaved) and what does not exist.
    pub fn from_number(mode: u8) -> Option<Self> {
        match mode {
            0 => Some(Self::SingleNal),
            1 => Some(Self::NonInterleaved),
            _ => None,
        }
    }
}

/// One RTP payload and its marker bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Never longer than the budget, never empty.
    pub bytes: Bytes,
    /// Set on the last one of the picture.
    pub marker: bool,
}

/// A picture in packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packetized {
    /// In sending order.
    pub payloads: Vec<Payload>,
    /// NAL units left out because they do not fit into a packet (mode 0) or are none (empty, reserved type): the picture is damaged, ask the
    /// encoder for smaller slices.
    pub left_out: usize,
}

/// Cuts pictures into packets. Parameter sets go in packets of their own unless [`Packetizer::aggregate`] is asked for: old devices know
/// single NAL units and FU-A best.
#[derive(Debug, Clone)]
pub struct Packetizer {
    mode: Mode,
    budget: usize,
    aggregate: bool,
}

impl Packetizer {
    /// `budget`: the most bytes of an RTP payload, at least 64.
    pub fn new(mode: Mode, budget: usize) -> Self {
        Self { mode, budget: budget.clamp(64, 65_000), aggregate: false }
    }

    /// Puts parameter sets and SEI that stand together into one STAP-A (mode 1 only).
    pub fn aggregate(mut self, yes: bool) -> Self {
        self.aggregate = yes;
        self
    }

    /// Payload bytes a packet may have.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// The packets of one picture. NAL units come without start codes; access unit delimiters are left out silently.
    pub fn packetize(&self, nals: &[Bytes]) -> Packetized {
        let mut out = Packetized::default();
        let mut small: Vec<&Bytes> = Vec::new();
        for nal in nals {
            let k = kind_of(nal).unwrap_or(0);
            if k == kind::AUD {
                continue;
            }
            if !(1..kind::STAP_A).contains(&k) {
                out.left_out += 1;
                continue;
            }
            let aggregated = self.aggregate
                && self.mode == Mode::NonInterleaved
                && matches!(k, kind::SPS | kind::PPS | kind::SEI)
                && nal.len() + 3 <= self.budget;
            if !aggregated
                || 1 + small.iter().map(|n| n.len() + 2).sum::<usize>() + nal.len() + 2 > self.budget
            {
                flush(&mut small, &mut out.payloads);
            }
            if aggregated {
                small.push(nal);
            } else if nal.len() <= self.budget {
                push(&mut out.payloads, nal.clone());
            } else if self.mode == Mode::NonInterleaved {
                fragment(nal, self.budget, &mut out.payloads);
            } else {
                out.left_out += 1;
            }
        }
        flush(&mut small, &mut out.payloads);
        if let Some(last) = out.payloads.last_mut() {
            last.marker = true;
        }
        out
    }
}

fn push(out: &mut Vec<Payload>, bytes: Bytes) {
    out.push(Payload { bytes, marker: false });
}

fn flush(small: &mut Vec<&Bytes>, out: &mut Vec<Payload>) {
    match small.as_slice() {
        [] => {}
        [one] => push(out, Bytes::clone(one)),
        several => {
            let mut packet = BytesMut::with_capacity(1 + several.iter().map(|n| n.len() + 2).sum::<usize>());
            let importance = several.iter().filter_map(|n| n.first()).map(|b| b & 0x60).max().unwrap_or(0);
            packet.put_u8(importance | kind::STAP_A);
            for nal in several {
                packet.put_u16(nal.len() as u16);
                packet.put_slice(nal);
            }
            push(out, packet.freeze());
        }
    }
    small.clear();
}

/// FU-A (RFC 6184 5.8). A unit longer than the budget gives two fragments or more of about equal length, so start and end never fall
/// into one packet.
fn fragment(nal: &Bytes, budget: usize, out: &mut Vec<Payload>) {
    let Some((&head, body)) = nal.split_first() else { return };
    let count = body.len().div_ceil(budget - 2);
    let chunk = body.len().div_ceil(count.max(2));
    let mut all = BytesMut::with_capacity(body.len() + 2 * count);
    for (i, part) in body.chunks(chunk).enumerate() {
        let start = if i == 0 { 0x80 } else { 0 };
        let end = if (i + 1) * chunk >= body.len() { 0x40 } else { 0 };
        all.put_u8(head & 0xe0 | kind::FU_A);
        all.put_u8(start | end | head & 0x1f);
        all.put_slice(part);
        push(out, all.split().freeze());
    }
}
