//! What signalling tells a worker.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use cau_codec::video::encode;
use cau_model::{ConferenceId, ParticipantId, scene::Scene, sound::Rules};
use crossbeam_channel::Sender;

pub use crate::view::overlay::Emblem;

/// Settings of a worker.
#[derive(Clone)]
pub struct Config {
    /// Called by a job that has finished a picture, from its own thread: the driver then calls [`crate::Worker::wake`].
    pub waker: Arc<dyn Fn() + Send + Sync>,
    /// Largest RTP packet sent, in bytes with the RTP header (not IP and UDP).
    pub max_packet: usize,
    /// Largest canvas of any view, in pixels.
    pub max_canvas: (u32, u32),
    /// Pictures per second of a view, at most.
    pub max_fps: u32,
    /// Bitrate of an encoded view at most, kbit/s.
    pub max_kbps: u32,
    /// Encodings of pictures in one conference at most, catch-up encoders not counted; one per scene there always is.
    pub max_encodings: usize,
    /// Which video encoder.
    pub encoder: encode::Kind,
    /// Sites seen full screen with nothing written on them are passed on as they are to those who can take it.
    pub forward: bool,
    /// Sites that nobody sees are asked to send little, where TMMBR was negotiated.
    pub thrift: bool,
    /// No RTP for this long on a leg that should send is reported as [`crate::Event::MediaTimeout`].
    pub media_timeout: Duration,
    /// SDES CNAME used where a leg names none.
    pub cname: String,
    /// The logo for scenes that want it.
    pub emblem: Option<Emblem>,
}

impl Config {
    /// Defaults: 1280×720, 30 pictures/s, 1536 kbit/s, 8 encodings, packets of 1,220 bytes, 30 s of silence reported.
    pub fn new(waker: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            waker,
            max_packet: 1220,
            max_canvas: (1280, 720),
            max_fps: 30,
            max_kbps: 1536,
            max_encodings: 8,
            encoder: encode::Kind::default(),
            forward: true,
            thrift: false,
            media_timeout: Duration::from_secs(30),
            cname: "cau".to_owned(),
            emblem: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("max_packet", &self.max_packet)
            .field("max_canvas", &self.max_canvas)
            .field("max_fps", &self.max_fps)
            .field("max_kbps", &self.max_kbps)
            .finish_non_exhaustive()
    }
}

/// What signalling asks of a worker. Commands about unknown conferences or participants are ignored.
#[derive(Debug)]
pub enum Command {
    /// Makes an empty conference; legs may be added from now on.
    OpenConference {
        /// Its name.
        id: ConferenceId,
    },
    /// Ends a conference and removes its legs.
    CloseConference {
        /// Its name.
        id: ConferenceId,
    },
    /// A participant's media is negotiated.
    AddLeg {
        /// Where it takes part.
        conference: ConferenceId,
        /// Whose.
        participant: ParticipantId,
        /// What was negotiated.
        leg: LegConfig,
    },
    /// A participant's media was negotiated anew (re-INVITE, hold, resume): SSRCs, sequence numbers and jitter buffers live on,
    /// addresses are learnt again, a key frame is asked.
    UpdateLeg {
        /// Whose.
        participant: ParticipantId,
        /// What was negotiated.
        leg: LegConfig,
    },
    /// The participant has left: BYE is sent on its RTCP and everything of it is freed.
    RemoveLeg {
        /// Whose.
        participant: ParticipantId,
    },
    /// The scenes of a conference and who sees which. A participant in no list sees nothing.
    Scenes {
        /// Of which conference.
        conference: ConferenceId,
        /// Each scene with its viewers.
        scenes: Vec<(Arc<Scene>, Vec<ParticipantId>)>,
    },
    /// Who holds the floor: always in the sound mix, whatever the number of talkers.
    Floor {
        /// Of which conference.
        conference: ConferenceId,
        /// The holder.
        participant: Option<ParticipantId>,
    },
    /// Encoded views make so many pictures per second at most, because the machine is busy; sources that are passed on go on as they are.
    /// Initially 30.
    Cadence {
        /// Of which conference.
        conference: ConferenceId,
        /// At most.
        fps: u32,
    },
    /// The switches of one participant. Initially: heard, hearing, seen, 0 dB.
    Sound {
        /// Whose.
        participant: ParticipantId,
        /// He is not heard.
        muted: bool,
        /// He hears nothing.
        deafened: bool,
        /// Gain applied to his voice, dB, −60…+20.
        volume_db: f32,
        /// His picture is not shown (a card stands in its place).
        hidden: bool,
    },
    /// What is done about sound in a conference. Initially: levels as they come, nobody watched.
    Discipline {
        /// Of which conference.
        conference: ConferenceId,
        /// Levels evened, troubles looked for. Muting by rule is the model's.
        rules: Rules,
    },
    /// The participant asked for a key frame by SIP INFO (RFC 5168).
    FastUpdate {
        /// Whose decoder wants it.
        participant: ParticipantId,
    },
    /// A site is to be brought before viewers: its picture is made ready at once, its sound is in the mix however soft, and what comes
    /// of it is reported ([`crate::Event::BringUp`]) until [`Command::EndBringUp`]. What viewers see is up to [`Command::Scenes`].
    BringUp {
        /// Names it.
        operation: u64,
        /// Where.
        conference: ConferenceId,
        /// Whom.
        site: ParticipantId,
        /// Before whom.
        viewers: Vec<ParticipantId>,
        /// Only pictures named so count ([`Command::Expect`]); `None`: whatever it sends.
        csrc: Option<u32>,
    },
    /// What a participant hears. Initially everybody but himself.
    Ear {
        /// Whose.
        participant: ParticipantId,
        /// What.
        ear: Ear,
    },
    /// What names a participant in CSRC lists from now on, instead of the SSRC he sends with.
    Name {
        /// Whose.
        participant: ParticipantId,
        /// The name; `None`: his SSRC.
        csrc: Option<u32>,
    },
    /// Only pictures with this CSRC first in their list are taken from a participant from now on: he stands for others, one at a time. What
    /// came before goes on until a key frame with it is there.
    Expect {
        /// Whose pictures.
        participant: ParticipantId,
        /// `None`: none at all.
        csrc: Option<u32>,
    },
    /// It is to be told once ([`crate::Event::Passed`]) that a key frame of a site, named so, was sent to a participant. A later one for the same
    /// participant takes its place.
    Await {
        /// To whom.
        participant: ParticipantId,
        /// Of whom.
        site: ParticipantId,
        /// What names it.
        csrc: u32,
    },
    /// Nothing more is to be reported of it.
    EndBringUp {
        /// Which.
        operation: u64,
        /// Where.
        conference: ConferenceId,
    },
    /// A still of what a participant sends or sees.
    Preview {
        /// Whose.
        participant: ParticipantId,
        /// What he sees instead of what he sends.
        seen: bool,
        /// Called once, within about a second.
        reply: Reply,
    },
}

/// What a participant hears; never himself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ear {
    /// Everybody.
    #[default]
    All,
    /// These.
    Only(Vec<ParticipantId>),
    /// Everybody but these.
    Without(Vec<ParticipantId>),
}

impl Ear {
    /// Whether somebody is to be heard.
    pub fn hears(&self, who: ParticipantId) -> bool {
        match self {
            Self::All => true,
            Self::Only(these) => these.contains(&who),
            Self::Without(these) => !these.contains(&who),
        }
    }
}

/// Takes a JPEG image, or `None` when there is no picture to be had. Called once, on any thread; dropped unused counts as `None`.
pub struct Reply(Box<dyn FnOnce(Option<Vec<u8>>) + Send>);

impl Reply {
    /// A reply that calls `f`, which must not block.
    pub fn new(f: impl FnOnce(Option<Vec<u8>>) + Send + 'static) -> Self {
        Self(Box::new(f))
    }

    /// Answers.
    pub fn send(self, jpeg: Option<Vec<u8>>) {
        (self.0)(jpeg);
    }
}

impl From<Sender<Option<Vec<u8>>>> for Reply {
    /// The channel needs room for one message.
    fn from(sender: Sender<Option<Vec<u8>>>) -> Self {
        Self::new(move |jpeg| {
            let _ = sender.try_send(jpeg);
        })
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// One participant's media as negotiated.
#[derive(Clone, Debug, PartialEq)]
pub struct LegConfig {
    /// The site's name, for logs and for its card.
    pub name: Arc<str>,
    /// Our SDES CNAME towards this site; `None`: that of [`Config`].
    pub cname: Option<String>,
    /// Its sound; `None`: not negotiated.
    pub audio: Option<AudioLeg>,
    /// Its picture; `None`: not negotiated.
    pub video: Option<VideoLeg>,
}

/// What both kinds of media line share. Directions are ours: `send` means that we may send.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Where RTP goes until a packet shows another source address (RFC 4961).
    pub remote: SocketAddr,
    /// Where RTCP goes until a packet shows another source address.
    pub remote_rtcp: SocketAddr,
    /// Where signalling comes from.
    pub peer: IpAddr,
    /// RTP and RTCP on one port (RFC 5761).
    pub rtcp_mux: bool,
    /// We may send media.
    pub send: bool,
    /// The far end may send media; false while it holds us or is held.
    pub recv: bool,
}

/// Sound of one leg.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioLeg {
    /// Addresses and directions.
    pub stream: Stream,
    /// What we send.
    pub codec: AudioCodec,
    /// Payload type we send it with.
    pub pt_send: u8,
    /// What may come in.
    pub pt_recv: Vec<(u8, AudioCodec)>,
    /// Payload types of telephone-event (RFC 4733) that may come in, with their clocks in Hz: devices press keys at 8,000 also beside Opus.
    pub dtmf: Vec<(u8, u32)>,
    /// Payload type of comfort noise (RFC 3389).
    pub comfort_noise: Option<u8>,
    /// What the far end takes at most, kbit/s.
    pub max_kbps: Option<u32>,
}

/// An audio codec with what the far end said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// RFC 7587.
    Opus {
        /// The far end uses in-band FEC.
        fec: bool,
    },
    /// RTP clock 8 kHz, sound 16 kHz (RFC 3551 4.5.2).
    G722,
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
}

impl AudioCodec {
    /// Ticks of the RTP clock per second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus { .. } => 48_000,
            Self::G722 | Self::Pcma | Self::Pcmu => 8_000,
        }
    }

    /// As written in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus { .. } => "opus",
            Self::G722 => "G722",
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
        }
    }
}

/// Picture of one leg (H.264, RFC 6184).
#[derive(Clone, Debug, PartialEq)]
pub struct VideoLeg {
    /// Addresses and directions.
    pub stream: Stream,
    /// Payload type we send with.
    pub pt_send: u8,
    /// Packetization mode we send with.
    pub mode: Mode,
    /// What the far end can decode.
    pub limits: Limits,
    /// Which coding tools its decoder knows.
    pub tools: Tools,
    /// What may come in.
    pub pt_recv: Vec<(u8, Mode)>,
    /// What it understands as requests.
    pub feedback: Feedback,
    /// Retransmission in a stream of its own, beside [`Feedback::nack`]; `None`: packets are sent again as they were.
    pub rtx: Option<Rtx>,
    /// What its line takes for the picture at most, kbit/s.
    pub max_kbps: Option<u32>,
}

/// Retransmission as of RFC 4588.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtx {
    /// Payload type of repairs we send.
    pub pt_send: u8,
    /// Payload types of repairs that may come in, each with the one of the packets it repairs.
    pub pt_recv: Vec<(u8, u8)>,
}

/// H.264 packetization mode (RFC 6184 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// 0: one NAL unit per packet.
    Single,
    /// 1: also aggregates and fragments.
    NonInterleaved,
}

/// Coding tools of H.264, by the profile that has them; each decodes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tools {
    /// Constrained baseline: what every device takes.
    Baseline,
    /// CABAC, weighted prediction.
    Main,
    /// 8×8 transform.
    High,
}

/// What a receiver can decode, computed from profile-level-id and the max-… parameters (RFC 6184 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Frame size, macroblocks.
    pub max_fs: u32,
    /// Macroblocks per second.
    pub max_mbps: u32,
    /// Bitrate, kbit/s.
    pub max_kbps: u32,
}

/// Which requests the far end negotiated (RFC 4585, 5104).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Picture loss indication.
    pub pli: bool,
    /// Full intra request.
    pub fir: bool,
    /// Generic NACK: missing packets are asked for and sent again.
    pub nack: bool,
    /// Temporary maximum bit rate requests: it lowers its rate when asked.
    pub tmmbr: bool,
}
