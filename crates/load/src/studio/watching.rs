//! How a phone follows the pictures it receives: put together for who decodes or sits on a bad line, by numbers and markers alone for the many.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use cau_rtp::{
    Packet,
    h264::{self, Depacketizer, Unit, starts_key_frame},
    seq,
};

/// Packets asked for again at a time.
const MISSING: usize = 100;

/// What came.
pub(super) enum Came {
    /// A picture.
    Picture {
        /// When its last packet came.
        arrived: Instant,
        /// A receiver can begin here.
        key: bool,
        /// Parts are missing.
        damaged: bool,
        /// Its NAL units, where they were put together.
        unit: Option<Box<Unit>>,
    },
    /// Packets are missing.
    Lost,
}

/// Follows one stream of pictures.
pub(super) enum Watching {
    /// Waits for what is late, and puts NAL units together.
    Whole(Box<Depacketizer>),
    /// Neither: a thousand phones on a line that neither loses nor reorders need not.
    Glance(Glance),
}

impl Watching {
    /// Nothing received yet. `whole`: NAL units are wanted, or packets come late.
    pub fn new(whole: bool) -> Self {
        if whole {
            Self::Whole(Box::new(Depacketizer::new(h264::Config::default())))
        } else {
            Self::Glance(Glance::default())
        }
    }

    /// Takes a packet.
    pub fn insert(&mut self, now: Instant, packet: Packet) {
        match self {
            Self::Whole(whole) => whole.insert(now, packet),
            Self::Glance(glance) => glance.insert(now, &packet),
        }
    }

    /// Packets that are waited for, `patience` long or as without asking, and how many were given up so far; none are waited for at a glance.
    pub fn missing(&mut self, patience: Option<Duration>) -> (Vec<u16>, u64) {
        match self {
            Self::Whole(whole) => {
                let wait = h264::Config::default().reorder;
                let (min, max) = patience.map_or((wait.wait_min, wait.wait_max), |p| (p, p));
                whole.set_wait(min, max);
                (whole.missing(MISSING), whole.counters().lost)
            }
            Self::Glance(_) => (Vec::new(), 0),
        }
    }

    /// [`Self::poll`] may have something.
    pub fn has_news(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Glance(glance) => !glance.came.is_empty(),
        }
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Self::Whole(whole) = self {
            whole.handle_timeout(now);
        }
    }

    /// What came next.
    pub fn poll(&mut self) -> Option<Came> {
        match self {
            Self::Whole(whole) => Some(match whole.poll_event()? {
                h264::Event::Unit(unit) => Came::Picture {
                    arrived: unit.arrived,
                    key: unit.key,
                    damaged: unit.damaged,
                    unit: Some(Box::new(unit)),
                },
                h264::Event::Lost(_) => Came::Lost,
            }),
            Self::Glance(glance) => glance.came.pop_front(),
        }
    }

    /// When a late packet has been waited for long enough.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Whole(whole) => whole.poll_timeout(),
            Self::Glance(_) => None,
        }
    }
}

/// Follows sequence numbers, time stamps and markers.
#[derive(Default)]
pub(super) struct Glance {
    /// Sequence number that comes next, of which source.
    next: Option<(u32, u16)>,
    /// The picture that is coming.
    open: Option<Open>,
    came: VecDeque<Came>,
}

struct Open {
    timestamp: u32,
    key: bool,
    damaged: bool,
}

impl Glance {
    fn insert(&mut self, now: Instant, packet: &Packet) {
        let step = match self.next {
            Some((ssrc, next)) if ssrc == packet.ssrc => seq::diff(packet.seq, next),
            _ => 0,
        };
        if step < 0 {
            // Given up already.
            return;
        }
        self.next = Some((packet.ssrc, packet.seq.wrapping_add(1)));
        if step > 0 {
            self.came.push_back(Came::Lost);
            if let Some(open) = &mut self.open {
                open.damaged = true;
            }
        }
        if self.open.as_ref().is_some_and(|open| open.timestamp != packet.timestamp) {
            self.close(now);
        }
        let new = Open { timestamp: packet.timestamp, key: false, damaged: step > 0 };
        let open = self.open.get_or_insert(new);
        open.key |= starts_key_frame(&packet.payload);
        if packet.marker {
            self.close(now);
        }
    }

    fn close(&mut self, now: Instant) {
        if let Some(Open { key, damaged, .. }) = self.open.take() {
            self.came.push_back(Came::Picture { arrived: now, key, damaged, unit: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(seq: u16, timestamp: u32, marker: bool, kind: u8) -> Packet {
        let payload = vec![0x60 | kind, 1, 2].into();
        Packet { pt: 97, marker, seq, timestamp, ssrc: 7, csrc: Default::default(), payload }
    }

    fn run(packets: &[Packet]) -> Vec<(bool, bool)> {
        #[allow(clippy::disallowed_methods, reason = "any moment will do")]
        let now = Instant::now();
        let mut glance = Watching::new(false);
        packets.iter().for_each(|p| glance.insert(now, p.clone()));
        std::iter::from_fn(|| glance.poll())
            .filter_map(|came| match came {
                Came::Picture { key, damaged, .. } => Some((key, damaged)),
                Came::Lost => None,
            })
            .collect()
    }

    #[test]
    fn pictures_are_told_by_markers_and_key_frames_by_their_parameters() {
        let all = [
            packet(65_535, 1, false, 7),
            packet(0, 1, true, 5),
            packet(1, 3001, true, 1),
            packet(2, 6001, false, 1),
            packet(3, 9001, true, 1),
        ];
        assert_eq!(run(&all), [(true, false), (false, false), (false, false), (false, false)]);
    }

    #[test]
    fn a_gap_hurts_the_picture_it_is_in_and_late_packets_do_not_count() {
        let all =
            [packet(1, 1, false, 1), packet(3, 1, true, 1), packet(2, 1, false, 1), packet(4, 3001, true, 1)];
        assert_eq!(run(&all), [(false, true), (false, false)]);
    }
}
