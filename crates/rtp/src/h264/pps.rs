//! Picture parameter sets (ITU-T H.264 7.3.2.2): only what tells which tools a stream uses.

use super::nal::{Bits, kind, rbsp_bits};

/// The beginning of a picture parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pps {
    /// Its number, 0–255.
    pub id: u8,
    /// The sequence parameter set it belongs to, 0–31.
    pub sps: u8,
    /// CABAC instead of CAVLC: not baseline.
    pub cabac: bool,
    /// Slice groups, 1–8: more than one is flexible macroblock order (FMO), which few decoders know. Arbitrary slice order shows only
    /// in the slices ([`super::nal::SliceHead::first_mb`] going back).
    pub slice_groups: u8,
    /// Has the 8×8 transform (high profile).
    pub transform_8x8: bool,
}

impl Pps {
    /// Reads a whole NAL unit, header byte first; None when it is none, cut off or out of range.
    pub fn parse(nal: &[u8]) -> Option<Self> {
        let (&head, body) = nal.split_first()?;
        if head & 0x1f != kind::PPS {
            return None;
        }
        let mut b = Bits::new(body);
        let id = u8::try_from(b.ue()?).ok()?;
        let sps = u8::try_from(b.ue()?).ok().filter(|n| *n < 32)?;
        let cabac = b.bit()?;
        b.bit()?;
        let slice_groups = u8::try_from(b.ue()?).ok().filter(|n| *n < 8)? + 1;
        let transform_8x8 = slice_groups == 1 && transform(&mut b, rbsp_bits(body)).unwrap_or(false);
        Some(Self { id, sps, cabac, slice_groups, transform_8x8 })
    }
}

fn transform(b: &mut Bits<'_>, end: usize) -> Option<bool> {
    b.ue()?;
    b.ue()?;
    b.bits(3)?; // weighted prediction
    b.se()?;
    b.se()?;
    b.se()?;
    b.bits(3)?; // deblocking control, constrained intra, redundant pictures
    if b.used() < end { b.bit() } else { Some(false) }
}
