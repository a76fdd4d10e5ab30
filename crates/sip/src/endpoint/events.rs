//! What waits for the owner. Bounded: above the limit nothing new begins, and what nothing depends on is dropped.

use std::collections::VecDeque;

use super::Endpoint;
use crate::event::Event;

/// The queue of events.
#[derive(Default)]
pub(super) struct Events(VecDeque<Event>);

impl Events {
    pub(super) fn pop(&mut self) -> Option<Event> {
        self.0.pop_front()
    }

    /// Queues an event the state of a call depends on; there are few of them per call, and the number of calls is bounded.
    pub(super) fn push_back(&mut self, event: Event) {
        self.0.push_back(event);
    }
}

impl Endpoint {
    /// Whether the owner takes what happens.
    pub(super) fn owner_listens(&self) -> bool {
        self.events.0.len() < self.config.max_events
    }

    /// Reports what nothing depends on, when there is room.
    pub(super) fn tell(&mut self, event: Event) {
        if self.owner_listens() {
            self.events.push_back(event);
        } else {
            self.counters.lost_events += 1;
        }
    }
}
