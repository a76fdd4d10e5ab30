//! Nonces: made without being stored, checked when they come back.
//!
//! ```text
//!  hex │ number (8 bytes) │ made, ms since the start (8 bytes) │ HMAC-SHA-256 of both, first 16 bytes │
//! ```

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::algorithm::{hex, unhex};

const MAC: usize = 16;

/// What a nonce that came back is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It may be used, and now is.
    Fresh,
    /// Not ours, too old, or used with this count before.
    Stale,
}

/// Makes and checks nonces.
pub(crate) struct Nonces {
    key: [u8; 32],
    start: Option<Instant>,
    lifetime: Duration,
    last: u64,
    /// Those used with a correct answer, by number: oldest first.
    used: BTreeMap<u64, Used>,
    most: usize,
    /// Numbers up to this one are stale: their counts were forgotten.
    floor: u64,
}

struct Used {
    made: Duration,
    /// The highest count seen.
    highest: u32,
    /// Bit n: `highest` − n was seen. Requests overtake each other on UDP.
    window: u64,
}

impl Nonces {
    /// At most `most` used ones are remembered; the oldest become stale for the sake of new ones.
    pub(crate) fn new(key: [u8; 32], lifetime: Duration, most: usize) -> Self {
        Self { key, start: None, lifetime, last: 0, used: BTreeMap::new(), most: most.max(1), floor: 0 }
    }

    pub(crate) fn make(&mut self, now: Instant) -> String {
        let made = self.age(now);
        self.last += 1;
        let mut bytes = self.last.to_be_bytes().to_vec();
        bytes.extend_from_slice(&u64::try_from(made.as_millis()).unwrap_or(u64::MAX).to_be_bytes());
        let mac = self.mac(&bytes);
        bytes.extend_from_slice(&mac);
        hex(&bytes)
    }

    /// Notes the use of a nonce with this count. To be asked only after the answer proved right, so that strangers cannot use up
    /// other people's counts.
    pub(crate) fn spend(&mut self, now: Instant, nonce: &[u8], count: u32) -> Worth {
        let Some((number, made)) = self.read(nonce) else { return Worth::Stale };
        let age = self.age(now).saturating_sub(made);
        if age > self.lifetime || number <= self.floor || count == 0 {
            return Worth::Stale;
        }
        if let Some(used) = self.used.get_mut(&number) {
            return used.note(count);
        }
        while let Some(first) = self.used.first_entry() {
            let over = first.get().made + self.lifetime < made + age;
            if !over && self.used.len() < self.most {
                break;
            }
            if let Some((gone, _)) = self.used.pop_first() {
                self.floor = self.floor.max(gone);
            }
        }
        if number <= self.floor {
            return Worth::Stale;
        }
        self.used.insert(number, Used { made, highest: count, window: 1 });
        Worth::Fresh
    }

    fn age(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.start.get_or_insert(now))
    }

    fn mac(&self, bytes: &[u8]) -> Vec<u8> {
        // Any length of key will do for HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return Vec::new() };
        mac.update(bytes);
        mac.finalize().into_bytes().iter().take(MAC).copied().collect()
    }

    /// Number and time of a nonce of ours.
    fn read(&self, nonce: &[u8]) -> Option<(u64, Duration)> {
        if nonce.len() != 2 * (16 + MAC) {
            return None;
        }
        let bytes = unhex(nonce)?;
        let (said, mac) = bytes.split_at_checked(16)?;
        if !same(&self.mac(said), mac) {
            return None;
        }
        let (number, made) = said.split_at_checked(8)?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        Some((number, Duration::from_millis(u64::from_be_bytes(made.try_into().ok()?))))
    }
}

impl Used {
    fn note(&mut self, count: u32) -> Worth {
        if count > self.highest {
            self.window = self.window.checked_shl(count - self.highest).unwrap_or(0) | 1;
            self.highest = count;
            return Worth::Fresh;
        }
        let bit = 1_u64.checked_shl(self.highest - count).unwrap_or(0);
        if bit == 0 || self.window & bit != 0 {
            return Worth::Stale;
        }
        self.window |= bit;
        Worth::Fresh
    }
}

/// Compares without telling by the time it takes where the difference is.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a clock has to begin somewhere")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn nonces(most: usize) -> Nonces {
        Nonces::new([7; 32], 60 * SECOND, most)
    }

    #[test]
    fn each_count_is_good_once_whatever_the_order() {
        let (now, mut it) = (Instant::now(), nonces(8));
        let nonce = it.make(now);
        let mut spend = |count| it.spend(now, nonce.as_bytes(), count);
        assert_eq!([spend(1), spend(1)], [Worth::Fresh, Worth::Stale]);
        assert_eq!([spend(5), spend(3), spend(3)], [Worth::Fresh, Worth::Fresh, Worth::Stale]);
        assert_eq!([spend(500), spend(2), spend(0)], [Worth::Fresh, Worth::Stale, Worth::Stale]);
    }

    #[test]
    fn old_and_forged_ones_are_stale() {
        let (now, mut it) = (Instant::now(), nonces(8));
        let nonce = it.make(now);
        assert_eq!(it.spend(now + 61 * SECOND, nonce.as_bytes(), 1), Worth::Stale);
        let other = Nonces::new([8; 32], 60 * SECOND, 8).make(now);
        assert_eq!(it.spend(now, other.as_bytes(), 1), Worth::Stale);
        let mut forged = nonce.clone();
        forged.replace_range(15..16, "7");
        assert_eq!(it.spend(now, forged.as_bytes(), 1), Worth::Stale);
        assert_eq!(it.spend(now, b"short", 1), Worth::Stale);
        assert_eq!(it.spend(now, nonce.as_bytes(), 1), Worth::Fresh);
    }

    #[test]
    fn a_full_table_forgets_the_oldest_which_then_is_stale() {
        let (now, mut it) = (Instant::now(), nonces(2));
        let all: Vec<_> = (0..3).map(|_| it.make(now)).collect();
        for nonce in &all {
            assert_eq!(it.spend(now, nonce.as_bytes(), 1), Worth::Fresh);
        }
        assert_eq!(it.used.len(), 2);
        assert_eq!(it.spend(now, all[0].as_bytes(), 1), Worth::Stale, "a replay is not let through");
        assert_eq!(it.spend(now, all[2].as_bytes(), 2), Worth::Fresh);
    }
}
