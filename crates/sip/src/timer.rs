//! All timers of the endpoint in one ordered queue.

use std::{collections::BTreeMap, time::Instant};

/// A timer that was set; needed to cancel it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm(Instant, u64);

/// Timers by time; setting, cancelling and taking cost O(log n).
pub(crate) struct Queue<K> {
    alarms: BTreeMap<(Instant, u64), K>,
    set: u64,
}

impl<K> Queue<K> {
    pub(crate) fn new() -> Self {
        Self { alarms: BTreeMap::new(), set: 0 }
    }

    pub(crate) fn set(&mut self, at: Instant, key: K) -> Alarm {
        self.set += 1;
        self.alarms.insert((at, self.set), key);
        Alarm(at, self.set)
    }

    /// Cancels one, if it is set and still to come.
    pub(crate) fn cancel(&mut self, alarm: Option<Alarm>) {
        if let Some(Alarm(at, number)) = alarm {
            self.alarms.remove(&(at, number));
        }
    }

    /// The next one that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        let entry = self.alarms.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.alarms.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a clock has to begin somewhere")]
    fn due_in_order_and_cancelled_ones_never() {
        let now = Instant::now();
        let mut queue = Queue::new();
        let after = |ms| now + Duration::from_millis(ms);
        queue.set(after(20), "late");
        let never = queue.set(after(10), "never");
        queue.set(after(10), "first");
        queue.cancel(Some(never));
        queue.cancel(Some(never));
        assert_eq!(queue.next(), Some(after(10)));
        assert_eq!((queue.pop(after(15)), queue.pop(after(15))), (Some("first"), None));
        assert_eq!((queue.pop(after(20)), queue.next()), (Some("late"), None));
    }
}
