//! Calls: from the INVITE to the BYE.

use std::hash::{Hash as _, Hasher as _};
use std::time::Instant;

use bytes::Bytes;
use cau_mixer::Command as Mix;
use cau_model::participant::{Direction, State};
use cau_model::{ConferenceId, ParticipantId, Words, name};
use cau_sip::conference_info::Disconnection;
use cau_sip::sdp::{self, Origin, Refused, Session};
use cau_sip::{CallId, EndCause, Event, IncomingInvite, InfoBody};
use rand::RngExt as _;

use super::sites::Line;
use super::watching::disconnection;
use super::{Basis, Call, Ending, Focus};
use crate::notice::Body;

/// Longest address kept of a caller, characters.
const MAX_URI: usize = 256;

/// Why a call is not let in: status, what the caller's device is told, what the operator is told.
struct Denied {
    status: u16,
    /// Of the Warning header (RFC 3261 20.43); 399: free words.
    code: u16,
    retry: bool,
    words: Words,
}

impl Denied {
    fn new(status: u16, vi: impl Into<String>, en: impl Into<String>) -> Denied {
        Denied { status, code: 399, retry: false, words: Words::new(vi, en) }
    }

    fn retry(self) -> Denied {
        Denied { retry: true, ..self }
    }

    fn media(refused: &Refused) -> Denied {
        Denied { code: refused.warning_code(), ..Denied::new(488, refused.words_vi(), refused.words_en()) }
    }

    fn unreadable() -> Denied {
        Denied::new(
            488,
            "mô tả âm thanh, hình ảnh (SDP) không đọc được",
            "the session description cannot be read",
        )
    }
}

/// A first description of ours, to be sent.
struct Opening {
    call: Call,
    sdp: Bytes,
}

impl Focus {
    /// Something happened in SIP.
    pub(super) fn signalled(&mut self, now: Instant, event: Event) {
        match &event {
            Event::Ended { call, cause } => self.note_left(now, *call, disconnection(cause)),
            Event::Rejected { call, status, .. } => {
                let busy = matches!(status, 486 | 600);
                self.note_left(now, *call, if busy { Disconnection::Busy } else { Disconnection::Failed });
                self.note_refused(*call, *status);
            }
            _ => {}
        }
        match event {
            Event::Incoming { call, request } => self.incoming(now, call, &request),
            Event::Reoffer { call, offer: Some(offer) } => self.reoffered(now, call, &offer),
            Event::Reoffer { call, offer: None } => self.asked_for_offer(now, call),
            Event::Answer { call, sdp } => self.answered(now, call, &sdp),
            Event::Ended { call, cause } => self.ended(now, call, &cause),
            Event::Rejected { call, status, reason, contacts, told } => {
                self.rejected(now, call, (status, &reason), &contacts, &told);
            }
            Event::Progress { call, status, .. } => self.progressed(now, call, status),
            Event::Info { call, body } => self.informed(call, &body),
            Event::ReofferRejected { call, status } => {
                tracing::debug!(%call, status, "our re-INVITE was refused; the call goes on");
                if let Some(call) = self.calls.get_mut(&call) {
                    (call.offered, call.until) = (None, None);
                }
                // Who refuses is there.
                self.alive(now, call);
            }
            Event::Subscribe(wanted) => self.watch(now, &wanted),
            Event::StateWanted { room } => self.tell_watchers(now, &room),
            Event::Refer(refer) => self.referred(now, &refer),
            Event::Registrar(changed) => self.device(&changed),
            Event::Registration { id, state } => self.registration(id, &state),
            // We offer whenever we call, and answer a re-INVITE at once; the dialog itself needs nothing from us here.
            Event::Offer { .. } | Event::ReofferCancelled { .. } => {}
            Event::Confirmed { call } => self.confirmed(now, call),
        }
    }

    fn incoming(&mut self, now: Instant, id: CallId, request: &IncomingInvite) {
        match self.admit(now, request) {
            Ok(opening) => self.let_in(now, id, opening),
            Err(denied) => self.deny(now, id, request, &denied),
        }
    }

    /// Room, rights, ports, media, in this order. Nothing stays open when it fails.
    fn admit(&mut self, now: Instant, request: &IncomingInvite) -> Result<Opening, Denied> {
        if self.drain.is_some() {
            self.totals.refused_draining += 1;
            return Err(Denied::new(503, "MCU đang dừng", "the MCU is shutting down").retry());
        }
        let peer = request.remote.ip().to_canonical();
        if !self.may_believe(peer) {
            self.totals.refused_unproven += 1;
            return Err(Denied::new(
                503,
                format!("quá nhiều cuộc gọi chưa xác nhận (ACK) từ {peer}"),
                format!("too many calls from {peer} without ACK"),
            )
            .retry());
        }
        let conference = self.dialled(request)?;
        let link = request.link_token.as_deref().map(|token| self.redeem(now, conference, token)).transpose();
        let link = link.map_err(|words| {
            self.totals.refused_link += 1;
            Denied::new(403, words.vi, words.en)
        })?;
        let known = if link.is_some() { None } else { self.known_caller(conference, request) };
        if known.is_none() {
            self.seat_left(conference)?;
        }
        let offer = request.offer.as_deref().map(|bytes| self.read(bytes)).transpose()?;
        let participant = known.unwrap_or_else(|| self.new_participant());
        let local = request.local.ip().to_canonical();
        // The ports of the call it takes the place of: nothing of that is touched before the new one is accepted.
        let old = self.call_of(participant).map(|(old, call)| (old, call.local, call.ports));
        let taken = old.filter(|(_, there, _)| *there == local).map(|(.., ports)| ports);
        if let Some((old, ..)) = old.filter(|_| taken.is_none()) {
            // It comes in over another of our networks: its old ports are of no use.
            self.give_up_call(now, old);
        }
        let opened = taken.map_or_else(|| self.media.open(conference, participant, local, None), Ok);
        let Ok(ports) = opened else {
            self.no_ports(conference);
            return Err(Denied::new(
                503,
                "MCU hết cổng âm thanh, hình ảnh",
                "the MCU has no media ports left",
            )
            .retry());
        };
        let mut call = Call {
            conference,
            participant,
            name: match (&link, self.sites.get(participant)) {
                (Some(part), _) => part.name.clone(),
                (None, Some(site)) => site.name.clone(),
                (None, None) => caller_name(request),
            },
            uri: caller_uri(request),
            direction: Direction::In,
            peer,
            local,
            ports,
            origin: Origin::new(self.random.random(), ports.addr),
            cname: self.new_cname(),
            ours: None,
            offered: None,
            negotiated: None,
            basis: None,
            until: None,
            ending: None,
            unproven: Some(Box::new(request.clone())),
        };
        let ours = match offer {
            Some(offer) => match self.first_answer(&offer, &call) {
                Ok((answer, negotiated)) => {
                    call.negotiated = Some(negotiated);
                    let theirs = request.offer.clone().unwrap_or_default();
                    call.basis = Some(Basis { theirs, our_offer: None });
                    answer
                }
                Err(refused) => {
                    if taken.is_none() {
                        self.media.close(participant);
                    }
                    self.totals.refused_media += 1;
                    return Err(Denied::media(&refused));
                }
            },
            None => {
                let offer = sdp::offer(&self.config.capabilities, &ports, &call.origin, None);
                call.offered = Some(offer.clone());
                offer
            }
        };
        let sdp = ours.to_bytes();
        call.ours = Some(ours);
        match link {
            Some(part) => self.begin_link(now, participant, part),
            None if request.contact.as_ref().is_some_and(|contact| contact.params.has("isfocus")) => {
                self.notices.push(Some(conference), Body::Foreign(participant));
            }
            None => {}
        }
        Ok(Opening { call, sdp })
    }

    fn first_answer(&self, offer: &Session, call: &Call) -> Result<(Session, sdp::Negotiated), Refused> {
        let (answer, negotiated) = sdp::answer(offer, &self.config.capabilities, &call.ports, &call.origin)?;
        // A call that begins with every line closed is no call.
        if negotiated.audio.is_none() && negotiated.video.is_none() {
            return Err(Refused::NoMedia);
        }
        Ok((answer, negotiated))
    }

    fn dialled(&mut self, request: &IncomingInvite) -> Result<ConferenceId, Denied> {
        let user = request.uri.user();
        self.registry.dialled(&user).ok_or_else(|| {
            self.totals.refused_room += 1;
            let shown = name::clean(&user);
            if shown.is_empty() {
                return Denied::new(
                    404,
                    "chưa chọn phòng: hãy gọi sip:SỐPHÒNG@MCU",
                    "no room was dialled: dial sip:ROOM@MCU",
                );
            }
            Denied::new(404, format!("không có phòng {shown}"), format!("there is no room {shown}"))
        })
    }

    fn seat_left(&mut self, conference: ConferenceId) -> Result<(), Denied> {
        let here = self.counted(conference);
        if here >= self.config.max_per_conference {
            self.totals.refused_full += 1;
            return Err(Denied::new(
                486,
                format!("phiên họp đã đủ {here} điểm cầu"),
                format!("the conference is full: {here} sites"),
            ));
        }
        if self.capacity.is_full() {
            self.totals.refused_overload += 1;
            return Err(Denied::new(
                503,
                "MCU quá tải: không nhận thêm cuộc gọi để giữ âm thanh của phiên họp",
                "the MCU is overloaded: no new calls, so that the sound of the meeting stays whole",
            )
            .retry());
        }
        if self.calls.len() >= self.config.max_participants {
            self.totals.refused_full += 1;
            return Err(Denied::new(
                503,
                format!("MCU đã đủ {} cuộc gọi", self.calls.len()),
                format!("the MCU is full: {} calls", self.calls.len()),
            )
            .retry());
        }
        Ok(())
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Session, Denied> {
        Session::parse(bytes).map_err(|error| {
            tracing::debug!("unreadable session description: {error}");
            self.totals.refused_media += 1;
            Denied::unreadable()
        })
    }

    fn let_in(&mut self, now: Instant, id: CallId, Opening { call, sdp }: Opening) {
        let _ = self.sip.set_session_id(id, self.session_uuid(call.conference));
        if self.sip.accept(now, id, sdp).is_err() {
            // Cancelled in the same breath.
            if self.call_of(call.participant).is_none() {
                self.media.close(call.participant);
            }
            return;
        }
        self.await_proof(id, call);
    }

    /// What all calls of a conference are called in Session-ID headers (RFC 7989 9).
    pub(super) fn session_uuid(&self, conference: ConferenceId) -> u128 {
        let half = |which: u8| {
            let mut hasher = std::hash::DefaultHasher::new();
            (self.session_key, conference, which).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    }

    fn deny(&mut self, now: Instant, id: CallId, request: &IncomingInvite, denied: &Denied) {
        let warning = self.warning(denied);
        let retry = self.config.retry_after_s.to_string();
        let mut headers = vec![("Warning", warning.as_str())];
        if denied.retry {
            headers.push(("Retry-After", &retry));
        }
        let _ = self.sip.reject(now, id, denied.status, &headers);
        self.notices.refused(
            now,
            Body::CallRefused {
                from: caller_uri(request),
                to: bounded(&String::from_utf8_lossy(&request.uri.to_bytes())),
                status: denied.status,
                words: denied.words.clone(),
            },
        );
    }

    /// Value of a `Warning` header (RFC 3261 20.43).
    fn warning(&self, denied: &Denied) -> String {
        let text = denied.words.en.replace(['"', '\\'], "'");
        format!("{} {} \"{text}\"", denied.code, self.config.agent)
    }

    /// A re-INVITE with an offer: hold, resume, another address, another codec, pictures more or less.
    fn reoffered(&mut self, now: Instant, id: CallId, offer: &[u8]) {
        let Some(call) = self.calls.get(&id) else { return };
        let answered = Session::parse(offer).map_err(|_| Denied::unreadable()).and_then(|offer| {
            sdp::answer(&offer, self.capabilities(call.participant), &call.ports, &call.origin)
                .map_err(|refused| Denied::media(&refused))
        });
        let (mut answer, negotiated) = match answered {
            Ok(answered) => answered,
            Err(denied) => {
                let warning = self.warning(&denied);
                let _ = self.sip.reject_reoffer(now, id, denied.status, &[("Warning", &warning)]);
                return;
            }
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.origin.revise(&mut answer, call.ours.as_ref());
        let sdp = answer.to_bytes();
        if self.sip.answer_reoffer(now, id, sdp).is_err() {
            return;
        }
        call.ours = Some(answer);
        let theirs = Bytes::copy_from_slice(offer);
        self.note_basis(id, Basis { theirs, our_offer: None });
        self.agreed(now, id, negotiated);
    }

    /// A re-INVITE without an offer: we offer everything we have, the answer comes with the ACK.
    fn asked_for_offer(&mut self, now: Instant, id: CallId) {
        let Some(offer) = self.next_offer(id) else { return };
        if self.sip.answer_reoffer(now, id, offer.to_bytes()).is_ok() {
            self.note_offer(id, offer);
        }
    }

    /// Asks the other side whether it is still there, with a re-INVITE that changes nothing.
    pub(super) fn probe(&mut self, now: Instant, id: CallId) {
        let Some(offer) = self.calls.get(&id).and_then(|call| call.ours.clone()) else { return };
        if self.sip.reoffer(now, id, Some(offer.to_bytes())).is_ok() {
            self.note_offer(id, offer);
        }
    }

    /// Asks a device that was in a call before our restart whether it still is. Its ports may be others now.
    pub(super) fn ask_after_restart(&mut self, now: Instant, id: CallId) {
        let Some(offer) = self.next_offer(id) else { return };
        if self.sip.reoffer(now, id, Some(offer.to_bytes())).is_ok() {
            self.note_offer(id, offer);
            self.expect_word(now, id);
        }
    }

    fn next_offer(&mut self, id: CallId) -> Option<Session> {
        let call = self.calls.get(&id)?;
        let ours = self.capabilities(call.participant);
        let mut offer = sdp::offer(ours, &call.ports, &call.origin, call.ours.as_ref());
        let call = self.calls.get_mut(&id)?;
        call.origin.revise(&mut offer, call.ours.as_ref());
        Some(offer)
    }

    /// What holds stays what it was until the answer comes: the offer may be refused.
    fn note_offer(&mut self, id: CallId, offer: Session) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.offered = Some(offer);
        }
    }

    /// The answer to our offer.
    fn answered(&mut self, now: Instant, id: CallId, bytes: &[u8]) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        // Without an offer of ours it answers a refresh of the session, which says again what holds.
        let Some(offer) = call.offered.take().or_else(|| call.ours.clone()) else { return };
        let ours =
            if self.links.only_sends(call.participant) { &self.one_way } else { &self.config.capabilities };
        let words = match Session::parse(bytes) {
            Ok(answer) => match sdp::accept_answer(&offer, &answer, ours) {
                Ok(negotiated) => {
                    call.ours = Some(sdp::settle(&offer, &answer));
                    let theirs = Bytes::copy_from_slice(bytes);
                    self.note_basis(id, Basis { theirs, our_offer: Some(offer.to_bytes()) });
                    self.agreed(now, id, negotiated);
                    return;
                }
                Err(refused) => Words::new(refused.words_vi(), refused.words_en()),
            },
            Err(_) => Denied::unreadable().words,
        };
        // In a call that stands the old agreement goes on; without any there is no call (RFC 3261 13.2.2.4).
        if call.negotiated.is_none() {
            self.totals.refused_media += 1;
            let reason = words.en.clone();
            call.ending = Some(Ending::Failed(words));
            if self.sip.hangup(now, id, Some(&reason)).is_err() {
                self.ended(now, id, &EndCause::NoDescription);
            }
        }
    }

    fn agreed(&mut self, now: Instant, id: CallId, negotiated: sdp::Negotiated) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.until = None;
        match call.negotiated.replace(negotiated) {
            // Changed before its ACK: it joins with what holds then.
            Some(_) if call.unproven.is_some() => {}
            Some(_) => self.update(now, id),
            None => {
                // An answer to our offer: who has not seen that cannot answer it.
                self.prove(now, id);
                self.join(now, id);
            }
        }
        self.alive(now, id);
        // What was agreed on is kept, also where nothing of it is shown.
        if let Some(call) = self.calls.get(&id) {
            self.keep.touch_site(call.conference, call.participant);
        }
    }

    fn informed(&mut self, id: CallId, body: &InfoBody) {
        let Some(call) = self.calls.get(&id) else { return };
        match *body {
            InfoBody::FastUpdate => {
                let update = Mix::FastUpdate { participant: call.participant };
                self.media.command(call.conference, update);
            }
            InfoBody::Dtmf { digit, .. } => {
                let dtmf = Body::Dtmf { participant: call.participant, digit };
                self.notices.push(Some(call.conference), dtmf);
            }
            InfoBody::Other => {}
        }
    }

    /// Ends a call from our side: its site leaves. [`Focus::ended`] follows with the next events.
    pub(super) fn hang_up(&mut self, now: Instant, id: CallId, words: Words) {
        let reason = words.en.clone();
        self.end_heirs(now, id);
        if let Some(call) = self.calls.get_mut(&id) {
            call.ending = Some(Ending::Leave(words));
        }
        if self.sip.hangup(now, id, Some(&reason)).is_err() {
            // SIP has forgotten it already.
            self.ended(now, id, &EndCause::LocalHangUp);
        }
    }

    /// The call of a participant, when there is one.
    pub(super) fn call_of(&self, participant: ParticipantId) -> Option<(CallId, &Call)> {
        let id = self.by_participant.get(&participant)?;
        self.calls.get(id).map(|call| (*id, call))
    }

    /// Forgets a call that is over: ports, leg. `None` when its site goes on with another call.
    pub(super) fn forget_call(&mut self, id: CallId) -> Option<Call> {
        let call = self.drop_call(id)?;
        let participant = call.participant;
        if self.by_participant.get(&participant) != Some(&id) {
            // It never came to take the place of the one that holds.
            return None;
        }
        if self.legs.remove(&participant) {
            self.media.command(call.conference, Mix::RemoveLeg { participant });
        }
        if let Some(heir) = self.heir(participant, id) {
            self.by_participant.insert(participant, heir);
            self.sites.set_line(participant, Line::Up(heir));
            return None;
        }
        self.by_participant.remove(&participant);
        self.media.close(participant);
        self.sites.set_line(participant, Line::Idle);
        Some(call)
    }

    /// A call is over.
    pub(super) fn ended(&mut self, now: Instant, id: CallId, cause: &EndCause) {
        let Some(call) = self.forget_call(id) else { return };
        let participant = call.participant;
        let cause = match call.ending {
            Some(Ending::Leave(words)) => return self.leave(now, participant, words),
            Some(Ending::Failed(words)) => return self.try_failed(now, participant, words, false),
            Some(Ending::Lost(cause)) => cause,
            None => cause.clone(),
        };
        if call.negotiated.is_none() {
            // A try of ours, or a caller that never told us where to send.
            return self.unanswered(now, participant, &cause);
        }
        // Who never confirmed its call has not shown that it is where it says it is.
        let callable = self.sites.get(participant).is_some_and(|site| site.target.is_some());
        let proven =
            call.unproven.is_none() && (call.direction == Direction::Out || cause != EndCause::NoAck);
        if call.unproven.is_some()
            && self.state_of(call.conference, participant).is_some_and(|s| s != State::Left)
        {
            // A site that was being called, or is lost: what came in its name is nothing to go by.
            return self.again(now, participant, end_words(&cause));
        }
        if callable && proven && self.drain.is_none() && self.config.dial.redial.wants(&cause) {
            self.lost(now, participant, end_words(&cause));
        } else {
            self.leave(now, participant, end_words(&cause));
        }
    }
}

fn end_words(cause: &EndCause) -> Words {
    let mut words = Words::new(cause.vi(), cause.en());
    if let EndCause::RemoteHangUp { reason: Some(reason) } = cause {
        let reason = name::clean(reason);
        words.vi = format!("{} ({reason})", words.vi);
        words.en = format!("{} ({reason})", words.en);
    }
    words
}

/// Display name, else the user part, else the address.
fn caller_name(request: &IncomingInvite) -> String {
    let shown = request.display_name.as_deref().map(name::clean).unwrap_or_default();
    if !shown.is_empty() {
        return shown;
    }
    let user = name::clean(&request.from.uri.user());
    if user.is_empty() { request.remote.ip().to_canonical().to_string() } else { user }
}

fn caller_uri(request: &IncomingInvite) -> String {
    bounded(&String::from_utf8_lossy(&request.from.uri.to_bytes()))
}

fn bounded(uri: &str) -> String {
    uri.chars().filter(|c| !c.is_control()).take(MAX_URI).collect()
}
