//! Bad lines: what the bad site sees and hears, and that nobody else is touched. Deterministic by seed.

use std::{f32::consts::TAU, sync::Arc};

use crate::common::{Endpoint, World, ms};
use cau_mixer::command::AudioCodec;
use cau_model::layout::Kind;
use cau_netem::{Config as Line, Loss};

/// How it was at the bad site.
#[derive(Debug)]
struct Row {
    /// Share of the time its picture stood for longer than 200 ms.
    stood: f64,
    /// Share of its sound that was missing and had no copy in the packet behind it, so that it had to be made up.
    made_up: f64,
    kbps: u32,
}

/// Three sites, one on a bad line, for `seconds`; that the others are untouched is asserted.
fn weather(line: &Line, nack: bool, pesters: bool, seconds: u64, seed: u64) -> Row {
    let mut world = World::configured(|config| {
        config.max_canvas = (160, 90);
        config.max_kbps = 192;
    });
    for n in 1..=3 {
        let mut e = Endpoint::new(n).codec(AudioCodec::Opus { fec: true }, 111).buffered();
        e = e.saying(syllables(n, seconds + 4));
        e.heals = true;
        e.size = (160, 90);
        e.moves = true;
        if n == 1 {
            if nack {
                e = e.with_nack();
            }
            e.pesters = pesters.then(|| ms(20));
        }
        world.join(e);
    }
    world.line(1, line.clone(), line.clone(), seed);
    world.show(Kind::Grid, &[1, 2, 3]);
    world.run(ms(3000));
    let (from, keys) = (world.now, [2, 3].map(|n| world.at(n).received.keys.len()));
    world.run(ms(1000) * seconds as u32);
    for (n, keys) in [2u64, 3].into_iter().zip(keys) {
        let r = &world.at(n).received;
        assert_eq!((r.broken, r.gaps, r.odd, r.back), (0, 0, 0, 0), "{n} gets an unbroken stream");
        assert_eq!(r.stood(from, world.now), 0.0, "{n}'s picture never stands");
        let merges = 1 + seconds as usize / 10;
        assert!(r.keys.len() - keys <= merges, "{n} pays for {} key frames", r.keys.len() - keys);
        let heard = world.at(n).buffer.as_ref().unwrap().counters();
        assert_eq!((heard.concealed, heard.late), (0, 0), "{n}'s sound never breaks");
    }
    assert_eq!(world.totals.stranded, 0);
    let bad = world.at(1);
    let heard = bad.buffer.as_ref().unwrap().counters();
    Row {
        stood: bad.received.stood(from, world.now),
        made_up: (heard.concealed - heard.recovered) as f64 / (heard.concealed + heard.played).max(1) as f64,
        kbps: world.statistics[&crate::common::p(1)].send.kbps,
    }
}

/// Vowels of a fifth of a second with pauses between them: of a steady tone libopus makes no copy, as it is no speech to it.
fn syllables(site: u64, seconds: u64) -> Arc<[f32]> {
    let pitch = 100.0 + 25.0 * site as f32;
    let sample = |n: u64| {
        let (phase, turn) = (n as f32 / 48_000.0 * pitch % 1.0 * TAU, n % 14_400);
        let vowel = (1..12).map(|h| (h as f32 * phase).sin() / h as f32).sum::<f32>();
        if turn < 9_600 { 0.12 * vowel * (turn as f32 / 9_600.0 * TAU / 2.0).sin() } else { 0.0 }
    };
    (0..seconds * 48_000).map(sample).collect()
}

fn lossy(loss: Loss) -> Line {
    Line { loss, delay: ms(20), ..Line::default() }
}

#[test]
fn random_loss_with_retransmission_is_hardly_seen() {
    for (share, most) in [(0.01, 0.01), (0.05, 0.05), (0.10, 0.15)] {
        let row = weather(&lossy(Loss::Random(share)), true, false, 10, 11);
        assert!(row.stood <= most, "{share}: {row:?}");
        assert!(row.made_up < share * 0.7 + 0.01, "{share}: {row:?}");
    }
}

#[test]
fn random_loss_without_retransmission_is_healed_by_key_frames() {
    for (share, most) in [(0.01, 0.15), (0.05, 0.6), (0.10, 0.85)] {
        let row = weather(&lossy(Loss::Random(share)), false, false, 10, 12);
        assert!(row.stood <= most, "{share}: {row:?}");
        assert!(row.made_up < share * 0.7 + 0.01, "{share}: {row:?}");
    }
}

#[test]
fn bursts_of_loss_are_borne() {
    for (share, nack, most) in [(0.01, true, 0.02), (0.05, true, 0.1), (0.05, false, 0.5)] {
        let row = weather(&lossy(Loss::bursts(share, 4.0)), nack, false, 10, 13);
        assert!(row.stood <= most, "{share}, {nack}: {row:?}");
        assert!(row.made_up < share * 1.5 + 0.01, "{share}: {row:?}");
    }
}

#[test]
fn jitter_stops_nothing() {
    for (jitter, nack) in [(30, true), (30, false), (100, true), (100, false)] {
        let line = Line { jitter: ms(jitter), delay: ms(20), ..Line::default() };
        let row = weather(&line, nack, false, 10, 14);
        assert!(row.stood <= 0.02, "{jitter}: {row:?}");
        assert!(row.made_up < 0.03, "{jitter}: {row:?}");
    }
}

#[test]
fn one_site_at_20_per_cent_loss_with_a_storm_of_requests_changes_nothing_for_the_rest() {
    let row = weather(&lossy(Loss::Random(0.2)), false, true, 20, 15);
    assert!(row.kbps > 0, "{row:?}");
}

#[test]
fn the_same_seed_is_the_same_weather() {
    let line = lossy(Loss::bursts(0.05, 3.0));
    let run = |seed| format!("{:?}", weather(&line, true, false, 5, seed));
    assert_eq!(run(3), run(3));
}

/// The table of docs/benchmarks.md: `cargo test -p cau-mixer --release --test it -- weather:: --ignored --nocapture`.
#[test]
#[ignore = "prints the table"]
#[expect(clippy::disallowed_macros, reason = "prints figures; only run by hand")]
fn table() {
    let bursts = |share| Loss::bursts(share, 4.0);
    let losses =
        [0.01, 0.05, 0.10].map(|share| (format!("{:.0} % lost", share * 100.0), Loss::Random(share)));
    let bursts =
        [0.01, 0.05, 0.10].map(|share| (format!("{:.0} % lost, 4 in a row", share * 100.0), bursts(share)));
    let jitter = [30, 100].map(|jitter| {
        (format!("jitter {jitter} ms"), Line { jitter: ms(jitter), delay: ms(20), ..Line::default() })
    });
    let lines: Vec<_> =
        losses.into_iter().chain(bursts).map(|(name, loss)| (name, lossy(loss))).chain(jitter).collect();
    println!(
        "| line | NACK: picture stands | sound made up | kbit/s | no NACK: picture stands | sound made up | kbit/s |"
    );
    println!("|---|---|---|---|---|---|---|");
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    for (name, line) in lines {
        let cells = [true, false].map(|nack| {
            let row = weather(&line, nack, false, 60, 21);
            format!("{} | {} | {}", percent(row.stood), percent(row.made_up), row.kbps)
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
    let row = weather(&lossy(Loss::Random(0.2)), false, true, 60, 15);
    let cells = format!("{} | {} | {}", percent(row.stood), percent(row.made_up), row.kbps);
    println!("| 20 % lost, PLI 50 times a second | – | – | – | {cells} |");
}
