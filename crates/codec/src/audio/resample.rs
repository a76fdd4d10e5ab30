//! 8 and 16 kHz from and to 48 kHz by windowed-sinc polyphase filters, state kept from call to call.
//!
//! | ratio | taps at 48 kHz | delay | flat to (±0.1 dB) | −60 dB from |
//! |---|---|---|---|---|
//! | 6 (8 kHz) | 192 | 1.99 ms | 3.45 kHz | 4.35 kHz |
//! | 3 (16 kHz) | 120 | 1.24 ms | 6.8 kHz | 8.25 kHz |
//!
//! Cut off a little below half of the low rate, so that what folds back lies where speech has nothing and G.711's own filters cut already.

use std::f64::consts::PI;
use std::sync::OnceLock;

/// A low-pass at 48 kHz with a gain of one.
struct Design {
    factor: usize,
    taps: Vec<f32>,
}

/// Samples that are no louder than this (of 32,768: −66 dBov; two steps of G.711) become silence, which costs nothing: most sites of a large meeting are silent
/// most of the time.
pub(super) const SILENT: f32 = 16.0;

/// Kaiser window parameter for 60 dB.
const BETA: f64 = 5.65;

/// The filter of 48 kHz ÷ `factor`, computed once.
fn design(factor: Factor) -> &'static Design {
    static NARROW: OnceLock<Design> = OnceLock::new();
    static WIDE: OnceLock<Design> = OnceLock::new();
    match factor {
        Factor::Six => NARROW.get_or_init(|| Design { factor: 6, taps: low_pass(192, 3_900.0) }),
        Factor::Three => WIDE.get_or_init(|| Design { factor: 3, taps: low_pass(120, 7_530.0) }),
    }
}

/// 48 kHz by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factor {
    /// 16 kHz.
    Three,
    /// 8 kHz.
    Six,
}

fn low_pass(length: usize, cutoff_hz: f64) -> Vec<f32> {
    let middle = (length as f64 - 1.0) / 2.0;
    let cycles = 2.0 * cutoff_hz / 48_000.0;
    let taps: Vec<f64> = (0..length)
        .map(|n| {
            let t = n as f64 - middle;
            let sinc = if t == 0.0 { cycles } else { (PI * cycles * t).sin() / (PI * t) };
            sinc * bessel_i0(BETA * (1.0 - (t / middle).powi(2)).max(0.0).sqrt()) / bessel_i0(BETA)
        })
        .collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|t| (t / sum) as f32).collect()
}

/// Modified Bessel function of the first kind, order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

/// Outputs summed side by side: no sum's order changes with the width of the machine's registers, so that all machines sound the same.
const LANES: usize = 16;

/// Adds to each `out[t]` the sum of `taps[i] · x[t + i]`; `x` is longer than `out` by one less than there are taps.
fn convolve(x: &[f32], taps: &[f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { convolve_avx2(x, taps, out) };
        return;
    }
    convolve_lanes(x, taps, out);
}

/// The same for wider registers: the same sums in the same order, as nothing is fused.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn convolve_avx2(x: &[f32], taps: &[f32], out: &mut [f32]) {
    convolve_lanes(x, taps, out);
}

/// Running over time rather than over the taps of one output leaves no sum across lanes, which cost as much as the products.
#[inline(always)]
fn convolve_lanes(x: &[f32], taps: &[f32], out: &mut [f32]) {
    debug_assert_eq!(x.len() + 1, out.len() + taps.len());
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    let done = blocks.len() * LANES;
    for (n, sums) in blocks.iter_mut().enumerate() {
        let mut held = *sums;
        for (window, tap) in x.get(n * LANES..).unwrap_or_default().array_windows::<LANES>().zip(taps) {
            for (sum, x) in held.iter_mut().zip(window) {
                *sum += tap * x;
            }
        }
        *sums = held;
    }
    for (sum, window) in rest.iter_mut().zip(x.get(done..).unwrap_or_default().windows(taps.len())) {
        for (x, tap) in window.iter().zip(taps) {
            *sum += tap * x;
        }
    }
}

/// None is louder than [`SILENT`].
pub(super) fn is_silent(samples: &[f32]) -> bool {
    samples.iter().all(|s| s.abs() <= SILENT)
}

/// The taps of the `factor` phases of a low-pass, each in time order, times `gain`: phase `k` are the taps `k`, `k + factor` …
fn phases(design: &Design, gain: f32) -> impl Iterator<Item = Vec<f32>> {
    (0..design.factor)
        .map(move |k| design.taps.iter().skip(k).step_by(design.factor).map(|tap| tap * gain).collect())
}

/// Low rate to 48 kHz: `factor` samples out for each one in.
pub(super) struct Up {
    /// For each of the `factor` output positions the taps that meet low-rate samples, oldest first, times `factor`.
    phases: Vec<Vec<f32>>,
    /// The last samples heard, then the new ones.
    buffer: Vec<f32>,
    history: usize,
    /// Every `factor`-th sample of what goes out, before and after rounding.
    sums: Vec<f32>,
    rounded: Vec<i16>,
}

impl Up {
    pub(super) fn new(factor: Factor) -> Self {
        let design = design(factor);
        let reversed = |mut phase: Vec<f32>| {
            phase.reverse();
            phase
        };
        let history = design.taps.len() / design.factor - 1;
        Self {
            phases: phases(design, design.factor as f32).map(reversed).collect(),
            buffer: vec![0.0; history],
            history,
            sums: Vec::new(),
            rounded: Vec::new(),
        }
    }

    /// Appends the samples of `input` at 48 kHz to `out`.
    pub(super) fn process(&mut self, input: &[f32], out: &mut Vec<i16>) {
        self.buffer.extend_from_slice(input);
        let from = out.len();
        out.resize(from + input.len() * self.phases.len(), 0);
        if !is_silent(&self.buffer) {
            for (k, phase) in self.phases.iter().enumerate() {
                self.sums.clear();
                self.sums.resize(input.len(), 0.0);
                convolve(&self.buffer, phase, &mut self.sums);
                self.rounded.clear();
                self.rounded.extend(self.sums.iter().map(|&s| super::to_i16(s)));
                let places = out.iter_mut().skip(from + k).step_by(self.phases.len());
                places.zip(&self.rounded).for_each(|(place, s)| *place = *s);
            }
        }
        let used = self.buffer.len().saturating_sub(self.history);
        self.buffer.drain(..used);
    }
}

/// 48 kHz to the low rate: one sample out for `factor` in.
pub(super) struct Down {
    /// Each phase's taps, and the samples they meet: every `factor`-th, the last ones heard, then the new ones. The filter is symmetric: no
    /// need to turn it round.
    phases: Vec<(Vec<f32>, Vec<f32>)>,
    history: usize,
    sums: Vec<f32>,
}

impl Down {
    pub(super) fn new(factor: Factor) -> Self {
        let design = design(factor);
        let history = design.taps.len() / design.factor - 1;
        let phases = phases(design, 1.0).map(|taps| (taps, vec![0.0; history])).collect();
        Self { phases, history, sums: Vec::new() }
    }

    /// Replaces `out` by the samples of `input` (a multiple of the factor) at the low rate.
    pub(super) fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        let factor = self.phases.len();
        self.sums.clear();
        self.sums.resize(input.len() / factor, 0.0);
        for (k, (taps, buffer)) in self.phases.iter_mut().enumerate() {
            buffer.extend(input.iter().skip(k).step_by(factor).map(|&s| f32::from(s)));
            convolve(buffer, taps, &mut self.sums);
            let used = buffer.len().saturating_sub(self.history);
            buffer.drain(..used);
        }
        out.clear();
        out.extend(self.sums.iter().map(|&s| super::to_i16(s)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_registers_change_nothing() {
        let noise = |n: usize| ((n * 7919 % 4001) as f32 - 2000.0) * 3.7;
        let x: Vec<f32> = (0..160 + 31 + 5).map(noise).collect();
        let taps: Vec<f32> = (0..32).map(|n| noise(n + 17) / 9000.0).collect();
        let (mut here, mut everywhere) = (vec![0.25; 165], vec![0.25; 165]);
        convolve(&x, &taps, &mut here);
        convolve_lanes(&x, &taps, &mut everywhere);
        assert_eq!(here, everywhere);
    }
}
