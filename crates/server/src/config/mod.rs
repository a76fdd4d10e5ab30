//! Configuration: raw file type → resolved type. Nothing is bound or opened while parsing.

mod cascade;
mod error;
pub mod layouts;
mod raw;
mod resolve;
mod sites;

use std::{net::IpAddr, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use cau_conference::{Referrers, Roster, capacity::Rules};
use cau_sip::{
    Host,
    digest::{Accounts, Credentials},
    register::Registration,
};
use ipnet::IpNet;

use cau_model::ornament::Corner;
pub use error::Error;
pub use raw::load;

/// Everything `cau serve` needs to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rooms, users, journal, ports.
    pub data_dir: PathBuf,
    /// SIP.
    pub sip: Sip,
    /// Accounts of sites.
    pub registrar: Registrar,
    /// Range of RTP ports.
    pub rtp_ports: RangeInclusive<u16>,
    /// HTTP API and console.
    pub control_bind: SocketAddr,
    /// The same over TLS, for everywhere.
    pub control_tls: Option<ControlTls>,
    /// What this MCU is in a tree of MCUs.
    pub cascade: Option<crate::cascade::Config>,
    /// HTTP connections at the same time.
    pub control_max_connections: usize,
    /// Those of one address; proxies trusted may take all.
    pub control_max_connections_per_address: usize,
    /// Proxies whose X-Forwarded-For and Forwarded are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Pictures.
    pub video: Video,
    /// Folder of layout files.
    pub layouts: PathBuf,
    /// The logo on the pictures.
    pub logo: Option<Logo>,
    /// Threads for packets and sound.
    pub packet_threads: usize,
    /// Threads for pictures.
    pub picture_threads: usize,
    /// What is done when the machine is full.
    pub capacity: Rules,
    /// Participants of one conference.
    pub max_participants: usize,
    /// How sites are called.
    pub dial: Dial,
    /// Meetings are taken up again when the program did not stand still longer than this.
    pub resume_within: Duration,
    /// Who may watch who is in a conference.
    pub roster: Roster,
    /// Who may call and hang up others by REFER.
    pub refer: Referrers,
    /// Time without new calls before BYE to all on SIGTERM.
    pub drain_grace: Duration,
    /// Log filter and format.
    pub log: Log,
}

/// HTTPS.
#[derive(Clone, Debug)]
pub struct ControlTls {
    /// Where.
    pub bind: SocketAddr,
    /// Certificate and key for browsers; `None`: of the MCU's own authority.
    pub files: Option<crate::tls::Files>,
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
    /// Ask for credentials before a call is taken.
    pub authenticate_calls: bool,
    /// Where we register ourselves.
    pub register: Vec<Register>,
    /// Who we are for others, when they ask.
    pub credentials: Vec<Credentials>,
}

/// A registration of ours, before its registrar is looked up.
#[derive(Clone, Debug)]
pub struct Register {
    /// Everything but the registrar's address.
    pub plan: Registration,
    /// Its `host:port`.
    pub host: String,
}

/// Our accounts and our registrar.
#[derive(Clone, Debug)]
pub struct Registrar {
    /// Devices may register.
    pub enabled: bool,
    /// Shown when asking for credentials.
    pub realm: String,
    /// Our domains; none: whatever devices call us.
    pub domains: Vec<Host>,
    /// Who has an account.
    pub accounts: Accounts,
    /// Bounds of the time of a registration.
    pub expires: RangeInclusive<Duration>,
    /// Devices of one account.
    pub max_devices: usize,
}

/// Calling sites.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Whom, how fast, how long, how often again.
    pub site: cau_conference::dial::Dial,
    /// Name servers; empty: the system's.
    pub name_servers: Vec<SocketAddr>,
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
    /// Encodings in one conference at most.
    pub encodings: usize,
    /// Sites that nobody sees are asked to send little.
    pub thrift: bool,
    /// Which encoder.
    pub encoder: Encoder,
}

/// The logo on the pictures.
#[derive(Clone, Debug)]
pub struct Logo {
    /// A PNG file.
    pub file: PathBuf,
    /// Where it stands.
    pub place: Corner,
    /// Height as a share of the picture's, 0–1.
    pub height: f32,
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
