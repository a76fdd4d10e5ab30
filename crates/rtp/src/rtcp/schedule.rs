//! When the next report is due (RFC 3550 6.2, 6.3; RFC 4585 3): two members, so the algorithm shrinks to an interval and its bounds.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::time::{Duration, Instant};

/// Times reports: the first after about half a second, then at twice the time before up to the *reduced minimum* of RFC 3550 6.2 (360 s divided by the
/// bandwidth in kbit/s: 5 s for sound, 0.4 s for 900 kbit/s of video and more), each ± 50 %, and never more than 5 % of the session's bandwidth.
/// A sender that adapts to its line, and an operation that waits for a picture to be confirmed, know the sooner.
/// Feedback that is urgent goes at once, but not more than 20 times a second.
#[derive(Debug)]
pub struct Schedule {
    rng: SmallRng,
    next: Instant,
    sent: u32,
    last: Option<Instant>,
    average: f64,
    bytes_per_second: f64,
    full: Duration,
    urgent: bool,
}

/// The longest and the shortest time between reports, before they are spread.
const LONGEST: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_millis(400);
const EARLY: Duration = Duration::from_millis(500);
/// The least time between two datagrams, whatever is urgent.
const LEAST: Duration = Duration::from_millis(50);

impl Schedule {
    /// `kbps`: bandwidth of the session, media of both directions.
    pub fn new(now: Instant, kbps: u32, seed: u64) -> Self {
        let mut s = Self {
            rng: SmallRng::seed_from_u64(seed),
            next: now,
            sent: 0,
            last: None,
            average: 128.0,
            bytes_per_second: f64::from(kbps.max(16)) * 1_000.0 / 8.0 * 0.05,
            full: Duration::from_secs_f64(360.0 / f64::from(kbps.max(16))).clamp(SHORTEST, LONGEST),
            urgent: false,
        };
        s.next = now + s.interval();
        s
    }

    /// Whether a datagram is due.
    pub fn due(&self, now: Instant) -> bool {
        self.poll_timeout() <= now
    }

    /// When the next datagram is due.
    pub fn poll_timeout(&self) -> Instant {
        match (self.urgent, self.last) {
            (true, Some(last)) => self.next.min(last + LEAST),
            (true, None) => self.next.checked_sub(LONGEST * 2).unwrap_or(self.next),
            _ => self.next,
        }
    }

    /// Something waits that should not wait for the next report.
    pub fn hurry(&mut self) {
        self.urgent = true;
    }

    /// A datagram of so many bytes was sent.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        let regular = self.next <= now;
        self.average += (bytes as f64 + 28.0 - self.average) / 16.0;
        self.urgent = false;
        self.last = Some(now);
        if regular {
            self.sent = self.sent.saturating_add(1);
            self.next = now + self.interval();
        }
    }

    fn interval(&mut self) -> Duration {
        let calm = self.full.min(EARLY * (1 << self.sent.min(4)));
        let allowed = Duration::from_secs_f64((2.0 * self.average / self.bytes_per_second).clamp(0.0, 60.0));
        calm.max(allowed).mul_f64(self.rng.random_range(0.5..1.5))
    }
}
