//! The router over a real store, with a focus that stands in for calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

#[allow(dead_code, reason = "the example of the console plays with the rest")]
mod common;
mod console;
mod contract;
mod events;
mod picture;
