//! What a worker has to give away: datagrams, events, counters.

use std::{collections::VecDeque, net::SocketAddr};

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
}
