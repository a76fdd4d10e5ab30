//! The ends of a call (RFC 3261 9, 15).

use std::time::Instant;

use super::{Endpoint, events::Events, invite::text, respond::Extra};
use crate::{
    call::{Call, Change, Ending, Phase},
    end::EndCause,
    event::{CallId, Event, Refused},
    message::{Method, Name, Reason},
    transaction::User,
};

impl Endpoint {
    /// Ends a call by what fits its state: BYE, CANCEL, or 480. `reason` goes into a Reason header (RFC 3326).
    /// [`Event::Ended`] with [`EndCause::LocalHangUp`] follows at once.
    ///
    /// Errors when the call is over.
    pub fn hangup(&mut self, now: Instant, call: CallId, reason: Option<&str>) -> Result<(), Refused> {
        if self.calls.get(&call).is_none_or(|c| c.ended) {
            return Err(Refused::NoSuchCall);
        }
        // Normal clearing (RFC 3326 2).
        let reason = reason.map(|words| Reason::q850(16, words));
        self.give_up(now, call, EndCause::LocalHangUp, reason.as_ref());
        Ok(())
    }

    /// Ends a call from our side, in good manners.
    pub(super) fn give_up(&mut self, now: Instant, id: CallId, cause: EndCause, reason: Option<&Reason>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        report(&mut self.events, call, cause);
        match &mut call.phase {
            Phase::Incoming { tx, .. } => {
                let (tx, tag) = (*tx, call.dialog.local_tag.clone());
                let words = reason.map(|r| r.to_string());
                let extra: Vec<Extra<'_>> = words.iter().map(|w| (Name::Reason, w.as_str())).collect();
                self.respond_pending(now, tx, 480, &tag, &extra, None);
                self.refuse_pending(now, id);
                self.finish(id, None);
            }
            Phase::Calling { tx, cancelled, .. } => {
                let tx = *tx;
                // Before any response there is nothing to cancel (9.1).
                match self.tx.clients.get(&tx).map(|c| c.is_calling()) {
                    Some(true) => *cancelled = true,
                    Some(false) => self.send_cancel(now, tx, reason),
                    None => self.finish(id, None),
                }
            }
            Phase::AnswerDue(due) => {
                let (tx, cseq) = (due.tx, due.cseq);
                self.acknowledge(id, tx, cseq, None);
                self.send_bye(now, id, reason);
            }
            Phase::Up => {
                // BYE must not overtake the ACK of the first 2xx (15).
                if !call.confirmed && !call.unacked.is_empty() {
                    call.bye_after_ack = Some(reason.cloned());
                    return;
                }
                if let Change::AnswerDue(due) = &call.change {
                    let (tx, cseq) = (due.tx, due.cseq);
                    self.acknowledge(id, tx, cseq, None);
                }
                self.send_bye(now, id, reason);
            }
        }
    }

    /// Ends a call because of what happened in it.
    pub(super) fn end_call(&mut self, now: Instant, id: CallId, ending: Ending) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let reason = ending.cause.reason();
        report(&mut self.events, call, ending.cause);
        if ending.bye { self.send_bye(now, id, reason.as_ref()) } else { self.forget(now, id) }
    }

    fn forget(&mut self, now: Instant, id: CallId) {
        self.refuse_pending(now, id);
        self.finish(id, None);
    }

    /// Sends BYE and forgets the call; the BYE goes its own way.
    pub(super) fn send_bye(&mut self, now: Instant, id: CallId, reason: Option<&Reason>) {
        self.refuse_pending(now, id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let mut bye = call.dialog.request(Method::Bye);
        let flow = call.dialog.destination();
        bye.headers.push(Name::UserAgent, self.config.user_agent.clone());
        if let Some(reason) = reason {
            bye.headers.push(Name::Reason, reason.to_string());
        }
        self.start_client(now, bye, flow, User::Nobody);
        self.finish(id, None);
    }

    /// Answers a change of theirs that does not matter any more.
    pub(super) fn refuse_change(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let Change::In(it) = std::mem::replace(&mut call.change, Change::Idle) {
            self.respond_pending(now, it.tx, 487, &[], &[], None);
            self.events.push_back(Event::ReofferCancelled { call: id });
        }
    }

    /// Answers the requests of a call that ends and still wait for the owner with 487 (15.1.2).
    pub(super) fn refuse_pending(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let tag = call.dialog.local_tag.clone();
        let change = match std::mem::replace(&mut call.change, Change::Idle) {
            Change::In(it) => Some(it.tx),
            _ => None,
        };
        let invite = match call.phase {
            Phase::Incoming { tx, .. } => Some(tx),
            _ => None,
        };
        for tx in [invite, change].into_iter().flatten() {
            self.respond_pending(now, tx, 487, &tag, &[], None);
        }
    }

    /// Forgets a call, and reports its end if it is not reported yet.
    pub(super) fn finish(&mut self, id: CallId, cause: Option<EndCause>) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        if let Some(cause) = cause {
            report(&mut self.events, &mut call, cause);
        }
        self.by_tag.remove(&call.dialog.local_tag);
        self.keep_subscriptions(&call);
        let unpracked = call.reliable.unacked.as_mut();
        let (again, no_prack) = unpracked.map_or((None, None), |u| (u.again.take(), u.give_up.take()));
        for alarm in [call.expire, call.glare, call.timer.refresh, call.timer.expire, again, no_prack] {
            self.timers.cancel(alarm);
        }
        for unacked in call.unacked {
            self.timers.cancel(unacked.again);
            self.timers.cancel(unacked.give_up);
        }
        if let Phase::Incoming { ringing, .. } = call.phase {
            self.timers.cancel(ringing);
        }
        tracing::debug!(call = %id, call_id = text(&call.dialog.call_id), "a call is over");
    }
}

fn report(events: &mut Events, call: &mut Call, cause: EndCause) {
    if !call.ended {
        call.ended = true;
        events.push_back(Event::Ended { call: call.id, cause });
    }
}
