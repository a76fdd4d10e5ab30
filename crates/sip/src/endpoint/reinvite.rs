//! INVITEs within a call, both ways (RFC 3261 14, RFC 6337).

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;

use super::{Due, Endpoint, body, invite::extra};
use crate::{
    call::{AnswerDue, Checked, Ending, Phase, Reinvite},
    end::EndCause,
    event::{CallId, Event, Refused},
    message::{Core, Method, Name, Response},
    transaction::{TxId, User},
    wire::Flow,
};

/// 2xx responses without ACK at a time; a device that sends INVITEs faster than it confirms them has to wait.
const MOST_UNACKED: usize = 4;

impl Endpoint {
    /// A re-INVITE of the other side; its CSeq is checked already.
    pub(super) fn reinvite(&mut self, now: Instant, id: CallId, checked: Checked) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        // A second one before the first has its answer (14.2).
        let undecided = matches!(call.phase, Phase::Incoming { .. })
            || matches!(call.reinvite, Reinvite::In { .. })
            || call.unacked.len() >= MOST_UNACKED;
        if undecided {
            let wait = self.rng.random_range(1..=10).to_string();
            return self.respond_final(now, checked, 500, &[(Name::RetryAfter, &wait)]);
        }
        if call.our_offer_pending() || call.bye_after_ack.is_some() {
            return self.respond_final(now, checked, 491, &[]);
        }
        let request = &checked.request;
        let offer = match body::description(&request.headers, &request.body) {
            Ok(offer) => offer,
            Err(foreign) => return self.foreign_body(now, checked, foreign),
        };
        // The new target counts even if the offer is refused later; devices move without asking.
        call.dialog.refresh(&request.headers, checked.source);
        let (cseq, offered) = (checked.core.cseq, offer.is_some());
        let tx = self.begin_invite(now, &checked, id);
        if let Some(call) = self.calls.get_mut(&id) {
            call.reinvite = Reinvite::In { tx, cseq, offered };
        }
        self.events.push_back(Event::Reoffer { call: id, offer });
    }

    /// Answers a re-INVITE: our answer, or our offer when it had none.
    ///
    /// Errors when there is none (any more).
    pub fn answer_reoffer(&mut self, now: Instant, call: CallId, sdp: Bytes) -> Result<(), Refused> {
        let (tx, cseq, offered) = self.take_reinvite(call)?;
        self.send_2xx(now, call, tx, cseq, sdp, !offered);
        Ok(())
    }

    /// Refuses a re-INVITE (488, say) with further headers; the call goes on as it was.
    ///
    /// Errors when there is none (any more).
    pub fn reject_reoffer(
        &mut self,
        now: Instant,
        call: CallId,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Result<(), Refused> {
        let (tx, ..) = self.take_reinvite(call)?;
        self.respond_invite(now, tx, status.clamp(300, 699), &[], &extra(headers), None);
        self.next_reinvite(now, call);
        Ok(())
    }

    fn take_reinvite(&mut self, id: CallId) -> Result<(TxId, u32, bool), Refused> {
        let call = self.calls.get_mut(&id).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        let Reinvite::In { tx, cseq, offered } = call.reinvite else { return Err(Refused::WrongState) };
        call.reinvite = Reinvite::Idle;
        Ok((tx, cseq, offered))
    }

    /// Sends a re-INVITE, with our offer or without; as soon as nothing else is under way in the call. A newer one replaces one
    /// that still waits. Glare (491) is resolved here (14.1).
    ///
    /// Errors when the call is over or not yet answered.
    pub fn reoffer(&mut self, now: Instant, call: CallId, sdp: Option<Bytes>) -> Result<(), Refused> {
        let found = self.calls.get_mut(&call).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        if matches!(found.phase, Phase::Incoming { .. } | Phase::Calling { .. }) {
            return Err(Refused::WrongState);
        }
        found.wanted = Some(sdp);
        self.next_reinvite(now, call);
        Ok(())
    }

    /// Sends the re-INVITE that waits, if its turn has come.
    pub(super) fn next_reinvite(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.busy() || call.ended {
            return;
        }
        let Some(sdp) = call.wanted.take() else { return };
        let mut request = call.dialog.request(Method::Invite);
        let flow = call.dialog.destination();
        self.describe(&mut request, sdp.clone());
        match self.start_client(now, request, flow, User::Reinvite(id)) {
            Some(tx) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.reinvite = Reinvite::Out { tx, sdp };
                }
            }
            None => self.end_call(now, id, Ending { cause: EndCause::TransportFailed, bye: false }),
        }
    }

    /// A response to our re-INVITE.
    pub(super) fn reinvite_heard(
        &mut self,
        now: Instant,
        id: CallId,
        tx: TxId,
        response: Response,
        core: &Core,
        source: Flow,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let ours = matches!(call.reinvite, Reinvite::Out { tx: out, .. } if out == tx);
        if !ours || response.status < 200 {
            return;
        }
        let Reinvite::Out { sdp, .. } = std::mem::replace(&mut call.reinvite, Reinvite::Idle) else { return };
        match response.status {
            200..300 => {
                call.dialog.refresh(&response.headers, source);
                self.reinvite_accepted(now, id, tx, response, core.cseq, sdp.is_some());
            }
            491 => self.back_off(now, id, sdp),
            481 => self.end_call(now, id, Ending { cause: EndCause::Forgotten, bye: false }),
            408 => self.end_call(now, id, Ending { cause: EndCause::NoResponse, bye: true }),
            status => {
                self.events.push_back(Event::ReofferRejected { call: id, status });
                self.next_reinvite(now, id);
            }
        }
    }

    fn reinvite_accepted(
        &mut self,
        now: Instant,
        id: CallId,
        tx: TxId,
        response: Response,
        cseq: u32,
        offered: bool,
    ) {
        let sdp = body::description(&response.headers, &response.body).ok().flatten();
        match (offered, sdp) {
            (true, Some(sdp)) => {
                self.acknowledge(id, tx, cseq, None);
                self.events.push_back(Event::Answer { call: id, sdp });
                self.next_reinvite(now, id);
            }
            (false, Some(sdp)) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.reinvite = Reinvite::AnswerDue(AnswerDue { tx, cseq });
                }
                self.events.push_back(Event::Offer { call: id, sdp });
            }
            (_, None) => {
                self.acknowledge(id, tx, cseq, None);
                self.end_call(now, id, Ending { cause: EndCause::NoDescription, bye: true });
            }
        }
    }

    /// Both sides asked at once: the one that made the Call-ID waits longer (14.1).
    fn back_off(&mut self, now: Instant, id: CallId, sdp: Option<Bytes>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let tens = match call.dialog.ours {
            true => self.rng.random_range(210..=400),
            false => self.rng.random_range(0..=200),
        };
        let at = now + Duration::from_millis(tens * 10);
        call.glare = Some(self.timers.set(at, Due::Glare(id)));
        // What the owner wants by now counts more.
        call.wanted.get_or_insert(sdp);
    }
}
