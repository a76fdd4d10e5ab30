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
const SILENT: f32 = 16.0;

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

/// Eight sums side by side, so that the compiler may use SIMD (it must not reorder one sum).
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Low rate to 48 kHz: `factor` samples out for each one in.
pub(super) struct Up {
    /// For each of the `factor` output positions the taps that meet low-rate samples, oldest first, times `factor`.
    phases: Vec<Vec<f32>>,
    /// The last samples heard, then the new ones.
    buffer: Vec<f32>,
    history: usize,
}

impl Up {
    pub(super) fn new(factor: Factor) -> Self {
        let design = design(factor);
        let phases: Vec<Vec<f32>> = (0..design.factor)
            .map(|k| {
                let taps = design.taps.iter().skip(k).step_by(design.factor);
                let mut phase: Vec<f32> = taps.map(|t| t * design.factor as f32).collect();
                phase.reverse();
                phase
            })
            .collect();
        let history = design.taps.len() / design.factor - 1;
        Self { phases, buffer: vec![0.0; history], history }
    }

    /// Appends the samples of `input` at 48 kHz to `out`.
    pub(super) fn process(&mut self, input: &[f32], out: &mut Vec<i16>) {
        self.buffer.extend_from_slice(input);
        if self.buffer.iter().all(|s| s.abs() <= SILENT) {
            out.resize(out.len() + input.len() * self.phases.len(), 0);
            let used = self.buffer.len().saturating_sub(self.history);
            self.buffer.drain(..used);
            return;
        }
        for window in self.buffer.windows(self.history + 1) {
            out.extend(self.phases.iter().map(|phase| super::to_i16(dot(window, phase))));
        }
        let used = self.buffer.len().saturating_sub(self.history);
        self.buffer.drain(..used);
    }
}

/// 48 kHz to the low rate: one sample out for `factor` in.
pub(super) struct Down {
    factor: usize,
    taps: &'static [f32],
    buffer: Vec<f32>,
}

impl Down {
    pub(super) fn new(factor: Factor) -> Self {
        let design = design(factor);
        Self {
            factor: design.factor,
            taps: &design.taps,
            buffer: vec![0.0; design.taps.len() - design.factor],
        }
    }

    /// Replaces `out` by the samples of `input` (a multiple of the factor) at the low rate.
    pub(super) fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        self.buffer.extend(input.iter().map(|&s| f32::from(s)));
        out.clear();
        // The filter is symmetric: no need to turn it round.
        out.extend(
            self.buffer
                .windows(self.taps.len())
                .step_by(self.factor)
                .map(|window| super::to_i16(dot(window, self.taps))),
        );
        let used = out.len() * self.factor;
        self.buffer.drain(..used);
    }
}
