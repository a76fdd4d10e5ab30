//! Sees to it that nobody's picture stops for good while the others' goes on, whatever fault of ours may be behind it.

use std::time::{Duration, Instant};

/// A receiver that got nothing for so long …
const TIME: Duration = Duration::from_millis(1500);
/// … while so many pictures were made for it is stranded.
const PICTURES: u64 = 15;

/// What one receiver got of what its encoder made.
#[derive(Debug)]
pub struct Progress {
    at: Instant,
    made: u64,
}

impl Progress {
    /// From now on.
    pub fn new(now: Instant) -> Self {
        Self { at: now, made: 0 }
    }

    /// `made`: pictures its encoder has made so far; `got_some`: it got some of them, or is to get none. True once when it has been left without
    /// any for too long: it must be brought in anew.
    pub fn is_stranded(&mut self, now: Instant, made: u64, got_some: bool) -> bool {
        // Another encoder counts from zero.
        let stranded =
            !got_some && made >= self.made + PICTURES && now.saturating_duration_since(self.at) > TIME;
        if got_some || stranded || made < self.made {
            *self = Self { at: now, made };
        }
        stranded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stranded_is_who_gets_nothing_for_long_while_much_is_made() {
        #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut progress = Progress::new(start);
        for i in 0..100 {
            assert!(!progress.is_stranded(at(i * 33), i, true), "all is well");
        }
        assert!(!progress.is_stranded(at(6000), 110, false), "few were made: the encoder is slow");
        assert!(!progress.is_stranded(at(6100), 5, false), "another encoder");
        assert!(!progress.is_stranded(at(7000), 40, false), "not long yet");
        assert!(progress.is_stranded(at(7700), 60, false));
        assert!(!progress.is_stranded(at(7733), 61, false), "told once");
        assert!(progress.is_stranded(at(9300), 90, false), "and again when nothing has come of it");
    }
}
