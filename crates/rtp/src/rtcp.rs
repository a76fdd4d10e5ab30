//! RTCP: reading anything that comes, writing what old and new devices understand (RFC 3550 6, RFC 4585 6, RFC 5104 4, RFC 2032 5.2).
//!
//! Why not a library: docs/decisions/0002-rtcp.md.

mod parse;
mod schedule;
mod write;

pub use parse::parse;
pub use schedule::Schedule;
pub use write::Writer;

use bytes::Bytes;
use smallvec::SmallVec;
use std::time::{Duration, Instant, SystemTime};

/// Packet types.
pub mod kind {
    /// Full intra-frame request of RFC 2032 5.2.1 (H.261 times; some devices know nothing else).
    pub const FIR_2032: u8 = 192;
    /// Sender report.
    pub const SR: u8 = 200;
    /// Receiver report.
    pub const RR: u8 = 201;
    /// Source description.
    pub const SDES: u8 = 202;
    /// Goodbye.
    pub const BYE: u8 = 203;
    /// Application defined.
    pub const APP: u8 = 204;
    /// Transport layer feedback: NACK (1), TMMBR (3), TMMBN (4).
    pub const RTPFB: u8 = 205;
    /// Payload-specific feedback: PLI (1), FIR (4), application layer (15).
    pub const PSFB: u8 = 206;
    /// Extended report.
    pub const XR: u8 = 207;
}

/// What a receiver says of one source (RFC 3550 6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: u32,
    /// Share lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning; negative with duplicates. 24 bits on the wire.
    pub lost: i32,
    /// Highest sequence number, wraps counted in the upper half.
    pub highest: u32,
    /// Interarrival jitter in timestamp ticks.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 when there was none.
    pub last_sr: u32,
    /// Time since that report came, in 1/65,536 s.
    pub delay: u32,
}

/// What a sender says of itself (RFC 3550 6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP time, 32.32 seconds since 1900.
    pub ntp: u64,
    /// The same moment on the stream's RTP clock.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// One chunk of a source description (RFC 3550 6.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// The source.
    pub ssrc: u32,
    /// Canonical name; the same for all streams of one device.
    pub cname: Option<Bytes>,
    /// What the device calls itself.
    pub name: Option<Bytes>,
    /// Name and version of the program.
    pub tool: Option<Bytes>,
}

/// One entry of a TMMBR or TMMBN (RFC 5104 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Whose rate is limited (TMMBR), or who set the limit (TMMBN).
    pub ssrc: u32,
    /// Bits per second.
    pub bitrate: u64,
    /// Measured overhead per packet, bytes, 0–511.
    pub overhead: u16,
}

/// One RTCP packet that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Sender report.
    SenderReport {
        /// Who sends.
        ssrc: u32,
        /// Of itself.
        info: SenderInfo,
        /// Of what it receives.
        blocks: SmallVec<[ReportBlock; 2]>,
    },
    /// Receiver report.
    ReceiverReport {
        /// Who sends.
        ssrc: u32,
        /// Of what it receives.
        blocks: SmallVec<[ReportBlock; 2]>,
    },
    /// Source description, one chunk.
    Description(Description),
    /// Sources leave.
    Bye(SmallVec<[u32; 2]>),
    /// Picture loss indication.
    Pli {
        /// Who asks.
        sender: u32,
        /// Whom.
        media: u32,
    },
    /// Full intra request, RFC 5104.
    Fir {
        /// Who asks.
        sender: u32,
        /// Whom, with the number of the request.
        targets: SmallVec<[(u32, u8); 2]>,
    },
    /// Full intra-frame request, RFC 2032.
    FirRfc2032 {
        /// The source named; devices write the asker's or the asked one's.
        ssrc: u32,
    },
    /// Generic NACK.
    Nack {
        /// Who asks.
        sender: u32,
        /// Whom.
        media: u32,
        /// Sequence numbers that are missing, in the order of the message; at most 17 for each of at most 64 entries.
        lost: Vec<u16>,
    },
    /// Request to limit the rate.
    Tmmbr {
        /// Who asks.
        sender: u32,
        /// Limits.
        limits: SmallVec<[Limit; 1]>,
    },
    /// The limits in force.
    Tmmbn {
        /// Who tells.
        sender: u32,
        /// Limits.
        limits: SmallVec<[Limit; 1]>,
    },
    /// Receiver estimated maximum bitrate.
    Remb {
        /// Who tells.
        sender: u32,
        /// Bits per second.
        bitrate: u64,
        /// The sources it is for.
        ssrcs: SmallVec<[u32; 2]>,
    },
}

/// Everything of one datagram.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compound {
    /// What was understood, in order.
    pub items: Vec<Item>,
    /// Well-formed packets of types not known here.
    pub skipped: u32,
    /// Packets that contradict themselves; the rest of the datagram was still read where its place was known.
    pub malformed: u32,
}

/// The clock of sender reports: wall time known once, then carried on by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Wall {
    zero: (Instant, SystemTime),
}

/// Seconds from 1900 to 1970.
const NTP_UNIX: u64 = 2_208_988_800;

impl Wall {
    /// From one moment on both clocks.
    pub fn new(zero: (Instant, SystemTime)) -> Self {
        Self { zero }
    }

    /// NTP time of `now`, 32.32 seconds.
    pub fn ntp(&self, now: Instant) -> u64 {
        let (t0, wall) = self.zero;
        let unix =
            wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + Duration::from_secs(NTP_UNIX);
        let since_1900 = if now >= t0 {
            unix + (now - t0)
        } else {
            unix.saturating_sub(t0.saturating_duration_since(now))
        };
        let fraction = (u64::from(since_1900.subsec_nanos()) << 32) / 1_000_000_000;
        (since_1900.as_secs() << 32) | fraction
    }

    /// The middle 32 bits of [`Self::ntp`]: seconds and 1/65,536 s.
    pub fn middle(&self, now: Instant) -> u32 {
        (self.ntp(now) >> 16) as u32
    }
}

/// A duration in 1/65,536 s, saturated.
pub fn to_short(d: Duration) -> u32 {
    u32::try_from((d.as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX)
}

/// A count of 1/65,536 s as a duration.
pub fn from_short(v: u32) -> Duration {
    Duration::from_micros((u64::from(v) * 1_000_000) >> 16)
}
