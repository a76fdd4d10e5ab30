//! What the scenarios share.

use bytes::Bytes;
use cau_rtp::Packet;
use smallvec::SmallVec;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const MS: Duration = Duration::from_millis(1);

/// The virtual clock's zero.
#[allow(clippy::disallowed_methods)] // any instant will do to count from
pub fn start() -> Instant {
    Instant::now()
}

pub fn packet(pt: u8, seq: u16, timestamp: u32, ssrc: u32, marker: bool, payload: &[u8]) -> Packet {
    Packet {
        pt,
        marker,
        seq,
        timestamp,
        ssrc,
        csrc: SmallVec::new(),
        payload: Bytes::copy_from_slice(payload),
    }
}

/// A file of the project's own test data.
pub fn own(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A file of the data beside the project; None, with a message, when it is not there.
pub fn shared(name: &str) -> Option<Bytes> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes.into()),
        Err(_) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "skipped: {name} is not here");
            None
        }
    }
}

/// A small generator for test bytes.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
