//! Calls that go out (RFC 3261 8.1.1, 13.2).

use std::time::Instant;

use bytes::Bytes;
use rand::RngExt;

use super::{Due, Endpoint, body, respond::ALLOW, told};
use crate::{
    call::{AnswerDue, Call, Ending, Phase, Reinvite},
    dialog::Dialog,
    end::EndCause,
    event::{CallId, Event, Refused, Target},
    message::{Core, Headers, Method, Name, NameAddr, Params, Request, Response, Uri},
    transaction::{TxId, User},
    transport::Protocol,
    wire::Flow,
};

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
        for (name, value) in &target.headers {
            if let Some(name) = Name::parse(name.as_bytes()) {
                request.headers.push(name, value.clone());
            }
        }
        let id = self.new_call_id();
        let tx = self.start_client(now, request, flow, User::Invite(id)).ok_or(Refused::TooMany)?;
        self.by_tag.insert(dialog.local_tag.clone(), id);
        let phase = Phase::Calling { tx, offered: sdp.is_some(), early: None, cancelled: false };
        let mut call = Call::new(id, dialog, phase);
        call.expire = Some(self.timers.set(now + self.config.max_ringing, Due::Expire(id)));
        self.calls.insert(id, call);
        self.counters.calls += 1;
        Ok(id)
    }

    fn flow_to(&self, target: &Target) -> Result<Flow, Refused> {
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
        Dialog {
            call_id: format!("{}{}@{host}", self.token(), self.token()).into(),
            local: written(&from),
            local_tag: tag,
            remote: written(&to),
            remote_tag: Bytes::new(),
            local_cseq: self.first_cseq(),
            remote_cseq: None,
            target: target.uri.clone(),
            routes: Vec::new(),
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

    /// What an INVITE of ours says besides its dialog.
    pub(super) fn describe(&self, request: &mut Request, sdp: Option<Bytes>) {
        request.headers.push(Name::UserAgent, self.config.user_agent.clone());
        request.headers.push(Name::Allow, ALLOW);
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
            100..200 => self.progress(now, id, tx, &response),
            200..300 => self.invite_accepted(now, id, tx, response, core, source),
            status => {
                let Some(call) = self.calls.get(&id) else { return };
                if call.ended {
                    return self.finish(id, None);
                }
                let contacts = if status < 400 { alternatives(&response.headers) } else { Vec::new() };
                let reason = super::invite::text(&response.reason);
                let told = told::read(&response.headers);
                self.events.push_back(Event::Rejected { call: id, status, reason, contacts, told });
                self.finish(id, None);
            }
        }
    }

    fn progress(&mut self, now: Instant, id: CallId, tx: TxId, response: &Response) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Phase::Calling { early, cancelled, .. } = &mut call.phase else { return };
        if *cancelled {
            // There was no response to cancel after until now (9.1).
            *cancelled = false;
            return self.send_cancel(now, tx);
        }
        if response.status == 100 || call.ended {
            return;
        }
        let sdp = body::description(&response.headers, &response.body).ok().flatten();
        if sdp.is_some() {
            early.clone_from(&sdp);
        }
        self.events.push_back(Event::Progress { call: id, status: response.status, sdp });
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
        let Some(call) = self.calls.get_mut(&id) else {
            return self.decline_fork(now, tx, &response, source);
        };
        let Phase::Calling { offered, early, .. } = &mut call.phase else {
            let ours = call.dialog.remote_tag == core.to.tag().unwrap_or_default();
            // The first 2xx again, while the owner's answer is due; or another fork.
            if !ours {
                self.decline_fork(now, tx, &response, source);
            }
            return;
        };
        let (offered, early) = (*offered, early.take());
        self.timers.cancel(call.expire.take());
        let invite_cseq = core.cseq;
        call.dialog.established(&response, source);
        call.phase = Phase::Up;
        if call.ended {
            // Our CANCEL came too late (9.1): take the call and end it.
            self.acknowledge(id, tx, invite_cseq, None);
            return self.send_bye(now, id, None);
        }
        let sdp = body::description(&response.headers, &response.body).ok().flatten();
        match (offered, sdp) {
            (true, sdp) => {
                self.acknowledge(id, tx, invite_cseq, None);
                match sdp.or(early) {
                    Some(sdp) => self.events.push_back(Event::Answer { call: id, sdp }),
                    None => {
                        return self.end_call(now, id, Ending { cause: EndCause::NoDescription, bye: true });
                    }
                }
                self.confirm(id);
                self.next_reinvite(now, id);
            }
            (false, Some(sdp)) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.phase = Phase::AnswerDue(AnswerDue { tx, cseq: invite_cseq });
                }
                self.events.push_back(Event::Offer { call: id, sdp });
            }
            (false, None) => {
                self.acknowledge(id, tx, invite_cseq, None);
                self.end_call(now, id, Ending { cause: EndCause::NoDescription, bye: true });
            }
        }
    }

    /// A 2xx for a call that is gone, or from another fork than the first: ACK and BYE (13.2.2.4).
    pub(super) fn decline_fork(&mut self, now: Instant, tx: TxId, response: &Response, source: Flow) {
        let Some(client) = self.tx.clients.get(&tx) else { return };
        let headers = &client.request.headers;
        let value = |name: &Name| headers.value(name).cloned().unwrap_or_default();
        let (local, call_id) = (value(&Name::From), value(&Name::CallId));
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
        };
        dialog.established(response, source);
        let flow = dialog.destination();
        self.send_ack(dialog.ack(number), flow, tx);
        let mut bye = dialog.request(Method::Bye);
        bye.headers.push(Name::UserAgent, self.config.user_agent.clone());
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

    /// Our answer to [`Event::Offer`], into the ACK.
    ///
    /// Errors when no answer is due.
    pub fn answer(&mut self, now: Instant, call: CallId, sdp: Bytes) -> Result<(), Refused> {
        let id = call;
        let call = self.calls.get_mut(&id).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        let due = if let Phase::AnswerDue(due) = &call.phase {
            let due = (due.tx, due.cseq);
            call.phase = Phase::Up;
            due
        } else if let Reinvite::AnswerDue(due) = &call.reinvite {
            let due = (due.tx, due.cseq);
            call.reinvite = Reinvite::Idle;
            due
        } else {
            return Err(Refused::WrongState);
        };
        self.acknowledge(id, due.0, due.1, Some(sdp));
        self.confirm(id);
        self.next_reinvite(now, id);
        Ok(())
    }
}

/// Contacts of a redirection, the ones wanted most first; those without `q` count as 1 (RFC 3261 20.10, 8.1.3.4).
fn alternatives(headers: &Headers) -> Vec<Uri> {
    let contacts = headers.elements(&Name::Contact).take(16).filter_map(|c| NameAddr::parse(c).ok());
    let mut contacts: Vec<_> = contacts.map(|contact| (quality(&contact), contact.uri)).collect();
    contacts.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    contacts.into_iter().map(|(_, uri)| uri).collect()
}

/// `q` in thousandths.
fn quality(contact: &NameAddr) -> u16 {
    let q = contact.params.value("q").and_then(|q| std::str::from_utf8(q).ok()?.trim().parse::<f32>().ok());
    // `as` saturates, and makes 0 of what is no number.
    q.map_or(1_000, |q| (q.clamp(0.0, 1.0) * 1_000.0) as u16)
}
