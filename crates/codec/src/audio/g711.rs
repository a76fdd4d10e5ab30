//! G.711 A-law and µ-law at 8 kHz.

use std::sync::OnceLock;

use super::conceal::Concealer;
use super::resample::{Down, Factor, SILENT, Up, is_silent};
use super::{Decode, Encode, Error, FRAME, Frame, LONGEST};

/// Which companding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// Europe and Vietnam.
    A,
    /// North America, Japan.
    Mu,
}

/// Samples at 48 kHz for each byte.
const PER_BYTE: usize = 6;
/// After so many samples of silence (50 ms) neither the filter nor what gaps are concealed with remembers anything else.
const FORGOTTEN: usize = 400;

/// G.711, as encoder or as decoder (its directions share nothing).
pub struct Pcm {
    law: Law,
    down: Down,
    up: Up,
    concealer: Concealer,
    narrow: Vec<i16>,
    wide: Vec<f32>,
    /// Samples of silence decoded in a row.
    silent: usize,
}

impl Pcm {
    /// Fresh state.
    pub fn new(law: Law) -> Self {
        Self {
            law,
            down: Down::new(Factor::Six),
            up: Up::new(Factor::Six),
            concealer: Concealer::new(8000),
            narrow: Vec::new(),
            wide: Vec::new(),
            silent: 0,
        }
    }
}

impl Encode for Pcm {
    fn encode(&mut self, frame: &Frame, payload: &mut Vec<u8>) -> Result<(), Error> {
        self.down.process(frame, &mut self.narrow);
        payload.clear();
        payload.extend(self.narrow.iter().map(|&s| compress(self.law, s)));
        Ok(())
    }
}

impl Decode for Pcm {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<usize, Error> {
        let samples = payload.len() * PER_BYTE;
        if samples == 0 || samples > LONGEST {
            return Err(Error::Length(payload.len()));
        }
        let table = expansion(self.law);
        self.wide.clear();
        self.wide.extend(payload.iter().map(|&b| table.get(usize::from(b)).copied().unwrap_or(0.0)));
        let silent = is_silent(&self.wide);
        self.silent = if silent { self.silent.saturating_add(self.wide.len()) } else { 0 };
        self.concealer.heard(&mut self.wide);
        self.up.process(&self.wide, out);
        Ok(samples)
    }

    fn is_silence(&self, payload: &[u8]) -> bool {
        let table = expansion(self.law);
        self.silent >= FORGOTTEN
            && payload.len() * PER_BYTE == FRAME
            && payload.iter().all(|&b| table.get(usize::from(b)).is_some_and(|s| s.abs() <= SILENT))
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        self.silent = 0;
        self.wide.clear();
        self.concealer.lost(samples.min(LONGEST) / PER_BYTE, &mut self.wide);
        self.up.process(&self.wide, out);
    }

    fn reset(&mut self) {
        *self = Self::new(self.law);
    }
}

fn compress(law: Law, sample: i16) -> u8 {
    match law {
        Law::A => ezk_g711::alaw::encode(sample),
        Law::Mu => ezk_g711::mulaw::encode(sample),
    }
}

/// What each byte means.
fn expansion(law: Law) -> &'static [f32; 256] {
    static TABLES: OnceLock<[[f32; 256]; 2]> = OnceLock::new();
    let [a, mu] = TABLES.get_or_init(|| {
        [
            std::array::from_fn(|b| f32::from(ezk_g711::alaw::decode(b as u8))),
            std::array::from_fn(|b| f32::from(ezk_g711::mulaw::decode(b as u8))),
        ]
    });
    match law {
        Law::A => a,
        Law::Mu => mu,
    }
}

const _: () = assert!(FRAME.is_multiple_of(PER_BYTE));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_the_tables() {
        // ITU-T G.711 tables 1a–2b (µ-law 14 bit and A-law 13 bit, here scaled to 16), as every implementation has them.
        for (byte, a) in [(0xd5, 8), (0x55, -8), (0xaa, 32256), (0x2a, -32256), (0x80, 5504), (0xd4, 24)] {
            assert_eq!(expansion(Law::A)[byte], a as f32, "A {byte:#x}");
        }
        for (byte, mu) in [(0xff, 0), (0x7f, 0), (0x80, 32124), (0x00, -32124), (0xf0, 120), (0xef, 132)] {
            assert_eq!(expansion(Law::Mu)[byte], mu as f32, "µ {byte:#x}");
        }
        assert_eq!(
            [compress(Law::A, 0), compress(Law::A, 32767), compress(Law::A, -32768)],
            [0xd5, 0xaa, 0x2a]
        );
        assert_eq!(
            [compress(Law::Mu, 0), compress(Law::Mu, 32767), compress(Law::Mu, -32768)],
            [0xff, 0x80, 0x00]
        );
    }

    #[test]
    fn silence_after_silence_decodes_to_zeros_and_may_be_left_out() {
        for (law, silence, sound) in [(Law::A, 0xd5, 0xaa), (Law::Mu, 0xff, 0x80)] {
            let (mut pcm, mut out) = (Pcm::new(law), Vec::new());
            let mut decode = |pcm: &mut Pcm, byte: u8| {
                out.clear();
                pcm.decode(&[byte; 160], &mut out).unwrap();
                out.iter().all(|s| *s == 0)
            };
            assert!(!decode(&mut pcm, sound));
            assert!(!pcm.is_silence(&[silence; 160]), "the filter still rings");
            for _ in 0..3 {
                decode(&mut pcm, silence);
            }
            assert!(pcm.is_silence(&[silence; 160]) && decode(&mut pcm, silence));
            assert!(!pcm.is_silence(&[sound; 160]) && !pcm.is_silence(&[silence; 80]));
        }
    }

    #[test]
    fn every_byte_survives_expansion_and_compression() {
        for law in [Law::A, Law::Mu] {
            for byte in 0..=255u8 {
                let again = compress(law, expansion(law)[usize::from(byte)] as i16);
                // µ-law has two zeros; the negative one becomes the positive.
                let same = again == byte || (law == Law::Mu && byte == 0x7f && again == 0xff);
                assert!(same, "{law:?} {byte:#x} became {again:#x}");
            }
        }
    }
}
