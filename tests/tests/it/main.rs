//! End to end: the real server, real endpoints; see docs/testing.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "end-to-end tests live in the world"
)]

mod accounts;
mod capacity;
mod cascade;
mod compose;
mod ctl;
mod dialling;
mod hard;
mod harness;
mod linphone;
mod outgoing;
mod phone;
mod restart;
mod signalling;
mod sites;
mod standby;
mod start;
