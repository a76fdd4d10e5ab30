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
    /// What comes twice counts twice at the far end, as in many devices.
    counts_copies: bool,
    /// No sound is sent.
    silent: bool,
    /// What all copies together may take, by the second.
    wire: Vec<u32>,
}

impl Line {
    fn new(kbps: u32, queue_ms: u32, loss: f64, every_ms: u64, seed: u64) -> Self {
        let block = ReportBlock { highest: 65_000, ..ReportBlock::default() };
        let (jitter, sound) = (Duration::ZERO, Some(ReportBlock::default()));
        let report = Report { block, rtt: None, jitter, octets: 0, skipped: 0, missed: 0, nominal: 0, sound };
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
            counts_copies: false,
            silent: false,
            wire: Vec::new(),
        }
    }

    /// A packet of so many thousand bytes comes through.
    fn carries(&mut self, size: f64) -> bool {
        let full = self.queued_ms > f64::from(self.queue_ms);
        let turn = if self.bad { 1.0 - 1.0 / self.burst } else { self.loss / (1.0 - self.loss) / self.burst };
        self.bad = if self.burst > 1.0 {
            self.rng.random::<f64>() < turn
        } else {
            self.rng.random::<f64>() < self.loss
        };
        let came = !full && !self.bad;
        if came {
            self.queued_ms += 8000.0 * size / f64::from(self.kbps);
        }
        came
    }

    /// Sends at the step allowed; the rates there were, by the second.
    fn run(&mut self, seconds: u64) -> Vec<u32> {
        let mut out = Vec::new();
        for ms in 0..seconds * 100 {
            self.now += Duration::from_millis(10);
            self.rate.poll(self.now);
            let step = self.rate.step(self.rate.allowed()).map_or(0, |i| STEPS[i]);
            self.report.nominal = step;
            // Packets of 1,000 bytes.
            let mut packets = f64::from(step) * 10.0 / 8000.0;
            while packets > 0.0 {
                if packets < 1.0 && self.rng.random::<f64>() > packets {
                    break;
                }
                packets -= 1.0;
                self.report.block.highest += 1;
                self.report.octets += 1000;
                let came = (0..self.rate.copies()).filter(|_| self.carries(1.0)).count();
                match (came, self.counts_copies) {
                    (0, _) => self.report.block.lost += 1,
                    (more, true) => self.report.block.lost -= more as i32 - 1,
                    _ => {}
                }
            }
            if ms % 2 == 0 && !self.silent {
                let came = self.carries(0.2);
                let sound = self.report.sound.as_mut().unwrap();
                sound.highest += 1;
                sound.lost += i32::from(!came);
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
                let wire = if step > 0 { self.rate.allowed() * self.rate.copies() } else { 0 };
                self.wire.push(wire);
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
fn loss_that_is_the_lines_own_does_not_shrink_what_is_sent() {
    for (loss, seed) in [(0.01, 1), (0.05, 2), (0.10, 3), (0.20, 4)] {
        let mut line = Line::new(10_000, 100, loss, 1000, seed);
        line.run(300);
        let wire = line.wire;
        assert!(mean(&wire[60..]) >= 2000, "{loss}: {wire:?}");
        assert!(wire.iter().all(|r| *r >= 560), "{loss}: {wire:?}");
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
                    line.run(300);
                    line.wire
                })
                .collect();
            let means: Vec<u32> = runs.iter().map(|rates| mean(rates)).collect();
            let share = if burst > 5.0 { 60 } else { 80 };
            assert!(mean(&means) * 100 >= full * share, "{ceiling}, {loss}, {burst}: {means:?}");
            let without = runs.iter().flatten().filter(|r| **r == 0).count();
            assert!(burst > 5.0 || without == 0, "{ceiling}, {loss}, {burst}: {without} s without a picture");
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
    // Sound alone would fill it.
    line.silent = true;
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
    let mut report = Report {
        block,
        rtt: None,
        jitter: Duration::ZERO,
        octets: 0,
        skipped: 0,
        missed: 0,
        nominal: 0,
        sound: None,
    };
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

#[test]
fn who_cannot_have_packets_again_gets_them_more_than_once_within_the_same_rate() {
    for (loss, copies, least, most, seed) in [
        (0.0, 1, 2230, 2230, 1),
        (0.01, 2, 840, 1115, 2),
        (0.05, 2, 560, 1000, 3),
        (0.10, 3, 500, 743, 4),
        (0.20, 3, 280, 743, 5),
    ] {
        for counts_copies in [false, true] {
            let mut line = Line::new(10_000, 100, loss, 1000, seed);
            line.rate.set_repeats(false);
            line.counts_copies = counts_copies;
            let rates = line.run(300);
            let late = mean(&rates[100..]);
            assert!((least..=most).contains(&late), "{loss}: {late} of {rates:?}");
            assert_eq!(line.rate.copies(), copies, "{loss}");
            let changes = rates[100..].windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(changes <= 12, "{loss}: {changes} changes in 200 s: {rates:?}");
            line.loss = 0.0;
            assert_eq!(line.run(200).last(), Some(&2230), "when it gets better");
            assert_eq!(line.rate.copies(), 1);
        }
    }
}

#[test]
fn who_can_have_packets_again_gets_copies_only_where_asking_does_not_keep_up() {
    for (loss, copies) in [(0.05, 1), (0.12, 2), (0.20, 3)] {
        let mut line = Line::new(10_000, 100, loss, 1000, 6);
        line.run(300);
        assert_eq!(line.rate.copies(), copies, "{loss}");
    }
}

#[test]
fn a_full_line_gets_no_copies_for_its_own_loss() {
    for repeats in [true, false] {
        let mut line = Line::new(800, 80, 0.0, 1000, 7);
        line.rate.set_repeats(repeats);
        let rates = line.run(300);
        let wire = |rate: u32, copies: u32| rate * copies;
        assert!(wire(mean(&rates[100..]), line.rate.copies()) <= 840, "{rates:?}");
    }
}

#[test]
fn more_that_is_allowed_is_followed_on_a_bad_line_too() {
    let mut line = Line::new(10_000, 100, 0.02, 1000, 9);
    line.rate.set_repeats(false);
    line.rate.limit(1, 300_000);
    line.run(60);
    assert_eq!(line.rate.copies(), 2);
    assert!(line.rate.allowed() <= 150);
    line.rate.limit(1, 1_600_000);
    line.run(60);
    assert_eq!(line.rate.copies(), 2);
    assert!((500..=800).contains(&line.rate.allowed()), "{}", line.rate.allowed());
}

#[test]
fn without_sound_to_judge_by_copies_end_and_the_picture_is_judged_anew() {
    let mut line = Line::new(10_000, 100, 0.05, 1000, 8);
    line.rate.set_repeats(false);
    line.run(100);
    assert_eq!(line.rate.copies(), 2);
    line.silent = true;
    line.loss = 0.0;
    let rates = line.run(120);
    assert_eq!((line.rate.copies(), rates.last()), (1, Some(&2230)));
}

#[test]
fn a_thin_line_is_no_reason_for_less_than_it_carries() {
    let mut line = Line::new(1000, 60, 0.0, 1000, 1);
    line.rate.set_repeats(false);
    let rates = line.run(300);
    assert!(mean(&rates[100..]) >= 500, "{rates:?}");
}
