//! Digest authentication, both sides (RFC 7616, RFC 8760, RFC 3261 22).
//!
//! ```text
//!  server: Guard ── challenge ─▶ 401 ─▶ client: Tried::answer ─▶ request with Authorization ─▶ Guard::check
//! ```
//!
//! Nonces are not stored when they are given out: they say themselves when they were made, under an HMAC. Only those a correct
//! answer was given to are remembered, with the counts they were used with, so that strangers cannot fill any table.
//!
//! Deliberately not here: `auth-int` (proxies that touch bodies break it), `userhash`, Basic (forbidden by RFC 8760 2.7).

mod account;
mod algorithm;
mod answer;
mod challenge;
mod guard;
mod nonce;
mod params;
mod puzzled;

pub use account::{Accounts, AccountsError, Credentials, Secret};
pub use algorithm::Algorithm;
pub(crate) use answer::Tried;
pub use guard::Config;
pub(crate) use guard::{Guard, Verdict};

#[cfg(test)]
mod tests;
