//! What is done when the machine is full: pictures come slower, new calls are refused, sound goes on (docs/capacity.md).
//!
//! Sans-IO: a [`Gauge`] goes in every second, what is to be changed comes out.

use std::time::{Duration, Instant};

/// How busy the machine was over the last second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gauge {
    /// Share of its time the busiest thread of packets and sound worked, 0–1.
    pub media: f32,
    /// Share of their time the threads of pictures worked, 0–1.
    pub pictures: f32,
    /// How late a tick of sound was at most.
    pub late: Duration,
    /// Ticks of sound left out since the start.
    pub left_out: u64,
}

/// From when on what is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// New calls are refused at all.
    pub refuse: bool,
    /// [`Gauge::media`] above which new calls are refused.
    pub media: f32,
    /// [`Gauge::pictures`] above which pictures come slower.
    pub pictures: f32,
    /// [`Gauge::late`] from which on new calls are refused.
    pub late: Duration,
    /// Pictures per second below which encoded pictures are not slowed.
    pub least_fps: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { refuse: true, media: 0.85, pictures: 0.9, late: Duration::from_millis(20), least_fps: 10 }
    }
}

/// Pictures per second of encoded views, from the best down.
const STEPS: [u32; 5] = [30, 20, 15, 10, 5];
/// Seconds in a row that must be bad before pictures are slowed.
const SLOW_AFTER: u32 = 2;
/// Seconds in a row that must be bad before calls are refused.
const REFUSE_AFTER: u32 = 3;
/// Between two steps down: what the first one brought must show.
const SETTLE: Duration = Duration::from_secs(3);
/// All must be well for so long before a step up, and before calls are taken again.
const CALM: Duration = Duration::from_secs(10);
/// A step up that had to be taken back makes the next wait twice as long, up to this.
const LONGEST_CALM: Duration = Duration::from_secs(160);

/// What has changed; each only when it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Pictures per second of encoded views from now on, at most.
    pub fps: Option<u32>,
    /// New calls are refused from now on, or taken again.
    pub full: Option<bool>,
}

/// The state of the machine.
#[derive(Debug)]
pub struct Capacity {
    rules: Rules,
    /// Place in [`STEPS`].
    step: usize,
    full: bool,
    /// Seconds in a row in which pictures were too much.
    slow: u32,
    /// Seconds in a row in which everything was too much.
    over: u32,
    stepped: Option<Instant>,
    /// Since when pictures could come faster.
    easy_since: Option<Instant>,
    /// Since when there is room for calls.
    calm_since: Option<Instant>,
    patience: Duration,
    raised: Option<Instant>,
    left_out: u64,
}

impl Capacity {
    /// A machine at rest.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            step: 0,
            full: false,
            slow: 0,
            over: 0,
            stepped: None,
            easy_since: None,
            calm_since: None,
            patience: CALM,
            raised: None,
            left_out: 0,
        }
    }

    /// New calls are refused.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Pictures per second of encoded views at most.
    pub fn fps(&self) -> u32 {
        STEPS.get(self.step).copied().unwrap_or(5).max(self.rules.least_fps.min(30))
    }

    /// Takes the figures of a second.
    pub fn take(&mut self, now: Instant, gauge: Gauge) -> Change {
        let left_out = gauge.left_out > self.left_out;
        self.left_out = gauge.left_out;
        let before = (self.fps(), self.full);
        self.pace(now, &gauge, left_out);
        self.admit(now, &gauge, left_out);
        Change {
            fps: (self.fps() != before.0).then(|| self.fps()),
            full: (self.full != before.1).then_some(self.full),
        }
    }

    /// Pictures give way first: before sound is late, and before anybody is refused.
    fn pace(&mut self, now: Instant, gauge: &Gauge, left_out: bool) {
        let rules = self.rules;
        // The threads of sound have the right of way; where they run late all the same, less work of pictures is what can be given to them.
        let late = left_out || gauge.late >= rules.late / 2 || gauge.media >= rules.media - 0.05;
        let bad = gauge.pictures >= rules.pictures || (late && gauge.pictures >= 0.3);
        self.slow = if bad { self.slow + 1 } else { 0 };
        let settled = self.stepped.is_none_or(|at| now.saturating_duration_since(at) >= SETTLE);
        if self.slow >= SLOW_AFTER && settled && self.lowest().is_none() {
            self.step += 1;
            self.stepped = Some(now);
            self.slow = 0;
            let failed = self.raised.is_some_and(|at| now.saturating_duration_since(at) < CALM);
            self.patience = if failed { (self.patience * 2).min(LONGEST_CALM) } else { CALM };
        }
        // Faster pictures cost in proportion: only where they fit.
        let next = self.step.checked_sub(1).and_then(|k| STEPS.get(k)).copied().unwrap_or(30);
        let needs = gauge.pictures * next as f32 / self.fps() as f32;
        let easy = !late && !bad && needs < rules.pictures - 0.05 && gauge.media < rules.media - 0.15;
        self.easy_since = if easy { self.easy_since.or(Some(now)) } else { None };
        let waited = self.easy_since.is_some_and(|at| now.saturating_duration_since(at) >= self.patience);
        if self.step > 0 && waited {
            self.step -= 1;
            self.raised = Some(now);
            self.easy_since = None;
        }
    }

    /// `Some` when pictures cannot come slower.
    fn lowest(&self) -> Option<()> {
        let next = STEPS.get(self.step + 1)?;
        (*next < self.rules.least_fps).then_some(())
    }

    fn slowest(&self) -> bool {
        self.lowest().is_some() || self.step + 1 >= STEPS.len()
    }

    fn admit(&mut self, now: Instant, gauge: &Gauge, left_out: bool) {
        let rules = self.rules;
        let over = left_out
            || gauge.media >= rules.media
            || gauge.late >= rules.late
            || (self.slowest() && gauge.pictures >= rules.pictures);
        self.over = if over { self.over + 1 } else { 0 };
        if self.over >= REFUSE_AFTER && rules.refuse {
            self.full = true;
        }
        let calm = !over
            && gauge.media < rules.media - 0.1
            && gauge.late < rules.late / 2
            && !(self.slowest() && gauge.pictures >= rules.pictures - 0.05);
        self.calm_since = if calm { self.calm_since.or(Some(now)) } else { None };
        if self.calm_since.is_some_and(|at| now.saturating_duration_since(at) >= CALM) {
            self.full = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Runs `seconds` of `gauge` and gives every change with its second.
    fn run(
        capacity: &mut Capacity,
        from: Instant,
        seconds: std::ops::Range<u64>,
        gauge: Gauge,
    ) -> Vec<(u64, Change)> {
        seconds
            .map(|s| (s, capacity.take(from + Duration::from_secs(s), gauge)))
            .filter(|(_, change)| *change != Change::default())
            .collect()
    }

    const CALM_DAY: Gauge = Gauge { media: 0.3, pictures: 0.4, late: Duration::from_millis(1), left_out: 0 };

    fn fps(fps: u32) -> Change {
        Change { fps: Some(fps), full: None }
    }

    #[test]
    fn pictures_are_slowed_step_by_step_and_calls_are_taken_as_long_as_that_helps() {
        let (t, mut capacity) = (start(), Capacity::new(Rules::default()));
        assert_eq!(run(&mut capacity, t, 0..60, CALM_DAY), []);
        let busy = Gauge { pictures: 0.97, ..CALM_DAY };
        assert_eq!(run(&mut capacity, t, 60..63, busy), [(61, fps(20))]);
        let eased = Gauge { pictures: 0.75, ..CALM_DAY };
        assert_eq!(run(&mut capacity, t, 63..200, eased), [], "30 would not fit: 0.75 · 30 / 20");
        assert_eq!(run(&mut capacity, t, 200..220, Gauge { pictures: 0.5, ..CALM_DAY }), [(210, fps(30))]);
        assert!(!capacity.is_full());
    }

    #[test]
    fn when_pictures_are_as_slow_as_they_may_be_new_calls_are_refused_until_it_is_calm_for_ten_seconds() {
        let (t, mut capacity) = (start(), Capacity::new(Rules::default()));
        let full = Gauge { pictures: 1.0, ..CALM_DAY };
        let changes = run(&mut capacity, t, 0..20, full);
        let slowed: Vec<_> = changes.iter().filter_map(|(_, c)| c.fps).collect();
        assert_eq!(slowed, [20, 15, 10], "not below the least");
        let refused = changes.iter().find(|(_, c)| c.full == Some(true)).map(|(s, _)| *s).unwrap();
        assert!((7..=12).contains(&refused), "{changes:?}");
        let changes = run(&mut capacity, t, 20..45, CALM_DAY);
        assert_eq!(changes.iter().find(|(_, c)| c.full == Some(false)).map(|(s, _)| *s), Some(30));
    }

    #[test]
    fn late_sound_stops_new_calls_within_three_seconds_although_nothing_is_encoded() {
        let (t, mut capacity) = (start(), Capacity::new(Rules::default()));
        let late = Gauge { media: 0.7, pictures: 0.0, late: Duration::from_millis(25), left_out: 0 };
        let changes = run(&mut capacity, t, 0..10, late);
        assert_eq!(changes, [(2, Change { fps: None, full: Some(true) })], "there are no pictures to slow");
        let mut capacity = Capacity::new(Rules { refuse: false, ..Rules::default() });
        assert_eq!(run(&mut capacity, t, 0..10, late), [], "switched off");
    }

    #[test]
    fn ticks_left_out_count_only_while_more_are() {
        let (t, mut capacity) = (start(), Capacity::new(Rules::default()));
        for s in 0..3 {
            capacity.take(t + Duration::from_secs(s), Gauge { left_out: 10 + s, ..CALM_DAY });
        }
        assert!(capacity.is_full());
        run(&mut capacity, t, 3..15, Gauge { left_out: 12, ..CALM_DAY });
        assert!(!capacity.is_full());
    }

    #[test]
    fn a_step_up_that_does_not_hold_is_tried_ever_less_often() {
        let (t, mut capacity) = (start(), Capacity::new(Rules::default()));
        // A load that seems to leave room at 20 pictures a second and does not at 30.
        let mut ups = Vec::new();
        for s in 0..400 {
            let pictures = if capacity.fps() == 30 { 0.95 } else { 0.5 };
            let change = capacity.take(t + Duration::from_secs(s), Gauge { pictures, ..CALM_DAY });
            if change.fps == Some(30) {
                ups.push(s);
            }
        }
        let waits: Vec<u64> = ups.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(waits.is_sorted() && waits.len() <= 6, "{ups:?}");
    }
}
