//! Brings the speech of every site to one level, slowly. Noise is never brought up: the gain moves only while somebody speaks.

use super::voice::SILENCE;

/// Speech is brought here, dBov (the mean over speech, as ITU-T P.56 has it).
pub const TARGET: f32 = -23.0;
/// Farthest that the gain goes either way, dB.
pub const MOST: f32 = 12.0;
/// Frames of 20 ms below the loudest by more than this are no speech: breath, the room, the end of a word.
const SPEECH_RANGE: f32 = 20.0;
/// The loudest is forgotten by this much per frame of speech, dB.
const FORGET: f32 = 0.02;
/// The mean goes over so many frames of speech: 3 s.
const SPAN: f32 = 150.0;
/// The gain does not move before so many frames of speech: 0.5 s.
const SURE: u32 = 25;
/// dB per frame of speech: 3 dB a second up, 10 down.
const UP: f32 = 0.06;
const DOWN: f32 = 0.2;

/// The gain of one site.
#[derive(Clone, Copy, Debug)]
pub struct Leveller {
    /// Mean power of speech.
    power: f32,
    loudest: f32,
    frames: u32,
    gain_db: f32,
    /// `gain_db` as a factor.
    gain: f32,
}

impl Default for Leveller {
    fn default() -> Self {
        Self { power: 0.0, loudest: SILENCE, frames: 0, gain_db: 0.0, gain: 1.0 }
    }
}

impl Leveller {
    /// Takes 20 ms in which somebody speaks, of that level. `most`: the gain goes no higher, dB.
    pub fn hear(&mut self, level_dbov: f32, most: f32) {
        self.loudest = (self.loudest - FORGET).max(level_dbov);
        if level_dbov < self.loudest - SPEECH_RANGE {
            return;
        }
        self.frames = self.frames.saturating_add(1);
        let weight = (1.0 / self.frames as f32).max(1.0 / SPAN);
        self.power += (10f32.powf(level_dbov / 10.0) - self.power) * weight;
        if self.frames >= SURE {
            let level = 10.0 * self.power.max(1e-12).log10();
            self.approach((TARGET - level).clamp(-MOST, MOST).min(most));
        }
    }

    /// Levels are left as they come: the gain goes back.
    pub fn rest(&mut self) {
        if self.gain_db != 0.0 {
            self.approach(0.0);
            (self.power, self.frames, self.loudest) = (0.0, 0, SILENCE);
        }
    }

    fn approach(&mut self, wanted: f32) {
        let before = self.gain_db;
        self.gain_db = wanted.clamp(before - DOWN, before + UP);
        if self.gain_db != before {
            self.gain = 10f32.powf(self.gain_db / 20.0);
        }
    }

    /// The factor for the next frame.
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// The same in dB.
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u32, level: f32) -> Leveller {
        let mut leveller = Leveller::default();
        (0..50 * seconds).for_each(|_| leveller.hear(level, MOST));
        leveller
    }

    #[test]
    fn speech_comes_to_the_target_slowly_and_within_bounds() {
        assert_eq!(after(1, -33.0).gain_db().round(), 2.0, "3 dB a second after half a second");
        assert!((after(10, -30.0).gain_db() - 7.0).abs() < 0.1);
        assert!((after(10, -14.0).gain_db() + 9.0).abs() < 0.1);
        assert_eq!(after(20, -50.0).gain_db(), MOST);
        assert_eq!(after(20, -3.0).gain_db(), -MOST);
    }

    #[test]
    fn what_is_far_below_the_speech_moves_nothing() {
        let mut leveller = after(10, -25.0);
        let before = leveller.gain_db();
        (0..200).for_each(|_| leveller.hear(-50.0, MOST));
        assert_eq!(leveller.gain_db(), before);
    }

    #[test]
    fn a_noisy_site_is_not_made_louder_and_a_switched_off_one_goes_back() {
        let mut leveller = Leveller::default();
        (0..500).for_each(|_| leveller.hear(-35.0, 0.0));
        assert_eq!(leveller.gain_db(), 0.0);
        let mut leveller = after(10, -30.0);
        (0..200).for_each(|_| leveller.rest());
        assert_eq!((leveller.gain_db(), leveller.gain()), (0.0, 1.0));
    }
}
