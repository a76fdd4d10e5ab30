//! Changes of a session that stands, or is about to: what re-INVITE, UPDATE and the offer in a PRACK have in common
//! (RFC 3261 14, RFC 3311, RFC 6337).

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;

use super::{
    Due, Endpoint, body,
    invite::{extra, text},
    respond::Extra,
};
use crate::{
    call::{Call, Change, Checked, Ending, In, Phase, Wanted},
    end::EndCause,
    event::{CallId, Event, Refused},
    message::{Headers, Method, Name, Response, scan},
    session_timer,
    transaction::{TxId, User},
};

/// Refusals "not now" (491, 500 with Retry-After) of one change that are followed by another try.
const MOST_TRIES: u8 = 8;
/// Longest Retry-After that is waited for, seconds (RFC 3311 5.2 has 0 to 10).
const MOST_WAIT: u64 = 10;

impl Endpoint {
    /// Hands an offer of theirs, or their wish for ours, to the owner.
    pub(super) fn ask_owner(
        &mut self,
        now: Instant,
        id: CallId,
        checked: &Checked,
        offer: Option<Bytes>,
        timer: session_timer::Response,
    ) {
        let (method, cseq, offered) = (checked.request.method.clone(), checked.core.cseq, offer.is_some());
        let tx = self.begin_pending(now, checked, id);
        if let Some(call) = self.calls.get_mut(&id) {
            call.change = Change::In(In { tx, method, cseq, offered, timer });
            if offered {
                call.remote_sdp.clone_from(&offer);
            }
        }
        self.events.push_back(Event::Reoffer { call: id, offer });
    }

    /// "Not now": 500 with a Retry-After of our choice (14.2, RFC 3311 5.2).
    pub(super) fn later(&mut self, now: Instant, checked: Checked) {
        let wait = self.rng.random_range(1..=MOST_WAIT).to_string();
        self.respond_final(now, checked, 500, &[(Name::RetryAfter, &wait)]);
    }

    /// Answers an [`Event::Reoffer`]: our answer, or our offer when it had none.
    ///
    /// Errors when there is none (any more).
    pub fn answer_reoffer(&mut self, now: Instant, call: CallId, sdp: Bytes) -> Result<(), Refused> {
        let id = call;
        let it = self.take_change(id)?;
        if it.method == Method::Invite {
            self.send_2xx(now, id, (it.tx, it.cseq), Some(sdp), !it.offered, it.timer);
            return Ok(());
        }
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        call.local_sdp = Some(sdp.clone());
        let (tag, contact) = (call.dialog.local_tag.clone(), text(&call.dialog.contact));
        let (lines, supported) = (timer_lines(&it.timer), self.supported());
        let mut headers: Vec<Extra<'_>> = lines.iter().map(|(n, v)| (n.clone(), v.as_str())).collect();
        headers.push((Name::Supported, &supported));
        if it.method == Method::Update {
            headers.push((Name::Contact, &contact));
            self.agree_timer(now, id, it.timer.agreed());
        }
        self.respond_pending(now, it.tx, 200, &tag, &headers, Some(sdp));
        self.release_accept(now, id);
        self.next_change(now, id);
        Ok(())
    }

    /// Refuses an [`Event::Reoffer`] (488, say) with further headers; the call goes on as it was.
    ///
    /// Errors when there is none (any more).
    pub fn reject_reoffer(
        &mut self,
        now: Instant,
        call: CallId,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Result<(), Refused> {
        let it = self.take_change(call)?;
        self.respond_pending(now, it.tx, status.clamp(300, 699), &[], &extra(headers), None);
        self.release_accept(now, call);
        self.next_change(now, call);
        Ok(())
    }

    fn take_change(&mut self, id: CallId) -> Result<In, Refused> {
        let call = self.calls.get_mut(&id).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        match std::mem::replace(&mut call.change, Change::Idle) {
            Change::In(it) => Ok(it),
            other => {
                call.change = other;
                Err(Refused::WrongState)
            }
        }
    }

    /// Sends the change of ours that waits, if its turn has come.
    pub(super) fn next_change(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let ready = match &call.wanted {
            Some(wanted) if wanted.update => call.may_update(),
            Some(_) => !call.busy(),
            None => false,
        };
        if !ready || call.ended {
            return;
        }
        let Some(wanted) = call.wanted.take() else { return };
        let method = if wanted.update { Method::Update } else { Method::Invite };
        let fork = call.early_to_update();
        let Some(dialog) = (match &fork {
            Some(tag) => call.dialog_with(tag),
            None => Some(&mut call.dialog),
        }) else {
            return;
        };
        let mut request = dialog.request(method);
        let flow = dialog.destination();
        if let Some(call) = self.calls.get(&id) {
            self.describe(&mut request, wanted.sdp.clone());
            self.ask_timer(&mut request, &call.timer, true);
        }
        match self.start_client(now, request, flow, User::Change(id)) {
            Some(tx) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.change = Change::Out { tx, wanted };
                }
            }
            None => self.end_call(now, id, Ending { cause: EndCause::TransportFailed, bye: false }),
        }
    }

    /// Takes back what a response to our change is about; `None` when it is not about the change under way.
    pub(super) fn take_wanted(&mut self, id: CallId, tx: TxId) -> Option<Wanted> {
        let call = self.calls.get_mut(&id)?;
        match std::mem::replace(&mut call.change, Change::Idle) {
            Change::Out { tx: out, wanted } if out == tx => Some(wanted),
            other => {
                call.change = other;
                None
            }
        }
    }

    /// A re-INVITE or UPDATE of ours was refused (14.1, RFC 3311 5.3, RFC 4028 7.3 and 10).
    pub(super) fn change_refused(&mut self, now: Instant, id: CallId, wanted: Wanted, response: &Response) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let again = wanted.tries < MOST_TRIES;
        let wait = retry_after(&response.headers).filter(|s| *s <= MOST_WAIT);
        match response.status {
            481 => self.end_call(now, id, Ending { cause: EndCause::Forgotten, bye: false }),
            408 => self.end_call(now, id, Ending { cause: EndCause::NoResponse, bye: true }),
            491 if again => self.back_off(now, id, wanted),
            422 if again && raise(call, &response.headers) => self.try_again(now, id, wanted, Duration::ZERO),
            500 | 503 if again && wait.is_some() => {
                self.try_again(now, id, wanted, Duration::from_secs(wait.unwrap_or_default()));
            }
            // It says that it takes UPDATE, and does not: by re-INVITE then.
            405 | 501 if wanted.update && matches!(call.phase, Phase::Up) => {
                call.peer.update = false;
                let sdp = if wanted.refresh { call.local_sdp.clone() } else { wanted.sdp };
                let wanted = Wanted { sdp, update: false, ..wanted };
                self.try_again(now, id, wanted, Duration::ZERO);
            }
            _ if wanted.refresh => {
                self.refresh_later(now, id);
                self.next_change(now, id);
            }
            status => {
                self.events.push_back(Event::ReofferRejected { call: id, status });
                self.next_change(now, id);
            }
        }
    }

    /// Both sides asked at once: the one that made the Call-ID waits longer (14.1).
    fn back_off(&mut self, now: Instant, id: CallId, wanted: Wanted) {
        let ours = self.calls.get(&id).is_some_and(|c| c.dialog.ours);
        let tens = if ours { self.rng.random_range(210..=400) } else { self.rng.random_range(0..=200) };
        self.try_again(now, id, wanted, Duration::from_millis(tens * 10));
    }

    fn try_again(&mut self, now: Instant, id: CallId, wanted: Wanted, wait: Duration) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let wanted = Wanted { tries: wanted.tries + 1, ..wanted };
        // What the owner wants by now counts more.
        if call.wanted.as_ref().is_none_or(|w| w.refresh) {
            call.wanted = Some(wanted);
        }
        if wait.is_zero() {
            return self.next_change(now, id);
        }
        self.timers.cancel(call.glare.take());
        call.glare = Some(self.timers.set(now + wait, Due::Glare(id)));
    }

    /// The answer in the 2xx to a change of ours, if it is news.
    pub(super) fn changed(&mut self, id: CallId, wanted: &Wanted, sdp: Bytes) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.local_sdp.clone_from(&wanted.sdp);
        let same = call.remote_sdp.as_ref() == Some(&sdp);
        call.remote_sdp = Some(sdp.clone());
        // Nobody waits for the answer to a refresh that changes nothing.
        if !(wanted.refresh && same) {
            self.events.push_back(Event::Answer { call: id, sdp });
        }
    }

    /// The description in a message of theirs; `None` also for one that cannot be understood.
    pub(super) fn described(response: &Response) -> Option<Bytes> {
        body::description(&response.headers, &response.body).ok().flatten()
    }
}

/// The lines of a 2xx that say what becomes of the session timer (RFC 4028 9).
pub(super) fn timer_lines(timer: &session_timer::Response) -> Vec<(Name, String)> {
    let mut lines = Vec::new();
    if let Some(header) = timer.header() {
        lines.push((Name::SessionExpires, header.to_string()));
    }
    if matches!(timer, session_timer::Response::On { require: true, .. }) {
        lines.push((Name::Require, "timer".to_owned()));
    }
    lines
}

/// Takes over the Min-SE of a 422; false when it is no more than what was asked for.
fn raise(call: &mut Call, headers: &Headers) -> bool {
    let Some(min) = session_timer::min_se(headers) else { return false };
    let more = min > call.timer.min_se;
    call.timer.min_se = call.timer.min_se.max(min);
    more
}

/// Retry-After in seconds.
fn retry_after(headers: &Headers) -> Option<u64> {
    let value = headers.value(&Name::RetryAfter)?;
    let end = value.iter().position(|b| matches!(b, b';' | b'(' | b' ')).unwrap_or(value.len());
    value.get(..end).and_then(scan::number)
}
