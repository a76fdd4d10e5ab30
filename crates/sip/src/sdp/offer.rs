//! Making an offer: for a late offer, for calls we place, for re-INVITEs (RFC 3264 5 and 8).

use super::agree::{audio_of, h264_of};
use super::format::formats;
use super::{
    AudioFormat, Bandwidth, Capabilities, Codec, Direction, Format, Media, MediaKind, Origin, Ports,
    Protocol, Role, Rtx, Session, h264,
};

/// Makes an offer. `previous` is the description we sent last, as [`settle`] leaves it after an answer: its lines keep their
/// places and payload types, lines that are closed stay closed unless [`Capabilities::reopen`], new ones come at the end.
///
/// All codecs of `ours` are offered again, the ones in use first. A refresh that must change nothing repeats the last description
/// itself, with its version, and needs no offer made here.
///
/// A port of 0 closes that line; with neither capability nor a previous line there is none.
pub fn offer(ours: &Capabilities, ports: &Ports, origin: &Origin, previous: Option<&Session>) -> Session {
    let mut session = Session::new(origin.clone(), ports.addr);
    let mut audio = (!ours.audio.is_empty() && ports.audio != 0).then_some(ports.audio);
    let mut video = (!ours.video.is_empty() && ports.video != 0).then_some(ports.video);
    let (mut had_audio, mut had_video) = (false, false);
    for old in previous.iter().flat_map(|p| &p.media) {
        let role = Role::of(old);
        had_audio |= role == Role::Audio;
        had_video |= role == Role::Video;
        let open = old.protocol.is_plain_rtp() && (old.port != 0 || ours.reopen);
        let line = match role {
            Role::Audio if open => audio.take().map(|port| audio_line(ours, port, Some(old))),
            Role::Video if open => video.take().map(|port| video_line(ours, port, Some(old))),
            _ => None,
        };
        session.media.push(line.unwrap_or_else(|| old.declined()));
    }
    if let Some(port) = audio.filter(|_| !had_audio || ours.reopen) {
        session.media.push(audio_line(ours, port, None));
    }
    if let Some(port) = video.filter(|_| !had_video || ours.reopen) {
        session.media.push(video_line(ours, port, None));
    }
    session
}

/// Our description as it stands after the answer: the lines the answer declined are closed. What goes into the next [`offer`].
pub fn settle(offer: &Session, answer: &Session) -> Session {
    let mut settled = offer.clone();
    for (line, answered) in settled.media.iter_mut().zip(&answer.media) {
        if answered.port == 0 {
            *line = line.declined();
        }
    }
    settled
}

fn audio_line(ours: &Capabilities, port: u16, previous: Option<&Media>) -> Media {
    let mut line = new_line(MediaKind::Audio, port, ours, previous);
    let mut numbers = Numbers::of(previous);
    // What is in use comes first, so that a re-INVITE does not switch codecs by accident.
    let mut codecs: Vec<&AudioFormat> = ours.audio.iter().collect();
    codecs.sort_by_key(|a| numbers.place(|f| audio_of(f).is_some_and(|c| c.is_same(&a.codec))));
    for AudioFormat { codec, pt } in codecs {
        let (pt, old) = numbers.assign(*pt, |f| audio_of(f).is_some_and(|c| c.is_same(codec)));
        add(&mut line, pt, Some(old.unwrap_or_else(|| codec.rtpmap())), codec.fmtp());
    }
    if ours.comfort_noise {
        let (pt, old) = numbers.assign(13, |f| f.codec == Codec::ComfortNoise && f.clock_hz == 8_000);
        add(&mut line, pt, Some(old.unwrap_or_else(|| "CN/8000".to_owned())), None);
    }
    if let Some(pt) = ours.dtmf {
        let (pt, old) = numbers.assign(pt, |f| f.codec == Codec::Dtmf);
        let rtpmap = old.unwrap_or_else(|| "telephone-event/8000".to_owned());
        add(&mut line, pt, Some(rtpmap), Some("0-15".to_owned()));
    }
    if ours.ptime_ms > 0 {
        line.attributes.push("ptime", ours.ptime_ms.to_string());
    }
    finish(&mut line, ours, ours.audio_direction);
    line
}

fn video_line(ours: &Capabilities, port: u16, previous: Option<&Media>) -> Media {
    let mut line = new_line(MediaKind::Video, port, ours, previous);
    let mut numbers = Numbers::of(previous);
    // Payload types in use are offered as they were answered, with every profile; then modes that are new.
    for old in numbers.old.clone() {
        let Some(parameters) = h264_of(&old) else { continue };
        let Some(own) = ours.video.iter().find(|v| v.mode == parameters.mode) else { continue };
        let profile_level = parameters.profile_level.with_level(own.receive.level());
        let fmtp = h264::write(profile_level, Some(own.mode), &own.receive, ours.max_kbps);
        add(&mut line, old.pt, old.rtpmap.clone(), Some(fmtp));
    }
    for own in &ours.video {
        if numbers.old.iter().filter_map(h264_of).any(|p| p.mode == own.mode) {
            continue;
        }
        let (pt, _) = numbers.assign(own.pt, |_| false);
        let profile_level = own.profile_level.with_level(own.receive.level());
        let fmtp = h264::write(profile_level, Some(own.mode), &own.receive, ours.max_kbps);
        add(&mut line, pt, Some("H264/90000".to_owned()), Some(fmtp));
    }
    if ours.rtx == Rtx::Offered && ours.feedback.nack {
        let repaired: Vec<u8> = line.formats.iter().filter_map(|f| f.parse().ok()).collect();
        for apt in repaired {
            let (pt, _) = numbers.assign(127, |f| f.codec == Codec::Rtx { apt });
            add(&mut line, pt, Some("rtx/90000".to_owned()), Some(format!("apt={apt}")));
        }
    }
    add_bandwidth(&mut line, ours.max_kbps);
    ours.feedback.write("*", &mut line.attributes);
    finish(&mut line, ours, ours.video_direction);
    line
}

fn new_line(kind: MediaKind, port: u16, ours: &Capabilities, previous: Option<&Media>) -> Media {
    let default = if ours.avpf { Protocol::Avpf } else { Protocol::Avp };
    let mut line = Media::new(kind, port, previous.map_or(default, |m| m.protocol.clone()));
    if let Some(mid) = previous.and_then(|m| m.attributes.first("mid")) {
        line.attributes.push("mid", mid);
    }
    line
}

fn finish(line: &mut Media, ours: &Capabilities, direction: Direction) {
    if ours.rtcp_mux {
        line.attributes.flag("rtcp-mux");
    }
    line.attributes.flag(direction.as_str());
}

/// Adds a payload type with its attributes.
pub(super) fn add(line: &mut Media, pt: u8, rtpmap: Option<String>, fmtp: Option<String>) {
    line.formats.push(pt.to_string());
    if let Some(rtpmap) = rtpmap {
        line.attributes.push("rtpmap", format!("{pt} {rtpmap}"));
    }
    if let Some(fmtp) = fmtp {
        line.attributes.push("fmtp", format!("{pt} {fmtp}"));
    }
}

/// `b=AS` for those who know only that, `b=TIAS` (RFC 3890) for the others.
pub(super) fn add_bandwidth(line: &mut Media, kbps: u32) {
    line.bandwidth.push(Bandwidth { kind: "AS".to_owned(), value: u64::from(kbps) });
    line.bandwidth.push(Bandwidth { kind: "TIAS".to_owned(), value: u64::from(kbps) * 1_000 });
}

/// Payload types of a line: what a number meant once it means for the whole call (RFC 3264 8.3.2).
struct Numbers {
    old: Vec<Format>,
    used: Vec<u8>,
}

impl Numbers {
    fn of(previous: Option<&Media>) -> Self {
        // A closed line that is opened again is a new stream (RFC 3264 8.1).
        let previous = previous.filter(|m| m.port != 0);
        let old = previous.map(formats).unwrap_or_default();
        let used = previous.iter().flat_map(|m| &m.formats).filter_map(|f| f.parse().ok()).collect();
        Self { old, used }
    }

    /// Place among the old formats, behind them all for a new one.
    fn place(&self, is: impl Fn(&Format) -> bool) -> usize {
        self.old.iter().position(is).unwrap_or(usize::MAX)
    }

    /// The number a format had, with its encoding as it was written, else `wanted`, else the first that is free.
    fn assign(&mut self, wanted: u8, is: impl Fn(&Format) -> bool) -> (u8, Option<String>) {
        if let Some(old) = self.old.iter().find(|f| is(f)) {
            return (old.pt, old.rtpmap.clone());
        }
        let free = std::iter::once(wanted).chain((96..=127).rev()).find(|pt| !self.used.contains(pt));
        let pt = free.unwrap_or(wanted);
        self.used.push(pt);
        (pt, None)
    }
}
