//! Pictures over bad lines: what comes out undamaged is exactly what was sent.

use crate::capture::clip;
use crate::common::{MS, Random, packet, start};
use crate::h264::{PPS, SPS, SSRC, slice};
use bytes::Bytes;
use cau_netem::{Config, Link, Loss};
use cau_rtp::Packet;
use cau_rtp::h264::nal::{is_slice, kind_of};
use cau_rtp::h264::{Counters, Depacketizer, Event, Mode, Packetizer, Unit};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

struct Outcome {
    units: Vec<Unit>,
    gaps: usize,
    counters: Counters,
    /// The longest time from the last packet of an undamaged picture to its coming out.
    slowest: Duration,
}

fn slices(nals: &[Bytes]) -> Vec<&Bytes> {
    nals.iter().filter(|n| kind_of(n).is_some_and(is_slice)).collect()
}

/// Sends 30 pictures a second over the line.
fn run(pictures: &[Vec<Bytes>], mode: Mode, line: Config, seed: u64) -> Outcome {
    let t0 = start();
    let mut link: Link<Packet> = Link::new(line, seed);
    let (packetizer, mut d) = (Packetizer::new(mode, 1_200), Depacketizer::default());
    let (mut seq, mut units, mut gaps, mut slowest) = (65_000u16, Vec::new(), 0, Duration::ZERO);
    let mut take = |d: &mut Depacketizer, now: Instant| {
        while let Some(e) = d.poll_event() {
            match e {
                Event::Unit(u) => {
                    if !u.damaged {
                        slowest = slowest.max(now - u.arrived);
                    }
                    units.push(u);
                }
                Event::Lost(_) => gaps += 1,
            }
        }
    };
    for ms in 0..(pictures.len() as u32 * 33 + 500) {
        let now = t0 + MS * ms;
        if ms % 33 == 0
            && let Some(nals) = pictures.get(ms as usize / 33)
        {
            for p in packetizer.packetize(nals).payloads {
                let p = packet(96, seq, ms / 33 * 3_000, SSRC, p.marker, &p.bytes);
                let len = p.wire_len();
                link.insert_sized(now, p, len);
                seq = seq.wrapping_add(1);
            }
        }
        while let Some(p) = link.poll(now) {
            d.insert(now, p);
            take(&mut d, now);
        }
        if d.poll_timeout().is_some_and(|at| at <= now) {
            d.handle_timeout(now);
            take(&mut d, now);
        }
    }
    Outcome { units, gaps, counters: d.counters(), slowest }
}

/// Pictures of several slices, a key frame every 30.
fn made(seed: u64, count: usize, mode: Mode) -> Vec<Vec<Bytes>> {
    let mut rng = Random(seed | 1);
    let most = if mode == Mode::SingleNal { 1_190 } else { 4_000 };
    (0..count)
        .map(|i| {
            let idr = i % 30 == 0;
            let mut nals = Vec::new();
            if idr {
                nals.extend([Bytes::from_static(SPS), Bytes::from_static(PPS)]);
            }
            for n in 0..1 + rng.below(5) {
                nals.push(slice(idr, n == 0, rng.next() as u8, 20 + rng.below(most - 20) as usize));
            }
            nals
        })
        .collect()
}

/// Every picture not called damaged has exactly the slices that were sent; order is kept; none comes twice.
fn check(pictures: &[Vec<Bytes>], o: &Outcome) {
    let mut seen = BTreeMap::new();
    for u in &o.units {
        let sent = &pictures[u.timestamp as usize / 3_000];
        if !u.damaged {
            assert_eq!(
                slices(&u.nals),
                slices(sent),
                "picture {} looks whole and is not",
                u.timestamp / 3_000
            );
        }
        assert!(slices(&u.nals).iter().all(|n| sent.contains(n)), "a slice nobody sent");
        assert!(!u.key || u.nals.iter().any(|n| kind_of(n) == Some(7)));
        *seen.entry(u.timestamp).or_insert(0) += 1;
    }
    assert!(o.units.is_sorted_by_key(|u| u.timestamp));
    assert!(seen.values().all(|n| *n == 1));
}

#[test]
fn a_clean_line_delays_nothing() {
    for mode in [Mode::SingleNal, Mode::NonInterleaved] {
        let pictures = made(1, 100, mode);
        let o = run(&pictures, mode, Config { delay: 20 * MS, jitter: 15 * MS, ..Config::default() }, 1);
        check(&pictures, &o);
        assert_eq!((o.units.len(), o.gaps, o.counters.damaged), (100, 0, 0));
        assert_eq!(o.slowest, Duration::ZERO);
    }
}

#[test]
fn reordering_within_the_wait_hurts_nothing() {
    let pictures = made(2, 200, Mode::NonInterleaved);
    let line = Config { reorder: 0.05, reorder_by: 12 * MS, duplicate: 0.05, ..Config::default() };
    let o = run(&pictures, Mode::NonInterleaved, line, 2);
    check(&pictures, &o);
    assert_eq!((o.units.len(), o.gaps, o.counters.damaged), (200, 0, 0));
    assert!(o.counters.duplicate > 20);
}

#[test]
fn reordering_beyond_the_first_wait_is_learnt() {
    let pictures = made(3, 600, Mode::NonInterleaved);
    let line = Config { reorder: 0.02, reorder_by: 40 * MS, ..Config::default() };
    let o = run(&pictures, Mode::NonInterleaved, line, 3);
    check(&pictures, &o);
    assert!(o.gaps <= 3, "{} gaps", o.gaps);
    assert!(o.units.len() >= 595);
}

#[test]
fn losses_damage_only_what_they_hit_and_never_delay_for_long() {
    for (loss, seed) in [(Loss::Random(0.01), 4), (Loss::Random(0.1), 5), (Loss::bursts(0.05, 6.0), 6)] {
        for mode in [Mode::SingleNal, Mode::NonInterleaved] {
            let pictures = made(seed, 300, mode);
            let o = run(&pictures, mode, Config { loss, delay: 10 * MS, ..Config::default() }, seed);
            check(&pictures, &o);
            assert!(o.gaps > 3 && o.counters.lost > 3);
            assert!(o.units.len() > 200, "{}", o.units.len());
            assert!(o.slowest <= 60 * MS, "{:?}", o.slowest);
        }
    }
}

#[test]
fn real_clips_over_a_lossy_line_are_never_called_whole_when_they_are_not() {
    for (file, seed) in [("Zhling_1280x720.264", 7), ("SVA_BA1_B.264", 8), ("test_cif_P_CABAC_slice.264", 9)]
    {
        let Some(pictures) = clip(file) else { return };
        let line =
            Config { loss: Loss::bursts(0.03, 2.0), reorder: 0.02, jitter: 8 * MS, ..Config::default() };
        let o = run(&pictures, Mode::NonInterleaved, line, seed);
        check(&pictures, &o);
        assert!(o.units.len() * 10 >= pictures.len() * 4, "{file}: {} of {}", o.units.len(), pictures.len());
    }
}

#[test]
fn a_line_that_is_gone_for_two_seconds_comes_back() {
    let pictures = made(10, 200, Mode::NonInterleaved);
    let t0 = start();
    let (packetizer, mut d) = (Packetizer::new(Mode::NonInterleaved, 1_200), Depacketizer::default());
    let (mut seq, mut got) = (0u16, Vec::new());
    for (i, nals) in pictures.iter().enumerate() {
        let now = t0 + 33 * MS * i as u32;
        for p in packetizer.packetize(nals).payloads {
            if !(50..110).contains(&i) {
                d.insert(now, packet(96, seq, 3_000 * i as u32, SSRC, p.marker, &p.bytes));
            }
            seq = seq.wrapping_add(1);
        }
        d.handle_timeout(now + 25 * MS);
        got.extend(crate::h264::units(crate::h264::events(&mut d)));
    }
    assert_eq!(got.len(), 140);
    assert!(got.iter().all(|u| !u.damaged));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_line(seed: u64, loss in 0.0f64..0.3, length in 1.0f64..8.0, reorder in 0.0f64..0.2, by in 1u32..120, duplicate in 0.0f64..0.1, single: bool) {
        let mode = if single { Mode::SingleNal } else { Mode::NonInterleaved };
        let pictures = made(seed, 60, mode);
        let line = Config { loss: Loss::bursts(loss, length), reorder, reorder_by: MS * by, duplicate, jitter: 10 * MS, ..Config::default() };
        let o = run(&pictures, mode, line, seed);
        check(&pictures, &o);
        prop_assert!(o.slowest <= 62 * MS, "{:?}", o.slowest);
    }
}
