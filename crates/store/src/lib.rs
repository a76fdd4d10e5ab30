//! What must survive a restart: users, sessions, conferences, the journal, and the live state of meetings.
//!
//! One SQLite file, `<data dir>/cau.db`, in WAL mode. All SQL is in this crate, one file per noun, written with numbered
//! parameters so that PostgreSQL can stand behind [`Store::open`] later. Nothing here reads the clock: callers give `now`.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod conferences;
mod db;
mod error;
#[cfg(test)]
mod full;
mod guard;
mod journal;
mod kept;
mod links;
pub mod password;
mod sessions;
mod users;

pub use conferences::Record;
pub use db::{Opened, Options, Store};
pub use error::Error;
pub use guard::Policy;
pub use journal::{Entry, Journal, Row};
pub use kept::{Keeper, KeptConference, Key};
pub use links::{Enrolment, Hash, Link};
pub use sessions::{Session, SignIn, SignInError};
pub use users::{PasswordError, Role, User};
