//! Scenarios of crates/rtp, on a virtual clock, seeded.
#![allow(clippy::expect_used)] // a test's own data

mod capture;
mod common;
mod dtmf;
mod h264;
mod h264_loss;
mod jitter;
mod keyframe;
mod packet;
mod receiver;
mod rtcp;
mod sender;
mod session;
mod sps;
