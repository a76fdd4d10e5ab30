//! Who is heard in a received sound: the judged tones, measured second by second.

use std::f64::consts::TAU;

use crate::pattern::{IDENTITIES, tone_hz};

/// Levels below this (dB of full scale) are not heard.
const QUIET_DB: f64 = -45.0;
/// A tone this far below the loudest is a leak of it, not a second one.
const BELOW_LOUDEST_DB: f64 = 30.0;

/// Level of each identity's tone in dB of full scale (a sine of amplitude 1 is 0 dB), over all of `samples`.
pub fn tone_levels(samples: &[f32], rate: u32) -> [f64; IDENTITIES as usize] {
    let n = samples.len().max(1) as f64;
    std::array::from_fn(|id| {
        let w = TAU * tone_hz(id as u8) / f64::from(rate);
        let (mut re, mut im, mut weight) = (0.0, 0.0, 0.0);
        for (k, sample) in samples.iter().enumerate() {
            let k = k as f64;
            let hann = 0.5 - 0.5 * (TAU * k / n).cos();
            re += hann * f64::from(*sample) * (w * k).cos();
            im += hann * f64::from(*sample) * (w * k).sin();
            weight += hann;
        }
        20.0 * (2.0 * re.hypot(im) / f64::max(weight, 1.0) + 1e-9).log10()
    })
}

/// Identities heard in `samples`, one bit each.
pub fn heard(samples: &[f32], rate: u32) -> u8 {
    let levels = tone_levels(samples, rate);
    let loudest = levels.iter().copied().fold(f64::MIN, f64::max);
    levels
        .iter()
        .enumerate()
        .filter(|(_, level)| **level > QUIET_DB && **level > loudest - BELOW_LOUDEST_DB)
        .fold(0, |bits, (id, _)| bits | 1 << id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::sound;

    #[test]
    fn a_mix_of_five_is_told_apart_and_the_others_are_not_heard() {
        let mut mix = vec![0.0; 48_000];
        for id in [0, 2, 3, 5, 7] {
            for (m, s) in mix.iter_mut().zip(sound(id, 48_000, 96_000, 48_000)) {
                *m += 0.3 * s;
            }
        }
        assert_eq!(heard(&mix, 48_000), 0b1010_1101, "{:?}", tone_levels(&mix, 48_000));
    }

    #[test]
    fn levels_are_in_decibels_of_full_scale() {
        let levels = tone_levels(&sound(1, 8_000, 0, 8_000), 8_000);
        assert!((levels[1] - 20.0 * 0.2f64.log10()).abs() < 0.5, "{levels:?}");
        assert_eq!(heard(&[0.0; 8_000], 8_000), 0);
    }
}
