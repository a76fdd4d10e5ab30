//! Arithmetic of 16-bit sequence numbers and 32-bit timestamps that wrap (RFC 3550 A.1).

/// Signed distance from `b` to `a`: positive when `a` is newer, exact for distances below 32,768.
pub fn diff(a: u16, b: u16) -> i32 {
    i32::from(a.wrapping_sub(b) as i16)
}

/// Signed distance in clock ticks from timestamp `b` to timestamp `a`, exact for distances below 2³¹.
pub fn ts_diff(a: u32, b: u32) -> i64 {
    i64::from(a.wrapping_sub(b) as i32)
}

/// Extends wrapping values to 64 bits, following the newest value seen.
///
/// The first value starts one whole cycle above zero, so that values just before it do not become negative.
#[derive(Debug, Clone, Default)]
pub struct Unwrap16 {
    newest: Option<u64>,
}

impl Unwrap16 {
    /// The extended number nearest to the newest one seen; becomes the newest when it is ahead.
    pub fn extend(&mut self, seq: u16) -> u64 {
        let extended = self.peek(seq);
        if self.newest.is_none_or(|n| extended > n) {
            self.newest = Some(extended);
        }
        extended
    }

    /// Like [`Self::extend`], without remembering.
    pub fn peek(&self, seq: u16) -> u64 {
        match self.newest {
            None => (1 << 16) + u64::from(seq),
            Some(newest) => newest.saturating_add_signed(i64::from(diff(seq, newest as u16))),
        }
    }
}

/// Extends wrapping 32-bit timestamps to signed 64 bits, following the latest value given.
#[derive(Debug, Clone, Default)]
pub struct Unwrap32 {
    latest: Option<i64>,
}

impl Unwrap32 {
    /// The extended timestamp nearest to the latest one.
    pub fn extend(&mut self, ts: u32) -> i64 {
        let extended = match self.latest {
            None => i64::from(ts),
            Some(latest) => latest + ts_diff(ts, latest as u32),
        };
        self.latest = Some(extended);
        extended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_wrap_go_on_upwards() {
        let mut u = Unwrap16::default();
        let first = u.extend(65_534);
        assert_eq!(u.extend(65_535), first + 1);
        assert_eq!(u.extend(1), first + 3);
        assert_eq!(u.extend(0), first + 2, "a late packet keeps its own number");
        assert_eq!(u.extend(2), first + 4);
    }

    #[test]
    fn a_late_packet_before_the_first_does_not_underflow() {
        let mut u = Unwrap16::default();
        let first = u.extend(0);
        assert_eq!(u.extend(65_535), first - 1);
    }

    #[test]
    fn timestamps_wrap_both_ways() {
        let mut u = Unwrap32::default();
        let first = u.extend(u32::MAX - 9);
        assert_eq!(u.extend(10) - first, 20);
        assert_eq!(u.extend(u32::MAX - 9), first);
    }
}
