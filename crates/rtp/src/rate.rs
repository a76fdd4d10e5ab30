//! How much a receiver of pictures may be sent: what it says (TMMBR, REMB) and what its reports show (docs/adaptation.md).

use crate::rtcp::ReportBlock;
use std::time::{Duration, Instant};

/// Everything that is known of one stream when a report on it comes; all counts since its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// The report.
    pub block: ReportBlock,
    /// Round trip, where it is known.
    pub rtt: Option<Duration>,
    /// The report's jitter.
    pub jitter: Duration,
    /// Bytes sent, headers included.
    pub octets: u64,
    /// Sequence numbers left out on purpose.
    pub skipped: u64,
    /// Different packets the receiver asked for again: repaired ones are not in its count of lost packets.
    pub missed: u64,
    /// What the stream takes when its picture moves, kbit/s with headers.
    pub nominal: u32,
}

/// A report is judged when it covers so many packets and so much time …
const PACKETS: u32 = 50;
const TIME: Duration = Duration::from_secs(1);
/// … or so much time and some packets.
const LONG: Duration = Duration::from_secs(5);
const FEW: u32 = 10;
/// A count of lost packets that falls by more begins anew.
const ANEW: i32 = 1000;
/// Loss beyond the line's own that lowers the rate at once, when it is found twice, and that is no reason against more.
const STRONG: f32 = 0.10;
const WEAK: f32 = 0.05;
const CALM: f32 = 0.02;
/// Only loss of so much beyond the line's own takes the last picture away.
const SEVERE: f32 = 0.15;
/// Packets that loss is averaged over: lost in bursts, 5 % are none in one report and 16 % in the next.
const MEMORY: f32 = 250.0;
/// Packets, or time, after which it is judged whether less has helped.
const SURE: f32 = 300.0;
const SURE_TIME: Duration = Duration::from_secs(12);
/// More than this is never the line's own.
const MOST_OWN: f32 = 0.35;
/// A queue of this length that still grows lowers the rate; shorter than the second, nothing queues.
const QUEUE: Duration = Duration::from_millis(250);
const NO_QUEUE: Duration = Duration::from_millis(100);
/// After a change, reports tell of what was before for this long and two round trips.
const SETTLE: Duration = Duration::from_millis(1500);
/// Calm for so long before more is tried; doubled by each try that fails.
const HOLD: Duration = Duration::from_secs(10);
const MAX_HOLD: Duration = Duration::from_secs(80);
/// A try has succeeded when it has gone well for so long.
const PROBE: Duration = Duration::from_secs(5);
/// A request for a key frame sooner than this after a change is about the change.
const SOON: Duration = Duration::from_millis(500);
/// What the receiver says is followed upward this long after the last change.
const UP: Duration = Duration::from_secs(5);
/// An estimate (REMB) that is not renewed is forgotten.
const ESTIMATE: Duration = Duration::from_secs(20);
/// The least delay is looked for in this time and the one before it.
const LEAST: Duration = Duration::from_secs(60);

/// Decides for one receiver. All rates in kbit/s with headers.
#[derive(Debug, Clone)]
pub struct Controller {
    steps: &'static [u32],
    /// What description and settings allow.
    ceiling: u32,
    tmmbr: Option<(u32, u32)>,
    remb: Option<(u32, Instant)>,
    /// What the reports allow; `None`: they show no bound.
    cap: Option<u32>,
    /// What holds now.
    allowed: u32,
    changed: Option<Instant>,
    at_once: bool,
    base: Option<(Instant, Report)>,
    settled: Option<Instant>,
    /// Loss of the line that does not answer to the rate, 0–1.
    own: f32,
    /// Loss of late, and since the last change.
    lately: Share,
    fresh: Share,
    weak: bool,
    lowered: Option<Lowered>,
    /// The bound there was before loss lowered it, once or more often, and it was never calm since.
    before: Option<Option<u32>>,
    probe: Option<Probe>,
    hold: Duration,
    calm_since: Option<Instant>,
    least: [Option<Duration>; 2],
    least_since: Option<Instant>,
    delay: Duration,
}

/// Packets lost of packets sent.
#[derive(Debug, Clone, Copy)]
struct Share {
    lost: f32,
    of: f32,
}

impl Share {
    const NONE: Self = Self { lost: 0.0, of: 0.0 };

    /// As if so much had been lost of all that is remembered.
    fn usual(own: f32) -> Self {
        Self { lost: own * MEMORY, of: MEMORY }
    }

    fn add(&mut self, lost: f32, of: f32) {
        (self.lost, self.of) = (self.lost + lost, self.of + of);
    }

    /// Forgets as `packets` come.
    fn fade(&mut self, packets: f32) {
        let left = (-packets / MEMORY).exp();
        (self.lost, self.of) = (self.lost * left, self.of * left);
    }

    /// 0–1.
    fn mean(self) -> f32 {
        self.lost / self.of.max(1.0)
    }
}

/// The rate was lowered for loss: does it help?
#[derive(Debug, Clone, Copy)]
struct Lowered {
    at: Instant,
    /// Of late.
    loss: f32,
    sent: u32,
    /// What came through of it, kbit/s, by the last report.
    carried: f32,
}

/// What a report shows.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Share of packets lost, 0–1, of so many.
    loss: f32,
    packets: f32,
    /// What went out, kbit/s.
    sent: u32,
    nominal: u32,
    /// The delay grows.
    grows: bool,
}

impl Lowered {
    /// Whether the loss before and after is the line's own: a line that is full carries as much as before, one that loses carries its share. `loss`: after.
    fn is_own(&self, after: &Seen, loss: f32) -> bool {
        let now = after.sent as f32 * (1.0 - loss);
        let fell = after.sent as f32 / self.sent.max(1) as f32;
        self.loss <= MOST_OWN && loss >= self.loss / 3.0 && now <= self.carried * (1.0 + fell) / 2.0
    }
}

/// More is tried.
#[derive(Debug, Clone, Copy)]
struct Probe {
    since: Instant,
    back: u32,
}

impl Controller {
    /// `steps`: rates worth a difference, ascending, not empty; `ceiling`: what description and settings allow.
    pub fn new(steps: &'static [u32], ceiling: u32) -> Self {
        Self {
            steps,
            ceiling,
            tmmbr: None,
            remb: None,
            cap: None,
            allowed: ceiling,
            changed: None,
            at_once: false,
            base: None,
            settled: None,
            own: 0.0,
            lately: Share::usual(0.0),
            fresh: Share::NONE,
            weak: false,
            lowered: None,
            before: None,
            probe: None,
            hold: HOLD,
            calm_since: None,
            least: [None; 2],
            least_since: None,
            delay: Duration::ZERO,
        }
    }

    /// Negotiated anew.
    pub fn set_ceiling(&mut self, kbps: u32) {
        if kbps != self.ceiling {
            self.ceiling = kbps;
            self.at_once = true;
        }
    }

    /// What may be sent now; below the lowest step: no picture at all.
    pub fn allowed(&self) -> u32 {
        self.allowed
    }

    /// Whether there is room for a picture.
    pub fn has_room(&self) -> bool {
        self.step(self.allowed).is_some()
    }

    /// Loss that the line has at any rate, 0–1.
    pub fn own_loss(&self) -> f32 {
        self.own
    }

    /// The receiver limits us (TMMBR), bit/s; `owner` sent it.
    pub fn limit(&mut self, owner: u32, bits: u64) {
        self.tmmbr = Some((owner, kbps(bits)));
    }

    /// Who set the limit is gone.
    pub fn unlimit(&mut self, owner: u32) {
        self.tmmbr = self.tmmbr.filter(|(o, _)| *o != owner);
    }

    /// The receiver estimates what its line takes (REMB), bit/s.
    pub fn estimate(&mut self, now: Instant, bits: u64) {
        self.remb = Some((kbps(bits), now));
    }

    /// The receiver asks for a key frame: while more is being tried, that is an answer that comes before the next report.
    pub fn complaint(&mut self, now: Instant) {
        if let Some(probe) = self.probe.take_if(|p| now.saturating_duration_since(p.since) >= SOON) {
            self.fail(now, probe);
        }
    }

    /// A report came.
    pub fn report(&mut self, now: Instant, report: Report) {
        let grows = self.note_delay(now, report.rtt.unwrap_or(report.jitter));
        if self.settled.is_some_and(|at| now < at) {
            return;
        }
        let Some((since, base)) = self.base else {
            self.base = Some((now, report));
            return;
        };
        let time = now.saturating_duration_since(since);
        let expected = report.block.highest.wrapping_sub(base.block.highest);
        // Some devices count anew in the middle of a call.
        let lost = report.block.lost - base.block.lost;
        if expected > 1 << 20 || lost < -ANEW {
            self.base = Some((now, report));
            return;
        }
        if !(expected >= PACKETS && time >= TIME || expected >= FEW && time >= LONG) {
            return;
        }
        let skipped = report.skipped.saturating_sub(base.skipped);
        // What comes late, repaired or twice makes the count fall a little.
        let lost = u64::try_from(lost).unwrap_or(0).saturating_sub(skipped);
        let missed = report.missed.saturating_sub(base.missed);
        let expected = u64::from(expected).saturating_sub(skipped).max(1);
        let loss = (lost.max(missed) as f32 / expected as f32).min(1.0);
        let bits = report.octets.saturating_sub(base.octets) * 8;
        let sent = u32::try_from(bits / (time.as_millis() as u64).max(1)).unwrap_or(u32::MAX);
        self.base = Some((now, report));
        self.judge(now, Seen { loss, packets: expected as f32, sent, nominal: report.nominal, grows });
    }

    /// Whether the delay is above its least, by how much, and growing.
    fn note_delay(&mut self, now: Instant, delay: Duration) -> bool {
        if self.least_since.is_none_or(|at| now.saturating_duration_since(at) >= LEAST) {
            self.least_since = Some(now);
            self.least = [None, self.least[0]];
        }
        self.least[0] = Some(self.least[0].map_or(delay, |least| least.min(delay)));
        let grows = delay > self.delay;
        self.delay = delay;
        grows
    }

    /// How much longer than at its best a packet is under way.
    fn queue(&self) -> Duration {
        let least = self.least.iter().flatten().min().copied().unwrap_or_default();
        self.delay.saturating_sub(least)
    }

    fn judge(&mut self, now: Instant, seen: Seen) {
        let Seen { loss, packets, grows, .. } = seen;
        self.lately.fade(packets);
        self.lately.add(loss * packets, packets);
        self.fresh.add(loss * packets, packets);
        let lately = self.lately.mean();
        let queues = self.queue() >= QUEUE && grows;
        let much = loss >= self.own + STRONG.max(self.own * 0.6);
        if let Some(before) = self.lowered {
            let sure = self.fresh.of >= SURE || now.saturating_duration_since(before.at) >= SURE_TIME;
            if !sure && !much && !queues {
                return;
            }
            self.lowered = None;
            let after = self.fresh.mean();
            if before.is_own(&seen, after) && self.queue() < NO_QUEUE {
                // Less was sent, and as large a share of it was lost: it was not for the rate.
                self.own = self.own.max((after + before.loss) / 2.0);
                let back = self.before.take().unwrap_or(self.cap);
                self.change(now, back);
                return;
            }
        }
        if lately < self.own {
            self.own += (lately - self.own) / 25.0;
        }
        let weak = lately >= self.own + WEAK.max(self.own * 0.4);
        let strong = much && weak || loss >= self.own + MOST_OWN;
        let twice = std::mem::replace(&mut self.weak, weak) && weak;
        if strong || twice || queues || weak && self.probe.is_some() {
            self.lower(now, &seen, queues);
            return;
        }
        let calm = lately <= self.own + CALM.max(self.own * 0.25) && self.queue() < QUEUE;
        if calm {
            let since = *self.calm_since.get_or_insert(now);
            // It has helped.
            self.before = self.before.filter(|_| now.saturating_duration_since(since) < HOLD);
        } else {
            self.calm_since = None;
        }
        if self.probe.is_some_and(|p| now.saturating_duration_since(p.since) >= PROBE) {
            self.probe = None;
            self.hold = HOLD;
        }
    }

    fn lower(&mut self, now: Instant, seen: &Seen, queues: bool) {
        if let Some(probe) = self.probe.take() {
            self.fail(now, probe);
            return;
        }
        let Seen { loss, sent, .. } = *seen;
        // A picture that stands still needs little: what was sent then is not what the line takes.
        let base = sent.max(seen.nominal / 10 * 6).min(self.allowed);
        let lately = self.lately.mean();
        let beyond = (loss.max(lately) - self.own).max(0.0);
        let share = if queues { 0.85 } else { (1.0 - beyond) * 0.9 };
        let mut cap = (base as f32 * share.clamp(0.5, 0.9)) as u32;
        let least = self.steps.first().copied().unwrap_or_default();
        if !queues && lately < self.own + SEVERE && loss < self.own + MOST_OWN {
            // A hurt picture is more than none, and without one nobody learns what the line loses.
            cap = cap.max(least);
        }
        self.before = if queues { None } else { self.before.or(Some(self.cap)) };
        self.change(now, Some(cap));
        let carried = sent as f32 * (1.0 - loss);
        self.lowered = (!queues).then_some(Lowered { at: now, loss: lately, sent, carried });
    }

    /// More was too much.
    fn fail(&mut self, now: Instant, probe: Probe) {
        self.hold = (self.hold * 2).min(MAX_HOLD);
        self.change(now, Some(probe.back));
    }

    /// Another bound from now on.
    fn change(&mut self, now: Instant, cap: Option<u32>) {
        self.cap = cap.filter(|cap| *cap < self.ceiling);
        self.at_once = true;
        self.weak = false;
        self.calm_since = None;
        self.base = None;
        (self.lately, self.fresh) = (Share::usual(self.own), Share::NONE);
        self.settled = Some(now + SETTLE + self.delay * 2);
        self.lowered = None;
    }

    /// Timers; true when [`Self::allowed`] has come to another step.
    pub fn poll(&mut self, now: Instant) -> bool {
        self.remb = self.remb.filter(|(_, at)| now.saturating_duration_since(*at) < ESTIMATE);
        self.try_more(now);
        let says = [self.tmmbr.map(|t| t.1), self.remb.map(|r| r.0), self.cap];
        let wanted = says.into_iter().flatten().fold(self.ceiling, u32::min);
        let (to, from) = (self.step(wanted), self.step(self.allowed));
        let rested = self.changed.is_none_or(|at| now.saturating_duration_since(at) >= UP);
        if to > from && !rested && !std::mem::take(&mut self.at_once) {
            return false;
        }
        self.at_once = false;
        self.allowed = wanted;
        if to != from {
            self.changed = Some(now);
        }
        to != from
    }

    fn try_more(&mut self, now: Instant) {
        let Some(cap) = self.cap else { return };
        // Without a picture there are no reports to be calm.
        let silent = self.step(cap).is_none();
        let since = if silent { self.changed } else { self.calm_since };
        let hold = if silent { self.hold * 2 } else { self.hold };
        if since.is_none_or(|at| now.saturating_duration_since(at) < hold) {
            return;
        }
        let next = self.steps.iter().copied().find(|step| *step > cap);
        self.change(now, next);
        self.probe = Some(Probe { since: now, back: cap });
    }

    /// The highest step within `kbps`.
    fn step(&self, kbps: u32) -> Option<usize> {
        self.steps.iter().rposition(|step| *step <= kbps)
    }
}

fn kbps(bits: u64) -> u32 {
    u32::try_from(bits / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    const STEPS: [u32; 8] = [70, 140, 280, 560, 840, 1120, 1670, 2230];

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    /// A line of so many kbit/s that queues up to so long, with loss of its own; reports every so many ms.
    struct Line {
        kbps: u32,
        queue_ms: u32,
        loss: f64,
        /// Packets lost in a row on average.
        burst: f64,
        bad: bool,
        every_ms: u64,
        rng: SmallRng,
        now: Instant,
        queued_ms: f64,
        report: Report,
        rate: Controller,
        next: u64,
    }

    impl Line {
        fn new(kbps: u32, queue_ms: u32, loss: f64, every_ms: u64, seed: u64) -> Self {
            let block = ReportBlock { highest: 65_000, ..ReportBlock::default() };
            let report = Report {
                block,
                rtt: None,
                jitter: Duration::ZERO,
                octets: 0,
                skipped: 0,
                missed: 0,
                nominal: 0,
            };
            Self {
                kbps,
                queue_ms,
                loss,
                burst: 1.0,
                bad: false,
                every_ms,
                rng: SmallRng::seed_from_u64(seed),
                now: start(),
                queued_ms: 0.0,
                report,
                rate: Controller::new(&STEPS, 2230),
                next: 0,
            }
        }

        /// Sends at the step allowed; the rates there were, by the second.
        fn run(&mut self, seconds: u64) -> Vec<u32> {
            let mut out = Vec::new();
            for ms in 0..seconds * 100 {
                self.now += Duration::from_millis(10);
                self.rate.poll(self.now);
                let step = self.rate.step(self.rate.allowed()).map_or(0, |i| STEPS[i]);
                // Packets of 1,000 bytes.
                let mut packets = f64::from(step) * 10.0 / 8000.0;
                while packets > 0.0 {
                    if packets < 1.0 && self.rng.random::<f64>() > packets {
                        break;
                    }
                    packets -= 1.0;
                    self.report.block.highest += 1;
                    self.report.octets += 1000;
                    let full = self.queued_ms > f64::from(self.queue_ms);
                    let turn = if self.bad {
                        1.0 - 1.0 / self.burst
                    } else {
                        self.loss / (1.0 - self.loss) / self.burst
                    };
                    self.bad = if self.burst > 1.0 {
                        self.rng.random::<f64>() < turn
                    } else {
                        self.rng.random::<f64>() < self.loss
                    };
                    if full || self.bad {
                        self.report.block.lost += 1;
                    } else {
                        self.queued_ms += 8000.0 / f64::from(self.kbps);
                    }
                }
                self.queued_ms = (self.queued_ms - 10.0).max(0.0);
                self.next += 10;
                if self.next >= self.every_ms {
                    self.next = 0;
                    self.report.rtt = Some(Duration::from_millis(40 + self.queued_ms as u64));
                    self.rate.report(self.now, self.report);
                }
                if ms % 100 == 99 {
                    out.push(step);
                }
            }
            out
        }
    }

    fn mean(rates: &[u32]) -> u32 {
        rates.iter().sum::<u32>() / rates.len() as u32
    }

    #[test]
    fn a_line_that_carries_it_all_gets_it_all() {
        assert!(Line::new(10_000, 100, 0.0, 1000, 1).run(120).iter().all(|r| *r == 2230));
    }

    #[test]
    fn a_thin_line_is_found_within_seconds_and_probed_ever_more_rarely() {
        for (queue, every, seed) in [(60, 1000, 1), (60, 5000, 2), (1500, 1000, 3), (1500, 3000, 4)] {
            let mut line = Line::new(1000, queue, 0.0, every, seed);
            let rates = line.run(300);
            let soon = 5 * every as usize / 1000 + 4;
            assert!(rates[soon..].iter().all(|r| *r <= 1120), "{queue} {every}: {rates:?}");
            let tail = &rates[100..];
            assert!(mean(tail) >= 700, "{queue} {every}: {tail:?}");
            let above = tail.iter().filter(|r| **r > 1000).count();
            assert!(above <= 40, "{queue} {every}: {above} of 200 s above what the line carries");
        }
    }

    #[test]
    fn loss_that_is_the_lines_own_does_not_shrink_the_picture() {
        for (loss, seed) in [(0.01, 1), (0.05, 2), (0.10, 3), (0.20, 4)] {
            let mut line = Line::new(10_000, 100, loss, 1000, seed);
            let rates = line.run(300);
            assert!(mean(&rates[60..]) >= 2000, "{loss}: {rates:?}");
            assert!(rates.iter().all(|r| *r >= 560), "{loss}: {rates:?}");
        }
    }

    #[test]
    fn loss_in_bursts_is_judged_over_many_packets() {
        for (ceiling, full) in [(210, 140), (840, 840), (2230, 2230)] {
            for (loss, burst) in [(0.05, 4.0), (0.10, 4.0), (0.05, 10.0)] {
                let runs: Vec<Vec<u32>> = (1..=10)
                    .map(|seed| {
                        let mut line = Line::new(10_000, 100, loss, 1000, seed);
                        (line.burst, line.rate) = (burst, Controller::new(&STEPS, ceiling));
                        line.run(300)
                    })
                    .collect();
                let means: Vec<u32> = runs.iter().map(|rates| mean(rates)).collect();
                let share = if burst > 5.0 { 60 } else { 80 };
                assert!(mean(&means) * 100 >= full * share, "{ceiling}, {loss}, {burst}: {means:?}");
                let without = runs.iter().flatten().filter(|r| **r == 0).count();
                assert!(
                    burst > 5.0 || without == 0,
                    "{ceiling}, {loss}, {burst}: {without} s without a picture"
                );
            }
        }
    }

    #[test]
    fn when_the_line_gets_better_the_rate_goes_up_step_by_step() {
        let mut line = Line::new(300, 100, 0.0, 1000, 5);
        line.run(60);
        line.kbps = 10_000;
        let rates = line.run(240);
        assert!(rates.is_sorted(), "{rates:?}");
        assert_eq!(rates.last(), Some(&2230));
        assert!(rates[20] < 2230);
    }

    #[test]
    fn a_line_too_thin_for_any_picture_gets_none_and_is_tried_again() {
        let mut line = Line::new(40, 300, 0.0, 1000, 6);
        let rates = line.run(300);
        assert!(rates.contains(&0), "{rates:?}");
        let on = rates[60..].iter().filter(|r| **r > 0).count();
        assert!(on > 0 && on < 120, "{on} of 240 s with a picture");
        line.kbps = 10_000;
        assert!(line.run(400).last() > Some(&1000));
    }

    #[test]
    fn what_the_receiver_says_counts_at_once_downward_and_after_a_while_upward() {
        let (t, mut rate) = (start(), Controller::new(&STEPS, 2230));
        let at = |s| t + Duration::from_secs(s);
        rate.limit(7, 600_000);
        assert!(rate.poll(t));
        assert_eq!(rate.allowed(), 600);
        rate.limit(7, 1_200_000);
        assert!(!rate.poll(at(2)), "not up and down all the time");
        assert!(rate.poll(at(6)));
        rate.estimate(at(7), 300_000);
        assert!(rate.poll(at(7)));
        assert_eq!(rate.allowed(), 300);
        assert!(rate.poll(at(28)), "an estimate that is not renewed is forgotten");
        rate.limit(7, 50_000);
        rate.poll(at(29));
        assert!(!rate.has_room(), "sound only");
        rate.unlimit(8);
        rate.poll(at(40));
        assert!(!rate.has_room());
        rate.unlimit(7);
        assert!(rate.poll(at(41)) && rate.has_room());
    }

    #[test]
    fn gaps_of_our_own_and_reports_that_begin_anew_are_no_loss() {
        let (t, mut rate) = (start(), Controller::new(&STEPS, 2230));
        let block = ReportBlock { highest: 100, ..ReportBlock::default() };
        let mut report =
            Report { block, rtt: None, jitter: Duration::ZERO, octets: 0, skipped: 0, missed: 0, nominal: 0 };
        for i in 0..30u32 {
            let now = t + Duration::from_secs(u64::from(i));
            rate.report(now, report);
            rate.poll(now);
            report.block.highest += 100;
            report.block.lost += 30;
            report.skipped += 30;
            if i == 20 {
                report.block = ReportBlock { highest: 9, ..block };
            }
        }
        assert_eq!(rate.allowed(), 2230);
    }
}
