//! Not all at once: a list of a thousand sites is called evenly, and only so many ring at a time.

use std::time::{Duration, Instant};

/// Lets calls begin.
#[derive(Debug)]
pub(crate) struct Pace {
    gap: Duration,
    at_a_time: usize,
    next: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(per_second: u32, at_a_time: usize) -> Pace {
        Pace { gap: Duration::from_secs(1) / per_second.max(1), at_a_time: at_a_time.max(1), next: None }
    }

    /// Takes a turn, when one is due and fewer than allowed are under way.
    pub(crate) fn take(&mut self, now: Instant, under_way: usize) -> bool {
        if under_way >= self.at_a_time || self.next.is_some_and(|at| at > now) {
            return false;
        }
        // Counted from when it was due, so that a late timer does not slow the rate; but what was not used is not saved up.
        let due = self.next.map_or(now, |at| at.max(now.checked_sub(self.gap).unwrap_or(now)));
        self.next = Some(due + self.gap);
        true
    }

    /// When the next turn is due, if it is the time that is waited for.
    pub(crate) fn next(&self, under_way: usize) -> Option<Instant> {
        self.next.filter(|_| under_way < self.at_a_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_even_and_the_number_bounded() {
        // Tests may take an instant; from there on time is virtual.
        #[allow(clippy::disallowed_methods)]
        let start = Instant::now();
        let mut pace = Pace::new(50, 3);
        let mut begun = Vec::new();
        let mut now = start;
        for _ in 0..100 {
            if pace.take(now, 0) {
                begun.push(now);
            }
            now += Duration::from_millis(7);
        }
        // 700 ms at 50 per second.
        assert!((35..=36).contains(&begun.len()), "{}", begun.len());
        assert!(!pace.take(now, 3), "three are under way");
        assert_eq!(pace.next(3), None);
        let later = now + Duration::from_secs(60);
        assert!(pace.take(later, 2));
        assert!(pace.take(later, 2) && !pace.take(later, 2), "a quiet minute is not saved up");
    }
}
