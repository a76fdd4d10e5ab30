//! How much later than the fastest packets the others come.

use std::collections::VecDeque;
use std::time::Instant;

/// Width of a step of the histogram and number of steps: 0–500 ms.
const STEP: i64 = 5_000;
const STEPS: usize = 100;
/// The share of packets that shall come in time, and the weight a packet gains over the one before it (a memory of some 500 packets).
const QUANTILE: f32 = 0.98;
const GROWTH: f32 = 1.002;
/// The fastest packet is looked for in so many seconds: long enough for a pause of speech, short enough for 100 ppm of clock drift.
const SECONDS: u64 = 8;

/// Transit times relative to the fastest packet of the last seconds, all in µs.
#[derive(Debug, Clone)]
pub(super) struct Estimator {
    clock_rate: i64,
    zero: Option<(Instant, i64)>,
    minima: VecDeque<(u64, i64)>,
    weights: [f32; STEPS],
    weight: f32,
    total: f32,
    wanted: i64,
}

impl Estimator {
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: i64::from(clock_rate.max(1)),
            zero: None,
            minima: VecDeque::new(),
            weights: [0.0; STEPS],
            weight: 1.0,
            total: 0.0,
            wanted: 0,
        }
    }

    /// Time from `b` to `a` in µs.
    fn span(a: Instant, b: Instant) -> i64 {
        let us = super::audio::us;
        if a >= b { us(a - b) } else { -us(b - a) }
    }

    fn transit(&self, at: Instant, timestamp: i64) -> i64 {
        let Some((t0, ts0)) = self.zero else { return 0 };
        Self::span(at, t0) - (timestamp - ts0).saturating_mul(1_000_000) / self.clock_rate
    }

    fn fastest(&self) -> Option<i64> {
        self.minima.iter().map(|m| m.1).min()
    }

    /// How much later than the fastest packet the packet with `timestamp` would be at time `at`; negative when it would be the fastest.
    pub fn delay(&self, at: Instant, timestamp: i64) -> i64 {
        self.fastest().map_or(0, |f| self.transit(at, timestamp) - f)
    }

    /// A packet came.
    pub fn observe(&mut self, now: Instant, timestamp: i64) {
        let (t0, _) = *self.zero.get_or_insert((now, timestamp));
        let transit = self.transit(now, timestamp);
        let second = now.saturating_duration_since(t0).as_secs();
        match self.minima.back_mut() {
            Some((s, m)) if *s == second => *m = transit.min(*m),
            _ => self.minima.push_back((second, transit)),
        }
        while self.minima.len() > 1 && self.minima.front().is_some_and(|(s, _)| s + SECONDS <= second) {
            self.minima.pop_front();
        }
        let late = self.fastest().map_or(0, |f| transit - f).max(0);
        let step = usize::try_from(late / STEP).unwrap_or(0).min(STEPS - 1);
        if let Some(w) = self.weights.get_mut(step) {
            *w += self.weight;
        }
        self.total += self.weight;
        self.weight *= GROWTH;
        if self.weight > 1e12 {
            for w in &mut self.weights {
                *w /= self.weight;
            }
            self.total /= self.weight;
            self.weight = 1.0;
        }
        self.wanted = self.quantile();
    }

    /// The delay that lets the wanted share of packets come in time.
    pub fn wanted(&self) -> i64 {
        self.wanted
    }

    fn quantile(&self) -> i64 {
        let mut sum = 0.0;
        for (i, w) in self.weights.iter().enumerate() {
            sum += w;
            if sum >= QUANTILE * self.total {
                return if i == 0 { 0 } else { (i as i64 + 1) * STEP };
            }
        }
        STEPS as i64 * STEP
    }

    /// The sender's timestamps made a step: the packet with `timestamp` becomes the fastest; what was learnt of the line stays.
    pub fn rebase(&mut self, now: Instant, timestamp: i64) {
        self.zero = Some((now, timestamp));
        self.minima.clear();
    }
}
