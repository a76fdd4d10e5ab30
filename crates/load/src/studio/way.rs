//! The bad line of a phone: what it sends and what comes to it goes through the emulator.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use cau_drive::media::Transmit;
use cau_netem::Link;

use super::Port;
use crate::persona::Road;

/// Both directions.
pub(super) struct Way {
    to: Link<Sent>,
    from: Link<(Port, Bytes)>,
}

#[derive(Clone)]
struct Sent {
    port: Port,
    to: std::net::SocketAddr,
    data: Bytes,
}

impl Way {
    pub fn new(road: Road, seed: u64) -> Self {
        Self { to: Link::new(road.config(), seed), from: Link::new(road.config(), seed.rotate_left(31)) }
    }

    /// A datagram came to the far end of the line.
    pub fn came(&mut self, now: Instant, port: Port, data: Bytes) {
        let len = data.len();
        self.from.insert_sized(now, (port, data), len);
    }

    /// The next datagram that has come through.
    pub fn arrived(&mut self, now: Instant) -> Option<(Port, Bytes)> {
        self.from.poll(now)
    }

    /// Takes everything from `sent`, and gives back what has come through.
    pub fn send(
        &mut self,
        now: Instant,
        sent: &mut VecDeque<Transmit<Port>>,
        out: &mut VecDeque<Transmit<Port>>,
    ) {
        for Transmit { port, to, data, segment } in sent.drain(..) {
            // A line loses packets, not batches.
            let size = segment.unwrap_or(data.len()).max(1);
            for begin in (0..data.len()).step_by(size) {
                let data = data.slice(begin..(begin + size).min(data.len()));
                let len = data.len();
                self.to.insert_sized(now, Sent { port, to, data }, len);
            }
        }
        while let Some(Sent { port, to, data }) = self.to.poll(now) {
            out.push_back(Transmit { port, to, data, segment: None });
        }
    }

    /// When the next datagram comes through, either way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.to.poll_timeout(), self.from.poll_timeout()].into_iter().flatten().min()
    }
}
