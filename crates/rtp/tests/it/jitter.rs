use crate::common::{MS, packet, start};
use cau_netem::{Config as Line, Link, Loss};
use cau_rtp::Packet;
use cau_rtp::jitter::{Audio, Config, Counters, Pull};
use cau_rtp::payload::Format;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const SSRC: u32 = 0xa0d10;

/// What is sent: when, and what.
type Plan = Vec<(Duration, Packet)>;

/// G.711 in packets of `ptime` ms for `ms` milliseconds of the sender's clock, which runs `ppm` fast.
fn speech(ms: u32, ptime: u32, ppm: i64) -> Plan {
    (0..ms / ptime)
        .map(|i| {
            let at = Duration::from_nanos(u64::from(i * ptime) * (1_000_000 - ppm) as u64);
            (at, packet(8, i as u16, i * ptime * 8, SSRC, i == 0, &vec![0xd5; ptime as usize * 8]))
        })
        .collect()
}

#[derive(Default)]
struct Heard {
    /// Sequence numbers, in playing order, with the time from sending to playing.
    played: Vec<(u16, Duration)>,
    lost: Duration,
    silences_between: Duration,
    counters: Counters,
    delay: Duration,
}

impl Heard {
    fn numbers(&self) -> Vec<u16> {
        self.played.iter().map(|p| p.0).collect()
    }

    fn median(&self) -> Duration {
        let mut all: Vec<_> = self.played.iter().map(|p| p.1).collect();
        all.sort();
        all[all.len() / 2]
    }

    fn worst_after(&self, n: usize) -> Duration {
        self.played.iter().skip(n).map(|p| p.1).max().expect("something played")
    }
}

/// Sends the plan over the line and pulls every 20 ms, the first time at `phase`.
fn listen(plan: &Plan, line: Line, seed: u64, phase: Duration, quiet: impl Fn(u32) -> bool) -> Heard {
    let t0 = start();
    let formats = [
        (0, Format::Pcmu),
        (8, Format::Pcma),
        (9, Format::G722),
        (111, Format::Opus),
        (13, Format::ComfortNoise),
    ];
    let mut audio = Audio::new(Config::new(formats));
    let mut link = Link::new(line, seed);
    let mut h = Heard::default();
    let mut plan_left = plan.iter().peekable();
    let mut owed = Duration::ZERO;
    let end = plan.last().expect("a plan").0 + 1_000 * MS;
    let mut sent_at = std::collections::BTreeMap::new();
    let mut pulls = 0;
    // What follows the last packet is the end, not a gap.
    let (mut pause, mut lost) = (Duration::ZERO, Duration::ZERO);
    while phase + 20 * MS * pulls < end {
        let now = t0 + phase + 20 * MS * pulls;
        while let Some((at, p)) = plan_left.next_if(|(at, _)| t0 + *at <= now) {
            sent_at.entry((p.ssrc, p.timestamp)).or_insert(t0 + *at);
            link.insert_sized(t0 + *at, p.clone(), p.wire_len());
            drain(&mut link, &mut audio, t0 + *at);
        }
        drain(&mut link, &mut audio, now);
        audio.quiet(quiet(pulls));
        let pieces = audio.pull(now);
        let mut at = now + owed;
        for piece in pieces {
            let length = match piece {
                Pull::Packet(p) => {
                    h.played.push((p.seq, at - sent_at[&(p.ssrc, p.timestamp)]));
                    h.silences_between += std::mem::take(&mut pause);
                    h.lost += std::mem::take(&mut lost);
                    formats
                        .iter()
                        .find(|f| f.0 == p.pt)
                        .and_then(|f| f.1.duration(&p.payload))
                        .expect("length")
                }
                Pull::Lost { duration, .. } => {
                    lost += duration;
                    duration
                }
                Pull::Silence { duration, .. } => {
                    if !h.played.is_empty() {
                        pause += duration;
                    }
                    duration
                }
            };
            at += length;
        }
        let given = at - now;
        let wanted = Duration::from_micros((20_000 + audio.stretch()) as u64);
        assert!(given >= wanted, "a pull gave {given:?}");
        owed = given - wanted;
        pulls += 1;
    }
    h.counters = audio.counters();
    h.delay = audio.stats().delay;
    h
}

fn drain(link: &mut Link<Packet>, audio: &mut Audio, now: Instant) {
    while let Some(at) = link.poll_timeout().filter(|at| *at <= now) {
        if let Some(p) = link.poll(at) {
            audio.insert(at, p);
        }
    }
}

fn clean() -> Line {
    Line::default()
}

#[test]
fn a_clean_line_plays_everything_with_less_than_a_packet_and_a_half_of_delay() {
    for phase in [0, 1, 5, 9, 11, 15, 19] {
        let plan = speech(10_000, 20, 0);
        let h = listen(&plan, clean(), 1, MS * phase, |_| false);
        assert_eq!(h.numbers(), (0..500).collect::<Vec<_>>(), "phase {phase}");
        assert_eq!((h.lost, h.silences_between), (Duration::ZERO, Duration::ZERO));
        assert!(h.median() >= 10 * MS && h.median() < 30 * MS, "phase {phase}: {:?}", h.median());
        assert!(h.delay.abs_diff(h.median()) < 2 * MS, "the figure told is the truth: {:?}", h.delay);
    }
}

#[test]
fn packets_of_every_length_are_played_without_a_gap() {
    for ptime in [5, 10, 30, 40, 60] {
        for phase in [3, 12] {
            let h = listen(&speech(6_000, ptime, 0), clean(), 1, MS * phase, |_| false);
            // The first milliseconds of a spurt may be trimmed when packets are shorter than a pull.
            assert_eq!(h.played.len() as u64 + h.counters.shortened, u64::from(6_000 / ptime), "{ptime} ms");
            assert!(h.counters.shortened * u64::from(ptime) <= if ptime < 20 { 20 } else { 0 }, "{ptime} ms");
            assert!(h.numbers().windows(2).all(|w| w[1] == w[0] + 1));
            assert_eq!((h.lost, h.silences_between), (Duration::ZERO, Duration::ZERO), "{ptime} ms");
            assert!(
                h.median() <= if ptime % 20 == 0 { 30 * MS } else { 40 * MS },
                "{ptime} ms: {:?}",
                h.median()
            );
        }
    }
}

#[test]
fn lost_packets_are_concealed_and_nothing_else_changes() {
    let h = listen(&speech(20_000, 20, 0), Line { loss: Loss::Every(50), ..clean() }, 1, 7 * MS, |_| false);
    assert_eq!(h.played.len(), 980);
    assert_eq!(h.lost, 20 * MS * 19, "the last one is followed by nothing");
    assert_eq!(h.silences_between, Duration::ZERO);
    assert!(h.worst_after(0) < 30 * MS, "{:?}", h.worst_after(0));
}

#[test]
fn a_burst_of_lost_packets_is_bridged_in_its_length() {
    let mut plan = speech(4_000, 20, 0);
    plan.retain(|(_, p)| !(100..110).contains(&p.seq));
    let h = listen(&plan, clean(), 1, 7 * MS, |_| false);
    assert_eq!(h.played.len(), 190);
    let gap = h.lost + h.silences_between;
    assert!(gap >= 180 * MS && gap <= 240 * MS, "{gap:?}");
    assert!(h.worst_after(0) < 35 * MS, "{:?}", h.worst_after(0));
}

#[test]
fn jitter_is_covered_after_a_short_time_of_learning() {
    let line = Line { jitter: 60 * MS, ..clean() };
    let h = listen(&speech(60_000, 20, 0), line, 2, 3 * MS, |_| false);
    // Learning costs something in the first seconds; then nearly all of it is heard.
    let late = h.played.iter().filter(|(s, _)| *s > 500).count();
    assert!(late >= 2_500 - 500 - 60, "{late}");
    assert!(h.median() < 110 * MS, "{:?}", h.median());
}

#[test]
fn after_a_jittery_minute_the_delay_shrinks_in_pauses() {
    let mut plan = speech(60_000, 20, 0);
    for (i, (at, _)) in plan.iter_mut().enumerate().take(500) {
        if i % 10 == 0 {
            *at += 70 * MS;
        }
    }
    plan.sort_by_key(|p| p.0);
    // One second in five is a pause.
    let h = listen(&plan, clean(), 1, 7 * MS, |pull| pull % 250 > 200);
    let (early, end) = (h.played[450].1, h.played[h.played.len() - 1].1);
    assert!(early >= 60 * MS, "{early:?}");
    assert!(end < 40 * MS, "{end:?}");
    assert!(h.counters.shortened + h.counters.stretched > 0);
}

#[test]
fn a_fast_sender_never_fills_the_buffer() {
    // 300 ppm is 90 ms in five minutes.
    let h = listen(&speech(300_000, 20, 300), clean(), 1, 7 * MS, |pull| pull % 500 > 450);
    assert!(h.worst_after(0) < 60 * MS, "{:?}", h.worst_after(0));
    assert!((2..12).contains(&(h.counters.shortened + h.counters.stretched)), "{:?}", h.counters);
    assert!(h.lost < 40 * MS);
}

#[test]
fn clocks_that_differ_by_200_ppm_for_an_hour_cost_no_packet_and_no_delay() {
    for (ppm, phase) in [(200, 7), (-200, 7), (200, 19), (-200, 1), (100, 0)] {
        let h = listen(&speech(3_600_000, 20, ppm), clean(), 1, phase * MS, |_| false);
        let c = h.counters;
        assert_eq!((h.lost, h.silences_between), (Duration::ZERO, Duration::ZERO), "{ppm}: {c:?}");
        assert_eq!((c.shortened, c.lengthened, c.late, c.overflow), (0, 0, 0, 0), "{ppm}: {c:?}");
        assert_eq!(h.played.len(), 180_000, "{ppm}");
        assert!((15..=37).contains(&c.stretched), "{ppm}: 720 ms are 36 times 20: {c:?}");
        assert!(h.worst_after(0) < 50 * MS, "{ppm}: {:?}", h.worst_after(0));
    }
}

#[test]
fn clocks_that_differ_on_a_jittery_line_do_no_harm_either() {
    for (ppm, seed) in [(200, 1), (-200, 2)] {
        let line = Line { jitter: 30 * MS, delay: 20 * MS, ..clean() };
        let h = listen(&speech(600_000, 20, ppm), line, seed, 7 * MS, |_| false);
        let c = h.counters;
        assert!(c.concealed < 60 && c.late < 60, "{ppm}: {c:?}");
        assert!(c.shortened <= 1 && c.overflow == 0, "{ppm}: at most once, at the start: {c:?}");
        assert!(h.worst_after(500) < 130 * MS, "{ppm}: {:?}", h.worst_after(500));
    }
}

#[test]
fn a_slow_sender_is_bridged_now_and_then() {
    let h = listen(&speech(300_000, 20, -300), clean(), 1, 7 * MS, |pull| pull % 500 > 450);
    assert!(h.lost + h.silences_between <= 160 * MS, "{:?} {:?}", h.lost, h.silences_between);
    assert!(h.played.len() >= 14_990, "{}", h.played.len());
}

/// Speech with pauses: packets in a gap are not sent, timestamps go on.
fn with_pauses(ms: u32) -> Plan {
    let mut plan = speech(ms, 20, 0);
    plan.retain(|(at, _)| at.as_millis() % 3_000 < 2_000);
    for (i, (_, p)) in plan.iter_mut().enumerate() {
        p.seq = i as u16;
    }
    plan
}

#[test]
fn pauses_without_packets_are_silence_not_loss() {
    for marker in [false, true] {
        let mut plan = with_pauses(30_000);
        for (at, p) in &mut plan {
            p.marker = marker && at.as_millis() % 3_000 == 0;
        }
        let h = listen(&plan, clean(), 1, 7 * MS, |_| false);
        assert_eq!(h.played.len(), plan.len());
        assert!(h.lost <= 60 * MS * 10, "{:?}", h.lost);
        assert!(h.worst_after(0) < 35 * MS, "{:?}", h.worst_after(0));
    }
}

#[test]
fn a_device_that_stops_its_timestamps_in_pauses_is_played_without_delay() {
    for marker in [false, true] {
        let mut plan = with_pauses(30_000);
        for (i, (at, p)) in plan.iter_mut().enumerate() {
            p.timestamp = i as u32 * 160;
            p.marker = marker && at.as_millis() % 3_000 == 0;
        }
        let h = listen(&plan, clean(), 1, 7 * MS, |_| false);
        assert!(h.played.len() + 3 >= plan.len(), "{} of {}", h.played.len(), plan.len());
        assert!(h.median() < 40 * MS, "{:?}", h.median());
    }
}

#[test]
fn comfort_noise_tells_its_level_until_speech_goes_on() {
    let t0 = start();
    let mut a = Audio::new(Config::new([(8, Format::Pcma), (13, Format::ComfortNoise)]));
    a.insert(t0, packet(8, 0, 0, SSRC, true, &[0xd5; 160]));
    a.insert(t0 + 20 * MS, packet(13, 1, 160, SSRC, false, &[60]));
    let at = |n: u32| t0 + 15 * MS + 20 * MS * n;
    assert!(matches!(&a.pull(at(0))[..], [Pull::Packet(_)]));
    for n in 1..30 {
        let pieces = a.pull(at(n));
        assert!(
            matches!(&pieces[..], [Pull::Silence { noise: Some(60), duration }] if *duration == 20 * MS),
            "{n}: {pieces:?}"
        );
    }
    a.insert(at(30), packet(8, 2, 31 * 160, SSRC, true, &[0xd5; 160]));
    let next: Vec<_> = (30..32).flat_map(|n| a.pull(at(n))).collect();
    assert!(next.iter().any(|p| matches!(p, Pull::Packet(p) if p.seq == 2)));
    assert_eq!(a.counters().concealed, 0);
}

#[test]
fn a_stalled_line_is_heard_again_at_once() {
    let mut plan = speech(10_000, 20, 0);
    for (at, _) in &mut plan {
        if *at >= 4_000 * MS && *at < 4_600 * MS {
            *at = 4_600 * MS;
        }
    }
    let h = listen(&plan, clean(), 1, 7 * MS, |_| false);
    let soon = h.played.iter().find(|(s, _)| *s >= 232).expect("played on");
    assert!(soon.1 < 600 * MS, "{soon:?}");
    let end = &h.played[h.played.len() - 1];
    assert!(end.1 < 600 * MS, "{end:?}");
    assert!(h.played.len() > 450, "{}", h.played.len());
}

#[test]
fn a_line_that_becomes_slower_for_good_is_followed() {
    let mut plan = speech(20_000, 20, 0);
    for (at, _) in plan.iter_mut().skip(500) {
        *at += 150 * MS;
    }
    let h = listen(&plan, clean(), 1, 7 * MS, |_| false);
    assert!(h.played.len() >= 985, "{}", h.played.len());
    let end = h.played[h.played.len() - 1].1;
    assert!(end < 80 * MS, "{end:?} from the new sending time");
}

#[test]
fn a_change_of_ssrc_or_a_jump_of_timestamps_goes_on_at_once() {
    for jump in [false, true] {
        let mut plan = speech(4_000, 20, 0);
        for (_, p) in plan.iter_mut().skip(100) {
            if jump {
                p.timestamp = p.timestamp.wrapping_add(3_000_000_000);
            } else {
                p.ssrc = 99;
                p.timestamp = p.timestamp.wrapping_sub(77_777);
            }
        }
        let h = listen(&plan, clean(), 1, 7 * MS, |_| false);
        assert!(h.played.len() >= 198, "{}", h.played.len());
        assert!(h.worst_after(0) < 40 * MS);
        assert_eq!(h.counters.restarts, 1);
    }
}

#[test]
fn timestamps_set_back_a_second_are_followed() {
    let mut plan = speech(6_000, 20, 0);
    for (_, p) in plan.iter_mut().skip(150) {
        p.timestamp -= 8_000;
    }
    let h = listen(&plan, clean(), 1, 7 * MS, |_| false);
    assert!(h.played.len() >= 290, "{}", h.played.len());
    assert!(h.played[h.played.len() - 1].1 < 60 * MS);
}

#[test]
fn more_than_half_a_second_is_never_held() {
    let t0 = start();
    let mut a = Audio::new(Config::new([(8, Format::Pcma)]));
    for i in 0..200u32 {
        a.insert(t0, packet(8, i as u16, i * 160, SSRC, false, &[0; 160]));
        assert!(a.stats().held <= 520 * MS);
    }
    assert!(a.counters().overflow >= 174);
    let first = (0..2).flat_map(|n| a.pull(t0 + 20 * MS * n)).find_map(|p| match p {
        Pull::Packet(p) => Some(p.seq),
        _ => None,
    });
    assert!(first.is_some_and(|s| s >= 190), "of a heap only the end is played: {first:?}");
}

#[test]
fn the_packet_after_a_lost_one_is_shown_for_forward_error_correction() {
    let t0 = start();
    let mut a = Audio::new(Config::new([(111, Format::Opus)]));
    let opus = |seq: u16| packet(111, seq, u32::from(seq) * 960, SSRC, false, &[0x78, 1, 2, 3]);
    a.insert(t0, opus(0));
    a.insert(t0 + 40 * MS, opus(2));
    assert!(matches!(&a.pull(t0 + 15 * MS)[..], [Pull::Packet(p)] if p.seq == 0));
    a.insert(t0 + 50 * MS, opus(3));
    let piece = a.pull(t0 + 55 * MS);
    assert!(
        matches!(&piece[..], [Pull::Lost { next: Some(p), duration }] if p.seq == 2 && *duration == 20 * MS),
        "{piece:?}"
    );
    assert!(matches!(&a.pull(t0 + 75 * MS)[..], [Pull::Packet(p)] if p.seq == 2));
}

#[test]
fn on_a_lossy_line_opus_waits_for_the_copy_in_the_next_packet() {
    let share = |loss: f64, phase: u32| {
        let t0 = start();
        let mut audio = Audio::new(Config::new([(111, Format::Opus)]));
        let mut link = Link::new(Line { loss: Loss::Random(loss), ..clean() }, 9);
        let (mut lost, mut with_next) = (0, 0);
        for i in 0..3_000u32 {
            let sent = t0 + 20 * MS * i;
            let p = packet(111, i as u16, i * 960, SSRC, false, &[0x78; 80]);
            link.insert_sized(sent, p, 92);
            drain(&mut link, &mut audio, sent);
            for piece in audio.pull(sent + MS * phase) {
                if let Pull::Lost { next, .. } = piece
                    && i > 1_000
                {
                    lost += 1;
                    with_next += u32::from(next.is_some());
                }
            }
        }
        (lost, with_next, audio.stats().delay)
    };
    for phase in [1, 9, 11, 19] {
        let (lost, with_next, _) = share(0.05, phase);
        // Of two in a row only the second has a copy.
        assert!(lost > 60 && with_next * 100 >= lost * 85, "phase {phase}: {with_next} of {lost}");
        assert!(share(0.0, phase).2 < 30 * MS, "a good line is not delayed for it");
    }
}

#[test]
fn a_codec_change_in_mid_call_needs_no_call() {
    let mut plan = speech(2_000, 20, 0);
    for (i, (_, p)) in plan.iter_mut().enumerate().skip(50) {
        p.pt = 111;
        p.timestamp = 5_000_000 + i as u32 * 960;
        p.payload = bytes::Bytes::from_static(&[0x78, 1, 2]);
    }
    let h = listen(&plan, clean(), 1, 7 * MS, |_| false);
    assert!(h.played.len() >= 98, "{}", h.played.len());
}

#[test]
fn foreign_and_malformed_payloads_are_counted() {
    let t0 = start();
    let mut a = Audio::new(Config::new([(8, Format::Pcma), (111, Format::Opus)]));
    a.insert(t0, packet(101, 0, 0, SSRC, false, &[1, 2, 3, 4]));
    a.insert(t0, packet(8, 1, 0, SSRC, false, &[]));
    a.insert(t0, packet(111, 2, 0, SSRC, false, &[0x7b, 0]));
    let c = a.counters();
    assert_eq!((c.unknown_type, c.malformed), (1, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any line: order is kept, nothing is played twice, every pull is filled (asserted in `listen`), nothing is older than the bound.
    #[test]
    fn any_line(seed: u64, ptime in prop::sample::select(vec![10u32, 20, 30, 60]), loss in 0.0f64..0.2, jitter in 0u32..150,
        reorder in 0.0f64..0.1, duplicate in 0.0f64..0.1, ppm in -500i64..500, phase in 0u32..20, talk in 1u32..400) {
        let line = Line { loss: Loss::bursts(loss, 3.0), jitter: MS * jitter, reorder, reorder_by: 35 * MS, duplicate, ..clean() };
        let h = listen(&speech(8_000, ptime, ppm), line, seed, MS * phase, |p| p % 400 > talk);
        prop_assert!(h.numbers().windows(2).all(|w| w[0] < w[1]));
        prop_assert!(h.worst_after(0) <= 800 * MS, "{:?}", h.worst_after(0));
        prop_assert!(h.played.len() as f64 >= 8_000.0 / f64::from(ptime) * (1.0 - loss) * 0.5, "{}", h.played.len());
    }

    #[test]
    fn any_packets(list in proptest::collection::vec((any::<u16>(), any::<u32>(), 0u32..3, prop::sample::select(vec![0u8, 8, 13, 111]), 0usize..200, 0u32..60), 0..200)) {
        let t0 = start();
        let mut a = Audio::new(Config::new([(0, Format::Pcmu), (8, Format::Pcma), (111, Format::Opus), (13, Format::ComfortNoise)]));
        let mut now = t0;
        for (seq, ts, ssrc, pt, len, wait) in list {
            now += MS * wait;
            a.insert(now, packet(pt, seq, ts, ssrc, false, &vec![seq as u8; len]));
            a.pull(now);
            prop_assert!(a.stats().held <= 700 * MS);
        }
    }
}
