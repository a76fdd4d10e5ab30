//! Finds sites that send back what they were sent.
//!
//! What a site sends is compared with what it was sent up to 1.2 s before, at 2 kHz, twice a second: the cross-correlation of
//! the last two seconds with all tones made equally strong (PHAT), which has one peak where there is one delay, however soft and
//! reverberant the echo, and none where two people merely talk at once. One peak proves nothing; the mean over the last of them does,
//! when they stand at the same delay. Measured (docs/mixer.md): the mean peak of clean sites in double talk stays below 8.5 times the
//! noise, that of echoes at 0 to −30 dB is 16 to 40 after two to three seconds.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use cau_model::sound::Trouble;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex};

use super::band::{RATE, SLICE, Slice};

/// Samples compared: 2 s.
const WINDOW: usize = 4096;
/// Longest delay, samples: 1.2 s.
const LAGS: usize = 2400;
/// Shorter delays cannot be: what is sent at this tick cannot have come back in it. 10 ms.
const LEAST: usize = 20;
const SIZE: usize = 8192;
/// 100–900 Hz, in bins.
const BAND: std::ops::Range<usize> = 100 * SIZE / RATE..900 * SIZE / RATE;
/// Both sides must have this mean power over the window (−50 and −62 dBov): where nothing is said there is no echo to find.
const SENT: f32 = 1e-5;
const CAME: f32 = 6e-7;
/// How often a site is compared.
const EVERY: Duration = Duration::from_millis(500);
/// Weight of the newest comparison in the mean.
const NEWEST: f32 = 1.0 / 3.0;
/// A single peak counts from so many times the noise …
const SINGLE: f32 = 5.5;
/// … when it stands within so many samples of the mean's (2 ms: rooms smear).
const BESIDE: usize = 4;
/// Comparisons remembered.
const MEMORY: usize = 8;
/// Clear: so many of the last five peaks agree, and the mean is so many times the noise.
const CLEAR: (usize, f32) = (4, 10.0);
/// Faint but lasting: so many of the last eight.
const LASTING: (usize, f32) = (6, 7.0);
/// Comparisons without a peak after which an echo is over: 10 s in which others spoke.
const OVER: u32 = 20;
/// A delay that has changed by this much is told anew, ms.
const TELL: u16 = 50;

/// The machinery all sites of a conference share.
pub struct Analyzer {
    forward: Arc<dyn RealToComplex<f32>>,
    back: Arc<dyn ComplexToReal<f32>>,
    time: Vec<f32>,
    came: Vec<Complex<f32>>,
    sent: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl Default for Analyzer {
    fn default() -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, back) = (planner.plan_fft_forward(SIZE), planner.plan_fft_inverse(SIZE));
        let scratch = forward.get_scratch_len().max(back.get_scratch_len());
        Self {
            time: forward.make_input_vec(),
            came: forward.make_output_vec(),
            sent: forward.make_output_vec(),
            scratch: vec![Complex::default(); scratch],
            forward,
            back,
        }
    }
}

impl Analyzer {
    /// Correlation by delay, its noise being 1; `None` when a library of numbers fails, which it does not for sizes that fit.
    fn correlate(&mut self, came: &Ring, sent: &Ring) -> Option<&[f32]> {
        self.time.fill(0.0);
        came.copy_to(self.time.get_mut(LAGS..LAGS + WINDOW)?);
        self.forward.process_with_scratch(&mut self.time, &mut self.came, &mut self.scratch).ok()?;
        self.time.fill(0.0);
        sent.copy_to(self.time.get_mut(..LAGS + WINDOW)?);
        self.forward.process_with_scratch(&mut self.time, &mut self.sent, &mut self.scratch).ok()?;
        for (bin, (came, sent)) in self.came.iter_mut().zip(&self.sent).enumerate() {
            let cross = *came * sent.conj();
            let strength = cross.norm();
            *came = if BAND.contains(&bin) && strength > 0.0 { cross / strength } else { Complex::default() };
        }
        self.back.process_with_scratch(&mut self.came, &mut self.time, &mut self.scratch).ok()?;
        let lags = self.time.get_mut(..LAGS)?;
        lags.iter_mut().take(LEAST).for_each(|r| *r = 0.0);
        let noise = (lags.iter().map(|r| r * r).sum::<f32>() / LAGS as f32).sqrt().max(f32::MIN_POSITIVE);
        lags.iter_mut().for_each(|r| *r /= noise);
        Some(&*lags)
    }
}

/// The last samples of one direction, 16 bits each.
struct Ring {
    samples: Box<[i16]>,
    at: usize,
    /// Sum of the squares of all, full scale being 1.
    energy: f64,
}

impl Ring {
    fn new(length: usize) -> Self {
        Self { samples: vec![0; length].into_boxed_slice(), at: 0, energy: 0.0 }
    }

    fn push(&mut self, slice: &Slice) {
        let square = |s: i16| (f64::from(s) / 32_768.0).powi(2);
        for sample in slice {
            let new = (sample * 32_767.0) as i16;
            if let Some(slot) = self.samples.get_mut(self.at) {
                self.energy += square(new) - square(*slot);
                *slot = new;
            }
            self.at = (self.at + 1) % self.samples.len();
        }
    }

    fn power(&self) -> f32 {
        (self.energy.max(0.0) / self.samples.len() as f64) as f32
    }

    /// Oldest first.
    fn copy_to(&self, out: &mut [f32]) {
        let (newer, older) = self.samples.split_at(self.at);
        for (to, from) in out.iter_mut().zip(older.iter().chain(newer)) {
            *to = f32::from(*from);
        }
    }
}

/// Watches one site.
pub struct Echo {
    came: Ring,
    sent: Ring,
    mean: Vec<f32>,
    /// Place and height of the last peaks.
    peaks: VecDeque<(usize, f32)>,
    due: Instant,
    without: u32,
    found: Option<u16>,
}

impl Echo {
    /// Begins to watch.
    pub fn new(now: Instant) -> Self {
        Self {
            came: Ring::new(WINDOW),
            sent: Ring::new(LAGS + WINDOW),
            mean: vec![0.0; LAGS],
            peaks: VecDeque::with_capacity(MEMORY),
            due: now + EVERY,
            without: 0,
            found: None,
        }
    }

    /// What came from the site in 20 ms …
    pub fn came(&mut self, slice: &Slice) {
        self.came.push(slice);
    }

    /// … and what was sent to it in the same tick, after that.
    pub fn sent(&mut self, slice: &Slice) {
        self.sent.push(slice);
    }

    /// Time to compare, and something to compare.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.due && self.came.power() > CAME && self.sent.power() > SENT
    }

    /// Compares: what is wrong now, when that is news; `Some(None)`: nothing any more.
    pub fn judge(&mut self, now: Instant, analyzer: &mut Analyzer) -> Option<Option<Trouble>> {
        self.due = now + EVERY;
        let lags = analyzer.correlate(&self.came, &self.sent)?;
        for (mean, new) in self.mean.iter_mut().zip(lags) {
            *mean += (new - *mean) * NEWEST;
        }
        if self.peaks.len() == MEMORY {
            self.peaks.pop_front();
        }
        self.peaks.push_back(highest(lags));
        let (at, height) = highest(&self.mean);
        let agrees = |&&(place, peak): &&(usize, f32)| place.abs_diff(at) <= BESIDE && peak >= SINGLE;
        let lately = self.peaks.iter().rev().take(5).filter(agrees).count();
        let all = self.peaks.iter().filter(agrees).count();
        let is_there = lately >= CLEAR.0 && height >= CLEAR.1 || all >= LASTING.0 && height >= LASTING.1;
        let delay_ms = u16::try_from(at * 1000 / RATE).unwrap_or(u16::MAX);
        if is_there {
            self.without = 0;
            if self.found.is_some_and(|before| before.abs_diff(delay_ms) < TELL) {
                return None;
            }
            self.found = Some(delay_ms);
            return Some(Some(Trouble::Echo { delay_ms }));
        }
        self.found?;
        self.without = if lately > 1 { 0 } else { self.without + 1 };
        if self.without < OVER {
            return None;
        }
        self.found = None;
        Some(None)
    }
}

fn highest(all: &[f32]) -> (usize, f32) {
    let peak = all.iter().map(|r| r.abs()).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    peak.unwrap_or_default()
}

/// Samples of one slice: both directions go in step.
const _: () = assert!(SLICE * 50 == RATE);
