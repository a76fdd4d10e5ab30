//! G.722 at 64 kbit/s (mode 1): 16 kHz, two sub-bands of ADPCM. State goes on from packet to packet; after a loss it is kept, the decoder
//! finds back by itself within some ten milliseconds.

use ezk_g722::libg722::{Bitrate, decoder, encoder};

use super::conceal::Concealer;
use super::resample::{Down, Factor, Up};
use super::{Decode, Encode, Error, Frame, LONGEST};

/// Samples at 48 kHz for each byte (two at 16 kHz).
const PER_BYTE: usize = 6;

/// G.722, as encoder or as decoder.
pub struct G722 {
    encoder: encoder::Encoder,
    decoder: decoder::Decoder,
    down: Down,
    up: Up,
    concealer: Concealer,
    narrow: Vec<i16>,
    wide: Vec<f32>,
}

impl Default for G722 {
    fn default() -> Self {
        Self::new()
    }
}

impl G722 {
    /// Fresh state.
    pub fn new() -> Self {
        Self {
            encoder: encoder::Encoder::new(Bitrate::Mode1_64000, false, false),
            decoder: decoder::Decoder::new(Bitrate::Mode1_64000, false, false),
            down: Down::new(Factor::Three),
            up: Up::new(Factor::Three),
            concealer: Concealer::new(16_000),
            narrow: Vec::new(),
            wide: Vec::new(),
        }
    }
}

impl Encode for G722 {
    fn encode(&mut self, frame: &Frame, payload: &mut Vec<u8>) -> Result<(), Error> {
        self.down.process(frame, &mut self.narrow);
        payload.clear();
        payload.extend(self.encoder.encode(&self.narrow));
        Ok(())
    }
}

impl Decode for G722 {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<usize, Error> {
        let samples = payload.len() * PER_BYTE;
        if samples == 0 || samples > LONGEST {
            return Err(Error::Length(payload.len()));
        }
        self.wide.clear();
        self.wide.extend(self.decoder.decode(payload).into_iter().map(f32::from));
        self.concealer.heard(&mut self.wide);
        self.up.process(&self.wide, out);
        Ok(samples)
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        self.wide.clear();
        self.concealer.lost(samples.min(LONGEST) / 3, &mut self.wide);
        self.up.process(&self.wide, out);
    }

    fn reset(&mut self) {
        *self = Self::new();
    }
}
