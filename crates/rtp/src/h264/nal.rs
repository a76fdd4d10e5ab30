//! NAL units: their header byte, their types, Annex B byte streams, and what a slice says of itself (ITU-T H.264 7.3, Annex B).

use bytes::Bytes;

/// Types of NAL unit this crate tells apart (ITU-T H.264 table 7-1, RFC 6184 table 1).
pub mod kind {
    /// Slice of a picture that is no IDR picture.
    pub const SLICE: u8 = 1;
    /// Data partition A; B and C are 3 and 4.
    pub const PARTITION_A: u8 = 2;
    /// Slice of an IDR picture.
    pub const IDR: u8 = 5;
    /// Supplemental enhancement information.
    pub const SEI: u8 = 6;
    /// Sequence parameter set.
    pub const SPS: u8 = 7;
    /// Picture parameter set.
    pub const PPS: u8 = 8;
    /// Access unit delimiter.
    pub const AUD: u8 = 9;
    /// Prefix NAL unit of scalable streams.
    pub const PREFIX: u8 = 14;
    /// Slice extension of scalable streams (Annex G): nothing a base-layer decoder needs.
    pub const SLICE_EXTENSION: u8 = 20;
    /// Single-time aggregation packet.
    pub const STAP_A: u8 = 24;
    /// Single-time aggregation packet with decoding order number.
    pub const STAP_B: u8 = 25;
    /// Multi-time aggregation packet, 16-bit offset.
    pub const MTAP16: u8 = 26;
    /// Multi-time aggregation packet, 24-bit offset.
    pub const MTAP24: u8 = 27;
    /// Fragmentation unit.
    pub const FU_A: u8 = 28;
    /// Fragmentation unit with decoding order number.
    pub const FU_B: u8 = 29;
}

/// The type in a NAL unit's header byte; None for an empty one.
pub fn kind_of(nal: &[u8]) -> Option<u8> {
    nal.first().map(|b| b & 0x1f)
}

/// Whether a NAL unit of this type carries picture data of the base layer.
pub fn is_slice(kind: u8) -> bool {
    matches!(kind, 1..=5)
}

/// Whether an RTP payload begins or carries a key frame, looking into STAP-A and FU-A; a sequence parameter set counts too, because in
/// packetization mode 0 it is what comes first. For forwarders that do not reassemble.
pub fn starts_key_frame(payload: &[u8]) -> bool {
    let key = |k: u8| matches!(k, kind::IDR | kind::SPS);
    match kind_of(payload) {
        Some(kind::STAP_A) => aggregated(payload.get(1..).unwrap_or_default(), 0)
            .any(|n| n.is_some_and(|n| kind_of(n).is_some_and(key))),
        Some(kind::FU_A | kind::FU_B) => payload.get(1).is_some_and(|fu| fu & 0x80 != 0 && key(fu & 0x1f)),
        Some(k) => key(k),
        None => false,
    }
}

/// The NAL units of an aggregation packet's body: each a 16-bit size, then `skip` bytes of offset and order numbers (MTAP) within that
/// size's reach, then the unit. A size that is zero or overruns ends the walk with one `None`.
pub(super) fn aggregated(body: &[u8], skip: usize) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let one = (|| {
            let (size, after) = rest.split_first_chunk::<2>()?;
            let size = usize::from(u16::from_be_bytes(*size));
            let nal = after.get(skip..skip + size).filter(|n| !n.is_empty())?;
            Some((nal, after.get(skip + size..)?))
        })();
        rest = one.map_or(&[], |(_, after)| after);
        Some(one.map(|(nal, _)| nal))
    })
}

/// The NAL units of an Annex B byte stream, without start codes and trailing zeros; they share its memory.
pub fn split_annex_b(stream: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut at = start_code(stream, 0).map(|(_, after)| after);
    std::iter::from_fn(move || {
        loop {
            let begin = at?;
            let next = start_code(stream, begin);
            at = next.map(|(_, after)| after);
            let mut end = next.map_or(stream.len(), |(code, _)| code);
            while end > begin && stream.get(end - 1) == Some(&0) {
                end -= 1;
            }
            if end > begin {
                return Some(stream.slice(begin..end));
            }
        }
    })
}

/// The next `00 00 01` at or after `from`: where it begins and where it ends.
fn start_code(stream: &[u8], from: usize) -> Option<(usize, usize)> {
    let tail = stream.get(from..)?;
    tail.windows(3).position(|w| w == [0, 0, 1]).map(|p| (from + p, from + p + 3))
}

/// Appends NAL units as an Annex B byte stream with four-byte start codes.
pub fn write_annex_b<'a>(nals: impl IntoIterator<Item = &'a Bytes>, out: &mut Vec<u8>) {
    for nal in nals {
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(nal);
    }
}

/// The beginning of a slice header (ITU-T H.264 7.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceHead {
    /// Address of its first macroblock: 0 begins a picture (unless slices are out of order, ASO).
    pub first_mb: u32,
    /// Slice type 0–4: P, B, I, SP, SI.
    pub kind: u8,
    /// The picture parameter set it uses.
    pub pps: u8,
}

impl SliceHead {
    /// Reads it from a slice NAL unit; None when it is no slice or cut off.
    pub fn parse(nal: &[u8]) -> Option<Self> {
        let (&head, body) = nal.split_first()?;
        if !matches!(head & 0x1f, kind::SLICE | kind::PARTITION_A | kind::IDR) {
            return None;
        }
        let mut bits = Bits::new(body.get(..body.len().min(24))?);
        Some(Self {
            first_mb: bits.ue()?,
            kind: u8::try_from(bits.ue()?).ok().filter(|k| *k < 10)? % 5,
            pps: u8::try_from(bits.ue()?).ok()?,
        })
    }

    /// Whether the slice is coded without reference to other pictures.
    pub fn intra(self) -> bool {
        matches!(self.kind, 2 | 4)
    }
}

/// Whether an SEI NAL unit carries a recovery point (payload type 6): the way intra-refresh streams say where one can begin.
pub fn has_recovery_point(sei: &[u8]) -> bool {
    let Some((&head, mut rest)) = sei.split_first() else { return false };
    if head & 0x1f != kind::SEI {
        return false;
    }
    // Message heads only: emulation prevention cannot fall into the first one, and a later one misread is a hint missed, no harm.
    while let Some((typ, after)) = sei_number(rest) {
        let Some((size, body)) = sei_number(after) else { return false };
        if typ == 6 && size > 0 {
            return true;
        }
        match body.get(size as usize..) {
            Some(next) if next.len() > 2 => rest = next,
            _ => return false,
        }
    }
    false
}

/// A number written as a run of 255s and a last byte (ITU-T H.264 7.3.2.3.1).
fn sei_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let run = bytes.iter().take_while(|b| **b == 255).count();
    let last = *bytes.get(run)?;
    Some((255 * u32::try_from(run).ok()? + u32::from(last), bytes.get(run + 1..)?))
}

/// A reader of bits that skips emulation prevention bytes (`00 00 03`).
#[derive(Debug, Clone)]
pub(super) struct Bits<'a> {
    rest: std::slice::Iter<'a, u8>,
    byte: u8,
    left: u8,
    zeros: u8,
    used: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.iter(), byte: 0, left: 0, zeros: 0, used: 0 }
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        if self.left == 0 {
            let mut b = *self.rest.next()?;
            if self.zeros >= 2 && b == 3 {
                self.zeros = 0;
                b = *self.rest.next()?;
            }
            self.zeros = if b == 0 { self.zeros.saturating_add(1) } else { 0 };
            self.byte = b;
            self.left = 8;
        }
        self.left -= 1;
        self.used += 1;
        Some(self.byte >> self.left & 1 == 1)
    }

    pub(super) fn bits(&mut self, n: u32) -> Option<u32> {
        let mut v = 0u32;
        for _ in 0..n.min(32) {
            v = v << 1 | u32::from(self.bit()?);
        }
        Some(v)
    }

    /// Unsigned Exp-Golomb code, up to 2³² − 2.
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let suffix = self.bits(zeros)?;
        Some(((1u64 << zeros) - 1) as u32 + suffix)
    }

    /// Signed Exp-Golomb code.
    pub(super) fn se(&mut self) -> Option<i64> {
        let k = i64::from(self.ue()?);
        Some(if k % 2 == 0 { -(k / 2) } else { (k + 1) / 2 })
    }

    /// Bits read so far.
    pub(super) fn used(&self) -> usize {
        self.used
    }
}

/// Bits before the stop bit of an RBSP, emulation prevention not counted: where `more_rbsp_data` ends.
pub(super) fn rbsp_bits(body: &[u8]) -> usize {
    let mut zeros = 0;
    let (mut total, mut last) = (0usize, 0usize);
    for &b in body {
        if zeros >= 2 && b == 3 {
            zeros = 0;
            continue;
        }
        zeros = if b == 0 { zeros + 1 } else { 0 };
        total += 8;
        if b != 0 {
            last = total - 1 - b.trailing_zeros() as usize;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annex_b_with_three_and_four_byte_codes_and_trailing_zeros() {
        let stream =
            Bytes::from_static(&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 1, 0x65, 3, 0, 0]);
        let nals: Vec<_> = split_annex_b(&stream).collect();
        assert_eq!(nals, [&[0x67u8, 1][..], &[0x68, 2], &[0x65, 3]]);
        let mut again = Vec::new();
        write_annex_b(&nals, &mut again);
        assert_eq!(split_annex_b(&Bytes::from(again)).collect::<Vec<_>>(), nals);
    }

    #[test]
    fn a_stream_without_start_code_has_no_units() {
        assert_eq!(split_annex_b(&Bytes::from_static(&[1, 2, 3, 4])).count(), 0);
        assert_eq!(split_annex_b(&Bytes::from_static(&[0, 0, 1, 0, 0, 1, 0, 0, 1])).count(), 0);
    }

    #[test]
    fn key_frames_are_seen_in_every_packaging() {
        assert!(starts_key_frame(&[0x65, 1]));
        assert!(starts_key_frame(&[0x67, 1]), "mode 0 begins with the parameter set");
        assert!(starts_key_frame(&[0x7c, 0x85, 1]), "FU-A, start of an IDR slice");
        assert!(!starts_key_frame(&[0x7c, 0x05, 1]), "FU-A, middle of an IDR slice");
        assert!(starts_key_frame(&[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1]), "STAP-A with SPS");
        assert!(starts_key_frame(&[0x78, 0, 2, 0x06, 1, 0, 2, 0x65, 1]), "STAP-A, IDR second");
        assert!(!starts_key_frame(&[0x78, 0, 2, 0x61, 1, 0, 9, 0x65, 1]), "overrunning size");
        assert!(!starts_key_frame(&[0x61, 1]) && !starts_key_frame(&[]));
    }

    #[test]
    fn exp_golomb_and_emulation_prevention() {
        let mut b = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([b.ue(), b.ue(), b.ue(), b.ue(), b.ue()], [Some(0), Some(1), Some(2), Some(3), Some(4)]);
        let mut b = Bits::new(&[0, 0, 3, 1]);
        assert_eq!(b.bits(24), Some(1));
        assert_eq!(Bits::new(&[0, 0, 0, 0, 0, 0]).ue(), None);
        assert_eq!(rbsp_bits(&[0xff, 0x80]), 8);
        assert_eq!(rbsp_bits(&[0, 0, 3, 1]), 23);
    }

    #[test]
    fn recovery_points_are_found_behind_other_messages() {
        assert!(has_recovery_point(&[0x06, 6, 1, 0x84, 0x80]));
        assert!(has_recovery_point(&[0x06, 1, 2, 9, 9, 6, 1, 0x84, 0x80]));
        assert!(!has_recovery_point(&[0x06, 5, 3, 6, 1, 1, 0x80]), "type 6 inside another message");
        assert!(!has_recovery_point(&[0x65, 6, 1, 0x84]));
    }
}
