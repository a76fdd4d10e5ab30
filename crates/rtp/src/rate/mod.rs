//! How much a receiver of pictures may be sent: what it says (TMMBR, REMB) and what its reports show (docs/adaptation.md).

mod lossy;
mod share;

use std::time::{Duration, Instant};

use crate::rtcp::ReportBlock;
use lossy::Lossy;
use share::Share;

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
    /// The last report on the sound that goes the same way, of which nothing is sent twice.
    pub sound: Option<ReportBlock>,
}

/// A report is judged when it covers so many packets and so much time …
const PACKETS: u32 = 50;
const TIME: Duration = Duration::from_secs(1);
/// … or so much time and some packets.
const LONG: Duration = Duration::from_secs(5);
const FEW: u32 = 10;
/// Packets are not sent twice for longer than this when nobody says what the line loses.
const BLIND: Duration = Duration::from_secs(20);
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
    /// What holds now for the picture, and how often each of its packets is sent.
    allowed: u32,
    copies: u32,
    /// The most the stream took with all copies: sending packets twice is no reason for more.
    most: u32,
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
    lossy: Lossy,
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
    /// Packets of sound lost, of how many.
    sound: Option<(u64, u32)>,
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
            copies: 1,
            most: 0,
            changed: None,
            at_once: false,
            base: None,
            settled: None,
            own: 0.0,
            lately: Share::usual(0.0, MEMORY),
            fresh: Share::default(),
            weak: false,
            lowered: None,
            before: None,
            probe: None,
            hold: HOLD,
            calm_since: None,
            least: [None; 2],
            least_since: None,
            delay: Duration::ZERO,
            lossy: Lossy::new(true),
        }
    }

    /// Whether lost packets can be had again (docs/adaptation.md, *Packets sent twice*).
    pub fn set_repeats(&mut self, repeats: bool) {
        self.lossy.set_repeats(repeats);
    }

    /// Packets are lost, and cannot be had again.
    pub fn is_fragile(&self) -> bool {
        self.lossy.is_fragile()
    }

    /// How often each packet of the picture is to be sent; 1: once.
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// Negotiated anew.
    pub fn set_ceiling(&mut self, kbps: u32) {
        if kbps != self.ceiling {
            self.follow(self.ceiling, kbps);
            self.ceiling = kbps;
            self.at_once = true;
        }
    }

    /// What the picture may take now, copies of its packets not counted; below the lowest step: no picture at all.
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
        let before = self.tmmbr.map_or(u32::MAX, |(_, kbps)| kbps);
        self.follow(before, kbps(bits));
        self.tmmbr = Some((owner, kbps(bits)));
    }

    /// More is allowed than before: what was sent then is no bound.
    fn follow(&mut self, before: u32, now: u32) {
        if now > before && now < u32::MAX {
            self.most = 0;
        }
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
        let Some((lost, expected)) = self.lost(&base, &report) else {
            self.base = Some((now, report));
            return;
        };
        let heard = sound(&base, &report);
        if heard.is_some_and(|(_, of)| of > 0) {
            self.lossy.set_measured(true);
        } else if heard.is_none() {
            // The first report, or the far end counts anew.
            self.base = Some((since, Report { sound: report.sound, ..base }));
        }
        if self.copies > 1 && time >= BLIND && expected < FEW {
            self.lossy.forget();
            self.lossy.set_measured(false);
            return;
        }
        if !(expected >= PACKETS && time >= TIME || expected >= FEW && time >= LONG) {
            return;
        }
        let loss = (lost as f32 / expected as f32).min(1.0);
        let bits = report.octets.saturating_sub(base.octets) * 8 * u64::from(self.copies);
        let sent = u32::try_from(bits / (time.as_millis() as u64).max(1)).unwrap_or(u32::MAX);
        let nominal = report.nominal.saturating_mul(self.copies);
        self.most = self.most.max(nominal);
        self.base = Some((now, report));
        // With copies, that is what is judged already.
        let sound = heard.filter(|(_, of)| self.copies == 1 && *of > 0);
        self.judge(now, Seen { loss, packets: expected as f32, sent, nominal, grows, sound });
    }

    /// Packets lost of so many between two reports; `None`: the far end counts anew.
    fn lost(&self, base: &Report, report: &Report) -> Option<(u64, u32)> {
        if self.copies > 1 {
            // Where packets come twice, some count both, and say that none are lost: the sound goes the same way once.
            return Some(sound(base, report).unwrap_or_default());
        }
        let (lost, expected) = growth(&base.block, &report.block)?;
        let skipped = report.skipped.saturating_sub(base.skipped);
        let missed = report.missed.saturating_sub(base.missed);
        let skipped = u32::try_from(skipped).unwrap_or(u32::MAX);
        Some((lost.saturating_sub(skipped.into()).max(missed), expected.saturating_sub(skipped).max(1)))
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
        self.lately.fade(packets, MEMORY);
        self.lately.add(loss * packets, packets);
        self.fresh.add(loss * packets, packets);
        let lately = self.lately.mean();
        // What is beyond is for the rate, until shown otherwise.
        self.lossy.note(loss.min(self.own + CALM), packets);
        if let Some((lost, of)) = seen.sound {
            self.lossy.note((lost as f32 / of as f32).min(self.own + CALM), of as f32);
        }
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
        let base = sent.max(seen.nominal / 10 * 6).min(self.allowed.saturating_mul(self.copies));
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
        (self.lately, self.fresh) = (Share::usual(self.own, MEMORY), Share::default());
        self.settled = Some(now + SETTLE + self.delay * 2);
        self.lowered = None;
    }

    /// Timers; true when [`Self::allowed`] has come to another step.
    pub fn poll(&mut self, now: Instant) -> bool {
        self.remb = self.remb.filter(|(_, at)| now.saturating_duration_since(*at) < ESTIMATE);
        self.try_more(now);
        let says = [self.tmmbr.map(|t| t.1), self.remb.map(|r| r.0), self.cap];
        let line = says.into_iter().flatten().fold(self.ceiling, u32::min);
        let line = if self.lossy.is_bad() && self.most > 0 { line.min(self.most) } else { line };
        let copies = self.lossy.copies(line);
        let wanted = self.lossy.cap(copies).unwrap_or(u32::MAX).min(line.div_ceil(copies));
        let (to, from) = (self.step(wanted), self.step(self.allowed));
        let rested = self.changed.is_none_or(|at| now.saturating_duration_since(at) >= UP);
        if to > from && !rested && !std::mem::take(&mut self.at_once) {
            return false;
        }
        self.at_once = false;
        self.allowed = wanted;
        if std::mem::replace(&mut self.copies, copies) != copies {
            self.base = None;
            self.settled = Some(now + SETTLE + self.delay * 2);
        }
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

/// Packets of sound lost, of how many, between two reports.
fn sound(base: &Report, report: &Report) -> Option<(u64, u32)> {
    growth(&base.sound?, &report.sound?)
}

/// Packets lost, of so many, from one report on a stream to a later one; `None`: some devices count anew in the middle of a call.
fn growth(before: &ReportBlock, after: &ReportBlock) -> Option<(u64, u32)> {
    let expected = after.highest.wrapping_sub(before.highest);
    let lost = after.lost - before.lost;
    // What comes late, repaired or twice makes the count fall a little.
    (expected <= 1 << 20 && lost >= -ANEW).then(|| (u64::try_from(lost).unwrap_or(0), expected))
}

fn kbps(bits: u64) -> u32 {
    u32::try_from(bits / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
