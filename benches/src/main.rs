//! `cau-bench [NAME …]`: `grid8`, `grid16`, `full8`, `setup`, `switching`, `calls`; all without a name. Called by `./x bench`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark runs the world and fails by panic"
)]

mod bare;
mod calls;
mod full;
mod grid;
mod phones;
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
    name.strip_prefix(of).and_then(|n| n.parse().ok()).filter(|n| (2..=200).contains(n))
}

#[expect(clippy::disallowed_macros, reason = "the benchmark talks to its user")]
fn main() -> ExitCode {
    let all = ["setup", "switching", "calls", "grid8", "grid16", "full8"];
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let names = if asked.is_empty() { all.map(str::to_owned).to_vec() } else { asked };
    for name in names {
        let rows = match name.as_str() {
            "setup" => setup::run(),
            "switching" => switching::run(),
            "calls" => calls::run(),
            _ => match (number(&name, "grid"), number(&name, "full")) {
                (Some(callers), _) => grid::run(callers),
                (_, Some(callers)) => full::run(callers),
                _ => {
                    eprintln!(
                        "there is no benchmark {name}; there are {}, and gridN, fullN for N from 2 to 200",
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
