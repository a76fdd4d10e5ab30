//! Configuration: raw file type → resolved type. Nothing is bound or opened while parsing.

mod error;
mod raw;
mod resolve;

use std::{net::IpAddr, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

pub use error::Error;
pub use raw::load;

/// Everything `cau serve` needs to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rooms, users, journal, ports.
    pub data_dir: PathBuf,
    /// SIP.
    pub sip: Sip,
    /// Range of RTP ports.
    pub rtp_ports: RangeInclusive<u16>,
    /// HTTP API and console.
    pub control_bind: SocketAddr,
    /// Pictures.
    pub video: Video,
    /// Threads for packets and sound.
    pub packet_threads: usize,
    /// Threads for pictures.
    pub picture_threads: usize,
    /// Participants of one conference.
    pub max_participants: usize,
    /// Time without new calls before BYE to all on SIGTERM.
    pub drain_grace: Duration,
    /// Log filter and format.
    pub log: Log,
}

/// SIP part of [`Config`].
#[derive(Clone, Debug)]
pub struct Sip {
    /// Addresses for UDP and TCP.
    pub bind: Vec<SocketAddr>,
    /// Address for Contact and SDP when it differs.
    pub advertise: Option<IpAddr>,
    /// Largest body of a message in bytes.
    pub max_body: usize,
    /// Calls at the same time.
    pub max_calls: usize,
    /// How often a call shows that it is still there (RFC 4028); `None`: never.
    pub session_timer: Option<Duration>,
    /// Requests too large for a datagram go by TCP where somebody listens (RFC 3261 18.1.1).
    pub large_by_tcp: bool,
}

/// Picture part of [`Config`].
#[derive(Clone, Debug)]
pub struct Video {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: u32,
    /// kbit/s of the largest picture.
    pub kbps: u32,
    /// Which encoder.
    pub encoder: Encoder,
}

/// Choice of the H.264 encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// The measured default.
    Auto,
    /// Cisco OpenH264 (BSD).
    OpenH264,
    /// libx264 through libavcodec (GPL).
    X264,
}

/// Logging.
#[derive(Clone, Debug)]
pub struct Log {
    /// Filter in `tracing-subscriber`'s notation.
    pub level: String,
    /// Format.
    pub format: LogFormat,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// One JSON object per line.
    Json,
}

#[cfg(test)]
mod tests;
