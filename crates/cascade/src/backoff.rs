//! When something that failed is tried again.

use std::time::{Duration, Instant};

/// Seconds before the first try, the second, …; the last for all further ones. What fails at once is so tried 0, 2, 5, 10, 20 and 30 s after it was lost, then every
/// 30 s.
const WAITS: [u64; 7] = [0, 2, 3, 5, 10, 10, 30];
/// What has stood that long begins from the first wait again.
const STOOD: Duration = Duration::from_secs(5);

/// The next try of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    round: usize,
    next: Option<Instant>,
    up: Option<Instant>,
}

impl Backoff {
    /// It failed, was lost, or is wanted for the first time: a try is due after the next wait.
    pub fn failed(&mut self, now: Instant) {
        if self.up.take().is_some_and(|since| now.saturating_duration_since(since) >= STOOD) {
            self.round = 0;
        }
        let wait = WAITS.get(self.round).or(WAITS.last()).copied().unwrap_or_default();
        self.round = self.round.saturating_add(1);
        self.next = Some(now + Duration::from_secs(wait));
    }

    /// It stands.
    pub fn succeeded(&mut self, now: Instant) {
        self.up = Some(now);
        self.next = None;
    }

    /// Takes the try that is due.
    pub fn take(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.next = None;
        }
        due
    }

    /// When one is due.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Number of the try that is under way, from 0.
    pub fn tries(&self) -> usize {
        self.round.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_then_less_and_less_often_then_every_thirty_seconds() {
        #[allow(clippy::disallowed_methods)]
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            backoff.failed(now);
            let next = backoff.next().unwrap();
            waits.push((next - now).as_secs());
            assert!(backoff.take(next) && !backoff.take(next));
            now = next;
        }
        assert_eq!(waits, [0, 2, 3, 5, 10, 10, 30, 30]);
        backoff.succeeded(now);
        backoff.failed(now + Duration::from_secs(1));
        assert_eq!(
            backoff.next(),
            Some(now + Duration::from_secs(31)),
            "what falls at once is not tried at once"
        );
        backoff.succeeded(now);
        now += Duration::from_secs(6);
        backoff.failed(now);
        assert_eq!(backoff.next(), Some(now));
    }
}
