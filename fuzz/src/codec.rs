//! Sound payloads, through the decoders.

use cau_codec::audio::{Codec, FRAME, decoder};

use crate::records;

/// Most samples of one payload: 120 ms.
const LONGEST: usize = 6 * FRAME;

/// Payloads for one decoder after the other: a record of kind 0 is decoded, 1 is recovered from and then decoded, 2 is a gap as long
/// as the record, 3 begins anew. The first byte chooses the codec.
pub fn opus_g7xx(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    let codec = [Codec::Opus, Codec::G722, Codec::Pcma, Codec::Pcmu][usize::from(which % 4)];
    let mut it = decoder(codec).expect("a decoder");
    let mut out = Vec::new();
    for (kind, record) in records(rest).take(200) {
        out.clear();
        match kind % 4 {
            0 => {}
            1 => it.recover(record, FRAME, &mut out),
            2 => it.conceal((record.len() * 16).min(LONGEST), &mut out),
            _ => it.reset(),
        }
        let before = out.len();
        match it.decode(record, &mut out) {
            Ok(samples) => {
                assert_eq!(out.len(), before + samples, "as many as it says");
                assert!(samples <= LONGEST, "{samples} samples of one packet");
            }
            Err(_) => assert_eq!(out.len(), before, "an error makes no samples"),
        }
    }
}
