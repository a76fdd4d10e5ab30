//! Answering an offer (RFC 3264 6).

use super::agree::{self, Peer, audio_of, h264_of};
use super::format::{self, formats};
use super::h264::{Mode, Parameters};
use super::line::transport;
use super::{
    Audio, AudioChoice, Capabilities, Codec, Decline, Declined, Feedback, Fmtp, Format, Media, Negotiated,
    Origin, Ports, Refused, Repairs, Role, Rtx, Session, Video, h264, offer,
};

/// The most H.264 payload types that are answered on one line; real offers have six at most.
const MAX_ANSWERED: usize = 16;

/// Answers an offer: every line in its place, the first usable line of sound and of pictures taken, the others with port 0.
///
/// Sound: one codec is answered, [`AudioChoice`] says which, with the `telephone-event` of its clock and comfort noise. Pictures:
/// every H.264 payload type that we can receive is answered, with the mode we like best first; we send on the first.
///
/// # Errors
/// [`Refused`] when there is nothing to hear or see; not for an offer whose lines all have port 0.
pub fn answer(
    offer: &Session,
    ours: &Capabilities,
    ports: &Ports,
    origin: &Origin,
) -> Result<(Session, Negotiated), Refused> {
    let mut session = Session::new(origin.clone(), ports.addr);
    session.times.clone_from(&offer.times);
    let mut agreed = Negotiated::default();
    for (index, media) in offer.media.iter().enumerate() {
        let peer = Peer::new(offer, media, index);
        let line = match Role::of(media) {
            _ if media.port == 0 => Err(Decline::Off),
            Role::Audio if agreed.audio.is_some() => Err(Decline::Second),
            Role::Video if agreed.video.is_some() => Err(Decline::Second),
            Role::Audio => audio(peer, ours, ports).map(|(line, audio)| {
                agreed.audio = Some(audio);
                line
            }),
            Role::Video => video(peer, ours, ports).map(|(line, video)| {
                agreed.video = Some(video);
                line
            }),
            role => Err(Decline::Role(role)),
        };
        session.media.push(line.unwrap_or_else(|why| {
            agreed.declined.push(Declined::new(index, media, why));
            media.declined()
        }));
    }
    if let Some(video) = &mut agreed.video {
        agree::bound_video(video, agreed.audio.as_ref(), offer);
    }
    let reasons = agreed.declined.iter().map(|d| d.why);
    let all_off = !offer.media.is_empty() && reasons.clone().all(|why| why == Decline::Off);
    if agreed.audio.is_none() && agreed.video.is_none() && !all_off {
        return Err(Refused::from_reasons(reasons));
    }
    Ok((session, agreed))
}

fn audio(peer: Peer<'_>, ours: &Capabilities, ports: &Ports) -> Result<(Media, Audio), Decline> {
    if ours.audio.is_empty() || ports.audio == 0 {
        return Err(Decline::NotWanted);
    }
    transport(peer.media)?;
    let formats = formats(peer.media);
    let chosen = choose(&formats, ours).ok_or(Decline::Format)?;
    if !peer.remote.reachable(ports.addr) {
        return Err(Decline::Address);
    }
    let direction = peer.remote.direction.mirrored().and(ours.audio_direction);
    let mux = peer.remote.mux && ours.rtcp_mux;
    let agreed =
        agree::audio(peer, chosen, (&formats, &formats), ours, (direction, mux)).ok_or(Decline::Format)?;
    let mut line = Media::new(peer.media.kind.clone(), ports.audio, peer.media.protocol.clone());
    let own = ours.audio.iter().find(|a| a.codec.is_same(&agreed.codec));
    offer::add(
        &mut line,
        chosen.pt,
        Some(rtpmap(chosen, &agreed.codec.rtpmap())),
        own.and_then(|a| a.codec.fmtp()),
    );
    let answered = |pt: Option<u8>| formats.iter().find(move |f| Some(f.pt) == pt);
    if let Some(noise) = answered(agreed.comfort_noise) {
        offer::add(&mut line, noise.pt, Some(rtpmap(noise, "CN/8000")), None);
    }
    if let Some(dtmf) = answered(agreed.dtmf) {
        offer::add(&mut line, dtmf.pt, Some(rtpmap(dtmf, "telephone-event/8000")), Some("0-15".to_owned()));
    }
    if ours.ptime_ms > 0 {
        line.attributes.push("ptime", ours.ptime_ms.to_string());
    }
    finish(&mut line, peer.media, mux);
    line.attributes.flag(direction.as_str());
    Ok((line, agreed))
}

/// The codec to answer with, by [`AudioChoice`].
fn choose<'a>(formats: &'a [Format], ours: &Capabilities) -> Option<&'a Format> {
    let own = |f: &Format| audio_of(f).and_then(|c| ours.audio.iter().position(|a| a.codec.is_same(c)));
    let mut both = formats.iter().filter(|f| own(f).is_some());
    match ours.audio_choice {
        AudioChoice::Offer => both.next(),
        AudioChoice::Own => both.min_by_key(|f| own(f)),
        AudioChoice::WideFirst => {
            let is_wide = |f: &&Format| audio_of(f).is_some_and(super::AudioCodec::is_wide);
            both.clone().find(is_wide).or_else(|| both.next())
        }
    }
}

fn video(peer: Peer<'_>, ours: &Capabilities, ports: &Ports) -> Result<(Media, Video), Decline> {
    if ours.video.is_empty() || ports.video == 0 {
        return Err(Decline::NotWanted);
    }
    transport(peer.media)?;
    let formats = formats(peer.media);
    let mut usable: Vec<Usable<'_>> = formats.iter().filter_map(|f| Usable::of(f, ours)).collect();
    usable.sort_by_key(|u| u.rank);
    usable.truncate(MAX_ANSWERED);
    let first = usable.first().ok_or(Decline::Format)?;
    if !peer.remote.reachable(ports.addr) {
        return Err(Decline::Address);
    }
    let direction = peer.remote.direction.mirrored().and(ours.video_direction);
    let mux = peer.remote.mux && ours.rtcp_mux;

    let mut line = Media::new(peer.media.kind.clone(), ports.video, peer.media.protocol.clone());
    for u in &usable {
        offer::add(&mut line, u.format.pt, Some(rtpmap(u.format, "H264/90000")), Some(u.fmtp.clone()));
    }
    let feedback = |pt| Feedback::of(peer.media, pt).and(ours.feedback);
    let repairs =
        answer_repairs(&mut line, &formats, &usable, |pt| ours.rtx != Rtx::Never && feedback(pt).nack);
    offer::add_bandwidth(&mut line, ours.max_kbps);
    // In the form it was offered in: devices understand what they write themselves.
    let for_all = Feedback::of_all(peer.media).and(ours.feedback);
    for_all.write("*", &mut line.attributes);
    for u in &usable {
        feedback(u.format.pt).without(for_all).write(&u.format.pt.to_string(), &mut line.attributes);
    }
    if peer.media.attributes.first("content").is_some_and(|c| c.eq_ignore_ascii_case("main")) {
        line.attributes.push("content", "main");
    }
    finish(&mut line, peer.media, mux);
    line.attributes.flag(direction.as_str());

    let mine = Parameters::read(&Fmtp::parse(&first.fmtp)).ok_or(Decline::Format)?;
    let chosen =
        agree::Chosen { pt: first.format.pt, mode: first.offered.mode, theirs: first.offered, mine: &mine };
    let pt_recv = usable.iter().map(|u| (u.format.pt, u.offered.mode)).collect();
    let mut agreed = agree::video(peer, &chosen, pt_recv, feedback(first.format.pt), (direction, mux));
    agreed.repairs = Repairs::of(repairs, chosen.pt);
    Ok((line, agreed))
}

/// Answers the repairs of those payload types that are answered and `wanted`; which they are.
fn answer_repairs(
    line: &mut Media,
    formats: &[Format],
    usable: &[Usable<'_>],
    wanted: impl Fn(u8) -> bool,
) -> Vec<(u8, u8)> {
    let answered = |apt: u8| usable.iter().any(|u| u.format.pt == apt) && wanted(apt);
    let repairs: Vec<_> = format::repairs(formats).filter(|(_, apt)| answered(*apt)).collect();
    for (pt, apt) in &repairs {
        offer::add(line, *pt, Some("rtx/90000".to_owned()), Some(format!("apt={apt}")));
    }
    repairs
}

/// An offered H.264 payload type that we can receive, and what we answer to it.
struct Usable<'a> {
    /// Place of its mode in our list.
    rank: usize,
    format: &'a Format,
    offered: &'a Parameters,
    fmtp: String,
}

impl<'a> Usable<'a> {
    fn of(format: &'a Format, ours: &Capabilities) -> Option<Self> {
        let Codec::H264(offered) = &format.codec else { return None };
        let rank = ours.video.iter().position(|v| v.mode == offered.mode)?;
        let receive = ours.video.get(rank)?.receive;
        if !ours.profiles.contains(&offered.profile_level.profile()) {
            return None;
        }
        // Without asymmetry the answer must not raise the level (RFC 6184 8.2.2); what we can do beyond it stands in max-*.
        let (theirs, own) = (offered.profile_level.level(), receive.level());
        let level = if offered.level_asymmetry { own } else { own.min(theirs) };
        let profile_level = offered.profile_level.with_level(level);
        let mode = (offered.mode_written || offered.mode == Mode::NonInterleaved).then_some(offered.mode);
        let fmtp = h264::write(profile_level, mode, &receive, ours.max_kbps);
        Some(Self { rank, format, offered: h264_of(format)?, fmtp })
    }
}

/// The encoding as the offer wrote it; devices compare it word by word.
fn rtpmap(format: &Format, default: &str) -> String {
    format.rtpmap.clone().unwrap_or_else(|| default.to_owned())
}

/// What is repeated or answered on every line.
fn finish(line: &mut Media, offered: &Media, mux: bool) {
    if let Some(mid) = offered.attributes.first("mid") {
        line.attributes.push("mid", mid);
    }
    if mux {
        line.attributes.flag("rtcp-mux");
    }
}
