//! What the fuzz targets do with their input, and what must hold whatever it is.
//!
//! No input may panic, run for ever or take more memory than [`memory::LIMIT`]; what is written can be read; what was begun comes
//! to its end.

#[cfg(feature = "codec")]
pub mod codec;
pub mod media;
pub mod memory;
pub mod sip;

use std::time::{Duration, Instant};

/// The virtual clock's zero.
fn start() -> Instant {
    Instant::now()
}

/// Takes records off the input: a kind, a length of two bytes, then that many bytes.
fn records(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [kind, high, low, rest @ ..] = data else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (record, rest) = rest.split_at(length);
        data = rest;
        Some((*kind, record))
    })
}

/// `n` milliseconds.
fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
