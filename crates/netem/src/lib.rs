//! Seeded loss, jitter, reordering and rate, for virtual-clock tests, the relay and the load driver.
//!
//! Sans-IO: [`Link::insert`] takes a packet at `now`, [`Link::poll`] gives back those whose time has come, [`Link::poll_timeout`] says when to
//! poll again. The same seed and the same calls give the same line.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod link;
mod loss;

pub use link::{Config, Counters, Link};
pub use loss::Loss;
