//! Which packets a line loses.

use rand::RngExt;
use rand::rngs::SmallRng;

/// How a line loses packets. Probabilities 0–1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Loss {
    /// Never.
    #[default]
    None,
    /// Each packet on its own with this probability.
    Random(f64),
    /// In bursts: a good and a bad state (Gilbert–Elliott).
    Burst {
        /// Probability to turn bad, per packet.
        begin: f64,
        /// Probability to turn good again, per packet: bursts last 1/`end` packets on average.
        end: f64,
        /// Loss while good.
        good: f64,
        /// Loss while bad.
        bad: f64,
    },
    /// Exactly every n-th packet, for tests that count; 0 never.
    Every(u32),
}

impl Loss {
    /// Bursts of `length` packets on average, `share` of all packets lost.
    pub fn bursts(share: f64, length: f64) -> Self {
        let end = 1.0 / length.max(1.0);
        let share = share.clamp(0.0, 0.99);
        Self::Burst { begin: (end * share / (1.0 - share)).min(1.0), end, good: 0.0, bad: 1.0 }
    }
}

/// A [`Loss`] with its memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    bad: bool,
    count: u32,
}

impl State {
    pub fn loses(&mut self, loss: Loss, rng: &mut SmallRng) -> bool {
        match loss {
            Loss::None => false,
            Loss::Random(p) => rng.random::<f64>() < p,
            Loss::Burst { begin, end, good, bad } => {
                let turn = if self.bad { end } else { begin };
                self.bad ^= rng.random::<f64>() < turn;
                rng.random::<f64>() < if self.bad { bad } else { good }
            }
            Loss::Every(n) => {
                self.count = self.count.wrapping_add(1);
                n > 0 && self.count.is_multiple_of(n)
            }
        }
    }
}
