//! Reading the answer to our offer (RFC 3264 7).

use super::agree::{self, Chosen, Peer, audio_of, h264_of};
use super::format::{self, formats};
use super::h264::{Mode, Parameters, Profile};
use super::line::Remote;
use super::{
    Audio, Capabilities, Decline, Declined, Feedback, Format, Media, Negotiated, Refused, Repairs, Role,
    Session, Video,
};

/// Reads the answer to `offer`. We send with the answer's payload types and receive with the offer's.
///
/// Payload types are matched by number and codec, then by codec alone. A packetization mode that is not the offered one is taken as
/// mode 0, which every H.264 receiver understands; with [`Capabilities::strict`] such a payload type is not taken.
///
/// Every line needs its answer (RFC 3264 6), but devices without a camera leave those they do not know away at the end: such lines are declined.
///
/// # Errors
/// [`Refused`]: lines too many or changed, everything declined, or nothing in common.
pub fn accept_answer(offer: &Session, answer: &Session, ours: &Capabilities) -> Result<Negotiated, Refused> {
    let (offered, answered) = (offer.media.len(), answer.media.len());
    if answered > offered || answered == 0 && offered > 0 {
        return Err(Refused::LineCount { offered, answered });
    }
    let mut agreed = Negotiated::default();
    for (index, (mine, theirs)) in offer.media.iter().zip(&answer.media).enumerate() {
        check(index, mine, theirs)?;
        let pair = Pair { peer: Peer::new(answer, theirs, index), mine, own: Remote::of(offer, mine) };
        let taken = match Role::of(mine) {
            _ if theirs.port == 0 => Err(Decline::Off),
            Role::Audio if agreed.audio.is_some() => Err(Decline::Second),
            Role::Video if agreed.video.is_some() => Err(Decline::Second),
            Role::Audio => pair.audio(ours).map(|audio| agreed.audio = Some(audio)),
            Role::Video => pair.video(ours).map(|video| agreed.video = Some(video)),
            role => Err(Decline::Role(role)),
        };
        if let Err(why) = taken {
            agreed.declined.push(Declined::new(index, theirs, why));
        }
    }
    for (index, mine) in offer.media.iter().enumerate().skip(answered) {
        agreed.declined.push(Declined::new(index, mine, Decline::Off));
    }
    if let Some(video) = &mut agreed.video {
        agree::bound_video(video, agreed.audio.as_ref(), answer);
    }
    let nothing = agreed.audio.is_none() && agreed.video.is_none();
    if nothing && offer.media.iter().any(|m| m.port != 0) {
        let reasons = agreed.declined.iter().map(|d| d.why);
        return Err(match reasons.clone().all(|why| why == Decline::Off) {
            true => Refused::AllDeclined,
            false => Refused::from_reasons(reasons),
        });
    }
    Ok(agreed)
}

/// Whether the answer's line can stand in the place of the offer's.
fn check(index: usize, mine: &Media, theirs: &Media) -> Result<(), Refused> {
    if mine.kind != theirs.kind {
        let (offered, answered) = (mine.kind.clone(), theirs.kind.clone());
        return Err(Refused::LineKind { index, offered, answered });
    }
    if theirs.port == 0 {
        return Ok(());
    }
    if mine.port == 0 {
        return Err(Refused::LineOpened { index });
    }
    // Devices answer AVPF with AVP and the other way round; both are the same packets.
    if mine.protocol != theirs.protocol && !(mine.protocol.is_plain_rtp() && theirs.protocol.is_plain_rtp()) {
        let (offered, answered) = (mine.protocol.to_string(), theirs.protocol.to_string());
        return Err(Refused::LineTransport { index, offered, answered });
    }
    Ok(())
}

/// One line of both descriptions.
struct Pair<'a> {
    peer: Peer<'a>,
    mine: &'a Media,
    own: Remote,
}

impl Pair<'_> {
    fn common(&self) -> Result<(super::Direction, bool), Decline> {
        if !self.own.rtp.ip().is_unspecified() && !self.peer.remote.reachable(self.own.rtp.ip()) {
            return Err(Decline::Address);
        }
        let direction = self.own.direction.and(self.peer.remote.direction.mirrored());
        Ok((direction, self.own.mux && self.peer.remote.mux))
    }

    fn audio(&self, ours: &Capabilities) -> Result<Audio, Decline> {
        let (mine, theirs) = (formats(self.mine), formats(self.peer.media));
        let offered =
            |f: &&Format| audio_of(f).is_some_and(|c| mine.iter().filter_map(audio_of).any(|m| m.is_same(c)));
        let chosen = theirs.iter().find(offered).ok_or(Decline::Format)?;
        agree::audio(self.peer, chosen, (&theirs, &mine), ours, self.common()?).ok_or(Decline::Format)
    }

    fn video(&self, ours: &Capabilities) -> Result<Video, Decline> {
        let (mine, theirs) = (formats(self.mine), formats(self.peer.media));
        let chosen = theirs.iter().find_map(|f| choose(f, &mine, ours.strict)).ok_or(Decline::Format)?;
        let mut pt_recv: Vec<(u8, Mode)> =
            mine.iter().filter_map(|f| Some((f.pt, h264_of(f)?.mode))).collect();
        pt_recv.sort_by_key(|(pt, mode)| (*mode != chosen.mine.mode, *pt != chosen.pt));
        let feedback = Feedback::of(self.peer.media, chosen.pt).and(ours.feedback);
        let mut video = agree::video(self.peer, &chosen, pt_recv, feedback, self.common()?);
        let theirs = format::repairs(&theirs).find(|(_, apt)| *apt == chosen.pt);
        if let Some((pt_send, _)) = theirs.filter(|_| feedback.nack) {
            video.repairs = Some(Repairs { pt_send, pt_recv: format::repairs(&mine).collect() });
        }
        Ok(video)
    }
}

/// The offered payload type an answered one stands for.
fn choose<'a>(answered: &'a Format, mine: &'a [Format], strict: bool) -> Option<Chosen<'a>> {
    let theirs = h264_of(answered)?;
    let fits = |p: &Parameters| p.mode == theirs.mode && is_same_profile(p, theirs);
    let offered = |is: &dyn Fn(&Format, &Parameters) -> bool| {
        mine.iter().filter_map(|f| h264_of(f).map(|p| (f, p))).find(|(f, p)| is(f, p)).map(|(_, p)| p)
    };
    let mine = match strict {
        true => offered(&|f, p| f.pt == answered.pt && fits(p)).or_else(|| {
            offered(&|_, p| fits(p)).filter(|_| offered(&|f, _| f.pt == answered.pt).is_none())
        })?,
        false => offered(&|f, _| f.pt == answered.pt)
            .or_else(|| offered(&|_, p| fits(p)))
            .or_else(|| offered(&|_, p| p.mode == theirs.mode))
            .or_else(|| offered(&|_, _| true))?,
    };
    Some(Chosen { pt: answered.pt, mode: theirs.mode.min(mine.mode), theirs, mine })
}

/// Baseline and constrained baseline are one in practice: linphone answers `42801f` to `42e01f`.
fn is_same_profile(a: &Parameters, b: &Parameters) -> bool {
    let of = |p: &Parameters| match p.profile_level.profile() {
        Profile::Baseline => Profile::ConstrainedBaseline,
        other => other,
    };
    of(a) == of(b)
}
