//! Parameter sets remembered, and put where they are missing: in front of every IDR picture.

use super::nal::{kind, kind_of};
use super::pps::Pps;
use super::sps::Sps;
use bytes::Bytes;

/// Sets kept of each kind, and bytes of one; real streams have one or two of some 30 bytes.
const MAX_SETS: usize = 16;
const MAX_BYTES: usize = 1_024;

/// Sequence and picture parameter sets by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    sps: Vec<(u8, Bytes)>,
    pps: Vec<(u8, Bytes)>,
    described: Vec<Bytes>,
    active: Option<Sps>,
}

impl Parameters {
    /// Remembers a parameter set; true when it is new or differs from the one of the same number.
    pub fn learn(&mut self, nal: &Bytes) -> bool {
        match kind_of(nal) {
            Some(kind::SPS) => {
                let Ok(sps) = Sps::parse(nal) else { return false };
                let changed = keep(&mut self.sps, sps.id, nal);
                self.active = Some(sps);
                changed
            }
            Some(kind::PPS) => Pps::parse(nal).is_some_and(|pps| keep(&mut self.pps, pps.id, nal)),
            _ => false,
        }
    }

    /// Sets from the session description; they serve until the stream brings its own, and again after a change of source.
    pub fn out_of_band(&mut self, nals: &[Bytes]) {
        self.described = nals.iter().take(2 * MAX_SETS).cloned().collect();
        for nal in self.described.clone() {
            let known = match kind_of(&nal) {
                Some(kind::SPS) => !self.sps.is_empty(),
                _ => !self.pps.is_empty(),
            };
            if !known {
                self.learn(&nal);
            }
        }
    }

    /// Forgets what another source said.
    pub fn forget(&mut self) {
        self.sps.clear();
        self.pps.clear();
        self.active = None;
        for nal in self.described.clone() {
            self.learn(&nal);
        }
    }

    /// The last sequence parameter set learnt.
    pub fn active(&self) -> Option<&Sps> {
        self.active.as_ref()
    }

    /// Completes the NAL units of an IDR picture: sequence sets first, then picture sets, then the rest. False when a kind is known nowhere.
    pub fn complete(&self, nals: &mut Vec<Bytes>, has_sps: bool, has_pps: bool) -> bool {
        if has_sps && has_pps {
            return true;
        }
        let of = |k: u8, nals: &[Bytes]| {
            nals.iter().filter(|n| kind_of(n) == Some(k)).cloned().collect::<Vec<_>>()
        };
        let stored = |sets: &[(u8, Bytes)]| sets.iter().map(|(_, n)| n.clone()).collect::<Vec<_>>();
        let sps = if has_sps { of(kind::SPS, nals) } else { stored(&self.sps) };
        let pps = if has_pps { of(kind::PPS, nals) } else { stored(&self.pps) };
        let known = !sps.is_empty() && !pps.is_empty();
        let rest = nals.drain(..).filter(|n| !matches!(kind_of(n), Some(kind::SPS | kind::PPS)));
        *nals = sps.into_iter().chain(pps).chain(rest).collect();
        known
    }
}

fn keep(sets: &mut Vec<(u8, Bytes)>, id: u8, nal: &Bytes) -> bool {
    if nal.len() > MAX_BYTES {
        return false;
    }
    // A copy: the slice would keep the whole datagram alive.
    let copy = || Bytes::copy_from_slice(nal);
    match sets.iter_mut().find(|(i, _)| *i == id) {
        Some((_, old)) if old == nal => false,
        Some((_, old)) => {
            *old = copy();
            true
        }
        None => {
            if sets.len() >= MAX_SETS {
                sets.remove(0);
            }
            sets.push((id, copy()));
            true
        }
    }
}
