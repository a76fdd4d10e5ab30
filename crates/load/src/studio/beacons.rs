//! When the judged pictures and bursts left, so that who sees and hears them knows how long they took.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{
    pattern::{COUNTER, IDENTITIES},
    plan::PhoneId,
};

/// More than one phone goes by this identity.
const MANY: u32 = u32::MAX;
/// Bursts remembered: one comes every second.
const BURSTS: usize = 8;
/// What took longer than this is not what was meant: the counter of a short loop comes round again.
const LONGEST: Duration = Duration::from_secs(3);

/// Shared by all phones of a fleet. An identity that two phones send says nothing, and counts no more.
pub(crate) struct Beacons {
    start: Instant,
    all: Vec<Identity>,
}

struct Identity {
    /// The phone, 0: nobody yet.
    owner: AtomicU32,
    /// When each picture of the counter last left, nanoseconds since the start; 0: never.
    pictures: Vec<AtomicU64>,
    /// When the last bursts of sound left, in a ring: who listens looks back.
    bursts: [AtomicU64; BURSTS],
    /// Bursts so far.
    count: AtomicU32,
}

impl Beacons {
    /// Nothing sent yet.
    pub fn new(start: Instant) -> Self {
        let zeroes = || (0..COUNTER).map(|_| AtomicU64::new(0)).collect();
        let identity = || Identity {
            owner: AtomicU32::new(0),
            pictures: zeroes(),
            bursts: [const { AtomicU64::new(0) }; BURSTS],
            count: AtomicU32::new(0),
        };
        Self { start, all: (0..IDENTITIES).map(|_| identity()).collect() }
    }

    /// The identity, when the phone is the only one that sends it.
    fn own(&self, id: u8, phone: PhoneId) -> Option<&Identity> {
        let identity = self.all.get(usize::from(id % IDENTITIES))?;
        match identity.owner.load(Relaxed) {
            0 => identity.owner.store(phone.0, Relaxed),
            owner if owner == phone.0 => {}
            _ => identity.owner.store(MANY, Relaxed),
        }
        (identity.owner.load(Relaxed) == phone.0).then_some(identity)
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// Picture `n` leaves.
    pub fn picture(&self, id: u8, phone: PhoneId, n: u16, now: Instant) {
        if let Some(identity) = self.own(id, phone)
            && let Some(place) = identity.pictures.get(usize::from(n % COUNTER))
        {
            place.store(self.nanos(now), Relaxed);
        }
    }

    /// A frame of sound with the beginning of a burst leaves.
    pub fn burst(&self, id: u8, phone: PhoneId, now: Instant) {
        if let Some(identity) = self.own(id, phone) {
            let n = identity.count.fetch_add(1, Relaxed) as usize % BURSTS;
            identity.bursts[n].store(self.nanos(now), Relaxed);
        }
    }

    /// How long picture `n` took that came at `at`.
    pub fn picture_took(&self, id: u8, n: u16, at: Instant) -> Option<Duration> {
        let identity = self.sole(id)?;
        self.took(identity.pictures.get(usize::from(n % COUNTER))?, at)
    }

    /// How long the burst took that was heard at `at`.
    pub fn burst_took(&self, id: u8, at: Instant) -> Option<Duration> {
        self.sole(id)?.bursts.iter().filter_map(|left| self.took(left, at)).min()
    }

    fn sole(&self, id: u8) -> Option<&Identity> {
        let identity = self.all.get(usize::from(id % IDENTITIES))?;
        (identity.owner.load(Relaxed) != MANY).then_some(identity)
    }

    fn took(&self, left: &AtomicU64, at: Instant) -> Option<Duration> {
        let left = left.load(Relaxed);
        let took = self.nanos(at).checked_sub(left).filter(|_| left > 0).map(Duration::from_nanos)?;
        (took < LONGEST).then_some(took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_phones_send_says_nothing() {
        #[allow(clippy::disallowed_methods, reason = "any moment will do")]
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let beacons = Beacons::new(start);
        beacons.picture(3, PhoneId(1), 77, ms(1_000));
        beacons.burst(3, PhoneId(1), ms(1_000));
        assert_eq!(beacons.picture_took(3, 77, ms(1_040)), Some(Duration::from_millis(40)));
        assert_eq!(beacons.burst_took(3, ms(1_025)), Some(Duration::from_millis(25)));
        assert_eq!(beacons.picture_took(3, 78, ms(1_040)), None, "never sent");
        assert_eq!(beacons.picture_took(3, 77, ms(5_040)), None, "that was another round");
        beacons.picture(3, PhoneId(2), 78, ms(1_100));
        assert_eq!(beacons.picture_took(3, 77, ms(1_040)), None);
    }
}
