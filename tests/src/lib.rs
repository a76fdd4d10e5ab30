//! End to end: the real `cau serve`, real endpoints (baresip, linphonec, sipp, our own phone), judged by machine.
//!
//! Each test starts its own server on free ports with its own data folder, so tests do not disturb one another; heavy ones take turns
//! ([`turn`]). What they need: the binary `cau` (`./x build`, or `CAU_BIN`), a Python with numpy, OpenCV and PyAV (`./x` makes
//! `target/venv`, or `CAU_PY`), and the clients of `tests/kit/README.md`. A test whose tools are missing fails and says which.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test harness runs the world: processes, the clock, the environment; and it fails by panic"
)]

pub mod api;
pub mod capture;
pub mod child;
pub mod client;
pub mod country;
pub mod hosts;
pub mod judged;
pub mod phones;
pub mod raw;
pub mod server;
pub mod sipp;
pub mod voice;

use std::{
    env,
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use api::Api;
pub use client::{Baresip, Linphone};
pub use judged::Judged;
pub use server::Server;

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").to_owned()
}

/// A file of the kit.
pub fn kit(file: &str) -> PathBuf {
    root().join("tests/kit").join(file)
}

/// The Python that has what the kit needs.
pub fn python() -> PathBuf {
    env::var_os("CAU_PY").map_or_else(
        || {
            let venv = target().join("venv/bin/python");
            assert!(venv.exists(), "no Python for the kit: run `./x test`, or set CAU_PY to one with numpy, opencv-python-headless and av");
            venv
        },
        PathBuf::from,
    )
}

/// The build folder.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The newest `cau` there is.
pub fn cau() -> PathBuf {
    if let Some(path) = env::var_os("CAU_BIN") {
        return path.into();
    }
    let built = |kind: &str| {
        let path = target().join(kind).join("cau");
        let changed = path.metadata().and_then(|m| m.modified()).ok()?;
        Some((changed, path))
    };
    let newest = ["release", "debug"].iter().filter_map(|k| built(k)).max();
    newest.expect("no binary `cau`: run `./x build`, or set CAU_BIN").1
}

/// Heavy tests (six clients and more) take turns, also those of other test programs: the machine has few cores, and a starved client says
/// nothing about the server. The turn ends when the file is dropped.
pub fn turn() -> File {
    let path = target().join("end-to-end.lock");
    let file = File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    file.lock().expect("a lock on the build folder");
    file
}

/// Looks every 20 ms until `look` finds something, for at most `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain for {what}");
        pause(Duration::from_millis(20));
    }
}

/// Lets real time pass: the clients under test live in it.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Seconds.
pub fn secs(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}
