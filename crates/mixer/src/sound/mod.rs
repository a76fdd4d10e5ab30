//! The sound of a conference: 20 ms at a time, 48 kHz, one channel.

pub mod coding;
pub mod limiter;
pub mod mix;
pub mod room;
pub mod voice;

/// Samples of one frame: 20 ms at 48 kHz.
pub const FRAME: usize = 960;
/// One frame; full scale is ±1.
pub type Frame = [f32; FRAME];
