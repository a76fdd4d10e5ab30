//! Calls: from the INVITE to the BYE.

use std::hash::{Hash as _, Hasher as _};
use std::time::Instant;

use bytes::Bytes;
use cau_mixer::Command as Mix;
use cau_model::{Command, ConferenceId, ParticipantId, Words, name};
use cau_sip::conference_info::Disconnection;
use cau_sip::sdp::{self, Origin, Refused, Session};
use cau_sip::{CallId, EndCause, Event, IncomingInvite, InfoBody};
use rand::RngExt as _;

use super::watching::disconnection;
use super::{Call, Focus};
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
            Event::Ended { call, cause } => self.ended(now, call, &end_words(&cause)),
            Event::Rejected { call, status, reason, .. } => {
                let words =
                    Words::new(format!("từ chối: {status} {reason}"), format!("refused: {status} {reason}"));
                self.ended(now, call, &words);
            }
            Event::Info { call, body } => self.informed(call, &body),
            Event::ReofferRejected { call, status } => {
                tracing::debug!(%call, status, "our re-INVITE was refused; the call goes on");
                if let Some(call) = self.calls.get_mut(&call) {
                    call.offered = None;
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
            Event::Offer { .. }
            | Event::ReofferCancelled { .. }
            | Event::Confirmed { .. }
            | Event::Progress { .. } => {}
        }
    }

    fn incoming(&mut self, now: Instant, id: CallId, request: &IncomingInvite) {
        match self.admit(request) {
            Ok(opening) => self.let_in(now, id, opening),
            Err(denied) => self.deny(now, id, request, &denied),
        }
    }

    /// Room, rights, ports, media, in this order. Nothing stays open when it fails.
    fn admit(&mut self, request: &IncomingInvite) -> Result<Opening, Denied> {
        if self.drain.is_some() {
            self.totals.refused_draining += 1;
            return Err(Denied::new(503, "MCU đang dừng", "the MCU is shutting down").retry());
        }
        let conference = self.dialled(request)?;
        self.seat_left(conference)?;
        let offer = request.offer.as_deref().map(|bytes| self.read(bytes)).transpose()?;
        let participant = self.new_participant();
        let local = request.local.ip().to_canonical();
        let Ok(ports) = self.media.open(conference, participant, local) else {
            self.totals.refused_full += 1;
            let words = Words::new(
                "hết cổng RTP: tăng rtp.ports trong cấu hình",
                "no RTP ports are left: widen rtp.ports in the configuration",
            );
            self.notices.push(Some(conference), Body::Alarm { participant: None, code: "no-ports", words });
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
            name: caller_name(request),
            uri: caller_uri(request),
            peer: request.remote.ip().to_canonical(),
            ports,
            origin: Origin::new(self.random.random(), ports.addr),
            cname: format!("{:08x}@{}", self.random.random::<u32>(), self.config.agent),
            ours: None,
            offered: None,
            negotiated: None,
            ending: None,
        };
        let ours = match offer {
            Some(offer) => match self.first_answer(&offer, &call) {
                Ok((answer, negotiated)) => {
                    call.negotiated = Some(negotiated);
                    answer
                }
                Err(refused) => {
                    self.media.close(participant);
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
        let here = self.calls.values().filter(|call| call.conference == conference).count();
        if here >= self.config.max_per_conference {
            self.totals.refused_full += 1;
            return Err(Denied::new(
                486,
                format!("phiên họp đã đủ {here} điểm cầu"),
                format!("the conference is full: {here} sites"),
            ));
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
        let participant = call.participant;
        let _ = self.sip.set_session_id(id, self.session_uuid(call.conference));
        if self.sip.accept(now, id, sdp).is_err() {
            // Cancelled in the same breath.
            self.media.close(participant);
            return;
        }
        let negotiated = call.negotiated.is_some();
        self.by_participant.insert(participant, id);
        self.calls.insert(id, call);
        // After a late offer the answer comes with the ACK; there is nobody to show or hear before.
        if negotiated {
            self.join(now, id);
        }
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
            sdp::answer(&offer, &self.config.capabilities, &call.ports, &call.origin)
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

    fn next_offer(&mut self, id: CallId) -> Option<Session> {
        let call = self.calls.get_mut(&id)?;
        let mut offer = sdp::offer(&self.config.capabilities, &call.ports, &call.origin, call.ours.as_ref());
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
    fn answered(&mut self, now: Instant, id: CallId, answer: &[u8]) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        // Without an offer of ours it answers a refresh of the session, which says again what holds.
        let Some(offer) = call.offered.take().or_else(|| call.ours.clone()) else { return };
        let words = match Session::parse(answer) {
            Ok(answer) => match sdp::accept_answer(&offer, &answer, &self.config.capabilities) {
                Ok(negotiated) => {
                    call.ours = Some(sdp::settle(&offer, &answer));
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
            self.hang_up(now, id, words);
        }
    }

    fn agreed(&mut self, now: Instant, id: CallId, negotiated: sdp::Negotiated) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.negotiated.replace(negotiated) {
            Some(_) => self.update(now, id),
            None => self.join(now, id),
        }
        self.alive(now, id);
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

    /// Ends a call from our side. [`Focus::ended`] follows with the next events.
    pub(super) fn hang_up(&mut self, now: Instant, id: CallId, words: Words) {
        let reason = words.en.clone();
        if let Some(call) = self.calls.get_mut(&id) {
            call.ending = Some(words);
        }
        if self.sip.hangup(now, id, Some(&reason)).is_err() {
            // SIP has forgotten it already.
            self.ended(now, id, &Words::new("", ""));
        }
    }

    /// The call of a participant, when there is one.
    pub(super) fn call_of(&self, participant: ParticipantId) -> Option<(CallId, &Call)> {
        let id = self.by_participant.get(&participant)?;
        self.calls.get(id).map(|call| (*id, call))
    }

    fn ended(&mut self, now: Instant, id: CallId, words: &Words) {
        let Some(call) = self.calls.remove(&id) else { return };
        let (conference, participant) = (call.conference, call.participant);
        self.by_participant.remove(&participant);
        if call.negotiated.is_some() {
            self.media.command(conference, Mix::RemoveLeg { participant });
            let reason = call.ending.unwrap_or_else(|| words.clone());
            self.internal(now, conference, Command::Leave { participant, reason });
        }
        self.media.close(participant);
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
