//! How loud a site is, and whether it speaks.

use std::fmt;

use earshot::{DefaultPredictor, Detector};

use super::Frame;

/// Silence, dBov: the lowest level RFC 6464 knows.
pub const SILENCE: f32 = -127.0;
/// Power of −55 dBov: below, nothing is worth asking the detector.
const AUDIBLE: f32 = 3.162_277_7e-6;
/// Smoothed score above which sound is speech. Measured: read speech is at 0.8–0.9 in the median; white and low-pass noise, hum and
/// tones of −26 dBov and below stay under 0.45.
const SPEECH: f32 = 0.65;
/// Samples of 16 kHz the detector wants at a time: 16 ms.
const BLOCK: usize = 256;
/// Score of one block against the smoothed one.
const SMOOTHING: f32 = 0.25;
/// Frames (20 ms) for which a site counts as speaking after the last block of speech.
const HANGOVER: u32 = 15;

/// Level and speech of one source. Frames are given in order, silence too.
pub struct Meter {
    detector: Option<Box<Detector<DefaultPredictor>>>,
    block: [f32; BLOCK],
    filled: usize,
    score: f32,
    power: f32,
    hangover: u32,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("level", &self.level_dbov())
            .field("speaking", &self.speaking())
            .finish()
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self { detector: None, block: [0.0; BLOCK], filled: 0, score: 0.0, power: 0.0, hangover: 0 }
    }
}

impl Meter {
    /// Measures 20 ms; returns their level in dBov. Then either [`Self::detect`] or [`Self::rest`] is called.
    pub fn measure(&mut self, frame: &Frame) -> f32 {
        let power = energy(frame) / frame.len() as f32;
        self.smooth(power);
        dbov(power)
    }

    /// The same for 20 ms of digital silence that came.
    pub fn measure_silence(&mut self) -> f32 {
        self.smooth(0.0);
        SILENCE
    }

    /// Takes 20 ms of nothing.
    pub fn silence(&mut self) {
        self.smooth(0.0);
        self.rest();
    }

    /// Worth asking the detector.
    pub fn is_audible(&self) -> bool {
        self.power > AUDIBLE
    }

    /// Smoothed power; see [`Self::level_dbov`].
    pub fn power(&self) -> f32 {
        self.power
    }

    /// Smoothed level, dBov: up at once, down in about 200 ms.
    pub fn level_dbov(&self) -> f32 {
        dbov(self.power)
    }

    /// The detector hears speech just now, without the moment after.
    pub fn hears_speech(&self) -> bool {
        self.score > SPEECH
    }

    /// Speech was heard within the last 300 ms.
    pub fn speaking(&self) -> bool {
        self.hangover > 0
    }

    fn smooth(&mut self, power: f32) {
        self.power = if power > self.power { power } else { self.power + (power - self.power) * 0.3 };
    }

    /// These 20 ms are not looked at: too low, or others are louder.
    pub fn rest(&mut self) {
        self.hangover = self.hangover.saturating_sub(1);
        self.score *= 1.0 - SMOOTHING;
        self.filled = 0;
    }

    /// Looks for speech in 20 ms (about 40 µs).
    pub fn detect(&mut self, frame: &Frame) {
        self.hangover = self.hangover.saturating_sub(1);
        let detector = self.detector.get_or_insert_with(Detector::default_boxed);
        // 48 → 16 kHz by the mean of three; what folds down from above 8 kHz does not matter to a detector of speech.
        for three in frame.chunks_exact(3) {
            if let Some(slot) = self.block.get_mut(self.filled) {
                *slot = three.iter().sum::<f32>() / 3.0;
                self.filled += 1;
            }
            if self.filled == BLOCK {
                self.filled = 0;
                let score = detector.predict_f32(&self.block);
                self.score += (score - self.score) * SMOOTHING;
                if self.score > SPEECH {
                    self.hangover = HANGOVER;
                }
            }
        }
    }
}

/// Sum of squares: eight sums side by side, as one alone must be done in order and costs eight times as much.
fn energy(frame: &Frame) -> f32 {
    let mut sums = [0.0f32; 8];
    for eight in frame.as_chunks::<8>().0 {
        for (sum, s) in sums.iter_mut().zip(eight) {
            *sum += s * s;
        }
    }
    sums.iter().sum()
}

/// Power as dBov, at least [`SILENCE`].
pub fn dbov(power: f32) -> f32 {
    if power <= 0.0 { SILENCE } else { (10.0 * power.log10()).max(SILENCE) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound::FRAME;

    #[test]
    fn level_is_that_of_the_signal_and_falls_slowly() {
        let mut m = Meter::default();
        assert!((m.measure(&[0.1; FRAME]) - -20.0).abs() < 0.01);
        for _ in 0..3 {
            m.silence();
        }
        assert!(m.level_dbov() > -30.0);
        for _ in 0..100 {
            m.silence();
        }
        assert!(m.level_dbov() < -100.0);
    }

    #[test]
    fn a_steady_tone_and_silence_are_not_speech() {
        let mut m = Meter::default();
        for n in 0..200 {
            let f = std::array::from_fn(|i| {
                0.2 * (std::f32::consts::TAU * 440.0 * (n * FRAME + i) as f32 / 48_000.0).sin()
            });
            m.measure(&f);
            m.detect(&f);
        }
        let tone = m.speaking();
        for _ in 0..50 {
            m.silence();
        }
        assert!(!m.speaking(), "silence (tone: {tone})");
    }
}
