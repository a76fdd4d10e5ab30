//! When the packets of a picture leave: a key frame is ten times a usual picture, and sent at once it overflows the first small buffer on its
//! way – a router's, or the socket of a device that is busy decoding.

use std::time::{Duration, Instant};

/// Sent so much faster than the stream's own rate: a picture is to be there long before the next …
const FACTOR: u32 = 5;
/// … and not slower than this, kbit/s.
const LEAST_KBPS: u32 = 4000;
/// Leaves at once when nothing was sent before, bytes: usual pictures do not wait.
const BURST: usize = 16 << 10;
/// Nothing waits longer, whatever the rate.
const LONGEST: Duration = Duration::from_millis(250);

/// The pace of one stream: a token bucket, kept as the time at which it is full again (GCRA, ITU-T I.371).
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    kbps: u32,
    full: Option<Instant>,
}

impl Pace {
    /// For a stream of that many kbit/s.
    pub fn new(kbps: u32) -> Self {
        Self { kbps: kbps.saturating_mul(FACTOR).max(LEAST_KBPS), full: None }
    }

    /// Another rate from now on.
    pub fn set_kbps(&mut self, kbps: u32) {
        *self = Self { full: self.full, ..Self::new(kbps) };
    }

    /// When these bytes may leave; never before those of the call before.
    pub fn leave(&mut self, now: Instant, bytes: usize) -> Instant {
        let full = self.full.map_or(now, |at| at.max(now));
        self.full = Some((full + self.time(bytes)).min(now + LONGEST));
        full.checked_sub(self.time(BURST)).map_or(now, |at| at.max(now))
    }

    fn time(&self, bytes: usize) -> Duration {
        Duration::from_micros(bytes as u64 * 8000 / u64::from(self.kbps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1200;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    fn leave_ms(pace: &mut Pace, now: Instant, packets: usize) -> Vec<u128> {
        (0..packets).map(|_| pace.leave(now, PACKET).duration_since(now).as_millis()).collect()
    }

    #[test]
    fn usual_pictures_do_not_wait_and_a_key_frame_is_spread() {
        let (t, mut pace) = (start(), Pace::new(2000));
        for i in 0..30 {
            let now = t + Duration::from_millis(33 * i);
            assert!(leave_ms(&mut pace, now, 7).iter().all(|wait| *wait == 0), "picture {i}");
        }
        let key = leave_ms(&mut pace, t + Duration::from_secs(2), 50);
        assert!(key.is_sorted());
        assert_eq!(key[..13], [0; 13]);
        assert_eq!(key[49], 33, "60 kB at 10 Mbit/s less what leaves at once");
    }

    #[test]
    fn nothing_overtakes_and_nothing_waits_for_long() {
        let (t, mut pace) = (start(), Pace::new(100));
        let first = leave_ms(&mut pace, t, 300);
        assert!(first.is_sorted());
        assert!(first[299] < 250);
        let later = t + Duration::from_millis(5);
        assert!(pace.leave(later, PACKET) >= t + Duration::from_millis(first[299] as u64));
    }
}
