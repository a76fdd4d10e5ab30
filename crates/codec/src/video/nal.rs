//! NAL units between Annex B (ITU-T H.264 Annex B, start codes) and one by one.

/// `nal_unit_type` (ITU-T H.264 table 7-1) of a NAL unit without start code.
pub(super) fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |b| b & 0x1f)
}

/// Coded slice of an IDR picture.
pub(super) const IDR: u8 = 5;
/// Supplemental enhancement information.
pub(super) const SEI: u8 = 6;
/// Sequence parameter set.
pub(super) const SPS: u8 = 7;
/// Access unit delimiter.
pub(super) const DELIMITER: u8 = 9;

/// Appends a NAL unit with a four-byte start code.
pub(super) fn append_annex_b(nal: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 1]);
    out.extend_from_slice(nal);
}

/// Where the NAL units of an Annex B stream lie, without start codes and trailing zeros.
pub(super) fn split_annex_b(stream: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut units = Vec::new();
    let mut begin = None;
    let mut at = 0;
    // A start code is 00 00 01; the zero before it, if any, is trailing_zero_8bits of the unit before.
    while let Some(offset) = stream.get(at..).and_then(|s| s.windows(3).position(|w| w == [0, 0, 1])) {
        push_trimmed(stream, begin, at + offset, &mut units);
        at += offset + 3;
        begin = Some(at);
    }
    push_trimmed(stream, begin, stream.len(), &mut units);
    units
}

fn push_trimmed(stream: &[u8], begin: Option<usize>, end: usize, units: &mut Vec<std::ops::Range<usize>>) {
    let Some(begin) = begin else { return };
    let unit = stream.get(begin..end).unwrap_or_default();
    let trailing = unit.iter().rev().take_while(|&&b| b == 0).count();
    if trailing < unit.len() {
        units.push(begin..end - trailing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_start_codes_and_trailing_zeros_are_cut_off() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 9, 0];
        let units: Vec<&[u8]> = split_annex_b(&stream).into_iter().map(|r| &stream[r]).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 9]]);
    }

    #[test]
    fn what_is_no_stream_has_no_units() {
        for junk in [&[][..], &[0], &[0, 0, 1], &[0, 0, 0, 1, 0, 0], &[5, 6, 7]] {
            assert!(split_annex_b(junk).is_empty(), "{junk:?}");
        }
    }
}
