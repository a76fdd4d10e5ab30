//! `cau-bench [NAME …]`; all that one machine shows in a few minutes without a name. Called by `./x bench`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark runs the world and fails by panic"
)]

mod bare;
mod calls;
mod cascade;
mod grid;
mod lines;
mod meetings;
mod phones;
mod room;
mod rows;
mod setup;
mod switching;

use std::{path::PathBuf, process::ExitCode};

/// The demo's clips: natural pictures of 1280×720 at 30 a second.
fn clips() -> Vec<PathBuf> {
    let dir = cau_tests::root().join("assets/demo");
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("assets/demo")
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "h264"))
        .collect();
    found.sort();
    found
}

/// The number of callers behind a benchmark's name.
fn number(name: &str, of: &str) -> Option<usize> {
    name.strip_prefix(of).and_then(|n| n.parse().ok()).filter(|n| (2..=2_000).contains(n))
}

/// A benchmark with the number of its callers in its name.
fn sized(name: &str) -> Option<Vec<rows::Row>> {
    let of = |kind| number(name, kind);
    of("grid")
        .map(grid::run)
        .or_else(|| of("full").map(meetings::full))
        .or_else(|| of("switched").map(meetings::switched))
        .or_else(|| of("large").map(|callers| meetings::large(callers, 30)))
        .or_else(|| of("long").map(|callers| meetings::large(callers, 300)))
        .or_else(|| of("cascade-follow").map(cascade::follow))
        .or_else(|| of("cascade-links").map(cascade::links))
        .or_else(|| country(name))
}

/// Bring-ups over lines of a kind; so many as the name says, or 30.
fn country(name: &str) -> Option<Vec<rows::Row>> {
    let (kind, count) = match name.rsplit_once('-').map(|(kind, count)| (kind, count.parse().ok())) {
        Some((kind, Some(count))) => (kind, count),
        _ => (name, 30),
    };
    Some(cascade::bring_ups(cascade::line(kind)?, count))
}

#[expect(clippy::disallowed_macros, reason = "the benchmark talks to its user")]
fn main() -> ExitCode {
    let all = [
        "setup",
        "switching",
        "calls",
        "grid8",
        "grid16",
        "seen4",
        "full8",
        "switched100",
        "sound",
        "delay",
        "memory",
        "lines",
        "lines-mixed",
        "most",
        "large1000",
        "cascade-free",
        "cascade-loss",
        "cascade-slow",
        "cascade-cut",
        "cascade-follow50",
        "cascade-links34",
    ];
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let names = if asked.is_empty() { all.map(str::to_owned).to_vec() } else { asked };
    for name in names {
        let rows = match name.as_str() {
            "setup" => setup::run(),
            "switching" => switching::run(),
            "calls" => calls::run(),
            "seen4" => meetings::four_of_sixteen(),
            "sound" => meetings::sound(),
            "delay" => meetings::delay(),
            "lines" => lines::run("full"),
            "lines-mixed" => lines::run("grid"),
            "memory" => meetings::memory(),
            "cascade-cut" => cascade::cuts(),
            "most" => meetings::most(),
            _ => match sized(&name) {
                Some(rows) => rows,
                None => {
                    eprintln!(
                        "there is no benchmark {name}; there are {}, and other numbers (gridN, fullN, switchedN, largeN; longN: largeN for five minutes; cascade-free-N: N bring-ups)",
                        all.join(", ")
                    );
                    return ExitCode::from(2);
                }
            },
        };
        rows::publish(&name, &rows);
    }
    ExitCode::SUCCESS
}
