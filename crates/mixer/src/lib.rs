//! Receive, decode or forward, compose and mix, encode once, fan out.
//!
//! [`Worker`] is the sans-IO core of one media thread: packets and sound run inside it, work on pixels leaves it as
//! [`Job`]s. docs/mixer.md says what is where and why.
//!
//! ```text
//! packet → leg ┬ audio → jitter buffer → decoder ┐            ┌ shared encoding ┐
//!              │                                 ├ mix (20 ms)┤                 ├→ leg → packet
//!              │                                 ┘            └ own encodings   ┘
//!              └ video → ring → [decoder job] → picture ┐ view (33 ms)
//!                                                       └ [compose job] → [encoder job] → ring → leg → packet
//! ```
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod command;
pub mod event;
pub mod job;
pub mod profile;
pub mod ring;
pub mod sound;

mod bring_up;
mod conference;
mod dropped;
mod forward;
mod leg;
mod out;
mod pressure;
mod preview;
mod source;
mod view;
mod worker;

pub use command::{Command, Config, LegConfig};
pub use event::Event;
pub use job::{Job, Spawner};
pub use worker::{TICK, Worker};

use std::net::SocketAddr;

use bytes::Bytes;
use cau_model::ParticipantId;

/// Which of a leg's two media.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Media {
    /// Sound.
    Audio,
    /// The picture.
    Video,
}

/// Names one socket of a leg. With `rtcp_mux` only the port with `rtcp: false` is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Port {
    /// Whose.
    pub participant: ParticipantId,
    /// Of which medium.
    pub media: Media,
    /// The RTCP socket (RTP port + 1) instead of the RTP one.
    pub rtcp: bool,
}

/// Datagrams to be sent from one port to one destination.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// The socket they leave from.
    pub port: Port,
    /// Where to.
    pub to: SocketAddr,
    /// One datagram, or several of `segment` bytes each (the last may be shorter).
    pub data: Bytes,
    /// Size of one datagram when `data` holds several.
    pub segment: Option<usize>,
}
