//! HTTP API, events, sign-in and the operator's console.
//!
//! [`router`] makes the whole of it out of a [`State`]; the server binds the listeners. What the focus tells comes in by
//! [`Events::notice`]. JSON is known here and nowhere below.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod api;
pub mod auth;
pub mod cascade;
mod client;
mod console;
pub mod events;
mod focus;
mod health;
mod json;
mod language;
mod levels;
pub mod metrics;
mod notices;
mod problem;
mod router;
mod state;
mod strict;

pub use auth::Secure;
pub use events::Events;
pub use health::watch_store;
pub use json::MAX_BODY;
pub use language::Language;
pub use metrics::Sample;
pub use problem::Problem;
pub use router::{openapi, router};
pub use state::{About, Clock, Figures, State};
