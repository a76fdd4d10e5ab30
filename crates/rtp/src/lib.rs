//! Sans-IO RTP and RTCP: sequence, jitter buffer, payload formats, key-frame requests, statistics.
//!
//! Nothing here reads a clock or a socket: every call is given `now`, and every bytes-from-outside parser is total (bounded, never
//! panics, counts what it drops).
//!
//! ```text
//! datagram ─ packet::classify ─┬─ Rtp  ─ Packet::parse ─ Session::receive ─┬─ audio: jitter::Audio::insert … pull(now) every 20 ms
//!                              │        (stream::Receiver: SSRC, order,    ├─ dtmf::Receiver::insert
//!                              │         duplicates, loss, jitter)         └─ video: h264::Depacketizer::insert … poll_event
//!                              └─ Rtcp ─ Session::handle_rtcp ─ Notice ─ keyframe::Responder
//! h264::Depacketizer Lost/damaged ─ keyframe::Requester::poll ─ Ask ─ Session::ask | SIP INFO
//! encoder NALs ─ h264::Packetizer ─ stream::Sender::send ─ Packet::write ─ datagram;  Session::poll_rtcp ─ datagram
//! ```
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod dtmf;
pub mod h264;
pub mod jitter;
pub mod keyframe;
pub mod nack;
pub mod packet;
pub mod payload;
pub mod rate;
pub mod reorder;
pub mod rtcp;
pub mod rtx;
pub mod seq;
pub mod session;
mod sorted;
pub mod stream;

pub use packet::Packet;
pub use session::Session;
