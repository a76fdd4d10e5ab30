//! What a worker has to give away: datagrams, events, counters.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Instant,
};

use bytes::Bytes;

use crate::{
    Port, Transmit,
    event::{Event, Totals},
};

/// Collected while the worker works, handed out by its `poll_` functions.
#[derive(Debug, Default)]
pub struct Out {
    /// Datagrams to send.
    pub transmits: VecDeque<Transmit>,
    /// Datagrams to be sent at a time to come, in the order they were given for it.
    later: BTreeMap<(Instant, u64), Transmit>,
    given: u64,
    /// Reports.
    pub events: VecDeque<Event>,
    /// Counters; the gauges are filled in when they are reported.
    pub totals: Totals,
}

impl Out {
    /// One datagram.
    pub fn send(&mut self, port: Port, to: SocketAddr, data: Bytes) {
        self.transmits.push_back(Transmit { port, to, data, segment: None });
    }

    /// Datagrams that leave at that time.
    pub fn send_at(&mut self, now: Instant, at: Instant, transmit: Transmit) {
        if at <= now {
            self.transmits.push_back(transmit);
        } else {
            self.given += 1;
            self.later.insert((at, self.given), transmit);
        }
    }

    /// When the next of those that wait is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// Gives free what is due.
    pub fn release(&mut self, now: Instant) {
        while let Some(first) = self.later.first_entry().filter(|e| e.key().0 <= now) {
            self.transmits.push_back(first.remove());
        }
    }
}
