//! A bounded ring of shared units with sequence numbers, written by one and read by many.
//!
//! The writer never waits: what is too old or too much falls out at the far end, and a [`Cursor`] that pointed there has
//! *lagged* – its reader lost something, nobody else did.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What a ring can hold.
pub trait Item {
    /// Bytes it keeps in memory.
    fn size(&self) -> usize;
    /// When it was made or came in.
    fn time(&self) -> Instant;
    /// A reader can start here.
    fn is_key(&self) -> bool;
}

/// Bounds of a ring.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of all items; the newest is kept whatever its size.
    pub bytes: usize,
    /// Age of the oldest against the newest.
    pub time: Duration,
}

/// Where a reader is: the sequence number of the next item it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u64);

/// What a reader gets.
#[derive(Debug)]
pub enum Read<T> {
    /// The next item.
    Item(Arc<T>),
    /// Nothing new.
    Empty,
    /// The item has fallen out; the cursor now points at the oldest kept.
    Lagged,
}

/// The ring. Shared by `Arc`; every lock is held for a few instructions only.
#[derive(Debug)]
pub struct Ring<T> {
    bounds: Bounds,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<Arc<T>>,
    /// Sequence number of the first of `items`.
    first: u64,
    bytes: usize,
}

impl<T: Item> Ring<T> {
    /// An empty ring.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, inner: Mutex::new(Inner { items: VecDeque::new(), first: 0, bytes: 0 }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // No code under this lock can panic half-way, so a poisoned lock still guards a whole value.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; returns its sequence number.
    pub fn push(&self, item: Arc<T>) -> u64 {
        let mut inner = self.lock();
        inner.bytes += item.size();
        let newest = item.time();
        inner.items.push_back(item);
        while inner.items.len() > 1
            && (inner.bytes > self.bounds.bytes
                || inner
                    .items
                    .front()
                    .is_some_and(|i| newest.saturating_duration_since(i.time()) > self.bounds.time))
        {
            if let Some(old) = inner.items.pop_front() {
                inner.bytes -= old.size();
                inner.first += 1;
            }
        }
        inner.first + inner.items.len() as u64 - 1
    }

    /// A cursor that waits for the next item to be pushed.
    pub fn end(&self) -> Cursor {
        let inner = self.lock();
        Cursor(inner.first + inner.items.len() as u64)
    }

    /// A cursor at the last key item when it `suits`, is not older than `age` and everything since is still here and not more
    /// than `bytes`.
    pub fn last_key(
        &self,
        now: Instant,
        age: Duration,
        bytes: usize,
        suits: impl Fn(&T) -> bool,
    ) -> Option<Cursor> {
        let inner = self.lock();
        let mut size = 0;
        for (i, item) in inner.items.iter().enumerate().rev() {
            size += item.size();
            if size > bytes || now.saturating_duration_since(item.time()) > age {
                return None;
            }
            if item.is_key() {
                return suits(item).then_some(Cursor(inner.first + i as u64));
            }
        }
        None
    }

    /// The item at the cursor, which then moves on.
    pub fn read(&self, cursor: &mut Cursor) -> Read<T> {
        let inner = self.lock();
        if cursor.0 < inner.first {
            cursor.0 = inner.first;
            return Read::Lagged;
        }
        let item = usize::try_from(cursor.0 - inner.first).ok().and_then(|i| inner.items.get(i));
        match item {
            Some(item) => {
                cursor.0 += 1;
                Read::Item(item.clone())
            }
            None => Read::Empty,
        }
    }

    /// Forgets everything; cursors that had not read it have lagged.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.first += inner.items.len() as u64;
        inner.items.clear();
        inner.bytes = 0;
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(usize, Instant, bool);

    impl Item for Thing {
        fn size(&self) -> usize {
            self.0
        }
        fn time(&self) -> Instant {
            self.1
        }
        fn is_key(&self) -> bool {
            self.2
        }
    }

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    fn ring() -> Ring<Thing> {
        Ring::new(Bounds { bytes: 100, time: Duration::from_secs(1) })
    }

    fn ms(t: u64) -> Duration {
        Duration::from_millis(t)
    }

    #[test]
    fn bounded_in_bytes_and_in_time_and_the_newest_always_stays() {
        let (r, t) = (ring(), start());
        for i in 0..20 {
            r.push(Arc::new(Thing(10, t + ms(i), false)));
        }
        assert_eq!(r.bytes(), 100);
        r.push(Arc::new(Thing(10, t + ms(5000), false)));
        assert_eq!(r.bytes(), 10, "the old fell out by age");
        r.push(Arc::new(Thing(500, t + ms(5001), false)));
        assert_eq!(r.bytes(), 500, "too big, but there is nothing newer");
    }

    #[test]
    fn a_slow_reader_lags_and_the_fast_one_gets_all() {
        let (r, t) = (ring(), start());
        let (mut slow, mut fast) = (r.end(), r.end());
        let mut got = 0;
        for i in 0..30 {
            r.push(Arc::new(Thing(10, t + ms(i), false)));
            assert!(matches!(r.read(&mut fast), Read::Item(_)));
            got += 1;
        }
        assert_eq!(got, 30);
        assert!(matches!(r.read(&mut slow), Read::Lagged));
        let mut left = 0;
        while let Read::Item(_) = r.read(&mut slow) {
            left += 1;
        }
        assert_eq!(left, 10);
        assert!(matches!(r.read(&mut slow), Read::Empty));
    }

    #[test]
    fn replay_starts_at_a_key_only_when_recent_and_small() {
        let (r, t) = (ring(), start());
        assert!(r.last_key(t, ms(1000), 100, |_| true).is_none(), "empty");
        r.push(Arc::new(Thing(30, t, true)));
        r.push(Arc::new(Thing(10, t + ms(33), false)));
        let mut c = r.last_key(t + ms(100), ms(1000), 100, |_| true).expect("recent");
        assert!(matches!(r.read(&mut c), Read::Item(i) if i.is_key()));
        assert!(r.last_key(t + ms(100), ms(1000), 39, |_| true).is_none(), "more than the rate allows");
        assert!(r.last_key(t + ms(1001), ms(1000), 100, |_| true).is_none(), "too old");
        assert!(
            r.last_key(t + ms(100), ms(1000), 100, |k| k.0 < 30).is_none(),
            "not what this reader can take"
        );
        r.clear();
        assert!(matches!(r.read(&mut c), Read::Lagged));
    }
}
