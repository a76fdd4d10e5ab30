//! What a worker has to give away: datagrams, events, counters.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use cau_model::ParticipantId;

use crate::{
    Port, Transmit,
    event::{Event, Totals},
};

/// Collected while the worker works, handed out by its `poll_` functions.
#[derive(Debug)]
pub struct Out {
    /// Where datagrams are written, one behind the other: one piece of memory for dozens of them, used again when they have left.
    pub arena: BytesMut,
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

/// Bytes of one piece of the arena: below what the C library fetches from the system each time.
const ARENA: usize = 64 << 10;

impl Default for Out {
    fn default() -> Self {
        Self {
            arena: BytesMut::with_capacity(ARENA),
            transmits: VecDeque::new(),
            later: BTreeMap::new(),
            given: 0,
            events: VecDeque::new(),
            totals: Totals::default(),
        }
    }
}

impl Out {
    /// One datagram.
    pub fn send(&mut self, port: Port, to: SocketAddr, data: Bytes) {
        self.transmits.push_back(Transmit { port, to, data, segment: None });
    }

    /// A key frame that was waited for has gone to its last packet.
    pub fn passed(&mut self, participant: ParticipantId, csrc: u32) {
        self.events.push_back(Event::Passed { participant, csrc });
    }

    /// Datagrams that leave at that time.
    pub fn send_at(&mut self, now: Instant, at: Instant, transmit: Transmit) {
        if at <= now {
            // A late worker has packets of the same stream here whose time has come: nothing overtakes them.
            self.release(now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Media;
    use std::time::Duration;

    #[test]
    fn what_is_sent_at_once_does_not_overtake_what_is_due() {
        #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
        let t = Instant::now();
        let port = Port { participant: ParticipantId(1), media: Media::Video, rtcp: false };
        let to = SocketAddr::from(([127, 0, 0, 1], 5004));
        let transmit = |n: u8| Transmit { port, to, data: Bytes::from(vec![n]), segment: None };
        let ms = Duration::from_millis;
        let mut out = Out::default();
        out.send_at(t, t + ms(10), transmit(1));
        out.send_at(t, t + ms(50), transmit(3));
        out.send_at(t + ms(20), t + ms(20), transmit(2));
        let left: Vec<u8> = out.transmits.iter().map(|t| t.data[0]).collect();
        assert_eq!(left, [1, 2]);
        out.release(t + ms(50));
        assert_eq!(out.transmits.len(), 3);
    }
}
