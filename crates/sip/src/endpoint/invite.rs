//! Calls that come in (RFC 3261 13.3, 12.1.1).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    Due, Endpoint,
    body::{self, Foreign},
    change::timer_lines,
    respond::{ACCEPT, Extra, with_tag},
};
use crate::{
    call::{Call, Checked, Ending, Phase, Unacked},
    dialog::{Dialog, record_route, tag_of},
    end::EndCause,
    event::{CallId, Event, IncomingInvite, LINK_TOKEN, Refused},
    message::{Core, Headers, Method, Name, NameAddr, Request, scan},
    session_timer,
    transaction::{Timer, TxId, whole},
    transport::{Protocol, Transport},
    wire::Flow,
};

/// After this time without an answer of the owner the caller is told 100 (17.2.1).
const TRYING_AFTER: Duration = Duration::from_millis(200);
/// Proxies give up INVITEs after three minutes without a word: repeat 1xx each minute (13.3.1.1).
const RING_AGAIN: Duration = Duration::from_secs(60);

impl Endpoint {
    /// An INVITE outside of a dialog.
    pub(super) fn invite(&mut self, now: Instant, checked: Checked) {
        let Ok(account) = self.admitted(now, &checked) else { return };
        if self.calls.len() >= self.config.max_calls {
            self.counters.overload += 1;
            return self.respond_final(now, checked, 503, &[(Name::RetryAfter, "10")]);
        }
        let request = &checked.request;
        let contact = match contact(&request.headers) {
            Ok(contact) => contact,
            Err(()) => return self.bad_contact(now, checked),
        };
        // Clients of RFC 2543 need not give one.
        if contact.is_none() && checked.core.via.is_rfc3261() {
            return self.bad_contact(now, checked);
        }
        if !accepts_sdp(&request.headers) {
            let warning = "399 cau \"the answer must be application/sdp\"";
            return self.respond_final(now, checked, 406, &[(Name::Warning, warning)]);
        }
        let offer = match body::description(&request.headers, &request.body) {
            Ok(offer) => offer,
            Err(foreign) => return self.foreign_body(now, checked, foreign),
        };
        let timer = match self.timer_response(&request.headers) {
            session_timer::Response::TooSmall(min) => return self.too_small(now, checked, min),
            timer => timer,
        };
        let dialog = self.dialog_of(&checked, contact.as_ref());
        let id = self.new_call_id();
        let tx = self.begin_pending(now, &checked, id);
        let incoming = IncomingInvite { account, ..incoming(&checked, contact, offer.clone()) };
        let phase = Phase::Incoming { tx, cseq: checked.core.cseq, offered: offer.is_some(), ringing: None };
        let expires = request.headers.value(&Name::Expires).and_then(|e| scan::number::<u32>(e));
        let limit = expires
            .filter(|s| *s > 0)
            .map_or(self.config.max_ringing, |s| Duration::from_secs(s.into()).min(self.config.max_ringing));
        self.by_tag.insert(dialog.local_tag.clone(), id);
        let mut call = Call::new(id, dialog, phase);
        call.expire = Some(self.timers.set(now + limit, Due::Expire(id)));
        call.peer.note(&checked.request.headers);
        call.first_timer = timer;
        call.timer.min_se = session_timer::min_se(&checked.request.headers).unwrap_or_default();
        call.remote_sdp = offer;
        self.calls.insert(id, call);
        self.counters.calls += 1;
        self.events.push_back(Event::Incoming { call: id, request: Box::new(incoming) });
    }

    fn bad_contact(&mut self, now: Instant, checked: Checked) {
        self.counters.malformed += 1;
        let id = self.begin(&checked);
        let tag = self.token();
        let response = self.response_to(&checked.request, 400, "Missing or bad Contact", tag.as_bytes());
        self.send_response(now, id, 400, response.to_bytes());
    }

    /// 415 with what would be understood.
    pub(super) fn foreign_body(&mut self, now: Instant, checked: Checked, foreign: Foreign) {
        let accept = if checked.request.method == Method::Info { ACCEPT } else { "application/sdp" };
        let extra = match foreign {
            Foreign::Type => [(Name::Accept, accept)],
            Foreign::Encoding => [(Name::AcceptEncoding, "identity")],
        };
        self.respond_final(now, checked, 415, &extra);
    }

    /// The transaction of a request the owner will answer.
    pub(super) fn begin_pending(&mut self, now: Instant, checked: &Checked, call: CallId) -> TxId {
        let tx = self.begin(checked);
        let invite = checked.request.method == Method::Invite;
        let trying = invite.then(|| self.timers.set(now + TRYING_AFTER, Due::Server(tx, Timer::Trying)));
        if let Some(server) = self.tx.servers.get_mut(&tx) {
            server.call = Some(call);
            // What responses are made of; the body is with the owner.
            server.request = Some(Box::new(Request { body: Bytes::new(), ..checked.request.clone() }));
            server.trying = trying;
        }
        tx
    }

    pub(super) fn dialog_of(&mut self, checked: &Checked, contact: Option<&NameAddr>) -> Dialog {
        let headers = &checked.request.headers;
        let value = |name: &Name| headers.value(name).cloned().unwrap_or_default();
        let tag = Bytes::from(self.token());
        let remote = value(&Name::From);
        let source = checked.source;
        let mut session = self.new_session(&checked.core.call_id);
        session.heard_request(headers);
        Dialog {
            call_id: checked.core.call_id.clone(),
            session,
            local: with_tag(&value(&Name::To), &tag),
            local_tag: tag,
            remote_tag: tag_of(&remote),
            remote,
            local_cseq: self.first_cseq(),
            remote_cseq: Some(checked.core.cseq),
            target: contact.map_or(&checked.core.from.uri, |c| &c.uri).clone(),
            routes: record_route(headers),
            flow: source,
            behind_nat: behind_nat(&checked.core, &source),
            contact: self.contact(&checked.request.uri.user(), &source),
            ours: false,
        }
    }

    /// Our Contact for `user`, as the other side of `flow` can reach it (RFC 3261 8.1.1.8; `isfocus` RFC 3840, RFC 4579).
    pub(super) fn contact(&self, user: &str, flow: &Flow) -> Bytes {
        let (host, port) = self.config.shown(flow.protocol, flow.local);
        let uri = crate::message::Uri::sip_host(user, host, Some(port));
        let mut out = vec![b'<'];
        uri.write(&mut out);
        if flow.protocol == Protocol::Tcp {
            out.extend_from_slice(b";transport=tcp");
        }
        out.push(b'>');
        if self.config.focus {
            out.extend_from_slice(b";isfocus");
        }
        out.into()
    }

    /// What we call the session of this call (RFC 7989 9): all legs of a conference share one UUID. Say it before answering; 0 is
    /// passed over, and so is one for a caller that knows one UUID for both sides only (RFC 7329).
    ///
    /// Errors when there is no such call.
    pub fn set_session_id(&mut self, call: CallId, uuid: u128) -> Result<(), Refused> {
        let call = self.calls.get_mut(&call).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        call.dialog.session.rename(uuid);
        Ok(())
    }

    /// Tells an incoming caller that it rings (180), again every minute.
    ///
    /// Errors when the call is over or already answered.
    pub fn ring(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        let found = self.calls.get_mut(&call).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        let Phase::Incoming { ringing, .. } = &mut found.phase else { return Err(Refused::WrongState) };
        self.timers.cancel(ringing.take());
        *ringing = Some(self.timers.set(now + RING_AGAIN, Due::Ring(call)));
        self.progress(now, call, 180, None)
    }

    /// Takes an incoming call: 200 with our answer, or our offer when the INVITE had none. The 2xx is repeated until the ACK. What
    /// was said reliably in a provisional response holds, and `sdp` is left out then; the 2xx waits for its PRACK.
    ///
    /// Errors when the call is over or already answered.
    pub fn accept(&mut self, now: Instant, call: CallId, sdp: Bytes) -> Result<(), Refused> {
        let id = call;
        let call = self.calls.get_mut(&id).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        let must_wait = call.must_wait();
        let Phase::Incoming { tx, cseq, offered, ringing } = &mut call.phase else {
            return Err(Refused::WrongState);
        };
        if call.reliable.accept.is_some() {
            return Err(Refused::WrongState);
        }
        if must_wait {
            call.reliable.accept = Some(sdp);
            return Ok(());
        }
        let (tx, cseq, offered) = (*tx, *cseq, *offered);
        self.timers.cancel(ringing.take());
        self.timers.cancel(call.expire.take());
        // No further ones are sent, and those under way are not repeated (RFC 3262 3).
        call.reliable.waiting.clear();
        if let Some(unacked) = &mut call.reliable.unacked {
            self.timers.cancel(unacked.again.take());
            self.timers.cancel(unacked.give_up.take());
        }
        call.phase = Phase::Up;
        let (agreed, timer) = (call.agreed.is_some(), call.first_timer);
        self.send_2xx(now, id, (tx, cseq), Some(sdp).filter(|_| !agreed), !offered && !agreed, timer);
        Ok(())
    }

    /// Sends a 2xx to an INVITE and repeats it until its ACK comes (13.3.1.4).
    pub(super) fn send_2xx(
        &mut self,
        now: Instant,
        id: CallId,
        (tx, cseq): (TxId, u32),
        sdp: Option<Bytes>,
        offered: bool,
        timer: session_timer::Response,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if sdp.is_some() {
            call.local_sdp.clone_from(&sdp);
        }
        let (tag, contact) = (call.dialog.local_tag.clone(), text(&call.dialog.contact));
        let Some(flow) = self.tx.servers.get(&tx).map(|s| s.flow) else { return };
        let (lines, supported) = (timer_lines(&timer), self.supported());
        let mut extra: Vec<Extra<'_>> =
            vec![(Name::Contact, &contact), (Name::Allow, self.allow()), (Name::Supported, &supported)];
        extra.extend(lines.iter().map(|(name, value)| (name.clone(), value.as_str())));
        let Some(bytes) = self.respond_pending(now, tx, 200, &tag, &extra, sdp) else { return };
        let t1 = self.config.timers.t1;
        let again = self.timers.set(now + t1, Due::Again(id, cseq));
        let give_up = self.timers.set(now + whole(&self.config.timers), Due::NoAck(id, cseq));
        if let Some(call) = self.calls.get_mut(&id) {
            let (again, give_up) = (Some(again), Some(give_up));
            call.unacked.push(Unacked { cseq, flow, bytes, interval: t1, again, give_up, offered });
        }
        self.agree_timer(now, id, timer.agreed());
    }

    /// Refuses an incoming call (300–699) with further headers (`Warning`, `Retry-After` …). Nothing more is said of it.
    ///
    /// Errors when the call is over or already answered.
    pub fn reject(
        &mut self,
        now: Instant,
        call: CallId,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Result<(), Refused> {
        let found = self.calls.get(&call).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        let Phase::Incoming { tx, .. } = found.phase else { return Err(Refused::WrongState) };
        let tag = found.dialog.local_tag.clone();
        self.respond_pending(now, tx, status.clamp(300, 699), &tag, &extra(headers), None);
        self.finish(now, call, None);
        Ok(())
    }

    /// An ACK for a 2xx, or one that nobody waits for.
    pub(super) fn ack(&mut self, now: Instant, request: &Request, core: &Core) {
        let call = self.call_of(core).and_then(|id| self.calls.get_mut(&id));
        let Some(call) = call else {
            self.counters.stray_acks += 1;
            return;
        };
        let id = call.id;
        let Some(at) = call.unacked.iter().position(|u| u.cseq == core.cseq) else {
            // The ACK of a 2xx that came again.
            self.counters.repeated += 1;
            return;
        };
        let unacked = call.unacked.swap_remove(at);
        call.dialog.session.heard_request(&request.headers);
        self.timers.cancel(unacked.again);
        self.timers.cancel(unacked.give_up);
        if let Some(reason) = call.bye_after_ack.take() {
            return self.send_bye(now, id, reason.as_ref());
        }
        if unacked.offered {
            match body::description(&request.headers, &request.body) {
                Ok(Some(sdp)) => {
                    call.remote_sdp = Some(sdp.clone());
                    self.events.push_back(Event::Answer { call: id, sdp });
                }
                _ => return self.end_call(now, id, Ending { cause: EndCause::NoDescription, bye: true }),
            }
        }
        self.confirm(id);
        self.next_change(now, id);
    }

    /// Reports that the call stands, once.
    pub(super) fn confirm(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(&id)
            && !call.confirmed
        {
            call.confirmed = true;
            self.events.push_back(Event::Confirmed { call: id });
        }
    }
}

/// Whether the caller names an address that is not its own as we see it.
pub(super) fn behind_nat(core: &Core, source: &Flow) -> bool {
    source.protocol == Protocol::Udp && !core.via.is_from(source.remote.ip())
}

/// The first Contact.
///
/// Errors when it cannot be read.
fn contact(headers: &Headers) -> Result<Option<NameAddr>, ()> {
    headers.elements(&Name::Contact).next().map(NameAddr::parse).transpose().map_err(|_| ())
}

/// Whether the caller takes a session description in our response (20.1; RFC 4475 3.3.15).
fn accepts_sdp(headers: &Headers) -> bool {
    let mut any = false;
    for element in headers.elements(&Name::Accept) {
        any = true;
        let (kind, _) = body::media_type(element);
        if ["application/sdp", "application/*", "*/*"].iter().any(|k| kind.eq_ignore_ascii_case(k)) {
            return true;
        }
    }
    !any
}

fn incoming(checked: &Checked, contact: Option<NameAddr>, offer: Option<Bytes>) -> IncomingInvite {
    let Checked { request, core, source, .. } = checked;
    IncomingInvite {
        uri: request.uri.clone(),
        from: core.from.clone(),
        to: core.to.clone(),
        contact,
        display_name: core.from.display.clone(),
        user_agent: request.headers.text(&Name::UserAgent),
        call_id: text(&core.call_id),
        transport: source.conn.map_or(Transport::Udp, Transport::Tcp),
        remote: source.remote,
        local: source.local,
        offer,
        account: None,
        link_token: Name::parse(LINK_TOKEN.as_bytes()).and_then(|name| request.headers.text(&name)),
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Headers the owner gives; names that are none are left out.
pub(super) fn extra<'a>(headers: &[(&str, &'a str)]) -> Vec<Extra<'a>> {
    headers.iter().filter_map(|(name, value)| Some((Name::parse(name.as_bytes())?, *value))).collect()
}
