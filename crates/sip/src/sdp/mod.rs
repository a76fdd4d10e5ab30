//! Session descriptions (RFC 8866) and the offer/answer engine (RFC 3264).
//!
//! - [`Session`] is one description, [`Session::parse`] takes what real devices send, [`Session::to_bytes`] writes RFC 8866.
//! - [`answer`] answers an offer line by line, [`offer`] makes one, [`accept_answer`] reads the answer to it.
//! - [`Negotiated`] is what both sides agreed on: where to send, what, how large, how much.
//!
//! Which line becomes what is decided in one place, [`Role`]; a line that no role takes is declined in its place with port 0.
//!
//! What is not decided here: whether an address is reachable (symmetric RTP latches), how much of the line a call may have
//! ([`Capabilities::max_kbps`] says that), which picture is sent. Secure media (`RTP/SAVP`) is parsed, [`crypto`], and declined.

mod accept;
mod agree;
mod answer;
mod attributes;
mod audio;
mod base64;
mod capabilities;
pub mod crypto;
mod feedback;
mod fmtp;
mod format;
pub mod h264;
mod line;
mod negotiated;
mod offer;
mod origin;
mod parse;
mod refused;
mod session;
mod write;

pub use accept::accept_answer;
pub use answer::answer;
pub use attributes::{Attribute, Attributes};
pub use audio::{AudioCodec, Opus};
pub use capabilities::{AudioChoice, AudioFormat, Capabilities, Ports, Rtx, VideoFormat};
pub use feedback::Feedback;
pub use fmtp::Fmtp;
pub use format::{Codec, Format, formats};
pub use line::Role;
pub use negotiated::{Audio, Declined, Negotiated, Repairs, Stream, Video};
pub use offer::{offer, settle};
pub use origin::Origin;
pub use parse::Error;
pub use refused::{Decline, Refused};
pub use session::{Address, Bandwidth, Direction, Media, MediaKind, Protocol, Session};

/// The longest description that is read, bytes. Real ones reach 5 kB.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most lines that are read; real ones reach 150.
pub const MAX_LINES: usize = 2_000;
/// The longest line that is read, bytes; a longer one is passed over.
pub const MAX_LINE: usize = 4_096;
/// The most `m=` lines; real ones reach 8.
pub const MAX_MEDIA: usize = 32;
/// The most formats of one `m=` line that are kept: there are 128 payload types.
pub const MAX_FORMATS: usize = 128;
