//! Finds sites that are noisy while nobody speaks there, and those whose microphone hums with the mains.

use std::collections::VecDeque;

use cau_model::sound::Trouble;

use super::{
    band::{RATE, SLICE, Slice},
    voice::dbov,
};

/// Frames of 20 ms in one block.
const FRAMES: usize = 5;
/// Blocks of pause looked at: 5 s.
const BLOCKS: usize = 50;
/// Steady sound above this is noise, dBov. A quiet room through a good microphone is below −60.
const NOISY: f32 = -50.0;
/// Hum is heard at lower levels.
const HUMMING: f32 = -55.0;
/// It must fall by this much to be over, dB.
const HYSTERESIS: f32 = 4.0;
/// What varies more than this between pauses is no steady noise: somebody moves, or speaks too low for the detector, dB.
const STEADY: f32 = 8.0;
/// Below this, dBov, it is a pause whether or not the detector looked.
const QUIET: f32 = -58.0;
/// Share of the power at the harmonics of the mains above which it is hum.
const HUM: f32 = 0.5;
/// Harmonics of 50 Hz looked at.
const HARMONICS: usize = 6;
/// A level that has changed by this much is told anew, dB.
const TELL: i8 = 6;

#[derive(Clone, Copy, Debug)]
struct Block {
    level: f32,
    hum: f32,
}

/// Watches one site.
#[derive(Debug, Default)]
pub struct Noise {
    low: Vec<f32>,
    power: f32,
    frames: usize,
    pause: bool,
    blocks: VecDeque<Block>,
    /// What was found.
    found: Option<Trouble>,
}

impl Noise {
    /// Takes 20 ms: level in dBov of all of it, and its low band. `speech`: `None` when the detector did not look.
    pub fn hear(&mut self, level: f32, slice: &Slice, speech: Option<bool>) {
        if self.frames == 0 {
            self.pause = true;
            self.power = 0.0;
            self.low.clear();
        }
        self.pause &= speech.map_or(level < QUIET, |speech| !speech);
        self.power += 10f32.powf(level / 10.0) / FRAMES as f32;
        self.low.extend_from_slice(slice);
        self.frames += 1;
        if self.frames == FRAMES {
            self.frames = 0;
            if self.pause {
                let hum = if self.power > 0.0 { self.tones() / self.power } else { 0.0 };
                if self.blocks.len() == BLOCKS {
                    self.blocks.pop_front();
                }
                self.blocks.push_back(Block { level: dbov(self.power), hum });
            }
        }
    }

    /// Power at the first harmonics of 50 Hz: ten periods of each fit into a block exactly (Goertzel).
    fn tones(&self) -> f32 {
        let n = (FRAMES * SLICE) as f32;
        (1..=HARMONICS)
            .map(|k| {
                let turn = 2.0 * (std::f32::consts::TAU * 50.0 * k as f32 / RATE as f32).cos();
                let (mut one, mut two) = (0.0_f32, 0.0_f32);
                for sample in &self.low {
                    let next = sample + turn * one - two;
                    (two, one) = (one, next);
                }
                // The power of a sine of amplitude a is a²/2, and |X|² = (a·n/2)².
                2.0 * (one * one + two * two - turn * one * two) / (n * n)
            })
            .sum()
    }

    /// Looks at the pauses so far: what is wrong now, when that is news; `Some(None)`: nothing any more.
    pub fn judge(&mut self) -> Option<Option<Trouble>> {
        if self.blocks.len() < BLOCKS {
            return None;
        }
        let middle = |of: fn(&Block) -> f32, share: usize| {
            let mut all: Vec<f32> = self.blocks.iter().map(of).collect();
            all.sort_by(f32::total_cmp);
            all.get(all.len() * share / 100).copied().unwrap_or_default()
        };
        let level = middle(|b| b.level, 50);
        let spread = middle(|b| b.level, 90) - middle(|b| b.level, 10);
        let hums = middle(|b| b.hum, 50) > HUM;
        let bound = if hums { HUMMING } else { NOISY };
        let level_dbov = level.round() as i8;
        let now = if self.found.is_some() {
            (level > bound - HYSTERESIS).then_some(())
        } else {
            (level > bound && spread < STEADY).then_some(())
        };
        let now =
            now.map(|()| if hums { Trouble::Hum { level_dbov } } else { Trouble::Noise { level_dbov } });
        let same = match (self.found, now) {
            (None, None) => true,
            (Some(before), Some(now)) => {
                before.kind() == now.kind() && measure(before).abs_diff(measure(now)) < TELL.unsigned_abs()
            }
            _ => false,
        };
        if same {
            return None;
        }
        self.found = now;
        Some(now)
    }

    /// Something was found that is not over.
    pub fn is_found(&self) -> bool {
        self.found.is_some()
    }
}

fn measure(trouble: Trouble) -> i8 {
    match trouble {
        Trouble::Noise { level_dbov } | Trouble::Hum { level_dbov } => level_dbov,
        Trouble::Echo { .. } => 0,
    }
}
