//! The hub of server-sent events: a bounded ring that everybody reads at his own pace.
//!
//! An id is `<boot>-<number>`: the number grows by one per event, the boot is when the hub was made, so that an id of
//! before a restart is known as such. A reader holds only a place in the ring; who falls behind its oldest event is told
//! `reset` and has lost nobody's data but his own.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use cau_model::ConferenceId;
use tokio::sync::watch;

use crate::levels::Levels;

/// Events the ring holds.
pub const CAPACITY: usize = 4096;

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its number; the first is 1.
    pub number: u64,
    /// `participant`, `conference`, `operation`, `alarm`, …
    pub kind: &'static str,
    /// Where, if in one conference.
    pub conference: Option<ConferenceId>,
    /// The JSON text of `data:`.
    pub data: Arc<str>,
}

/// The hub. Cheap to clone; publishing never waits for a reader.
#[derive(Clone)]
pub struct Events(Arc<Hub>);

struct Hub {
    boot: u64,
    capacity: usize,
    ring: RwLock<Ring>,
    newest: watch::Sender<u64>,
    levels: Levels,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<Event>,
    newest: u64,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("boot", &self.0.boot).field("newest", &self.newest()).finish()
    }
}

/// What a reader finds at his place.
#[derive(Debug)]
pub(crate) enum Read {
    /// The next events, oldest first; empty: nothing new.
    Events(Vec<Event>),
    /// The place is no longer (or not at all) in the ring: go on from the newest.
    Gone { newest: u64 },
}

impl Events {
    /// A hub with a ring of [`CAPACITY`]; `now` makes its ids different from those of other runs.
    pub fn new(now: SystemTime) -> Self {
        Self::with_capacity(now, CAPACITY)
    }

    /// The same with a ring of another size, at least 1.
    pub fn with_capacity(now: SystemTime, capacity: usize) -> Self {
        let boot = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        Self(Arc::new(Hub {
            boot,
            capacity: capacity.max(1),
            ring: RwLock::default(),
            newest: watch::Sender::new(0),
            levels: Levels::default(),
        }))
    }

    /// Tells everybody. `data` is serialised once.
    pub fn publish(
        &self,
        kind: &'static str,
        conference: Option<ConferenceId>,
        data: &impl serde::Serialize,
    ) {
        let data = match serde_json::to_string(data) {
            Ok(text) => text.into(),
            Err(e) => return tracing::error!(error = %e, kind, "an event could not be written as JSON"),
        };
        let number = {
            let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
            ring.newest += 1;
            let number = ring.newest;
            if ring.events.len() == self.0.capacity {
                ring.events.pop_front();
            }
            ring.events.push_back(Event { number, kind, conference, data });
            number
        };
        self.0.newest.send_replace(number);
    }

    /// The number of the newest event; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.0.ring.read().unwrap_or_else(PoisonError::into_inner).newest
    }

    /// Readers now.
    pub fn readers(&self) -> usize {
        self.0.newest.receiver_count()
    }

    pub(crate) fn levels(&self) -> &Levels {
        &self.0.levels
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    /// The id of an event as it stands in the stream.
    pub(crate) fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.0.boot)
    }

    /// The number in an id of this run.
    pub(crate) fn number(&self, id: &str) -> Option<u64> {
        let (boot, number) = id.trim().split_once('-')?;
        (u64::from_str_radix(boot, 16).ok()? == self.0.boot).then_some(())?;
        number.parse().ok()
    }

    /// At most `limit` events after number `after`.
    pub(crate) fn read(&self, after: u64, limit: usize) -> Read {
        let ring = self.0.ring.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = ring.newest + 1 - ring.events.len() as u64;
        if after > ring.newest || after + 1 < oldest {
            return Read::Gone { newest: ring.newest };
        }
        let skip = (after + 1 - oldest) as usize;
        Read::Events(ring.events.iter().skip(skip).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(read: Read) -> Option<Vec<u64>> {
        match read {
            Read::Events(events) => Some(events.iter().map(|e| e.number).collect()),
            Read::Gone { .. } => None,
        }
    }

    #[test]
    fn a_reader_goes_on_where_he_was_until_the_ring_forgot_it() {
        let hub = Events::with_capacity(SystemTime::UNIX_EPOCH, 3);
        assert_eq!(numbers(hub.read(0, 10)), Some(vec![]));
        for n in 0..3 {
            hub.publish("conference", None, &n);
        }
        assert_eq!(numbers(hub.read(0, 10)), Some(vec![1, 2, 3]));
        assert_eq!(numbers(hub.read(1, 1)), Some(vec![2]));
        hub.publish("conference", None, &3);
        assert_eq!(numbers(hub.read(0, 10)), None, "the first has fallen out");
        assert_eq!(numbers(hub.read(1, 10)), Some(vec![2, 3, 4]));
        assert_eq!(numbers(hub.read(4, 10)), Some(vec![]));
        assert_eq!(numbers(hub.read(5, 10)), None, "from the future");
    }

    #[test]
    fn ids_of_another_run_are_not_ours() {
        let a = Events::new(SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(0x1234));
        assert_eq!(a.id(7), "1234-7");
        assert_eq!(a.number("1234-7"), Some(7));
        for other in ["1235-7", "7", "", "1234-", "1234-x", "zz-7", "1234-7-7"] {
            assert_eq!(a.number(other), None, "{other}");
        }
    }
}
