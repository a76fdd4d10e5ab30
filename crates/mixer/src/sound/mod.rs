//! The sound of a conference: 20 ms at a time, 48 kHz, one channel.

pub mod band;
pub mod coding;
pub mod echo;
pub mod even;
pub mod limiter;
pub mod mix;
pub mod noise;
pub mod room;
pub mod voice;
pub mod watch;

/// Samples of one frame: 20 ms at 48 kHz.
pub const FRAME: usize = 960;
/// One frame; full scale is ±1.
pub type Frame = [f32; FRAME];
