//! Who is heard in a received sound: the judged tones, measured second by second.

use std::f64::consts::TAU;

use realfft::RealFftPlanner;

use crate::pattern::{IDENTITIES, burst_hz, tone_hz};

/// Levels below this (dB of full scale) are not heard.
const QUIET_DB: f64 = -45.0;
/// A tone this far below the loudest is a leak of it, not a second one.
const BELOW_LOUDEST_DB: f64 = 30.0;
/// How far a tone may be from its pitch, as a part of it: who mends his delay plays faster or slower by up to 2.5 % meanwhile.
const BENT: f64 = 0.027;

/// The window a burst's beginning is looked for with, seconds.
const WINDOW: f64 = 0.01;

/// Where within `samples`, from `from` on, the burst of an identity begins, to a millisecond: the middle of the first window in which it has half of its
/// full amplitude after it was not there. `None` when there is none.
pub fn burst(samples: &[f32], rate: u32, id: u8, from: usize) -> Option<usize> {
    let window = (f64::from(rate) * WINDOW) as usize;
    let step = TAU * burst_hz(id) / f64::from(rate);
    // Sums of the signal turned by the burst's frequency: a window's amplitude is the difference of two.
    let mut sums = Vec::with_capacity(samples.len() + 1);
    let (mut re, mut im) = (0.0f64, 0.0f64);
    sums.push((re, im));
    for (k, sample) in samples.iter().enumerate() {
        let (sin, cos) = (step * k as f64).sin_cos();
        re += f64::from(*sample) * cos;
        im += f64::from(*sample) * sin;
        sums.push((re, im));
    }
    let amplitude = |k: usize| {
        let (a, b) = (sums[k], sums[k + window]);
        2.0 * (b.0 - a.0).hypot(b.1 - a.1) / window as f64
    };
    let last = samples.len().checked_sub(window)?;
    let most = (0..=last).step_by(16).map(amplitude).fold(0.0, f64::max);
    if 20.0 * (most + 1e-9).log10() < QUIET_DB {
        return None;
    }
    // What was there already when the listening began has no beginning here.
    let quiet = (from..=last).find(|k| amplitude(*k) < most / 4.0)?;
    let begins = (quiet..=last).find(|k| amplitude(*k) > most / 2.0)?;
    // A short window hears a loud burst of a neighbour too, a little.
    let full = (begins + window).min(last);
    let loudest = (0..IDENTITIES)
        .map(|other| {
            let step = TAU * burst_hz(other) / f64::from(rate);
            let (re, im) =
                samples[full..full + window].iter().enumerate().fold((0.0, 0.0), |(re, im), (k, sample)| {
                    let (sin, cos) = (step * k as f64).sin_cos();
                    (re + f64::from(*sample) * cos, im + f64::from(*sample) * sin)
                });
            2.0 * f64::hypot(re, im) / window as f64
        })
        .fold(0.0, f64::max);
    (amplitude(full) > loudest / 4.0).then_some(begins + window / 2)
}

/// Level of each identity's tone in dB of full scale (a sine of amplitude 1 is 0 dB) over all of `samples`, at its pitch or [`BENT`] by up to so much.
pub fn tone_levels(samples: &[f32], rate: u32) -> [f64; IDENTITIES as usize] {
    let power = spectrum(samples);
    let width = f64::from(rate) / samples.len().max(1) as f64;
    std::array::from_fn(|id| {
        let hertz = tone_hz(id as u8);
        let (low, high) = (hertz * (1.0 - BENT) / width, hertz * (1.0 + BENT) / width);
        let bins = (low.floor() as usize).saturating_sub(1)..=high.ceil() as usize + 1;
        // A sine's power lies in three bins of a Hann window, one and a half times of it in all.
        let most = power.get(bins).unwrap_or_default().windows(3).map(|w| w.iter().sum::<f64>() / 1.5);
        10.0 * (most.fold(0.0, f64::max) + 1e-18).log10()
    })
}

/// Power in each bin, under a Hann window: the square of its amplitude for a sine in the middle of a bin.
fn spectrum(samples: &[f32]) -> Vec<f64> {
    let n = samples.len().max(1);
    let step = (TAU / n as f64) as f32;
    let mut windowed: Vec<f32> =
        samples.iter().enumerate().map(|(k, s)| s * (0.5 - 0.5 * (step * k as f32).cos())).collect();
    windowed.resize(n, 0.0);
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(n);
    let mut bins = fft.make_output_vec();
    if fft.process(&mut windowed, &mut bins).is_err() {
        return Vec::new();
    }
    bins.iter().map(|b| f64::from(b.norm_sqr()) * (4.0 / n as f64).powi(2)).collect()
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
    fn a_tone_played_faster_or_slower_is_still_heard_and_no_neighbour_is() {
        for id in 0..IDENTITIES {
            for part in [0.975, 0.99, 1.006, 1.025] {
                let hertz = tone_hz(id) * part;
                // It changes within the second, too.
                let sound: Vec<f32> = (0..48_000)
                    .map(|n| f64::from(n) / 48_000.0)
                    .map(|t| if t < 0.6 { hertz * t } else { hertz * 0.6 + tone_hz(id) * (t - 0.6) })
                    .map(|turns| 0.2 * (TAU * turns).sin() as f32)
                    .collect();
                assert_eq!(
                    heard(&sound, 48_000),
                    1 << id,
                    "{id} × {part}: {:?}",
                    tone_levels(&sound, 48_000)
                );
            }
        }
    }

    #[test]
    fn a_burst_is_found_where_it_begins_among_others() {
        let mut mix: Vec<f32> = sound(2, 48_000, 48_000 - 12_345, 40_000);
        for (m, s) in mix.iter_mut().zip(sound(3, 48_000, 48_000 - 9_000, 40_000)) {
            *m += s;
        }
        for (id, at) in [(2, 12_345usize), (3, 9_000)] {
            let found = burst(&mix, 48_000, id, 0).expect("there is one");
            assert!(found.abs_diff(at) < 48, "{id}: {found}, {at}");
        }
        assert_eq!(burst(&mix, 48_000, 6, 0), None);
        assert_eq!(burst(&mix[12_500..30_000], 48_000, 2, 0), None, "only its end");
    }

    #[test]
    fn levels_are_in_decibels_of_full_scale() {
        let levels = tone_levels(&sound(1, 8_000, 0, 8_000), 8_000);
        assert!((levels[1] - 20.0 * 0.2f64.log10()).abs() < 0.5, "{levels:?}");
        assert_eq!(heard(&[0.0; 8_000], 8_000), 0);
    }
}
