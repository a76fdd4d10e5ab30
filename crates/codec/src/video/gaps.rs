//! The one thing of a sequence parameter set that libavcodec keeps to itself: whether missing reference pictures are meant to be missing.

/// `gaps_in_frame_num_value_allowed_flag` (ITU-T H.264 section 7.3.2.1.1) of an SPS without start code; None where it makes no sense.
pub(super) fn allowed(sps: &[u8]) -> Option<bool> {
    let mut bits = Bits::new(sps);
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.unsigned()?; // seq_parameter_set_id
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        let chroma = bits.unsigned()?;
        if chroma == 3 {
            bits.take(1)?;
        }
        bits.unsigned()?;
        bits.unsigned()?;
        bits.take(1)?;
        if bits.take(1)? == 1 {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.take(1)? == 1 {
                    bits.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.unsigned()?; // log2_max_frame_num_minus4
    match bits.unsigned()? {
        0 => drop(bits.unsigned()?),
        1 => {
            bits.take(1)?;
            bits.unsigned()?;
            bits.unsigned()?;
            for _ in 0..bits.unsigned()?.min(255) {
                bits.unsigned()?;
            }
        }
        _ => {}
    }
    bits.unsigned()?; // max_num_ref_frames
    Some(bits.take(1)? == 1)
}

/// Bits of a NAL unit behind its header, emulation prevention bytes (section 7.4.1.1) left out.
struct Bits<'a> {
    bytes: &'a [u8],
    zeros: u32,
    held: u32,
    left: u32,
}

impl<'a> Bits<'a> {
    fn new(unit: &'a [u8]) -> Self {
        Self { bytes: unit.get(1..).unwrap_or_default(), zeros: 0, held: 0, left: 0 }
    }

    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            let (mut byte, mut rest) = self.bytes.split_first()?;
            if *byte == 3 && self.zeros >= 2 {
                (byte, rest) = rest.split_first()?;
                self.zeros = 0;
            }
            self.zeros = if *byte == 0 { self.zeros + 1 } else { 0 };
            self.bytes = rest;
            (self.held, self.left) = (u32::from(*byte), 8);
        }
        self.left -= 1;
        Some((self.held >> self.left) & 1)
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// ue(v), section 9.1.
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.take(zeros)?)
    }

    /// Section 7.3.2.1.1.1.
    fn skip_scaling_list(&mut self, size: u32) -> Option<()> {
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..size {
            if next != 0 {
                let code = i64::from(self.unsigned()?);
                let delta = if code % 2 == 0 { -(code / 2) } else { (code + 1) / 2 };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_and_emulation_prevention() {
        // 1 | 010 | 011 | 00100 | 0000…: 0, 1, 2, 3
        let mut bits = Bits::new(&[0, 0b1010_0110, 0b0100_0000]);
        assert_eq!((0..4).map(|_| bits.unsigned().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let mut bits = Bits::new(&[0, 0, 0, 3, 1]);
        assert_eq!(bits.take(24), Some(1));
        assert_eq!(bits.take(1), None);
        assert_eq!(Bits::new(&[0, 0, 0, 0, 0, 0, 0]).unsigned(), None);
    }

    #[test]
    fn junk_says_nothing_or_anything_but_never_panics() {
        for first in 0..=255u8 {
            let _ = allowed(&[0x67, first, first, first, 0, 0, 3, first, 0xff, first]);
        }
        assert_eq!(allowed(&[]), None);
        assert_eq!(allowed(&[0x67, 66, 0xc0, 30]), None);
    }

    #[test]
    fn the_flag_is_found() {
        // Baseline, level 3: id 0, log2_max_frame_num 4, poc type 2, one reference, then the flag.
        let sps = |flag: u8| [0x67, 66, 0xc0, 30, 0b1101_1010, flag << 7 | 0b100_0000];
        assert_eq!(allowed(&sps(1)), Some(true));
        assert_eq!(allowed(&sps(0)), Some(false));
    }
}
