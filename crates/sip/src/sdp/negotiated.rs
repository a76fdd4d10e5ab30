//! What both sides agreed on.

use std::net::SocketAddr;

use bytes::Bytes;

use super::h264::{Limits, Mode, Profile, ProfileLevelId};
use super::{AudioCodec, Decline, Feedback, Media, MediaKind};

/// What both sides agreed on. A line that was declined is in `declined`, in the order of the lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Negotiated {
    /// Sound, of the first usable line.
    pub audio: Option<Audio>,
    /// Pictures, of the first usable line that is not slides.
    pub video: Option<Video>,
    /// The other lines, and why.
    pub declined: Vec<Declined>,
}

/// A line that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// Place of the line, from 0.
    pub index: usize,
    /// What it would carry.
    pub kind: MediaKind,
    /// Why not.
    pub why: Decline,
}

impl Declined {
    pub(super) fn new(index: usize, media: &Media, why: Decline) -> Self {
        Self { index, kind: media.kind.clone(), why }
    }
}

/// What is common to sound and pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Place of the line, from 0.
    pub index: usize,
    /// Where the peer wants RTP. An unspecified address (`0.0.0.0`) means that it is not known (hold, host name, no `c=`):
    /// learn it from what comes in.
    pub remote: SocketAddr,
    /// Where the peer wants RTCP. Same as `remote` when multiplexed.
    pub remote_rtcp: SocketAddr,
    /// RTP and RTCP share a port, both ways.
    pub rtcp_mux: bool,
    /// Whether we may send media.
    pub send: bool,
    /// Whether the peer may send media. Without it an inactivity timer must not run (hold).
    pub recv: bool,
    /// `RTP/AVPF`: feedback may be sent early (RFC 4585 3).
    pub avpf: bool,
}

/// Sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Where and which way.
    pub stream: Stream,
    /// What we send; the parameters of Opus are the peer's wishes.
    pub codec: AudioCodec,
    /// RTP clock of what we send, Hz: the codec's, but 16,000 where the peer writes `G722/16000`.
    pub clock_hz: u32,
    /// Payload type of what we send.
    pub pt_send: u8,
    /// Everything that may come in, the expected first.
    pub pt_recv: Vec<(u8, AudioCodec)>,
    /// `telephone-event` to send: the payload type whose clock is that of the sound, else the one of 8 kHz.
    pub dtmf: Option<u8>,
    /// RTP clock of `dtmf`, Hz; 8,000 when there is none.
    pub dtmf_clock_hz: u32,
    /// Every `telephone-event` that may come in, with its clock in Hz.
    pub dtmf_recv: Vec<(u8, u32)>,
    /// Comfort noise of the sound's clock, both ways.
    pub comfort_noise: Option<u8>,
    /// Packet length the peer likes, ms: `ptime`, at most `maxptime`, 20 when not said; 10 to 120.
    pub ptime_ms: u16,
    /// kbit/s of sound we may send, without headers: the codec's rate, for Opus the least of `maxaveragebitrate` and `b=`.
    pub max_kbps: u32,
}

/// Pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// Where and which way.
    pub stream: Stream,
    /// Payload type of what we send.
    pub pt_send: u8,
    /// Packetization mode of what we send.
    pub mode: Mode,
    /// Profile and level of the peer's payload type: the most it decodes. [`Video::decodes`] asks it.
    pub profile_level: ProfileLevelId,
    /// What the peer's decoder takes of us.
    pub limits: Limits,
    /// Every payload type that may come in, the expected first. A depacketizer must take both modes on each.
    pub pt_recv: Vec<(u8, Mode)>,
    /// What both sides announced.
    pub feedback: Feedback,
    /// Repairs in streams of their own, where both have it.
    pub repairs: Option<Repairs>,
    /// kbit/s we may send: the least of the decoder's limit, the line's `b=`, and the session's `b=` less the sound.
    pub max_kbps: u32,
    /// The peer's `sprop-parameter-sets`, for a decoder that starts before they come in band.
    pub parameter_sets: Vec<Bytes>,
}

/// Payload types of retransmission (RFC 4588).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repairs {
    /// Of what we send again.
    pub pt_send: u8,
    /// Those that may come in, each with the payload type it repairs.
    pub pt_recv: Vec<(u8, u8)>,
}

impl Repairs {
    /// From the payload types of both directions: what we send is of type `sent`.
    pub(super) fn of(repairs: Vec<(u8, u8)>, sent: u8) -> Option<Self> {
        let (pt_send, _) = *repairs.iter().find(|(_, apt)| *apt == sent)?;
        Some(Self { pt_send, pt_recv: repairs })
    }
}

impl Video {
    /// Whether the peer's payload type takes a stream of that profile. Constrained baseline is taken by all.
    pub fn decodes(&self, profile: Profile) -> bool {
        self.profile_level.profile().decodes(profile)
    }
}
