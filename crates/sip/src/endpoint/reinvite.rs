//! INVITEs within a call, both ways (RFC 3261 14, RFC 6337).

use std::time::Instant;

use bytes::Bytes;

use super::{Endpoint, body};
use crate::{
    call::{AnswerDue, Change, Checked, Ending, Phase, Wanted},
    end::EndCause,
    event::{CallId, Event, Refused},
    message::{Core, Response},
    session_timer,
    transaction::TxId,
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
            || matches!(call.change, Change::In(_))
            || call.unacked.len() >= MOST_UNACKED;
        if undecided {
            return self.later(now, checked);
        }
        let calling = matches!(call.phase, Phase::Calling { .. });
        if calling || call.our_offer_pending() || call.bye_after_ack.is_some() {
            return self.respond_final(now, checked, 491, &[]);
        }
        let request = &checked.request;
        let offer = match body::description(&request.headers, &request.body) {
            Ok(offer) => offer,
            Err(foreign) => return self.foreign_body(now, checked, foreign),
        };
        let timer = match self.timer_asked(id, &checked.request.headers) {
            session_timer::Response::TooSmall(min) => return self.too_small(now, checked, min),
            timer => timer,
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        // The new target counts even if the offer is refused later; devices move without asking.
        call.dialog.refresh(&checked.request.headers, checked.source);
        call.dialog.session.heard_request(&checked.request.headers);
        call.peer.note(&checked.request.headers);
        self.ask_owner(now, id, &checked, offer, timer);
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
        found.wanted = Some(Wanted { sdp, update: false, refresh: false, tries: 0 });
        self.next_change(now, call);
        Ok(())
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
        if response.status < 200 {
            return;
        }
        let Some(wanted) = self.take_wanted(id, tx) else { return };
        if response.status >= 300 {
            return self.change_refused(now, id, wanted, &response);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.dialog.refresh(&response.headers, source);
        call.dialog.session.heard_response(&response.headers);
        call.peer.note(&response.headers);
        self.timer_heard(now, id, &response.headers);
        match (wanted.sdp.is_some(), Self::described(&response)) {
            (true, Some(sdp)) => {
                self.acknowledge(id, tx, core.cseq, None);
                self.changed(id, &wanted, sdp);
                self.next_change(now, id);
            }
            (false, Some(sdp)) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.change = Change::AnswerDue(AnswerDue { tx, cseq: core.cseq });
                    call.remote_sdp = Some(sdp.clone());
                }
                self.events.push_back(Event::Offer { call: id, sdp });
            }
            (_, None) => {
                self.acknowledge(id, tx, core.cseq, None);
                self.end_call(now, id, Ending { cause: EndCause::NoDescription, bye: true });
            }
        }
    }
}
