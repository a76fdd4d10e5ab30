//! Whether a worker, or the threads of pictures behind it, has more to do than it can (docs/forwarding.md, *Under pressure*).

use std::time::{Duration, Instant};

/// A tick of sound that is so late means that the thread is full …
const LATE: Duration = Duration::from_millis(12);
/// … and so many pictures not composed in time within a second mean that the threads of pictures are.
const LEFT_OUT: u64 = 8;
/// Pressure counts for so long after it was last seen.
const AFTER: Duration = Duration::from_secs(5);
/// Pictures left out are counted in windows of this length.
const WINDOW: Duration = Duration::from_secs(1);

/// What is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Pressure {
    until: Option<Instant>,
    since: Instant,
    /// Pictures left out so far, when the window began.
    left_out: u64,
}

impl Pressure {
    /// None yet.
    pub fn new(now: Instant) -> Self {
        Self { until: None, since: now, left_out: 0 }
    }

    /// A tick of sound came so late; `left_out` pictures were not composed so far.
    pub fn note(&mut self, now: Instant, late: Duration, left_out: u64) {
        if late >= LATE || left_out.saturating_sub(self.left_out) >= LEFT_OUT {
            self.until = Some(now + AFTER);
        }
        if now.saturating_duration_since(self.since) >= WINDOW {
            (self.since, self.left_out) = (now, left_out);
        }
    }

    /// There is more to do than can be done: what is cheap is held on to.
    pub fn is_high(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_ticks_or_many_pictures_left_out_are_pressure_for_a_while() {
        #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pressure = Pressure::new(start);
        for n in 0..100 {
            // One picture in a while is left out anywhere.
            pressure.note(at(20 * n), Duration::from_millis(3), n / 10);
        }
        assert!(!pressure.is_high(at(2000)));
        pressure.note(at(2000), Duration::from_millis(12), 10);
        assert!(pressure.is_high(at(6900)) && !pressure.is_high(at(7100)));
        for n in 0..150 {
            pressure.note(at(2020 + 20 * n), Duration::ZERO, 10);
        }
        for n in 0..50 {
            pressure.note(at(8000 + 20 * n), Duration::ZERO, 10 + n / 2);
        }
        assert!(pressure.is_high(at(9000)), "25 pictures in a second");
    }
}
