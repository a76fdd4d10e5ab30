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
//!
//! | in here | where |
//! |---|---|
//! | messages, limits, stream framing (RFC 3261 7, 18.3, 25; 4475, 5118, 5626 keep-alives) | [`message`] |
//! | connections, where bytes go (RFC 3261 18, 3581) | `wire` |
//! | the four transactions (RFC 3261 17, 6026) | `transaction` |
//! | dialogs, route sets (RFC 3261 12, 16.12.1.2) | `dialog` |
//! | INVITE sessions both ways, CANCEL, BYE, re-INVITE, glare, INFO (RFC 3261 9, 13–15, 6337, 6086, 5168) | `endpoint` |
//! | UPDATE (RFC 3311), 100rel and PRACK (RFC 3262), early dialogs and forks (RFC 3261 12, 13.2.2.4) | `endpoint` |
//! | session timers (RFC 4028), Session-ID (RFC 7989), Reason (RFC 3326) | `session_timer`, `session_id`, [`message::Reason`] |
//! | dialogs that outlive the program ([`Saved`]) | `saved` |
//! | session descriptions (RFC 8866, 3264) | [`sdp`] |
//! | digest authentication, both sides (RFC 7616, 8760) | [`digest`] |
//! | the registrar for our devices (RFC 3261 10, 3327), and we as a device of others | [`registrar`], [`register`] |
//! | subscriptions of others, the conference event package (RFC 6665, 4575) | [`subscribe`], [`conference_info`] |
//! | REFER to the focus (RFC 3515, 4488, 4579) | [`refer`] |
//!
//! Every queue and table has a bound ([`Config`], [`Limits`]); what falls out is counted by cause ([`Counters::dropped`]).
//!
//! Deliberately not here yet, and not advertised: TLS, DNS.
//! Names are looked up by the owner ([`Hop`], `Target::remote`); within a dialog a name is answered where it speaks from.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod call;
pub mod conference_info;
mod config;
mod counters;
mod dialog;
pub mod digest;
mod end;
mod endpoint;
mod event;
mod locate;
pub mod message;
pub mod refer;
pub mod register;
pub mod registrar;
mod saved;
pub mod sdp;
mod session_id;
mod session_timer;
pub mod subscribe;
mod timer;
mod transaction;
mod transport;
mod wire;

pub use config::{Advertise, Config, Timers};
pub use counters::Counters;
pub use end::EndCause;
pub use endpoint::Endpoint;
pub use event::{CallId, Event, IncomingInvite, InfoBody, LINK_TOKEN, Refused, Target, Told};
pub use locate::{Hop, Unlocated};
pub use message::{Host, Limits, NameAddr, Uri};
pub use saved::Saved;
pub use session_timer::SessionTimers;
pub use transport::{ConnId, Input, Protocol, Transmit, Transport};
