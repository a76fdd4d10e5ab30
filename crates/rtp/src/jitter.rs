//! Playout of received sound: how long to wait, what to do when nothing is there.

mod audio;
mod estimator;

pub use audio::{Audio, Config, Counters, Pull, Stats, TICK};
