//! Audio formats.

use super::Fmtp;

/// An audio codec we speak, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioCodec {
    /// Opus (RFC 6716, 7587), up to 48 kHz.
    Opus(Opus),
    /// G.722 at 64 kbit/s: 16 kHz sound with an RTP clock of 8 kHz (RFC 3551 4.5.2).
    G722,
    /// G.711 A-law, 8 kHz.
    Pcma,
    /// G.711 µ-law, 8 kHz.
    Pcmu,
}

impl AudioCodec {
    /// Name in `a=rtpmap`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opus(_) => "opus",
            Self::G722 => "G722",
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
        }
    }

    /// Sound above 4 kHz.
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::Opus(_) | Self::G722)
    }

    /// The RTP clock of the standard, Hz.
    pub fn clock_hz(&self) -> u32 {
        if matches!(self, Self::Opus(_)) { 48_000 } else { 8_000 }
    }

    /// Whether both are the same codec, whatever their parameters.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name() == other.name()
    }

    /// Our `a=rtpmap` encoding, `name/clock[/channels]`.
    pub(super) fn rtpmap(&self) -> String {
        let channels = if matches!(self, Self::Opus(_)) { "/2" } else { "" };
        format!("{}/{}{channels}", self.name(), self.clock_hz())
    }

    /// Our `a=fmtp` value.
    pub(super) fn fmtp(&self) -> Option<String> {
        match self {
            Self::Opus(opus) => opus.write(),
            _ => None,
        }
    }

    /// Payload type that needs no `a=rtpmap` (RFC 3551 6).
    pub(super) fn fixed(pt: u8) -> Option<Self> {
        match pt {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            9 => Some(Self::G722),
            _ => None,
        }
    }

    /// From `a=rtpmap`. Opus must have its clock of 48 kHz; G.722 is also taken as `G722/16000`.
    pub(super) fn from_rtpmap(name: &str, clock_hz: u32, fmtp: &Fmtp) -> Option<Self> {
        match (name.to_ascii_lowercase().as_str(), clock_hz) {
            ("opus", 48_000) => Some(Self::Opus(Opus::read(fmtp))),
            ("g722", 8_000 | 16_000) => Some(Self::G722),
            ("pcma", 8_000) => Some(Self::Pcma),
            ("pcmu", 8_000) => Some(Self::Pcmu),
            _ => None,
        }
    }
}

/// What a receiver of Opus wants (RFC 7587 6.1). In [`super::Capabilities`]: what we want; in [`super::Audio`]: what the peer wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opus {
    /// `useinbandfec`: the receiver makes use of in-band FEC.
    pub fec: bool,
    /// `usedtx`: the receiver likes silence not to be sent.
    pub dtx: bool,
    /// `stereo`: the receiver likes two channels.
    pub stereo: bool,
    /// `cbr`: the receiver wants a constant bit rate.
    pub cbr: bool,
    /// `maxaveragebitrate`, bit/s, 6,000 to 510,000.
    pub max_average_bps: Option<u32>,
    /// `maxplaybackrate`, Hz: more than the receiver can play. 8,000 to 48,000.
    pub max_playback_hz: u32,
}

impl Default for Opus {
    fn default() -> Self {
        Self {
            fec: false,
            dtx: false,
            stereo: false,
            cbr: false,
            max_average_bps: None,
            max_playback_hz: 48_000,
        }
    }
}

impl Opus {
    fn read(fmtp: &Fmtp) -> Self {
        Self {
            fec: fmtp.is_set("useinbandfec"),
            dtx: fmtp.is_set("usedtx"),
            stereo: fmtp.is_set("stereo"),
            cbr: fmtp.is_set("cbr"),
            max_average_bps: fmtp.number("maxaveragebitrate").map(|n| n.clamp(6_000, 510_000)),
            max_playback_hz: fmtp.number("maxplaybackrate").map_or(48_000, |n| n.clamp(8_000, 48_000)),
        }
    }

    /// Parameters that differ from their defaults; `None` when none does.
    fn write(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.max_playback_hz != 48_000 {
            parts.push(format!("maxplaybackrate={}", self.max_playback_hz));
        }
        if let Some(bps) = self.max_average_bps {
            parts.push(format!("maxaveragebitrate={bps}"));
        }
        let flags =
            [("stereo", self.stereo), ("useinbandfec", self.fec), ("usedtx", self.dtx), ("cbr", self.cbr)];
        parts.extend(flags.iter().filter(|(_, on)| *on).map(|(key, _)| format!("{key}=1")));
        (!parts.is_empty()).then(|| parts.join(";"))
    }
}
