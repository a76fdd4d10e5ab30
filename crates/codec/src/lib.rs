//! The only crate with FFI: video and audio codecs, scaling, text.
//!
//! Everything else in the house is `unsafe_code = "forbid"`; here `unsafe` stands only in [`video`]'s bindings to libavcodec and
//! OpenH264, in [`clip`], in the log hook and in the libyuv bindings. Nothing here reads a clock, opens a socket or starts a thread: an encoder
//! or decoder works on the thread that calls it, and the caller spreads them.
//!
//! | module | what |
//! |---|---|
//! | [`video`] | pictures (I420), decoder, encoders |
//! | [`scale`] | fit a picture into a rectangle, scale once, copy often |
//! | [`draw`] | names, borders, cards |
//! | [`audio`] | Opus, G.722, G.711; resampling, concealment: always 20 ms of 48 kHz mono outside |
//! | [`jpeg`] | a preview |
//! | [`clip`] | a media file as decoded pictures |
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod video;

pub mod audio;
pub mod clip;
pub mod draw;
pub mod jpeg;
pub mod scale;

mod libav;
mod yuv;
