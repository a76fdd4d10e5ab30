//! The mixer's core with synthetic endpoints, a virtual clock and no sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod adaptation;
mod bring_up;
mod common;
mod cost;
mod discipline;
mod forward;
mod layouts;
mod line;
mod links;
mod lips;
mod picture;
mod sound;
mod speech;
mod weather;
