//! Provisional responses to our INVITE: early dialogs, one per fork, and the PRACKs we send (RFC 3261 12.1, 13.2.2.1; RFC 3262 4).

use std::time::Instant;

use bytes::Bytes;

use super::Endpoint;
use crate::{
    call::{Early, Phase, PrackDue},
    event::{CallId, Event},
    message::{Core, Headers, Method, Name, Response, scan},
    transaction::{TxId, User},
    wire::Flow,
};

/// Forks of one INVITE that are followed; what more of them say is passed over.
pub(super) const MOST_FORKS: usize = 16;

impl Endpoint {
    /// A provisional response to the INVITE that opens a call.
    pub(super) fn ringing(
        &mut self,
        now: Instant,
        id: CallId,
        tx: TxId,
        response: &Response,
        core: &Core,
        source: Flow,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Phase::Calling { cancelled, offered, .. } = &mut call.phase else { return };
        if *cancelled {
            // There was no response to cancel after until now (9.1).
            *cancelled = false;
            return self.send_cancel(now, tx, None);
        }
        if response.status == 100 || call.ended {
            return;
        }
        let offered = *offered;
        call.peer.note(&response.headers);
        let tag = Bytes::copy_from_slice(core.to.tag().unwrap_or_default());
        let rseq = reliable(&response.headers).filter(|_| !tag.is_empty());
        let own = call.dialog.clone();
        let Phase::Calling { early, .. } = &mut call.phase else { return };
        let at = match early.iter().position(|e| e.dialog.remote_tag == tag) {
            Some(at) => at,
            None if early.len() >= MOST_FORKS => {
                self.counters.surplus_forks += 1;
                return;
            }
            None => {
                let mut dialog = own;
                if !tag.is_empty() {
                    dialog.established(response, source);
                }
                early.push(Early { dialog, rseq: None, sdp: None, holds: false });
                early.len() - 1
            }
        };
        let Some(fork) = early.get_mut(at) else { return };
        if let (Some(last), Some(number)) = (fork.rseq, rseq) {
            // Again, or before its turn (RFC 3262 4).
            if number != last.wrapping_add(1) {
                self.counters.repeated += 1;
                return;
            }
        }
        fork.dialog.session.heard_response(&response.headers);
        let sdp = Self::described(response);
        if offered && sdp.is_some() && !fork.holds {
            fork.sdp.clone_from(&sdp);
            fork.holds = rseq.is_some();
        }
        let rack = rseq.map(|number| format!("{number} {} INVITE", core.cseq));
        if !offered
            && sdp.is_some()
            && let Some(rack) = &rack
        {
            return self.offered_early(now, id, response.status, tag, rseq, rack, sdp);
        }
        fork.rseq = rseq.or(fork.rseq);
        if let Some(rack) = rack {
            self.send_prack(now, id, &tag, &rack, None);
        }
        // An offer that need not arrive is none; what was answered is not answered otherwise.
        let sdp = sdp.filter(|_| offered);
        self.tell(Event::Progress { call: id, status: response.status, sdp });
    }

    /// A fork offers, since our INVITE did not: the owner answers, into the PRACK (RFC 3262 5). The first fork that does is taken;
    /// the others get no PRACK, and give up by themselves.
    #[expect(clippy::too_many_arguments, reason = "what was read of one response")]
    fn offered_early(
        &mut self,
        now: Instant,
        id: CallId,
        status: u16,
        tag: Bytes,
        rseq: Option<u32>,
        rack: &str,
        sdp: Option<Bytes>,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let again = call.agreed.as_ref() == Some(&tag);
        if !again && (call.agreed.is_some() || call.prack_due.is_some()) {
            self.counters.surplus_forks += 1;
            return;
        }
        if let Phase::Calling { early, .. } = &mut call.phase
            && let Some(fork) = early.iter_mut().find(|e| e.dialog.remote_tag == tag)
        {
            fork.rseq = rseq;
        }
        if again {
            // There was one offer; it has its answer.
            self.send_prack(now, id, &tag, rack, None);
            return self.tell(Event::Progress { call: id, status, sdp: None });
        }
        call.prack_due = Some(PrackDue { tag, rack: rack.to_owned() });
        call.remote_sdp.clone_from(&sdp);
        self.tell(Event::Progress { call: id, status, sdp: None });
        if let Some(sdp) = sdp {
            self.events.push_back(Event::Offer { call: id, sdp });
        }
    }

    /// Acknowledges a reliable provisional response, with our answer if it offered.
    pub(super) fn send_prack(
        &mut self,
        now: Instant,
        id: CallId,
        tag: &[u8],
        rack: &str,
        sdp: Option<Bytes>,
    ) {
        let Some(dialog) = self.calls.get_mut(&id).and_then(|c| c.dialog_with(tag)) else { return };
        let mut prack = dialog.request(Method::Prack);
        let flow = dialog.destination();
        prack.headers.push(Name::RAck, rack.to_owned());
        prack.headers.push(Name::UserAgent, self.config.user_agent.clone());
        if let Some(sdp) = sdp {
            prack.headers.push(Name::ContentType, "application/sdp");
            prack.body = sdp;
        }
        // The other side repeats what is not acknowledged; a PRACK that gets lost is repeated by its transaction.
        self.start_client(now, prack, flow, User::Nobody);
    }
}

/// RSeq of a response that is sent reliably.
fn reliable(headers: &Headers) -> Option<u32> {
    let required = headers.elements(&Name::Require).any(|e| e.eq_ignore_ascii_case(b"100rel"));
    headers.value(&Name::RSeq).filter(|_| required).and_then(|v| scan::number(v))
}
