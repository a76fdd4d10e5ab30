//! Pre-encoded sound: 20 ms a frame.

use std::io::Cursor;

use bytes::Bytes;
use cau_codec::audio::{self, FRAME, Frame, OpusSettings, RATE};

use super::Error;
use crate::{Codec, pattern};

/// Frames in a second.
const PER_SECOND: usize = 50;

/// An endless loop of payloads of 20 ms.
#[derive(Debug)]
pub struct Sound {
    /// Payloads in order.
    pub frames: Vec<Bytes>,
    /// The judged one: a burst begins with every whole second.
    pub judged: bool,
}

impl Sound {
    /// The judged sound of an identity: four seconds.
    ///
    /// # Errors
    /// When the codec refuses.
    pub fn judged(id: u8, codec: Codec) -> Result<Self, Error> {
        let second: Vec<i16> =
            pattern::sound(id, RATE, 0, RATE as usize).iter().map(|s| (s * 32_767.0) as i16).collect();
        let five: Vec<i16> = second.iter().copied().cycle().take(5 * RATE as usize).collect();
        let mut sound = Self::encode(&five, codec)?;
        // The encoder begins with silence; from the second second on the loop closes without a seam.
        sound.frames.drain(..PER_SECOND);
        sound.judged = true;
        Ok(sound)
    }

    /// Any 48 kHz mono sound; the last frame is filled up with silence.
    ///
    /// # Errors
    /// When the codec refuses, or there is nothing to encode.
    pub fn encode(samples: &[i16], codec: Codec) -> Result<Self, Error> {
        if samples.is_empty() {
            return Err(Error::Sound("it is empty".into()));
        }
        let mut encoder = audio::encoder(codec.audio(), &OpusSettings::default())?;
        let mut payload = Vec::new();
        let mut frames = Vec::with_capacity(samples.len() / FRAME + 1);
        for part in samples.chunks(FRAME) {
            let mut frame: Frame = [0; FRAME];
            frame[..part.len()].copy_from_slice(part);
            encoder.encode(&frame, &mut payload)?;
            frames.push(Bytes::copy_from_slice(&payload));
        }
        Ok(Self { frames, judged: false })
    }

    /// A burst begins with the payload at this place.
    pub fn begins_burst(&self, place: u64) -> bool {
        self.judged && place.is_multiple_of(PER_SECOND as u64)
    }

    /// The payload at a place of the endless loop.
    pub fn frame(&self, place: u64) -> &Bytes {
        &self.frames[(place % self.frames.len() as u64) as usize]
    }
}

/// Reads a 16 kHz mono WAV file as 48 kHz.
pub(crate) fn read_wav(file: &[u8]) -> Result<Vec<i16>, Error> {
    let bad = |e: hound::Error| Error::Sound(e.to_string());
    let mut reader = hound::WavReader::new(Cursor::new(file)).map_err(bad)?;
    let spec = reader.spec();
    if (spec.channels, spec.sample_rate, spec.bits_per_sample) != (1, 16_000, 16) {
        return Err(Error::Sound(format!(
            "{} Hz, {} channels; wanted is 16 kHz mono",
            spec.sample_rate, spec.channels
        )));
    }
    let samples: Vec<i16> = reader.samples().collect::<Result<_, _>>().map_err(bad)?;
    Ok(triple(&samples))
}

/// Three samples for each, on a cubic curve through its neighbours.
fn triple(samples: &[i16]) -> Vec<i16> {
    let at = |k: isize| {
        f32::from(samples.get(k.clamp(0, samples.len() as isize - 1) as usize).copied().unwrap_or(0))
    };
    (0..samples.len() as isize * 3)
        .map(|k| {
            let (base, t) = (k / 3, (k % 3) as f32 / 3.0);
            let (a, b, c, d) = (at(base - 1), at(base), at(base + 1), at(base + 2));
            let curve =
                b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)));
            curve.round().clamp(-32_768.0, 32_767.0) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hear::heard;

    #[test]
    fn the_judged_sound_survives_every_codec_and_its_own_loop() {
        for codec in [Codec::Opus, Codec::G722, Codec::Pcma, Codec::Pcmu] {
            let sound = Sound::judged(4, codec).unwrap();
            assert_eq!(sound.frames.len(), 200, "{codec:?}");
            let mut decoder = audio::decoder(codec.audio()).unwrap();
            let mut out = Vec::new();
            for place in 150..260 {
                decoder.decode(sound.frame(place), &mut out).unwrap();
            }
            let samples: Vec<f32> = out.iter().map(|s| f32::from(*s) / 32_768.0).collect();
            for second in samples.chunks_exact(RATE as usize) {
                assert_eq!(heard(second, RATE), 1 << 4, "{codec:?}");
            }
        }
    }

    #[test]
    fn a_wav_of_16_khz_becomes_three_times_as_long() {
        let wav = include_bytes!("../../../../assets/demo/ha-noi.wav");
        let samples = read_wav(wav).unwrap();
        assert!(samples.len() > 7 * 48_000 && samples.iter().any(|s| s.abs() > 3_000));
        assert!(read_wav(b"RIFF nonsense").is_err());
    }
}
