//! What one listener's sound is encoded as: equal codings can share an encoder.

use bytes::Bytes;
use cau_codec::audio::{self, Codec, Encode, OpusSettings};

use super::Frame;
use crate::command::AudioCodec;

/// Opus bitrates used, kbit/s: few, so that listeners share. One voice is transparent at 32; of five at once 32 leaves noise 29 dB below each, 64
/// leaves it 35 to 40 dB below (docs/mixer.md), and is no more than G.711 takes.
const OPUS_STEPS: [u32; 6] = [12, 16, 24, 32, 48, 64];
/// RTP, UDP and IP headers of 50 packets a second, kbit/s.
const HEADERS: u32 = 16;

/// Codec and bitrate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Coding {
    kind: Kind,
    /// Opus only, else 0.
    kbps: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Kind {
    Opus { fec: bool },
    G722,
    Pcma,
    Pcmu,
}

impl Coding {
    /// For a receiver of `codec` whose line takes `max_kbps` for sound.
    pub fn new(codec: AudioCodec, max_kbps: Option<u32>) -> Self {
        let kind = match codec {
            AudioCodec::Opus { fec } => Kind::Opus { fec },
            AudioCodec::G722 => Kind::G722,
            AudioCodec::Pcma => Kind::Pcma,
            AudioCodec::Pcmu => Kind::Pcmu,
        };
        let room = max_kbps.map_or(u32::MAX, |k| k.saturating_sub(HEADERS));
        let step = OPUS_STEPS.iter().rev().copied().find(|s| *s <= room).unwrap_or(OPUS_STEPS[0]);
        Self { kind, kbps: if matches!(kind, Kind::Opus { .. }) { step } else { 0 } }
    }
}

/// The least loss an encoder with FEC is made ready for, per cent: without some there is no FEC, and the first loss would find none …
const LEAST_LOSS: u8 = 5;
/// … and the most: beyond, FEC takes more of the sound than it gives back.
const MOST_LOSS: u8 = 25;
/// Loss is told in steps of this.
const LOSS_STEP: u8 = 5;
/// It falls by one step after so many frames (10 s).
const LOSS_FALLS: u32 = 500;

/// One encoder.
pub struct Encoder {
    encoder: Box<dyn Encode>,
    fec: bool,
    /// What it is ready for, and how many frames less would have done.
    loss: u8,
    less: u32,
    payload: Vec<u8>,
    failed: bool,
}

impl Encoder {
    /// Fresh state; `None` when the library refuses (told in the log).
    pub fn new(coding: Coding) -> Option<Self> {
        let (codec, opus) = match coding.kind {
            Kind::Opus { fec } => {
                let loss_percent = if fec { LEAST_LOSS } else { 0 };
                (Codec::Opus, OpusSettings { kbps: coding.kbps, fec, loss_percent })
            }
            Kind::G722 => (Codec::G722, OpusSettings::default()),
            Kind::Pcma => (Codec::Pcma, OpusSettings::default()),
            Kind::Pcmu => (Codec::Pcmu, OpusSettings::default()),
        };
        match audio::encoder(codec, &opus) {
            Ok(encoder) => {
                let fec = matches!(coding.kind, Kind::Opus { fec: true });
                Some(Self { encoder, fec, loss: LEAST_LOSS, less: 0, payload: Vec::new(), failed: false })
            }
            Err(e) => {
                tracing::error!("no sound encoder: {e}");
                None
            }
        }
    }

    /// The loss of the worst of its listeners, per cent: up at once, down slowly. Called before each frame.
    pub fn expect_loss(&mut self, percent: u8) {
        if !self.fec {
            return;
        }
        let wanted = percent.next_multiple_of(LOSS_STEP).clamp(LEAST_LOSS, MOST_LOSS);
        self.less = if wanted < self.loss { self.less + 1 } else { 0 };
        let loss = match wanted > self.loss {
            true => wanted,
            false if self.less >= LOSS_FALLS => self.loss - LOSS_STEP,
            false => return,
        };
        (self.loss, self.less) = (loss, 0);
        self.encoder.expect_loss(loss);
    }

    /// One packet's payload; empty when the library failed.
    pub fn encode(&mut self, frame: &Frame) -> Bytes {
        let mut pcm = [0i16; super::FRAME];
        for (to, from) in pcm.iter_mut().zip(frame) {
            // Rounded without a call of `round`, so that it is done eight at a time. The limiter keeps it in range; the cast saturates
            // whatever happens.
            let scaled = from * 32_767.0;
            *to = (scaled + 0.5_f32.copysign(scaled)) as i16;
        }
        match self.encoder.encode(&pcm, &mut self.payload) {
            Ok(()) => Bytes::copy_from_slice(&self.payload),
            Err(e) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!("sound encoder: {e}");
                }
                Bytes::new()
            }
        }
    }
}
