//! What answering and reading an answer have in common: from the peer's line and ours to [`Audio`] and [`Video`].

use super::h264::{Mode, Parameters};
use super::line::{self, Remote};
use super::{
    Audio, AudioCodec, Capabilities, Codec, Direction, Feedback, Format, Media, Session, Stream, Video,
};

/// The kbit/s of Opus when neither side bounds it (RFC 7587 6.1).
const OPUS_MAX_KBPS: u32 = 510;
/// The sound's share of a call rate: what G.711 and G.722 need, and more than Opus does.
const AUDIO_SHARE_KBPS: u32 = 64;

/// The peer's line, seen by us.
#[derive(Clone, Copy)]
pub(super) struct Peer<'a> {
    pub session: &'a Session,
    pub media: &'a Media,
    pub index: usize,
    pub remote: Remote,
}

impl<'a> Peer<'a> {
    pub fn new(session: &'a Session, media: &'a Media, index: usize) -> Self {
        Self { session, media, index, remote: Remote::of(session, media) }
    }

    /// `direction` is the agreed one, seen from us.
    fn stream(&self, direction: Direction, mux: bool) -> Stream {
        let Remote { rtp, rtcp, .. } = self.remote;
        Stream {
            index: self.index,
            remote: rtp,
            remote_rtcp: if mux { rtp } else { rtcp },
            rtcp_mux: mux,
            send: direction.sends(),
            recv: direction.receives(),
            avpf: self.media.protocol.has_feedback(),
        }
    }
}

/// An audio format, when it is one.
pub(super) fn audio_of(format: &Format) -> Option<&AudioCodec> {
    match &format.codec {
        Codec::Audio(codec) => Some(codec),
        _ => None,
    }
}

/// H.264 parameters, when it is that.
pub(super) fn h264_of(format: &Format) -> Option<&Parameters> {
    match &format.codec {
        Codec::H264(parameters) => Some(parameters),
        _ => None,
    }
}

/// The `telephone-event` that goes with a clock, else the one of 8 kHz, which most devices have next to any codec.
pub(super) fn dtmf(formats: &[Format], clock_hz: u32) -> Option<&Format> {
    let with = |hz| formats.iter().find(move |f| f.codec == Codec::Dtmf && f.clock_hz == hz);
    with(clock_hz).or_else(|| with(8_000))
}

/// The comfort noise that goes with a clock.
pub(super) fn comfort_noise(formats: &[Format], clock_hz: u32) -> Option<&Format> {
    formats.iter().find(|f| f.codec == Codec::ComfortNoise && f.clock_hz == clock_hz)
}

/// `theirs`: formats of the peer's line; `mine`: those of ours, the chosen one among them; they are the same list in an answer.
pub(super) fn audio(
    peer: Peer<'_>,
    chosen: &Format,
    (theirs, mine): (&[Format], &[Format]),
    ours: &Capabilities,
    (direction, mux): (Direction, bool),
) -> Option<Audio> {
    let codec = audio_of(chosen)?.clone();
    let receivable = |f: &Format| {
        Some((f.pt, audio_of(f).filter(|c| ours.audio.iter().any(|a| a.codec.is_same(c)))?.clone()))
    };
    let mut pt_recv: Vec<(u8, AudioCodec)> = mine.iter().filter_map(receivable).collect();
    pt_recv.sort_by_key(|(pt, c)| (!c.is_same(&codec), *pt != chosen.pt));
    let dtmf = dtmf(theirs, chosen.clock_hz).filter(|_| ours.dtmf.is_some());
    let is_dtmf = |f: &&Format| f.codec == Codec::Dtmf && ours.dtmf.is_some();
    let line_kbps = line::audio_kbps(peer.session, peer.media).unwrap_or(OPUS_MAX_KBPS);
    Some(Audio {
        stream: peer.stream(direction, mux),
        clock_hz: chosen.clock_hz,
        pt_send: chosen.pt,
        pt_recv,
        dtmf: dtmf.map(|f| f.pt),
        dtmf_clock_hz: dtmf.map_or(8_000, |f| f.clock_hz),
        dtmf_recv: mine.iter().filter(is_dtmf).map(|f| (f.pt, f.clock_hz)).collect(),
        comfort_noise: comfort_noise(theirs, chosen.clock_hz).filter(|_| ours.comfort_noise).map(|f| f.pt),
        ptime_ms: line::ptime_ms(peer.session, peer.media),
        max_kbps: match &codec {
            AudioCodec::Opus(opus) => {
                opus.max_average_bps.map_or(OPUS_MAX_KBPS, |bps| bps / 1_000).min(line_kbps)
            }
            _ => 64,
        },
        codec,
    })
}

/// The two ends of the chosen H.264 payload type.
pub(super) struct Chosen<'a> {
    pub pt: u8,
    pub mode: Mode,
    pub theirs: &'a Parameters,
    /// What we said, or say, of it.
    pub mine: &'a Parameters,
}

/// `audio` is known by now, or there is none.
pub(super) fn video(
    peer: Peer<'_>,
    chosen: &Chosen<'_>,
    pt_recv: Vec<(u8, Mode)>,
    feedback: Feedback,
    (direction, mux): (Direction, bool),
) -> Video {
    let asymmetric = chosen.theirs.level_asymmetry && chosen.mine.level_asymmetry;
    let theirs = chosen.theirs.receive_level(asymmetric);
    let level = if asymmetric { theirs } else { theirs.min(chosen.mine.profile_level.level()) };
    let limits = chosen.theirs.limits(level);
    Video {
        stream: peer.stream(direction, mux),
        pt_send: chosen.pt,
        mode: chosen.mode,
        profile_level: chosen.theirs.profile_level,
        limits,
        pt_recv,
        feedback,
        repairs: None,
        max_kbps: limits.max_br_kbps,
        parameter_sets: chosen.theirs.parameter_sets.clone(),
    }
}

/// Bounds the pictures' rate by what the peer's `b=` lines leave for them.
pub(super) fn bound_video(video: &mut Video, audio: Option<&Audio>, session: &Session) {
    let share = audio.map_or(0, |a| a.max_kbps.min(AUDIO_SHARE_KBPS));
    let media = session.media.get(video.stream.index);
    if let Some(kbps) = media.and_then(|m| line::video_kbps(session, m, share)) {
        video.max_kbps = video.max_kbps.min(kbps);
    }
}
