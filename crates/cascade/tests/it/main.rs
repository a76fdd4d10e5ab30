//! Nodes of a cascade on a virtual clock over simulated lines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod country;
mod scenarios;
mod standby;
mod world;
