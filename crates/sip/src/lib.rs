//! Sans-IO SIP: messages, transactions, dialogs, INVITE sessions, SDP offer/answer.
//!
//! [`Endpoint`] is one user agent core for all calls. It is given bytes and the time and gives back bytes, events and its next
//! time-out:
//!
//! ```text
//!  driver ── handle_input(now, Input) ─▶ ┌──────────┐ ── poll_event() ────▶ owner (conference, load)
//!         ── handle_timeout(now) ──────▶ │ Endpoint │ ◀─ accept, reject, … ─
//!         ◀─ poll_transmit() ─────────── └──────────┘
//!         ◀─ poll_timeout() ────────────
//! ```
//!
//! After every input and command: drain `poll_event`, then `poll_transmit`, then ask `poll_timeout`.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod call;
mod config;
mod counters;
mod dialog;
mod end;
mod endpoint;
mod event;
pub mod message;
pub mod sdp;
mod timer;
mod transaction;
mod transport;
mod wire;

pub use config::{Advertise, Config, Timers};
pub use counters::Counters;
pub use end::EndCause;
pub use endpoint::Endpoint;
pub use event::{CallId, Event, IncomingInvite, InfoBody, Refused, Target};
pub use message::{Host, Limits, NameAddr, Uri};
pub use transport::{ConnId, Input, Protocol, Transmit, Transport};
