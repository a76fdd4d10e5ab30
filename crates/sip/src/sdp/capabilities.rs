//! What we can do, for offers and answers; and what a simulated endpoint claims it can do.

use std::net::IpAddr;

use super::h264::{Mode, Profile, ProfileLevelId, Receive};
use super::{AudioCodec, Direction, Feedback, Opus};

/// What one side can do and wants. [`Capabilities::mcu`] is the MCU's; a test endpoint changes what makes it odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Codecs, in the order they are offered. Empty: sound is declined.
    pub audio: Vec<AudioFormat>,
    /// Which codec of an offer is taken.
    pub audio_choice: AudioChoice,
    /// Payload type of `telephone-event/8000` in offers, and whether it is answered at all.
    pub dtmf: Option<u8>,
    /// Whether comfort noise (RFC 3389) is offered and answered.
    pub comfort_noise: bool,
    /// Packet length we like to receive, ms; 0: nothing is said.
    pub ptime_ms: u16,
    /// H.264 in the order it is offered; in answers the modes that occur here are taken. Empty: pictures are declined.
    pub video: Vec<VideoFormat>,
    /// Profiles that are taken in answers.
    pub profiles: Vec<Profile>,
    /// kbit/s of pictures we want to receive at most; written as `b=AS` and `b=TIAS`.
    pub max_kbps: u32,
    /// Feedback we understand and send.
    pub feedback: Feedback,
    /// Retransmission as of RFC 4588, where generic NACK is agreed on.
    pub rtx: Rtx,
    /// Offer `RTP/AVPF` instead of `RTP/AVP`. Old room systems refuse AVPF; answers follow the offer.
    pub avpf: bool,
    /// RTP and RTCP on one port when the other side wants it too (RFC 5761).
    pub rtcp_mux: bool,
    /// Which way sound may flow, seen from us; anything but `SendRecv` is a hold by us.
    pub audio_direction: Direction,
    /// Which way pictures may flow, seen from us.
    pub video_direction: Direction,
    /// In a further offer, open lines again that were declined or closed before. Otherwise they keep port 0.
    pub reopen: bool,
    /// Take an answer by the letter: an H.264 payload type whose packetization mode or profile is not the offered one is not
    /// taken. For test endpoints; real answers are read leniently.
    pub strict: bool,
}

impl Capabilities {
    /// What the MCU does: Opus, G.722, G.711; H.264 in both modes, constrained baseline wanted and anything up to High taken.
    /// `max_kbps` is what it wants to receive of pictures.
    pub fn mcu(receive: Receive, max_kbps: u32) -> Self {
        let opus = Opus { fec: true, ..Opus::default() };
        let video =
            |mode, pt| VideoFormat { pt, mode, profile_level: ProfileLevelId::CONSTRAINED_BASELINE, receive };
        Self {
            audio: vec![
                AudioFormat { codec: AudioCodec::Opus(opus), pt: 114 },
                AudioFormat { codec: AudioCodec::G722, pt: 9 },
                AudioFormat { codec: AudioCodec::Pcma, pt: 8 },
                AudioFormat { codec: AudioCodec::Pcmu, pt: 0 },
            ],
            audio_choice: AudioChoice::default(),
            dtmf: Some(101),
            comfort_noise: true,
            ptime_ms: 20,
            video: vec![video(Mode::NonInterleaved, 126), video(Mode::SingleNal, 97)],
            profiles: Profile::RECEIVABLE.to_vec(),
            max_kbps,
            feedback: Feedback { nack: true, pli: true, fir: true, tmmbr: true },
            rtx: Rtx::Answered,
            avpf: false,
            rtcp_mux: true,
            audio_direction: Direction::SendRecv,
            video_direction: Direction::SendRecv,
            reopen: false,
            strict: false,
        }
    }

    /// Sound only.
    pub fn without_video(mut self) -> Self {
        self.video.clear();
        self
    }

    /// One packetization mode only, as many devices have it.
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.video.retain(|f| f.mode == mode);
        self
    }
}

/// An audio codec and the payload type it is offered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFormat {
    /// The codec; the parameters of Opus are what we want to receive.
    pub codec: AudioCodec,
    /// Payload type in offers; answers repeat the offer's.
    pub pt: u8,
}

/// H.264 in one packetization mode and the payload type it is offered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFormat {
    /// Payload type in offers; answers repeat the offer's.
    pub pt: u8,
    /// Packetization mode.
    pub mode: Mode,
    /// Profile in offers; its level is replaced by what `receive` covers. Answers repeat the offer's profile.
    pub profile_level: ProfileLevelId,
    /// What our decoder takes.
    pub receive: Receive,
}

/// Whether retransmission has payload types of its own (RFC 4588). Packets are sent again as they were where it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rtx {
    /// Never.
    Never,
    /// Answered where it is offered: old devices get no payload type they do not know.
    #[default]
    Answered,
    /// Offered, too.
    Offered,
}

/// Which codec of an offer is taken among those both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AudioChoice {
    /// The first of the offer that carries wide-band sound (Opus, G.722); the first of the offer when there is none. Room systems
    /// and telephones list G.711 first out of habit, and it is heard.
    #[default]
    WideFirst,
    /// The first of the offer.
    Offer,
    /// The first of our own list.
    Own,
}

/// Where we receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Our media address, as the peer shall see it.
    pub addr: IpAddr,
    /// RTP port for sound; RTCP is the next one unless multiplexed. 0: no sound.
    pub audio: u16,
    /// RTP port for pictures; RTCP is the next one unless multiplexed. 0: no pictures.
    pub video: u16,
}
