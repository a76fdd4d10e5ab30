//! Sound: always 48 kHz mono outside, in frames of 20 ms ([`FRAME`] samples of `i16`), whatever the codec does inside.
//!
//! Why `i16`: it is what Opus, G.722 and G.711 work on, half the memory of `f32`, and the mixer sums in wider numbers anyway.
//!
//! Delay added by resampling (linear phase, per direction): G.711 1.99 ms, G.722 1.24 ms; Opus none (its own look-ahead is 6.5 ms).

mod conceal;
mod g711;
mod g722;
mod opus;
mod resample;

pub use g711::{Law, Pcm};
pub use g722::G722;
pub use opus::{OpusDecoder, OpusEncoder, OpusSettings};

/// Samples per second of everything outside of this module.
pub const RATE: u32 = 48_000;
/// Samples of one frame: 20 ms.
pub const FRAME: usize = 960;
/// 20 ms of mono sound.
pub type Frame = [i16; FRAME];

/// Longest packet taken: 120 ms, the longest Opus knows.
const LONGEST: usize = 6 * FRAME;

/// One stream's encoder. State goes on from frame to frame: feed it every 20 ms without gaps (silence where there is nothing).
pub trait Encode: Send {
    /// Encodes 20 ms; the payload of one RTP packet replaces what is in `payload`.
    fn encode(&mut self, frame: &Frame, payload: &mut Vec<u8>) -> Result<(), Error>;

    /// Loss its listeners report, per cent: how much is spent on redundancy, where the codec has any.
    fn expect_loss(&mut self, percent: u8) {
        let _ = percent;
    }
}

/// One stream's decoder. Appends to `out` what it makes at 48 kHz; the amount follows the packet (10, 20, 30, 40, 60 ms …).
pub trait Decode: Send {
    /// Decodes the payload of one RTP packet and gives back how many samples it made. An error makes no samples: conceal instead.
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<usize, Error>;

    /// Makes up for `samples` (at 48 kHz, at most 120 ms at once) of packets that did not come: goes on with what was heard, fades to silence within 60 ms.
    fn conceal(&mut self, samples: usize, out: &mut Vec<i16>);

    /// Like [`Decode::conceal`] where the packet *after* the gap is there already: it may hold a copy of what was lost (Opus in-band FEC). `next`
    /// must be decoded afterwards as usual.
    fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<i16>) {
        let _ = next;
        self.conceal(samples, out);
    }

    /// Begins anew: for a change of SSRC.
    fn reset(&mut self);
}

/// The codecs there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 6716, RTP RFC 7587.
    Opus,
    /// 64 kbit/s wideband; 16 kHz although its RTP clock says 8000 (RFC 3551 section 4.5.2).
    G722,
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
}

impl Codec {
    /// Ticks per second of its RTP timestamps.
    pub fn clock(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::G722 | Self::Pcma | Self::Pcmu => 8_000,
        }
    }
}

/// Why there was no sound, or no payload.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Nothing in it, or more than 120 ms.
    #[error("payload of {0} bytes")]
    Length(usize),
    /// The bits make no sense.
    #[error("not decodable: {0}")]
    Damaged(String),
    /// The library failed.
    #[error("codec failed: {0}")]
    Failed(String),
}

/// A decoder for `codec`.
pub fn decoder(codec: Codec) -> Result<Box<dyn Decode>, Error> {
    Ok(match codec {
        Codec::Opus => Box::new(OpusDecoder::new()?),
        Codec::G722 => Box::new(G722::new()),
        Codec::Pcma => Box::new(Pcm::new(Law::A)),
        Codec::Pcmu => Box::new(Pcm::new(Law::Mu)),
    })
}

/// An encoder for `codec`; `opus` is looked at for Opus only.
pub fn encoder(codec: Codec, opus: &OpusSettings) -> Result<Box<dyn Encode>, Error> {
    Ok(match codec {
        Codec::Opus => Box::new(OpusEncoder::new(opus)?),
        Codec::G722 => Box::new(G722::new()),
        Codec::Pcma => Box::new(Pcm::new(Law::A)),
        Codec::Pcmu => Box::new(Pcm::new(Law::Mu)),
    })
}

fn to_i16(sample: f32) -> i16 {
    // Half away from zero like `round`, but without its call, so that it is done eight at a time. The cast saturates.
    (sample + 0.5_f32.copysign(sample)) as i16
}

#[cfg(test)]
mod tests;
