//! SIP and SDP by pure state machines: a virtual clock, a seeded network.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod auth;
mod calls;
mod common;
mod early;
mod reinvite;
mod resume;
mod scale;
mod sdp_answer;
mod sdp_calls;
mod sdp_devices;
mod sdp_fuzz;
mod sdp_offer;
mod sdp_parse;
mod server;
mod subscribe;
mod timers;
mod torture;
mod transport;
