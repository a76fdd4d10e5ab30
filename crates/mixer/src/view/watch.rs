//! A receiver's place in the encodings of a view, and the change from one to another that no decoder notices.

use std::sync::Arc;

use super::{output::Encoded, supply::Supply};
use crate::ring::{Cursor, Read};

/// Where a receiver reads.
pub struct Feed {
    /// Whose ring.
    pub supply: Supply,
    /// Up to where it was read.
    pub cursor: Cursor,
    /// The common supply that follows when this is a catch-up encoding.
    pub then: Option<Supply>,
}

impl Feed {
    /// Reads from the next unit on.
    pub fn at_end(supply: &Supply, then: Option<Supply>) -> Self {
        Self { supply: supply.clone(), cursor: supply.ring().end(), then }
    }

    fn reads(&self, supply: &Supply) -> bool {
        self.supply.is(supply)
    }
}

/// One receiver. It goes on with `current` until `next` has a key frame, and continues there: to the decoder it is one stream,
/// and a key frame starts with parameter sets and needs nothing from before.
#[derive(Default)]
pub struct Watch {
    current: Option<Feed>,
    next: Option<Feed>,
    /// Takes only NAL units of one packet each (packetization mode 0).
    single: bool,
}

/// What one call of [`Watch::pull`] brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// The receiver has lost its place and gets nothing before the next key frame: ask for one.
    pub lagged: bool,
    /// It has changed to another encoding.
    pub switched: bool,
}

impl Watch {
    /// Sets the packetization mode.
    pub fn set_single(&mut self, single: bool) {
        self.single = single;
    }

    /// Is mode 0 needed?
    pub fn single(&self) -> bool {
        self.single
    }

    /// Its packets may be sent to this receiver.
    pub fn takes(&self, unit: &Encoded) -> bool {
        unit.single || !self.single
    }

    /// Goes to `feed` at its next key frame.
    pub fn change_to(&mut self, feed: Feed) {
        self.next = Some(feed);
    }

    /// Ends watching.
    pub fn stop(&mut self) {
        self.current = None;
        self.next = None;
    }

    /// Receives what that supply makes.
    pub fn follows(&self, supply: &Supply) -> bool {
        self.current.as_ref().is_some_and(|f| f.reads(supply))
    }

    /// Waits for a key frame of that supply.
    pub fn awaits(&self, supply: &Supply) -> bool {
        self.next.as_ref().is_some_and(|f| f.reads(supply))
    }

    /// Gets a picture already.
    pub fn is_started(&self) -> bool {
        self.current.is_some()
    }

    /// Appends the units to send, in order.
    pub fn pull(&mut self, units: &mut Vec<Arc<Encoded>>) -> Pulled {
        let mut pulled = Pulled::default();
        let key = self.next_key();
        if let Some(feed) = &mut self.current {
            loop {
                match feed.supply.ring().read(&mut feed.cursor) {
                    // What the new encoding begins with is newer.
                    Read::Item(unit) if key.as_ref().is_some_and(|k| unit.time >= k.time) => break,
                    Read::Item(unit) => units.push(unit),
                    Read::Empty => break,
                    Read::Lagged => {
                        pulled.lagged = true;
                        break;
                    }
                }
            }
        }
        if pulled.lagged && key.is_none() {
            // Pictures after a gap would only show damage: wait for a key frame of wherever we are.
            if let Some(feed) = self.current.take() {
                let end = Feed { cursor: feed.supply.ring().end(), ..feed };
                self.next.get_or_insert(end);
            }
        }
        if let Some(key) = key {
            units.push(key);
            self.current = self.next.take();
            self.next =
                self.current.as_ref().and_then(|f| f.then.as_ref()).map(|main| Feed::at_end(main, None));
            pulled.switched = true;
            pulled.lagged = false;
            // Everything that is there already, when a past second is replayed.
            if let Some(feed) = &mut self.current {
                while let Read::Item(unit) = feed.supply.ring().read(&mut feed.cursor) {
                    units.push(unit);
                }
            }
        }
        pulled
    }

    fn next_key(&mut self) -> Option<Arc<Encoded>> {
        let single = self.single;
        let feed = self.next.as_mut()?;
        loop {
            match feed.supply.ring().read(&mut feed.cursor) {
                Read::Item(unit) if unit.key && (unit.single || !single) => return Some(unit),
                Read::Item(_) | Read::Lagged => {}
                Read::Empty => return None,
            }
        }
    }
}
