//! The parts of a description (RFC 8866 5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::{Attributes, Origin};

/// One session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `o=`: who made it, and its version.
    pub origin: Origin,
    /// `s=`; `-` when it says nothing.
    pub name: String,
    /// `i=`, `u=`, `e=`, `p=`, `r=`, `z=`, `k=` of the session, in the order RFC 8866 wants.
    pub other: Vec<(char, String)>,
    /// `c=` for all media lines that have none of their own.
    pub connection: Option<Address>,
    /// `b=` of the whole session.
    pub bandwidth: Vec<Bandwidth>,
    /// `t=` lines, as written; `0 0` when there was none.
    pub times: Vec<String>,
    /// `a=` of the session.
    pub attributes: Attributes,
    /// The `m=` lines; their place is their identity for the whole call (RFC 3264 8).
    pub media: Vec<Media>,
}

impl Session {
    /// A description without media lines.
    pub fn new(origin: Origin, address: IpAddr) -> Self {
        Self {
            origin,
            name: "-".to_owned(),
            other: Vec::new(),
            connection: Some(Address::Ip(address)),
            bandwidth: Vec::new(),
            times: vec!["0 0".to_owned()],
            attributes: Attributes::default(),
            media: Vec::new(),
        }
    }
}

/// One `m=` line and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, …
    pub kind: MediaKind,
    /// 0: the line is declined or closed.
    pub port: u16,
    /// The transport.
    pub protocol: Protocol,
    /// Formats as written: payload types of RTP, `*` of BFCP.
    pub formats: Vec<String>,
    /// `i=` and `k=` of this line.
    pub other: Vec<(char, String)>,
    /// `c=` of this line alone.
    pub connection: Option<Address>,
    /// `b=` of this line.
    pub bandwidth: Vec<Bandwidth>,
    /// `a=` of this line.
    pub attributes: Attributes,
}

impl Media {
    /// A line without attributes.
    pub fn new(kind: MediaKind, port: u16, protocol: Protocol) -> Self {
        Self {
            kind,
            port,
            protocol,
            formats: Vec::new(),
            other: Vec::new(),
            connection: None,
            bandwidth: Vec::new(),
            attributes: Attributes::default(),
        }
    }

    /// The same line declined: port 0, same transport, same formats (RFC 3264 6).
    pub fn declined(&self) -> Self {
        let mut line = Self::new(self.kind.clone(), 0, self.protocol.clone());
        line.formats.clone_from(&self.formats);
        line
    }
}

/// What a media line carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// BFCP, H.224 and others.
    Application,
    /// `control`, `text`, `image`, …, as written.
    Other(String),
}

impl MediaKind {
    pub(super) fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "audio" => Self::Audio,
            "video" => Self::Video,
            "application" => Self::Application,
            _ => Self::Other(word.to_owned()),
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Application => "application",
            Self::Other(word) => word,
        })
    }
}

/// The transport of a media line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// `RTP/AVP` (RFC 3551).
    Avp,
    /// `RTP/AVPF` (RFC 4585).
    Avpf,
    /// `RTP/SAVP` (RFC 3711).
    Savp,
    /// `RTP/SAVPF` (RFC 5124).
    Savpf,
    /// `UDP/TLS/RTP/SAVP` (RFC 5764).
    DtlsSavp,
    /// `UDP/TLS/RTP/SAVPF` (RFC 5764).
    DtlsSavpf,
    /// `UDP/BFCP`, `TCP/BFCP`, `UDP/UDT/IX`, …, as written.
    Other(String),
}

impl Protocol {
    pub(super) fn parse(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "RTP/AVP" => Self::Avp,
            "RTP/AVPF" => Self::Avpf,
            "RTP/SAVP" => Self::Savp,
            "RTP/SAVPF" => Self::Savpf,
            "UDP/TLS/RTP/SAVP" => Self::DtlsSavp,
            "UDP/TLS/RTP/SAVPF" => Self::DtlsSavpf,
            _ => Self::Other(word.to_owned()),
        }
    }

    /// Whether the media are encrypted.
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Savp | Self::Savpf | Self::DtlsSavp | Self::DtlsSavpf)
    }

    /// Whether it is RTP over UDP in the clear.
    pub fn is_plain_rtp(&self) -> bool {
        matches!(self, Self::Avp | Self::Avpf)
    }

    /// Whether the RTCP feedback timing of RFC 4585 applies.
    pub fn has_feedback(&self) -> bool {
        matches!(self, Self::Avpf | Self::Savpf | Self::DtlsSavpf)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avp => "RTP/AVP",
            Self::Avpf => "RTP/AVPF",
            Self::Savp => "RTP/SAVP",
            Self::Savpf => "RTP/SAVPF",
            Self::DtlsSavp => "UDP/TLS/RTP/SAVP",
            Self::DtlsSavpf => "UDP/TLS/RTP/SAVPF",
            Self::Other(word) => word,
        })
    }
}

/// A connection address (RFC 8866 5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address.
    Ip(IpAddr),
    /// A host name. Nothing is looked up here: media are sent where media come from.
    Name(String),
}

impl Address {
    /// The address; `None` for a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }

    /// Whether it is `0.0.0.0` or `::`: the hold of RFC 2543.
    pub fn is_hold(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_unspecified())
    }
}

impl Default for Address {
    fn default() -> Self {
        Self::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => write!(f, "IN IP4 {ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "IN IP6 {ip}"),
            Self::Name(name) => write!(f, "IN IP4 {name}"),
        }
    }
}

/// A `b=` line (RFC 8866 5.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// `AS`, `CT`, `TIAS`, `RS`, `RR`, … as written.
    pub kind: String,
    /// Its figure: kbit/s, but bit/s for `TIAS`, `RS` and `RR`.
    pub value: u64,
}

/// Which way media flow on a line, seen from the one who wrote it (RFC 3264 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways; what is meant when nothing is said.
    #[default]
    SendRecv,
    /// The writer only sends (hold).
    SendOnly,
    /// The writer only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// From the two ways.
    pub fn new(send: bool, recv: bool) -> Self {
        match (send, recv) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same, seen from the other side.
    pub fn mirrored(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What is left when both must agree.
    pub fn and(self, other: Self) -> Self {
        Self::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The last direction attribute of a list; the last one is what a careless writer meant.
    pub(super) fn of(attributes: &Attributes) -> Option<Self> {
        attributes.0.iter().rev().find_map(|a| match a.name.to_ascii_lowercase().as_str() {
            "sendrecv" => Some(Self::SendRecv),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::RecvOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        })
    }
}
