//! What a simulated endpoint is told before it calls.

use std::{net::SocketAddr, sync::Arc};

use cau_rtp::h264::Mode;
use cau_sip::{
    Uri,
    sdp::{
        AudioCodec, AudioFormat, Capabilities, Feedback, Opus, VideoFormat, h264::ProfileLevelId,
        h264::Receive,
    },
};
use clap::ValueEnum;
use serde::Serialize;

use crate::{
    clip::{Sound, Video},
    persona::{Modes, Persona},
};

/// Names a phone of a [`Fleet`](crate::Fleet); never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PhoneId(pub u32);

/// Sound codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Opus, 48 kHz.
    Opus,
    /// G.722, 16 kHz.
    G722,
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
}

impl Codec {
    /// As offered, with the usual payload type.
    pub fn format(self) -> AudioFormat {
        match self {
            Self::Opus => {
                AudioFormat { codec: AudioCodec::Opus(Opus { fec: true, ..Opus::default() }), pt: 111 }
            }
            Self::G722 => AudioFormat { codec: AudioCodec::G722, pt: 9 },
            Self::Pcma => AudioFormat { codec: AudioCodec::Pcma, pt: 8 },
            Self::Pcmu => AudioFormat { codec: AudioCodec::Pcmu, pt: 0 },
        }
    }

    /// Of a negotiated codec.
    pub fn of(codec: &AudioCodec) -> Self {
        match codec {
            AudioCodec::Opus(_) => Self::Opus,
            AudioCodec::G722 => Self::G722,
            AudioCodec::Pcma => Self::Pcma,
            AudioCodec::Pcmu => Self::Pcmu,
        }
    }

    /// As the codec crate names it.
    pub fn audio(self) -> cau_codec::audio::Codec {
        match self {
            Self::Opus => cau_codec::audio::Codec::Opus,
            Self::G722 => cau_codec::audio::Codec::G722,
            Self::Pcma => cau_codec::audio::Codec::Pcma,
            Self::Pcmu => cau_codec::audio::Codec::Pcmu,
        }
    }

    /// As the playout buffer names it.
    pub(crate) fn payload(self) -> cau_rtp::payload::Format {
        use cau_rtp::payload::Format;
        match self {
            Self::Opus => Format::Opus,
            Self::G722 => Format::G722,
            Self::Pcma => Format::Pcma,
            Self::Pcmu => Format::Pcmu,
        }
    }

    /// RTP ticks of 20 ms.
    pub fn ticks(self) -> u32 {
        match self {
            Self::Opus => 960,
            _ => 160,
        }
    }
}

/// The pictures a phone sends, by packetization mode.
#[derive(Clone, Debug, Default)]
pub struct Reel {
    /// For mode 0: no NAL unit is larger than a packet.
    pub single: Option<Arc<Video>>,
    /// For mode 1.
    pub fragmented: Option<Arc<Video>>,
    /// What follows after [`Persona::size_change_after`], in another size.
    pub then: Option<Box<Reel>>,
    /// What is sent instead when the other side limits the rate (TMMBR), the highest rate first.
    pub lower: Vec<Reel>,
}

impl Reel {
    /// The clip for a mode; mode 1 takes small slices as well.
    pub fn of(&self, mode: Mode) -> Option<&Arc<Video>> {
        match mode {
            Mode::SingleNal => self.single.as_ref(),
            Mode::NonInterleaved => self.fragmented.as_ref().or(self.single.as_ref()),
        }
    }

    /// The clip for a mode at a rate of so many kbit/s at most; the lowest there is when all are above.
    pub fn within(&self, mode: Mode, kbps: Option<u32>) -> Option<&Arc<Video>> {
        let all = || std::iter::once(self).chain(&self.lower).filter_map(|reel| reel.of(mode));
        let Some(kbps) = kbps else { return self.of(mode) };
        all().find(|video| video.kbps() <= kbps).or_else(|| all().next_back())
    }
}

/// One simulated endpoint.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom to call.
    pub target: Uri,
    /// Where to send, when the target's host is a name.
    pub remote: Option<SocketAddr>,
    /// User part of From.
    pub user: String,
    /// Display name of From.
    pub name: Option<String>,
    /// Identity of its pattern, 0–7 (counts when its clip is the judged one).
    pub id: u8,
    /// What it says, in every codec it offers; empty: no sound.
    pub sound: Vec<(Codec, Arc<Sound>)>,
    /// What it shows; `None`: no video line.
    pub reel: Option<Reel>,
    /// What it can decode.
    pub receive: Receive,
    /// kbit/s of pictures it wants at most.
    pub max_kbps: u32,
    /// Habits.
    pub persona: Persona,
    /// Decodes what it receives and reads the judged patterns.
    pub decodes: bool,
    /// Calls again when the other side hangs up or refuses.
    pub redials: bool,
}

impl Plan {
    /// The capabilities for the offer.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let mut ours = Capabilities::mcu(self.receive, self.max_kbps);
        ours.audio = self.sound.iter().map(|(codec, _)| codec.format()).collect();
        ours.comfort_noise = false;
        ours.rtcp_mux = false;
        ours.strict = true;
        ours.feedback =
            Feedback { nack: self.persona.nack, pli: true, fir: true, tmmbr: self.persona.obeys_limits };
        let video = |mode, pt| VideoFormat {
            pt,
            mode,
            profile_level: ProfileLevelId::CONSTRAINED_BASELINE,
            receive: self.receive,
        };
        use cau_sip::sdp::h264::Mode;
        let (one, zero) = (video(Mode::NonInterleaved, 97), video(Mode::SingleNal, 98));
        ours.video = match (&self.reel, self.persona.modes) {
            (None, _) => Vec::new(),
            (Some(_), Modes::Both) => vec![one, zero],
            (Some(_), Modes::One) => vec![one],
            (Some(_), Modes::Zero) => vec![zero],
        };
        ours
    }
}
