//! A site that nobody sees is asked to send little (TMMBR, RFC 5104), and set free before it is shown.

use std::time::{Duration, Instant};

/// Seen and prepared by nobody for so long …
const UNSEEN: Duration = Duration::from_secs(10);
/// … it is asked for this, bit/s: enough for a preview.
const LITTLE: u64 = 128_000;
/// What sets it free, bit/s: more than any device here sends, so its own limits hold.
const FREE: u64 = 10_000_000;
/// Unanswered requests are repeated after this time …
const AGAIN: Duration = Duration::from_millis(500);
/// … so often in all.
const TRIES: u32 = 3;

/// What one site is asked for.
#[derive(Debug, Default)]
pub struct Thrift {
    /// Nobody has needed it since then.
    unneeded: Option<Instant>,
    /// It was asked for little, and not yet for all again.
    limited: bool,
    /// Not answered yet: how often, and when last.
    open: Option<(u32, Instant)>,
    /// It does not answer: it is left alone.
    deaf: bool,
}

impl Thrift {
    /// Negotiated anew: devices forget what they were asked.
    pub fn renew(&mut self) {
        *self = Self { unneeded: self.unneeded, ..Self::default() };
    }

    /// Somebody sees it, is about to, or may be at any moment; or nobody.
    pub fn set_needed(&mut self, now: Instant, needed: bool) {
        if needed {
            self.unneeded = None;
        } else {
            self.unneeded.get_or_insert(now);
        }
    }

    /// It says what limit is in force, bit/s.
    pub fn answered(&mut self, bits: Option<u64>) {
        let little = bits.is_some_and(|bits| bits <= LITTLE);
        if little == self.limited {
            self.open = None;
        }
    }

    /// What to ask it for now, bit/s.
    pub fn poll(&mut self, now: Instant) -> Option<u64> {
        let unseen = self.unneeded.is_some_and(|since| now.saturating_duration_since(since) >= UNSEEN);
        if self.unneeded.is_none() && self.limited {
            self.limited = false;
            self.open = Some((1, now));
            return Some(FREE);
        }
        if unseen && !self.limited && !self.deaf {
            self.limited = true;
            self.open = Some((1, now));
            return Some(LITTLE);
        }
        let (tries, last) = self.open?;
        if now.saturating_duration_since(last) < AGAIN {
            return None;
        }
        if tries >= TRIES {
            // Perhaps it obeys without a word: it is set free once, and not asked any more.
            self.open = None;
            self.deaf = true;
            return std::mem::take(&mut self.limited).then_some(FREE);
        }
        self.open = Some((tries + 1, now));
        Some(if self.limited { LITTLE } else { FREE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    /// What is asked in so many milliseconds, by steps of 20.
    fn run(thrift: &mut Thrift, t: Instant, from: u64, to: u64) -> Vec<u64> {
        (from..to).step_by(20).filter_map(|ms| thrift.poll(t + Duration::from_millis(ms))).collect()
    }

    #[test]
    fn little_is_asked_of_who_is_unseen_for_long_and_all_at_once_when_he_is_needed() {
        let (t, mut thrift) = (start(), Thrift::default());
        thrift.set_needed(t, false);
        assert!(run(&mut thrift, t, 0, 9_900).is_empty());
        assert_eq!(run(&mut thrift, t, 9_900, 10_100), [LITTLE]);
        thrift.answered(Some(127_872));
        assert!(run(&mut thrift, t, 10_100, 60_000).is_empty());
        thrift.set_needed(t, true);
        assert_eq!(run(&mut thrift, t, 60_000, 60_020), [FREE]);
        thrift.answered(None);
        assert!(run(&mut thrift, t, 60_020, 90_000).is_empty());
    }

    #[test]
    fn who_does_not_answer_is_set_free_and_left_alone() {
        let (t, mut thrift) = (start(), Thrift::default());
        thrift.set_needed(t, false);
        assert_eq!(run(&mut thrift, t, 0, 60_000), [LITTLE, LITTLE, LITTLE, FREE]);
        thrift.renew();
        assert_eq!(run(&mut thrift, t, 60_000, 60_020), [LITTLE], "asked again after a re-INVITE");
    }
}
