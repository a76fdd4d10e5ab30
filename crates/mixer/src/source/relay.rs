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
    view::output::{CLOCK, Encoded},
};

/// What is kept.
const KEEP: Bounds = Bounds { bytes: 1 << 20, time: Duration::from_secs(1) };
/// The source's clock is followed by this part of the difference per picture: fast enough for 200 ppm, too slow for network jitter.
const FOLLOW: u32 = 64;
/// A difference larger than this is not jitter: the source has begun a new timeline.
const JUMP: Duration = Duration::from_millis(500);
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
    timeline: Option<Timeline>,
}

/// Time stamp of the source and time of ours that belong together.
#[derive(Clone, Copy, Debug)]
struct Timeline {
    timestamp: u32,
    time: Instant,
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
        Self {
            relay: Arc::new(relay),
            packetizer: Packetizer::new(Mode::NonInterleaved, max_payload),
            timeline: None,
        }
    }

    /// Where receivers read.
    pub fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

    /// Passes a picture on; a hurt one leaves a gap, so that receivers see that something is missing.
    pub fn push(&mut self, unit: &Unit, after_loss: bool) {
        let time = self.time(unit);
        if unit.damaged {
            self.store(Encoded { gap: GAP, ..Encoded::empty(time) });
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
        let gap = if after_loss { GAP } else { 0 };
        if unit.key {
            *self.relay.last_key.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
        }
        self.store(Encoded { payloads, key: unit.key, single, time, bytes, csrc, gap });
    }

    fn store(&self, encoded: Encoded) {
        self.relay.ring.push(Arc::new(encoded));
        self.relay.made.fetch_add(1, Ordering::AcqRel);
    }

    /// When the picture belongs, on our clock.
    fn time(&mut self, unit: &Unit) -> Instant {
        let arrived = unit.arrived;
        let Some(Timeline { timestamp, time }) = self.timeline else {
            self.timeline = Some(Timeline { timestamp: unit.timestamp, time: arrived });
            return arrived;
        };
        let ticks = i64::from(unit.timestamp.wrapping_sub(timestamp).cast_signed());
        let nanos = u64::try_from(ticks).unwrap_or(0) * 1_000_000_000 / CLOCK;
        let expected = time + Duration::from_nanos(nanos);
        let (early, late) =
            (expected.saturating_duration_since(arrived), arrived.saturating_duration_since(expected));
        let here = if ticks <= 0 || early > JUMP || late > JUMP {
            arrived.max(time)
        } else {
            expected + late / FOLLOW - early / FOLLOW
        };
        self.timeline = Some(Timeline { timestamp: unit.timestamp, time: here });
        here
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
    fn pictures_go_on_as_they_are_and_in_even_time_whatever_the_network_does() {
        let (t, mut relaying) = (start(), Relaying::new(1200));
        let cursor = relaying.relay().ring.end();
        let jitter = [0u64, 25, 3, 38, 11, 0, 19];
        for i in 0..30u64 {
            let arrived = t + Duration::from_millis(i * 33 + jitter[i as usize % 7]);
            relaying.push(&unit(arrived, 1000 + 2970 * i as u32, i == 0, 900 + 50 * i as usize), false);
        }
        let out = all(relaying.relay(), cursor);
        assert_eq!(out.len(), 30);
        for pair in out.windows(2) {
            let step = pair[1].time - pair[0].time;
            assert!(step.abs_diff(Duration::from_millis(33)) < Duration::from_millis(2), "{step:?}");
        }
        assert!(out[0].key && out[0].single && out[0].csrc == Some(5));
        assert!(!out[29].single && out[29].payloads.len() == 2, "more than a packet holds");
        assert_eq!(out[3].payloads[0].bytes.len(), 1050, "bit by bit");
    }

    #[test]
    fn a_hurt_picture_leaves_a_gap_and_a_new_timeline_starts_anew() {
        let (t, mut relaying) = (start(), Relaying::new(1200));
        let cursor = relaying.relay().ring.end();
        relaying.push(&unit(t, 0, true, 500), false);
        relaying
            .push(&Unit { damaged: true, ..unit(t + Duration::from_millis(33), 2970, false, 400) }, false);
        relaying.push(&unit(t + Duration::from_millis(66), 5940, false, 400), true);
        relaying.push(&unit(t + Duration::from_millis(99), 4_000_000_000, true, 400), false);
        let out = all(relaying.relay(), cursor);
        assert_eq!(
            out.iter().map(|e| (e.gap, e.payloads.len())).collect::<Vec<_>>(),
            [(0, 1), (1, 0), (1, 1), (0, 1)]
        );
        assert_eq!(out[3].time, t + Duration::from_millis(99));
        assert_eq!(relaying.relay().last_key(), Some(out[3].time));
    }
}
