//! What a worker reports.

use cau_model::{
    ConferenceId, ParticipantId,
    sound::{self, Trouble},
};

pub use crate::dropped::Dropped;

/// A report to signalling.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Who is heard, every 100 ms while somebody speaks and once when everybody is silent. The model chooses the speaker.
    Voice {
        /// Where.
        conference: ConferenceId,
        /// Every unmuted site that can be heard, loudest first, at most 16.
        voices: Vec<Voice>,
    },
    /// A key was pressed (RFC 4733), reported once when it is known which.
    Dtmf {
        /// By whom.
        participant: ParticipantId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// RTCP requests were not obeyed: ask for a key frame by SIP INFO (RFC 5168).
    AskInfoFastUpdate {
        /// Whom.
        participant: ParticipantId,
    },
    /// The picture of a site has stopped (2 s without one); its card is shown.
    VideoLost {
        /// Whose.
        participant: ParticipantId,
    },
    /// The first picture after [`Event::VideoLost`].
    VideoBack {
        /// Whose.
        participant: ParticipantId,
    },
    /// Nothing has come in from a leg that should send. Reported once until something comes; never while held or muted by us.
    MediaTimeout {
        /// Whose.
        participant: ParticipantId,
    },
    /// Something is wrong with the sound of a site; told when it is found, and again when its measure has changed much.
    Trouble {
        /// Whose.
        participant: ParticipantId,
        /// What.
        trouble: Trouble,
    },
    /// It is not wrong any more. Not told of a site that was muted meanwhile: what it was nobody hears.
    TroubleOver {
        /// Whose.
        participant: ParticipantId,
        /// What it was.
        kind: sound::Kind,
    },
    /// What a [`crate::Command::Await`] waited for: a key frame of the site was sent to its last packet.
    Passed {
        /// To whom.
        participant: ParticipantId,
        /// What names the site.
        csrc: u32,
    },
    /// How far a [`crate::Command::BringUp`] is; each step once, [`Progress::Covered`] or [`Progress::Hurt`] once per key frame.
    BringUp {
        /// Which.
        operation: u64,
        /// The step.
        progress: Progress,
    },
    /// Figures of one participant, every second.
    Statistics {
        /// Whose.
        participant: ParticipantId,
        /// The figures.
        statistics: Box<Statistics>,
    },
    /// Figures of the worker, every second.
    Totals(Box<Totals>),
}

/// A step of bringing a site up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A picture of the site is decoded: it can be shown without a wait.
    KeyFrame,
    /// A key frame that shows the site has been sent to this viewer, to its last packet.
    Sent {
        /// To whom.
        viewer: ParticipantId,
        /// Whether it has ever sent a report.
        reports: bool,
    },
    /// Its reports cover that key frame, and no packet was lost.
    Covered {
        /// Whose.
        viewer: ParticipantId,
    },
    /// Its reports tell of loss: another key frame is on its way.
    Hurt {
        /// Whose.
        viewer: ParticipantId,
    },
    /// The site's sound is in the mix.
    Heard,
}

/// One voice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Voice {
    /// Whose.
    pub participant: ParticipantId,
    /// Level, dBov (0: full scale, −127: silence), smoothed over about 200 ms.
    pub level_dbov: f32,
    /// Speech was detected, not only sound.
    pub speaking: bool,
}

/// Figures of one participant over the last second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Codec of the sound that comes in, as in SDP; `None`: no sound.
    pub audio_codec: Option<&'static str>,
    /// Level, dBov.
    pub level_dbov: f32,
    /// He speaks.
    pub speaking: bool,
    /// The picture that comes in; `None` while there is none.
    pub video: Option<VideoIn>,
    /// What is sent to him.
    pub send: VideoOut,
    /// Share of packets lost on the way in, 0–1, both media.
    pub loss: f32,
    /// Share of packets the far end reports lost, 0–1; `None`: it sends no reports.
    pub loss_out: Option<f32>,
    /// Interarrival jitter of the worse medium (RFC 3550 A.8), ms.
    pub jitter_ms: f32,
    /// Round trip from receiver reports, ms.
    pub rtt_ms: Option<f32>,
    /// Received with RTP headers, kbit/s.
    pub rx_kbps: f32,
    /// Sent with RTP headers, kbit/s.
    pub tx_kbps: f32,
}

/// A picture coming in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VideoIn {
    /// Codec, as in SDP.
    pub codec: &'static str,
    /// Pixels; 0 until a parameter set was seen.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Access units per second.
    pub fps: f32,
    /// Somebody is shown it.
    pub visible: bool,
}

/// How a participant's outgoing picture is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoKind {
    /// Nothing is sent.
    #[default]
    None,
    /// The common or an own encoding of a view.
    Encoded,
    /// Another site's packets.
    Forwarded,
}

/// A picture going out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VideoOut {
    /// How it is made.
    pub kind: VideoKind,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures sent in the last second.
    pub fps: f32,
    /// Step of the ladder its line and decoder take, kbit/s.
    pub kbps: u32,
    /// How often each of its packets is sent: more than once where the line loses them.
    pub copies: u32,
}

/// Figures of a worker. Counters count since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Conferences now.
    pub conferences: u32,
    /// Legs now.
    pub legs: u32,
    /// Video decoders now.
    pub decoders: u32,
    /// Video encoders now, catch-up encoders included.
    pub encoders: u32,
    /// Catch-up encoders now.
    pub catch_up: u32,
    /// Sound encoders that ran in the last tick.
    pub audio_encoders: u32,
    /// RTP packets taken.
    pub packets_in: u64,
    /// RTP packets given to the driver.
    pub packets_out: u64,
    /// RTP packets sent again because the far end missed them.
    pub repeated: u64,
    /// RTP packets sent twice or three times because the line loses packets: the copies.
    pub copies: u64,
    /// RTP packets asked for again because they were missing.
    pub asked_again: u64,
    /// Datagrams that were not RTP or RTCP.
    pub dropped_malformed: u64,
    /// Packets of our own that came back to us.
    pub dropped_loop: u64,
    /// Packets with a payload type that was not negotiated.
    pub dropped_payload_type: u64,
    /// Packets for a leg or medium that does not exist, or while it is held.
    pub dropped_unexpected: u64,
    /// Packets from an address other than the one latched on to.
    pub dropped_source: u64,
    /// What the sessions and buffers of all lines dropped.
    pub dropped: Dropped,
    /// Access units dropped because a decoder was behind.
    pub dropped_decode: u64,
    /// Pictures of a view not composed because the last was not ready.
    pub skipped_compose: u64,
    /// Pictures not encoded because the encoder was behind.
    pub skipped_encode: u64,
    /// Times a leg lost its place in a view's ring.
    pub lagged: u64,
    /// Times a leg got nothing although its view was encoded, and was brought in anew: a fault of ours.
    pub stranded: u64,
    /// Sound ticks left out because the worker was called too late.
    pub skipped_ticks: u64,
    /// How late a tick of sound was at most in the last second, µs.
    pub tick_late_us: u32,
    /// Errors of decoders and encoders.
    pub codec_errors: u64,
}
