//! Conferences, the registry of rooms and the calls in them; sans-IO.
//!
//! [`Focus`] is the core of the signalling thread. It owns the SIP endpoint and every conference, and joins the two worlds
//! that do not know each other: what `sip` negotiates it tells the mixer, what the mixer hears it tells the model, what the
//! model decides about pictures and sound it tells the mixer.
//!
//! ```text
//!  driver  ── handle_input / closed / timeout ─▶ ┌───────┐ ◀─ handle_request ── control, through a Handle
//!          ◀─ poll_transmit / poll_timeout ───── │ Focus │ ── poll_notice ───▶ events, journal
//!  names   ◀─ poll_lookup ─ handle_lookup ─────▶ │       │ ── poll_kept ─────▶ store, for after a restart
//!  mixers  ── handle_media(event) ─────────────▶ └───────┘
//!          ◀─ Media::open / close / command
//! ```
//!
//! Settings are stored by the one who asks, before he asks: [`Request::Create`] and [`Request::Change`] come when the database
//! has them, so that what was acknowledged is stored. [`check`] says beforehand what would be refused.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod capacity;
mod check;
mod config;
pub mod dial;
mod focus;
mod handle;
mod kept;
mod media;
mod notice;
mod operation;
mod request;
mod translate;

pub use check::check;
pub use config::{Config, Referrers, Roster};
pub use focus::Focus;
pub use handle::Handle;
pub use kept::{Keep, Kept, KeptCall};
pub use media::{Media, NoPorts};
pub use notice::{Body, Change, Notice};
pub use request::{
    Answer, Error, InSlot, LinkOrder, Lookup, Order, Registration, Request, Totals, Upward, Wanted,
};
