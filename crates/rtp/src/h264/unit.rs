//! An access unit: the NAL units of one picture.

use super::nal::{self, SliceHead, kind};
use bytes::Bytes;
use std::time::Instant;

/// The NAL units of one coded picture as they came, in order, without start codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// NAL units; sequence and picture parameter sets stand before every IDR picture even when the sender left them out.
    pub nals: Vec<Bytes>,
    /// RTP timestamp, 90 kHz.
    pub timestamp: u32,
    /// An IDR picture with its parameter sets: decoding can begin here.
    pub key: bool,
    /// Not an IDR picture, but intra coded or marked with a recovery point: a decoder that tolerates flaws can begin here.
    pub recovery: bool,
    /// Parts of this picture were lost on the way.
    pub damaged: bool,
    /// When its first packet came.
    pub first: Instant,
    /// When its last packet came.
    pub arrived: Instant,
    /// Source it came from.
    pub ssrc: u32,
    /// Contributing source of its first packet, when a mixer or MCU upstream names one.
    pub csrc: Option<u32>,
}

impl Unit {
    /// Bytes of all NAL units.
    pub fn len(&self) -> usize {
        self.nals.iter().map(Bytes::len).sum()
    }

    /// Whether it has no NAL units; never true of a unit given out.
    pub fn is_empty(&self) -> bool {
        self.nals.is_empty()
    }

    /// As an Annex B byte stream.
    pub fn annex_b(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() + 4 * self.nals.len());
        nal::write_annex_b(&self.nals, &mut out);
        out
    }
}

/// What the NAL units of a picture say about it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    pub idr: bool,
    pub sps: bool,
    pub pps: bool,
    pub slices: bool,
    pub intra: bool,
    pub recovery_point: bool,
    /// The first slice does not begin the picture.
    pub headless: bool,
}

pub(super) fn look(nals: &[Bytes]) -> Look {
    let mut l = Look { intra: true, ..Look::default() };
    for n in nals {
        match nal::kind_of(n) {
            Some(kind::SPS) => l.sps = true,
            Some(kind::PPS) => l.pps = true,
            Some(kind::SEI) => l.recovery_point |= nal::has_recovery_point(n),
            Some(k) if nal::is_slice(k) => {
                l.idr |= k == kind::IDR;
                if let Some(head) = SliceHead::parse(n) {
                    l.headless |= !l.slices && head.first_mb != 0;
                    l.intra &= head.intra();
                }
                l.slices = true;
            }
            _ => {}
        }
    }
    l.intra &= l.slices;
    l
}
