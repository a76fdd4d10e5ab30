//! Monotonic time for the cores, and the wall clock it corresponds to.

use std::time::{Instant, SystemTime};

/// The pair of clocks read once at start. Cores compute wall-clock times (NTP in sender reports, journal entries)
/// from `now` and this pair, so that a step of the system clock never disturbs media.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Monotonic time at start.
    pub start: Instant,
    /// Wall-clock time at the same moment.
    pub wall: SystemTime,
}

impl Clock {
    /// Reads both clocks.
    #[expect(clippy::disallowed_methods, reason = "this is the place where the clock is read")]
    pub fn start() -> Self {
        Self { start: Instant::now(), wall: SystemTime::now() }
    }

    /// Monotonic time now.
    #[expect(clippy::disallowed_methods, reason = "this is the place where the clock is read")]
    pub fn now() -> Instant {
        Instant::now()
    }

    /// Wall-clock time now, following steps of the system clock (for logs and records, never for media).
    #[expect(clippy::disallowed_methods, reason = "this is the place where the clock is read")]
    pub fn wall_now() -> SystemTime {
        SystemTime::now()
    }
}
