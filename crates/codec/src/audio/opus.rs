//! Opus (RFC 6716) by libopus: 48 kHz, encoded mono, decoded to mono whatever was sent.

use opus::{Application, Bitrate, Channels};

use super::{Decode, Encode, Error, FRAME, Frame, LONGEST, RATE};

/// What an encoder is made with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OpusSettings {
    /// kbit/s, 6–128: 32 is transparent for speech at full band.
    pub kbps: u32,
    /// In-band FEC (`useinbandfec=1`): each packet holds a coarse copy of the one before, as far as `loss_percent` is worth it.
    pub fec: bool,
    /// Loss to be ready for, 0–100: without some, libopus writes no FEC.
    pub loss_percent: u8,
}

impl Default for OpusSettings {
    fn default() -> Self {
        Self { kbps: 32, fec: true, loss_percent: 5 }
    }
}

/// Complexity 5 of 10: 7.4 ms CPU per second of sound, hardly to be told from 10 at these rates.
const COMPLEXITY: i32 = 5;
/// Longest packet of 20 ms: 1275 bytes and some.
const LONGEST_PAYLOAD: usize = 1400;

/// Encodes 20 ms of mono to one packet.
pub struct OpusEncoder {
    encoder: opus::Encoder,
}

impl OpusEncoder {
    /// An encoder with `settings`, held to their ranges.
    pub fn new(settings: &OpusSettings) -> Result<Self, Error> {
        let mut encoder = opus::Encoder::new(RATE, Channels::Mono, Application::Voip).map_err(failed)?;
        encoder.set_complexity(COMPLEXITY).map_err(failed)?;
        encoder.set_bitrate(Bitrate::Bits(settings.kbps.clamp(6, 128) as i32 * 1000)).map_err(failed)?;
        encoder.set_inband_fec(settings.fec).map_err(failed)?;
        encoder.set_packet_loss_perc(i32::from(settings.loss_percent.min(100))).map_err(failed)?;
        Ok(Self { encoder })
    }
}

impl Encode for OpusEncoder {
    fn encode(&mut self, frame: &Frame, payload: &mut Vec<u8>) -> Result<(), Error> {
        payload.resize(LONGEST_PAYLOAD, 0);
        let length = self.encoder.encode(frame, payload).map_err(failed)?;
        payload.truncate(length);
        Ok(())
    }

    fn expect_loss(&mut self, percent: u8) {
        // Fails for values out of range only.
        let _ = self.encoder.set_packet_loss_perc(i32::from(percent.min(100)));
    }
}

/// Decodes packets of any duration to mono.
pub struct OpusDecoder {
    decoder: opus::Decoder,
}

impl OpusDecoder {
    /// Fresh state.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { decoder: opus::Decoder::new(RATE, Channels::Mono).map_err(failed)? })
    }

    /// `input` empty: concealment; `fec`: what `input` says of the packet before it.
    fn run(&mut self, input: &[u8], samples: usize, fec: bool, out: &mut Vec<i16>) -> Result<usize, Error> {
        let start = out.len();
        out.resize(start + samples, 0);
        let room = out.get_mut(start..).unwrap_or_default();
        let made = self.decoder.decode(input, room, fec).map_err(|e| Error::Damaged(e.to_string()));
        out.truncate(start + *made.as_ref().unwrap_or(&0));
        made
    }

    /// libopus makes up sound in steps of 2.5 ms only; what is asked for beyond is left silent by the caller's rounding.
    fn make_up(&mut self, input: &[u8], samples: usize, out: &mut Vec<i16>) {
        const STEP: usize = (RATE / 400) as usize;
        let start = out.len();
        let samples = samples.min(LONGEST);
        let whole = samples / STEP * STEP;
        if whole > 0 {
            let fec = !input.is_empty();
            // An error here means that the packet is damaged: silence then, and `decode` will say so.
            let _ = self.run(input, whole, fec, out);
        }
        out.resize(start + samples, 0);
    }
}

impl Decode for OpusDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<usize, Error> {
        if payload.is_empty() {
            return Err(Error::Length(0));
        }
        self.run(payload, LONGEST, false, out)
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        // 20 ms at a time, as packets would have come.
        let end = out.len() + samples.min(LONGEST);
        while out.len() < end {
            let step = (end - out.len()).min(FRAME);
            self.make_up(&[], step, out);
        }
    }

    fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<i16>) {
        self.make_up(next, samples, out);
    }

    fn reset(&mut self) {
        // Fails on a null pointer only.
        let _ = self.decoder.reset_state();
    }
}

fn failed(error: opus::Error) -> Error {
    Error::Failed(error.to_string())
}
