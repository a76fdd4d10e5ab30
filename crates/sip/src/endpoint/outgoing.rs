//! Calls that go out (RFC 3261 8.1.1, 13.2).

use std::time::Instant;

use bytes::Bytes;
use rand::RngExt;

use super::{Due, Endpoint, early::MOST_FORKS};
use crate::{
    call::{AnswerDue, Call, Change, Ending, Phase, SessionTimer},
    dialog::Dialog,
    end::EndCause,
    event::{CallId, Event, Refused, Target},
    message::{Core, Method, Name, NameAddr, Params, Reason, Request, Response, Uri},
    session_id::SessionId,
    session_timer,
    transaction::{TxId, User},
    transport::Protocol,
    wire::Flow,
};

/// How often an INVITE is sent anew after a refusal that says what to change.
const MOST_RETRIES: u8 = 4;

impl Endpoint {
    /// Calls out, with our offer, or asking the other side to offer (`None`; then [`Event::Offer`] and [`Endpoint::answer`]).
    ///
    /// Errors when there is no address to send to or from, or no room.
    pub fn call(&mut self, now: Instant, target: Target, sdp: Option<Bytes>) -> Result<CallId, Refused> {
        if self.calls.len() >= self.config.max_calls || !self.has_room() {
            return Err(Refused::TooMany);
        }
        let flow = self.flow_to(&target)?;
        let mut dialog = self.outgoing_dialog(&target, flow);
        let mut request = dialog.request(Method::Invite);
        self.describe(&mut request, sdp.clone());
        self.ask_timer(&mut request, &SessionTimer::default(), false);
        for (name, value) in &target.headers {
            if let Some(name) = Name::parse(name.as_bytes()) {
                request.headers.push(name, value.clone());
            }
        }
        let id = self.new_call_id();
        let tx = self.start_client(now, request, flow, User::Invite(id)).ok_or(Refused::TooMany)?;
        self.by_tag.insert(dialog.local_tag.clone(), id);
        let phase = Phase::Calling { tx, offered: sdp.is_some(), early: Vec::new(), cancelled: false };
        let mut call = Call::new(id, dialog, phase);
        call.local_sdp = sdp;
        call.expire = Some(self.timers.set(now + self.config.max_ringing, Due::Expire(id)));
        self.calls.insert(id, call);
        self.counters.calls += 1;
        Ok(id)
    }

    pub(super) fn flow_to(&self, target: &Target) -> Result<Flow, Refused> {
        let remote = target.remote.or_else(|| target.uri.socket_addr()).ok_or(Refused::NoAddress)?;
        let protocol = target.protocol.unwrap_or(match target.uri.param("transport") {
            Some(t) if t.eq_ignore_ascii_case(b"tcp") => Protocol::Tcp,
            _ => Protocol::Udp,
        });
        let chosen = target.local.filter(|l| !l.ip().is_unspecified());
        let local =
            chosen.or_else(|| self.config.local_for(protocol, remote)).ok_or(Refused::NoLocalAddress)?;
        // Nobody can be told to answer to 0.0.0.0.
        if self.config.shown(protocol, local).0.ip().is_some_and(|ip| ip.is_unspecified()) {
            return Err(Refused::NoLocalAddress);
        }
        Ok(Flow { protocol, conn: None, local, remote })
    }

    fn outgoing_dialog(&mut self, target: &Target, flow: Flow) -> Dialog {
        let (host, port) = self.config.shown(flow.protocol, flow.local);
        let uri = target.from.clone().unwrap_or_else(|| Uri::sip_host("", host.clone(), Some(port)));
        let user = uri.user();
        let tag = Bytes::from(self.token());
        let mut from = NameAddr { display: target.display.clone(), uri, params: Params::default() };
        from.params.set("tag", Some(String::from_utf8_lossy(&tag).into_owned()));
        let mut to = target.uri.clone();
        if let Uri::Sip(sip) = &mut to {
            sip.headers = None;
        }
        let to = NameAddr { display: None, uri: to, params: Params::default() };
        let written = |address: &NameAddr| {
            let mut out = Vec::new();
            address.write(&mut out);
            Bytes::from(out)
        };
        let call_id = format!("{}{}@{host}", self.token(), self.token());
        let session = match target.session_id {
            Some(uuid) if uuid != 0 => SessionId::new(uuid),
            _ => self.new_session(call_id.as_bytes()),
        };
        Dialog {
            call_id: call_id.into(),
            session,
            local: written(&from),
            local_tag: tag,
            remote: written(&to),
            remote_tag: Bytes::new(),
            local_cseq: self.first_cseq(),
            remote_cseq: None,
            target: target.uri.clone(),
            routes: target.routes.clone(),
            flow,
            behind_nat: false,
            contact: self.contact(&user, &flow),
            ours: true,
        }
    }

    /// Where our counting begins (8.1.1.5).
    pub(super) fn first_cseq(&mut self) -> u32 {
        self.rng.random_range(1..10_000)
    }

    /// What an INVITE or UPDATE of ours says besides its dialog.
    pub(super) fn describe(&self, request: &mut Request, sdp: Option<Bytes>) {
        request.headers.push(Name::UserAgent, self.config.user_agent.clone());
        request.headers.push(Name::Allow, self.allow());
        request.headers.push(Name::Supported, self.supported());
        request.headers.push(Name::Accept, "application/sdp");
        if let Some(sdp) = sdp {
            request.headers.push(Name::ContentType, "application/sdp");
            request.body = sdp;
        }
    }

    /// A response to the INVITE that opens a call.
    pub(super) fn invite_heard(
        &mut self,
        now: Instant,
        id: CallId,
        tx: TxId,
        response: Response,
        core: &Core,
        source: Flow,
    ) {
        match response.status {
            100..200 => self.ringing(now, id, tx, &response, core, source),
            200..300 => self.invite_accepted(now, id, tx, response, core, source),
            status => {
                let Some(call) = self.calls.get(&id) else { return };
                if call.ended {
                    return self.finish(id, None);
                }
                if status == 422 && self.ask_for_longer(now, id, tx, &response) {
                    return;
                }
                let contacts = response.headers.elements(&Name::Contact).filter(|_| status < 400).take(16);
                let contacts = contacts.filter_map(|c| NameAddr::parse(c).ok().map(|c| c.uri)).collect();
                let reason = super::invite::text(&response.reason);
                self.events.push_back(Event::Rejected { call: id, status, reason, contacts });
                self.finish(id, None);
            }
        }
    }

    /// 422: the same INVITE with the session interval that is wanted there (RFC 4028 7.3). False when that is no help.
    fn ask_for_longer(&mut self, now: Instant, id: CallId, tx: TxId, response: &Response) -> bool {
        let Some(call) = self.calls.get_mut(&id) else { return false };
        let Some(min) = session_timer::min_se(&response.headers).filter(|min| *min > call.timer.min_se)
        else {
            return false;
        };
        call.timer.min_se = min;
        let timer = SessionTimer { min_se: min, ..SessionTimer::default() };
        let Some(mut request) = self.tx.clients.get(&tx).map(|c| c.request.clone()) else { return false };
        self.ask_timer(&mut request, &timer, false);
        self.retry_invite(now, id, request)
    }

    /// Sends the INVITE that opens a call once more, changed, after a refusal: same Call-ID, From and To, next CSeq (8.1.3.5).
    /// `request` is the refused one with the change made. False when it was tried too often or cannot be sent.
    pub(super) fn retry_invite(&mut self, now: Instant, id: CallId, mut request: Request) -> bool {
        let Some(call) = self.calls.get_mut(&id).filter(|c| !c.ended && c.retries < MOST_RETRIES) else {
            return false;
        };
        call.retries += 1;
        call.dialog.local_cseq = call.dialog.local_cseq.wrapping_add(1) & 0x7fff_ffff;
        let (cseq, flow) = (call.dialog.local_cseq, call.dialog.flow);
        request.headers.remove_first(&Name::Via);
        request.headers.replace_first_element(&Name::CSeq, format!("{cseq} INVITE").as_bytes());
        let Some(again) = self.start_client(now, request, flow, User::Invite(id)) else { return false };
        if let Some(call) = self.calls.get_mut(&id)
            && let Phase::Calling { tx, early, .. } = &mut call.phase
        {
            (*tx, *early) = (again, Vec::new());
            (call.agreed, call.prack_due) = (None, None);
        }
        true
    }

    fn invite_accepted(
        &mut self,
        now: Instant,
        id: CallId,
        tx: TxId,
        response: Response,
        core: &Core,
        source: Flow,
    ) {
        let tag = core.to.tag().unwrap_or_default();
        let Some(call) = self.calls.get_mut(&id) else {
            return self.decline_fork(now, tx, &response, source);
        };
        let Phase::Calling { offered, early, .. } = &mut call.phase else {
            // The first 2xx again, while the owner's answer is due; or another fork.
            if call.dialog.remote_tag != tag {
                self.decline_fork(now, tx, &response, source);
            }
            return;
        };
        let (offered, mut early) = (*offered, std::mem::take(early));
        let fork = early.iter().position(|e| e.dialog.remote_tag == tag).map(|at| early.swap_remove(at));
        let untagged = early.into_iter().find(|e| e.dialog.remote_tag.is_empty()).and_then(|e| e.sdp);
        let mut ahead = untagged;
        if let Some(fork) = fork {
            call.dialog = fork.dialog;
            ahead = fork.sdp.or(ahead);
        }
        // Offer and answer were exchanged with this fork already, and reported.
        let agreed = call.agreed.as_deref() == Some(tag);
        let due = call.prack_due.take().is_some_and(|due| due.tag == tag);
        self.timers.cancel(call.expire.take());
        let invite_cseq = core.cseq;
        call.dialog.established(&response, source);
        call.peer.note(&response.headers);
        call.phase = Phase::Up;
        if call.ended {
            // Our CANCEL came too late (9.1): take the call and end it.
            self.acknowledge(id, tx, invite_cseq, None);
            return self.send_bye(now, id, None);
        }
        if !agreed {
            // What another fork wanted does not matter any more.
            self.refuse_change(now, id);
        }
        self.timer_heard(now, id, &response.headers);
        let sdp = Self::described(&response);
        match (offered, sdp) {
            (true, sdp) => {
                self.acknowledge(id, tx, invite_cseq, None);
                match sdp.or(ahead) {
                    _ if agreed => {}
                    Some(sdp) => {
                        if let Some(call) = self.calls.get_mut(&id) {
                            call.remote_sdp = Some(sdp.clone());
                        }
                        self.events.push_back(Event::Answer { call: id, sdp });
                    }
                    None => {
                        return self.end_call(now, id, Ending { cause: EndCause::NoDescription, bye: true });
                    }
                }
                self.confirm(id);
                self.next_change(now, id);
            }
            (false, _) if agreed => {
                self.acknowledge(id, tx, invite_cseq, None);
                self.confirm(id);
                self.next_change(now, id);
            }
            (false, sdp) if due || sdp.is_some() => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.phase = Phase::AnswerDue(AnswerDue { tx, cseq: invite_cseq });
                    if sdp.is_some() {
                        call.remote_sdp.clone_from(&sdp);
                    }
                }
                // Asked for already when it came ahead.
                if let Some(sdp) = sdp.filter(|_| !due) {
                    self.events.push_back(Event::Offer { call: id, sdp });
                }
            }
            (false, _) => {
                self.acknowledge(id, tx, invite_cseq, None);
                self.end_call(now, id, Ending { cause: EndCause::NoDescription, bye: true });
            }
        }
    }

    /// A 2xx for a call that is gone, or from another fork than the first: ACK and BYE (13.2.2.4).
    pub(super) fn decline_fork(&mut self, now: Instant, tx: TxId, response: &Response, source: Flow) {
        let room = self.has_room();
        let Some(client) = self.tx.clients.get(&tx) else { return };
        if client.acks.len() >= MOST_FORKS || !room {
            self.counters.surplus_forks += 1;
            return;
        }
        let headers = &client.request.headers;
        let value = |name: &Name| headers.value(name).cloned().unwrap_or_default();
        let (local, call_id) = (value(&Name::From), value(&Name::CallId));
        let session = SessionId::of(headers).unwrap_or_else(|| self.new_session(&call_id));
        let Some(number) = headers
            .value(&Name::CSeq)
            .and_then(|c| crate::message::scan::number::<u32>(crate::message::scan::split_word(c).0))
        else {
            return;
        };
        let mut dialog = Dialog {
            call_id,
            local_tag: crate::dialog::tag_of(&local),
            local,
            remote: Bytes::new(),
            remote_tag: Bytes::new(),
            local_cseq: number,
            remote_cseq: None,
            target: client.request.uri.clone(),
            routes: Vec::new(),
            flow: client.flow,
            behind_nat: false,
            contact: value(&Name::Contact),
            ours: true,
            session,
        };
        dialog.established(response, source);
        let flow = dialog.destination();
        self.send_ack(dialog.ack(number), flow, tx);
        let mut bye = dialog.request(Method::Bye);
        bye.headers.push(Name::UserAgent, self.config.user_agent.clone());
        bye.headers.push(Name::Reason, Reason::sip(200, "Call completed elsewhere").to_string());
        self.start_client(now, bye, flow, User::Nobody);
    }

    /// Sends the ACK for a 2xx to an INVITE of ours, with our answer if one is due.
    pub(super) fn acknowledge(&mut self, id: CallId, tx: TxId, cseq: u32, sdp: Option<Bytes>) {
        let Some(call) = self.calls.get(&id) else { return };
        let mut ack = call.dialog.ack(cseq);
        let flow = call.dialog.destination();
        if let Some(sdp) = sdp {
            ack.headers.push(Name::ContentType, "application/sdp");
            ack.body = sdp;
        }
        self.send_ack(ack, flow, tx);
    }

    /// Our answer to [`Event::Offer`], into the ACK, or the PRACK when the offer came before the 2xx.
    ///
    /// Errors when no answer is due.
    pub fn answer(&mut self, now: Instant, call: CallId, sdp: Bytes) -> Result<(), Refused> {
        let id = call;
        let call = self.calls.get_mut(&id).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        let due = if let Phase::AnswerDue(due) = &call.phase {
            let due = (due.tx, due.cseq);
            call.phase = Phase::Up;
            due
        } else if let Change::AnswerDue(due) = &call.change {
            let due = (due.tx, due.cseq);
            call.change = Change::Idle;
            due
        } else if let Some(due) = call.prack_due.take() {
            call.local_sdp = Some(sdp.clone());
            call.agreed = Some(due.tag.clone());
            self.send_prack(now, id, &due.tag, &due.rack, Some(sdp));
            return Ok(());
        } else {
            return Err(Refused::WrongState);
        };
        call.local_sdp = Some(sdp.clone());
        self.acknowledge(id, due.0, due.1, Some(sdp));
        self.confirm(id);
        self.next_change(now, id);
        Ok(())
    }
}
