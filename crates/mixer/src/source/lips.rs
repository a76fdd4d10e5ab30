//! Pictures wait for their sound, so that what came in together goes out together (docs/adaptation.md).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use cau_rtp::h264::{Event, Unit};

use crate::view::output::CLOCK;

/// The source's clock is followed by this part of the difference per picture: fast enough for 200 ppm, too slow for network jitter.
const FOLLOW: u32 = 64;
/// A difference larger than this is not jitter: the source has begun a new timeline.
const JUMP: Duration = Duration::from_millis(500);
/// Nothing waits longer.
const LONGEST: Duration = Duration::from_millis(300);
/// The wait follows the sound's by so much per picture at most: time goes on evenly.
const STEP: Duration = Duration::from_millis(2);
/// Events that wait at most; then the oldest goes on.
const MAX_WAITING: usize = 64;

/// What goes on.
#[derive(Debug)]
pub struct Due {
    /// A picture, or that something is missing.
    pub event: Event,
    /// When it belongs, on our clock: even as the source's own, and never before it came.
    pub time: Instant,
}

/// One source's pictures on their way from the assembly to whoever gets them.
#[derive(Debug, Default)]
pub struct Lips {
    timeline: Option<Timeline>,
    /// What pictures wait for now, and are to wait for.
    hold: Duration,
    wanted: Duration,
    waiting: VecDeque<(Instant, Due)>,
}

/// Time stamp of the source and time of ours that belong together.
#[derive(Clone, Copy, Debug)]
struct Timeline {
    timestamp: u32,
    time: Instant,
}

impl Lips {
    /// Pictures are to wait for so long from now on; they come to it gradually.
    pub fn hold(&mut self, wanted: Duration) {
        self.wanted = wanted.min(LONGEST);
        if self.timeline.is_none() {
            self.hold = self.wanted;
        }
    }

    /// The source is gone; what waits is forgotten.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.timeline = None;
    }

    /// Takes what the assembly gave out.
    pub fn push(&mut self, now: Instant, event: Event) {
        let (release, time) = match &event {
            Event::Unit(unit) => {
                let even = self.even(unit);
                let (more, less) =
                    (self.wanted.saturating_sub(self.hold), self.hold.saturating_sub(self.wanted));
                self.hold = self.hold + more.min(STEP) - less.min(STEP);
                let time = even + self.hold;
                (if self.hold.is_zero() { now } else { time }, time)
            }
            Event::Lost(_) => (now, now),
        };
        let release = self.waiting.back().map_or(release, |(at, _)| release.max(*at)).min(now + LONGEST);
        self.waiting.push_back((release, Due { event, time }));
    }

    /// What is due.
    pub fn pop(&mut self, now: Instant) -> Option<Due> {
        let (release, _) = self.waiting.front()?;
        if *release > now && self.waiting.len() <= MAX_WAITING {
            return None;
        }
        self.waiting.pop_front().map(|(_, due)| due)
    }

    /// When [`Self::pop`] has something.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.front().map(|(at, _)| *at)
    }

    /// When the picture belongs, on our clock.
    fn even(&mut self, unit: &Unit) -> Instant {
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
    use cau_rtp::h264::Lost;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn unit(arrived: Instant, timestamp: u32) -> Event {
        Event::Unit(Unit {
            nals: Vec::new(),
            timestamp,
            key: false,
            recovery: false,
            damaged: false,
            first: arrived,
            arrived,
            ssrc: 5,
            csrc: None,
        })
    }

    /// Pictures every 33 ms with jitter; when each went on, and its time.
    fn run(lips: &mut Lips, t: Instant, pictures: u64) -> Vec<(Duration, Duration)> {
        let jitter = [0u64, 25, 3, 38, 11, 0, 19];
        let mut out = Vec::new();
        let mut next = 0;
        for now in (0..pictures * 33 + 400).map(|n| t + ms(n)) {
            while next < pictures && t + ms(next * 33 + jitter[next as usize % 7]) <= now {
                lips.push(now, unit(now, 1000 + 2970 * next as u32));
                next += 1;
            }
            while let Some(due) = lips.pop(now) {
                out.push((now - t, due.time - t));
            }
        }
        out
    }

    #[test]
    fn without_a_wait_pictures_go_on_as_they_come_in_even_time() {
        let out = run(&mut Lips::default(), start(), 60);
        assert_eq!(out.len(), 60);
        assert!(out.iter().enumerate().all(|(i, (at, _))| *at < ms(i as u64 * 33 + 39)));
        let steps = out.windows(2).map(|w| w[1].1 - w[0].1);
        assert!(steps.clone().all(|step| step.abs_diff(ms(33)) < ms(2)), "{:?}", steps.max());
    }

    #[test]
    fn with_one_they_leave_evenly_that_much_later() {
        let mut lips = Lips::default();
        lips.hold(ms(100));
        let out = run(&mut lips, start(), 60);
        assert_eq!(out.len(), 60);
        for (i, (at, time)) in out.iter().enumerate() {
            let came = i as u64 * 33;
            assert!(*at >= ms(came + 99) && *at <= ms(came + 125), "{i}: {at:?}");
            assert!(at.abs_diff(*time) <= ms(2));
        }
    }

    #[test]
    fn a_wait_that_changes_moves_no_picture_by_much_and_nothing_overtakes() {
        let (t, mut lips) = (start(), Lips::default());
        let mut last = t;
        for i in 0..200u64 {
            let now = t + ms(33 * i);
            lips.hold(if i < 100 { ms(150) } else { ms(0) });
            lips.push(now, unit(now, 2970 * i as u32));
            if i % 10 == 0 {
                lips.push(now, Event::Lost(Lost { packets: 1, at: now }));
            }
            while let Some(due) = lips.pop(now) {
                if matches!(due.event, Event::Unit(_)) {
                    assert!(due.time > last && due.time - last < ms(40) || last == t);
                    last = due.time;
                }
            }
        }
        assert!(last >= t + ms(33 * 199) && last < t + ms(33 * 199 + 2), "no wait is left");
    }

    #[test]
    fn an_hour_of_200_ppm_is_followed() {
        for fast in [true, false] {
            let (t, mut lips) = (start(), Lips::default());
            let step = if fast { 3_600.0 * (1.0 + 200e-6) } else { 3_600.0 * (1.0 - 200e-6) };
            for i in 0..90_000u64 {
                let now = t + ms(40 * i);
                lips.push(now, unit(now, (i as f64 * step) as u64 as u32));
                let due = lips.pop(now).expect("nothing waits");
                let off = due.time.saturating_duration_since(now) + now.saturating_duration_since(due.time);
                assert!(off < Duration::from_micros(700), "picture {i}: {off:?}");
            }
        }
    }

    #[test]
    fn a_new_timeline_starts_anew_and_what_waits_is_bounded() {
        let (t, mut lips) = (start(), Lips::default());
        lips.push(t, unit(t, 0));
        assert!(lips.pop(t).is_some_and(|due| due.time == t));
        let now = t + ms(99);
        lips.push(now, unit(now, 4_000_000_000));
        assert!(lips.pop(now).is_some_and(|due| due.time == now));
        lips.hold(ms(300));
        for i in 0..200u32 {
            let now = now + ms(u64::from(i));
            lips.push(now, unit(now, 4_000_000_000 + 90 * i));
            while lips.pop(now).is_some() {}
            assert!(lips.waiting.len() <= MAX_WAITING);
        }
    }
}
