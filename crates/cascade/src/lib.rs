//! The control protocol between MCUs: links, tree, the path of a bring-up; sans-IO (docs/cascade.md).
//!
//! [`Node`] is one MCU's part of one meeting that spans several MCUs. It is given messages, time, facts of the local conference and
//! commands of operators, and gives back messages, things the conference is to do, events and its next time-out:
//!
//! ```text
//!  driver      ── handle_accepted / connected / closed / message / timeout ─▶ ┌──────┐ ◀─ command ── operators
//!              ◀─ poll_transmit / poll_timeout ────────────────────────────── │ Node │ ── poll_event ──▶ events, journal
//!  conference  ── fact ─────────────────────────────────────────────────────▶ │      │ ── kept ────────▶ store
//!              ◀─ poll_act ────────────────────────────────────────────────── └──────┘
//! ```
//!
//! After every input: drain `poll_transmit`, `poll_act` and `poll_event`, then ask `poll_timeout`.
//!
//! | in here | where |
//! |---|---|
//! | names of MCUs and sites | [`path`] |
//! | messages and their bounds | [`wire`] |
//! | keep-alive, numbers, replay; reconnecting | `channel`, `backoff` |
//! | the table of everything below, versions, deltas | [`tree`] |
//! | what one master keeps for the other | [`shelf`] |
//! | what a slave lets a master do | [`rights`] |
//! | links, slots, bring-ups, calls to all | [`node`] |
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod backoff;
mod channel;
mod meter;
pub mod node;
mod operation;
pub mod path;
pub mod rights;
pub mod shelf;
pub mod tree;
pub mod wire;

pub use channel::{KEEP_ALIVE, SILENCE};
pub use node::{
    Act, Command, Config, Drill, Event, Fact, Kept, Link, Node, Outcome, Site, Source, Standing, Transmit,
    Viewers,
};
pub use operation::{Operation, Step};
pub use path::Path;
pub use rights::Policy;

/// One connection of the driver; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);
