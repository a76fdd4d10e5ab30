//! UPDATE both ways (RFC 3311): a change of the session, or nothing but a sign of life (RFC 4028).

use std::time::Instant;

use bytes::Bytes;

use super::{Endpoint, body, change::timer_lines, invite::text, respond::Extra};
use crate::{
    call::{Change, Checked, Ending, Phase, Wanted},
    end::EndCause,
    event::{CallId, Event, Refused},
    message::{Method, Name, Response},
    session_timer,
    transaction::TxId,
    wire::Flow,
};

impl Endpoint {
    /// An UPDATE of the other side (5.2); its CSeq is checked already.
    pub(super) fn update_received(&mut self, now: Instant, id: CallId, checked: Checked) {
        let request = &checked.request;
        let offer = match body::description(&request.headers, &request.body) {
            Ok(offer) => offer,
            Err(foreign) => return self.foreign_body(now, checked, foreign),
        };
        if offer.is_some() && !self.owner_listens() {
            self.counters.overload += 1;
            return self.later(now, checked);
        }
        let Some(call) = self.calls.get(&id) else { return };
        let undecided = matches!(&call.change, Change::In(it) if it.method == Method::Update);
        if undecided || (offer.is_some() && call.their_offer_pending()) {
            return self.later(now, checked);
        }
        if offer.is_some() && (call.our_offer_pending() || call.bye_after_ack.is_some()) {
            return self.respond_final(now, checked, 491, &[]);
        }
        let timer = match self.timer_asked(id, &checked.request.headers) {
            session_timer::Response::TooSmall(min) => return self.too_small(now, checked, min),
            timer => timer,
        };
        let tag = checked.core.from.tag().unwrap_or_default();
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.peer.note(&checked.request.headers);
        if let Some(dialog) = call.dialog_with(tag) {
            dialog.refresh(&checked.request.headers, checked.source);
            dialog.session.heard_request(&checked.request.headers);
        }
        if offer.is_some() {
            self.report_early_answer(id);
            return self.ask_owner(now, id, &checked, offer, timer);
        }
        let Some(call) = self.calls.get(&id) else { return };
        let (local_tag, contact) = (call.dialog.local_tag.clone(), text(&call.dialog.contact));
        let (lines, supported) = (timer_lines(&timer), self.supported());
        let mut headers: Vec<Extra<'_>> = lines.iter().map(|(n, v)| (n.clone(), v.as_str())).collect();
        headers.extend([(Name::Contact, contact.as_str()), (Name::Supported, supported.as_str())]);
        let tx = self.begin_pending(now, &checked, id);
        self.respond_pending(now, tx, 200, &local_tag, &headers, None);
        self.agree_timer(now, id, timer.agreed());
    }

    /// Sends an UPDATE with our offer: in a call that stands, or before it is answered when offer and answer were exchanged by
    /// then (5.1). As soon as nothing else is under way; a newer change replaces one that still waits. The answer comes as
    /// [`Event::Answer`], a refusal as [`Event::ReofferRejected`].
    ///
    /// Errors when the call is over, nothing was agreed on yet, or the other side does not take UPDATE.
    pub fn update(&mut self, now: Instant, call: CallId, sdp: Bytes) -> Result<(), Refused> {
        let found = self.calls.get_mut(&call).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        let stands = matches!(found.phase, Phase::Up | Phase::AnswerDue(_));
        if !found.peer.update || !(stands || found.agreed.is_some() || found.early_to_update().is_some()) {
            return Err(Refused::WrongState);
        }
        found.wanted = Some(Wanted { sdp: Some(sdp), update: true, refresh: false, tries: 0 });
        self.next_change(now, call);
        Ok(())
    }

    /// A response to our UPDATE (5.3).
    pub(super) fn update_heard(
        &mut self,
        now: Instant,
        id: CallId,
        tx: TxId,
        response: Response,
        source: Flow,
    ) {
        let Some(wanted) = self.take_wanted(id, tx) else { return };
        if response.status >= 300 {
            return self.change_refused(now, id, wanted, &response);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.peer.note(&response.headers);
        let fork = call.early_to_update();
        let dialog = match &fork {
            Some(tag) => call.dialog_with(tag),
            None => Some(&mut call.dialog),
        };
        if let Some(dialog) = dialog {
            dialog.refresh(&response.headers, source);
            dialog.session.heard_response(&response.headers);
        }
        if fork.is_some() {
            call.agreed = fork;
        }
        self.timer_heard(now, id, &response.headers);
        match (&wanted.sdp, Self::described(&response)) {
            (Some(_), Some(sdp)) => self.changed(id, &wanted, sdp),
            (Some(_), None) => {
                return self.end_call(now, id, Ending { cause: EndCause::NoDescription, bye: true });
            }
            (None, _) => {}
        }
        self.next_change(now, id);
    }

    /// Before the session goes on changing: the answer of the fork that was to be reported with its 2xx.
    fn report_early_answer(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(tag) = call.early_to_update().filter(|_| call.agreed.is_none()) else { return };
        let Phase::Calling { early, .. } = &call.phase else { return };
        let sdp = early.iter().find(|e| e.dialog.remote_tag == tag).and_then(|e| e.sdp.clone());
        call.agreed = Some(tag);
        if let Some(sdp) = sdp {
            call.remote_sdp = Some(sdp.clone());
            self.events.push_back(Event::Answer { call: id, sdp });
        }
    }
}
