//! A site's own pictures on their way to those who see it full screen (docs/forwarding.md).

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cau_rtp::h264::{Mode, Packetizer, Unit};

use crate::{
    ring::{Bounds, Ring},
    view::output::Encoded,
};

/// What is kept.
const KEEP: Bounds = Bounds { bytes: 1 << 20, time: Duration::from_secs(1) };
/// After something was lost nothing is passed on for this long, unless a key frame comes: as for pictures that are decoded.
const HOLD: Duration = Duration::from_millis(300);
/// Sequence numbers left out for a picture that is not passed on. One says it: how many packets it had is not known.
const GAP: u16 = 1;

/// Pictures of one site, cut into packets once for all receivers. Shared; written by the media thread only.
#[derive(Debug)]
pub struct Relay {
    /// What came.
    pub ring: Ring<Encoded>,
    wants_key: AtomicBool,
    made: AtomicU64,
    last_key: Mutex<Option<Instant>>,
}

impl Relay {
    /// A key frame is needed; the source is asked at most once a second.
    pub fn request_key(&self) {
        self.wants_key.store(true, Ordering::Release);
    }

    /// Is a key frame needed? Told once.
    pub fn take_wants_key(&self) -> bool {
        self.wants_key.swap(false, Ordering::AcqRel)
    }

    /// Pictures passed on so far.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Acquire)
    }

    /// When the last key frame came.
    pub fn last_key(&self) -> Option<Instant> {
        *self.last_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fills a [`Relay`].
#[derive(Debug)]
pub struct Relaying {
    relay: Arc<Relay>,
    packetizer: Packetizer,
    /// Since when pictures are hurt, or refer to such.
    hurt: Option<Instant>,
    /// Something was left out since the last picture passed on.
    owed: bool,
}

impl Relaying {
    /// `max_payload`: bytes of RTP payload at most.
    pub fn new(max_payload: usize) -> Self {
        let relay = Relay {
            ring: Ring::new(KEEP),
            wants_key: AtomicBool::new(false),
            made: AtomicU64::new(0),
            last_key: Mutex::default(),
        };
        let packetizer = Packetizer::new(Mode::NonInterleaved, max_payload);
        Self { relay: Arc::new(relay), packetizer, hurt: None, owed: false }
    }

    /// Where receivers read.
    pub fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

    /// Passes a picture of `time` on. After a loss the last good picture stands for a moment; when no key frame comes meanwhile it goes on with a gap, so
    /// that receivers see that something is missing.
    pub fn push(&mut self, unit: &Unit, time: Instant, after_loss: bool) {
        if unit.key && !unit.damaged {
            // It needs nothing from before: to receivers nothing is missing.
            (self.hurt, self.owed) = (None, false);
        } else if unit.damaged || after_loss {
            self.hurt.get_or_insert(time);
            self.owed = true;
        }
        let held = self.hurt.is_some_and(|since| time.saturating_duration_since(since) < HOLD);
        if unit.damaged || held {
            self.owed = true;
            return;
        }
        let packetized = self.packetizer.packetize(&unit.nals);
        let payloads = packetized.payloads;
        if payloads.is_empty() {
            return;
        }
        let single = unit.nals.iter().all(|n| n.len() <= self.packetizer.budget());
        let bytes = payloads.iter().map(|p| p.bytes.len()).sum();
        let csrc = Some(unit.csrc.unwrap_or(unit.ssrc));
        let gap = if std::mem::take(&mut self.owed) { GAP } else { 0 };
        if unit.key {
            *self.relay.last_key.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
        }
        self.store(Encoded { payloads, key: unit.key, single, time, bytes, csrc, gap });
    }

    fn store(&self, encoded: Encoded) {
        self.relay.ring.push(Arc::new(encoded));
        self.relay.made.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Read;
    use bytes::Bytes;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    fn unit(arrived: Instant, timestamp: u32, key: bool, size: usize) -> Unit {
        let head: u8 = if key { 0x65 } else { 0x41 };
        let nal = Bytes::from([vec![head], vec![7; size - 1]].concat());
        Unit {
            nals: vec![nal],
            timestamp,
            key,
            recovery: false,
            damaged: false,
            first: arrived,
            arrived,
            ssrc: 5,
            csrc: None,
        }
    }

    fn all(relay: &Relay, mut cursor: crate::ring::Cursor) -> Vec<Arc<Encoded>> {
        std::iter::from_fn(|| match relay.ring.read(&mut cursor) {
            Read::Item(item) => Some(item),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn pictures_go_on_as_they_are() {
        let (t, mut relaying) = (start(), Relaying::new(1200));
        let cursor = relaying.relay().ring.end();
        for i in 0..30u64 {
            let time = t + Duration::from_millis(i * 33);
            relaying.push(&unit(time, 2970 * i as u32, i == 0, 900 + 50 * i as usize), time, false);
        }
        let out = all(relaying.relay(), cursor);
        assert_eq!(out.len(), 30);
        assert!(out[0].key && out[0].single && out[0].csrc == Some(5));
        assert!(!out[29].single && out[29].payloads.len() == 2, "more than a packet holds");
        assert_eq!(out[3].payloads[0].bytes.len(), 1050, "bit by bit");
        assert_eq!(relaying.relay().last_key(), Some(t));
    }

    #[test]
    fn after_a_loss_the_last_good_picture_stands_until_a_key_frame() {
        let (t, mut relaying) = (start(), Relaying::new(1200));
        let cursor = relaying.relay().ring.end();
        let at = |n: u32| t + Duration::from_millis(33) * n;
        let whole = |n: u32, key| unit(at(n), 2970 * n, key, 400);
        relaying.push(&whole(0, true), at(0), false);
        relaying.push(&Unit { damaged: true, ..whole(1, false) }, at(1), false);
        relaying.push(&whole(2, false), at(2), true);
        relaying.push(&whole(3, false), at(3), false);
        // A hurt key frame helps nobody.
        relaying.push(&Unit { damaged: true, ..whole(4, true) }, at(4), false);
        relaying.push(&whole(5, true), at(5), true);
        relaying.push(&whole(6, false), at(6), false);
        let out = all(relaying.relay(), cursor);
        let shown: Vec<_> = out.iter().map(|e| (e.time, e.key, e.gap)).collect();
        assert_eq!(shown, [(at(0), true, 0), (at(5), true, 0), (at(6), false, 0)]);
    }

    #[test]
    fn without_a_key_frame_it_goes_on_with_a_gap() {
        let (t, mut relaying) = (start(), Relaying::new(1200));
        let cursor = relaying.relay().ring.end();
        let at = |n: u32| t + Duration::from_millis(33) * n;
        for n in 0..14 {
            relaying.push(&unit(at(n), 2970 * n, n == 0, 400), at(n), n == 1);
        }
        let out = all(relaying.relay(), cursor);
        let shown: Vec<_> = out.iter().map(|e| (e.time, e.gap)).collect();
        assert_eq!(shown, [(at(0), 0), (at(11), 1), (at(12), 0), (at(13), 0)], "held for 300 ms");
    }
}
