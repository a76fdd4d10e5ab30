//! Session timers in running calls (RFC 4028): asking for them, refreshing, ending what is not refreshed.

use std::time::{Duration, Instant};

use super::{Due, Endpoint};
use crate::{
    call::{Checked, Ending, Phase, SessionTimer, Wanted},
    end::EndCause,
    event::CallId,
    message::{Headers, Name, Request},
    session_timer::{self, Agreed, Refresher, SessionExpires},
};

/// Shortest wait after a refresh that was refused.
const REFUSED: Duration = Duration::from_secs(10);

impl Endpoint {
    /// What an INVITE or UPDATE of ours says of session timers (7.1, 7.4). `within`: there is a dialog, with roles.
    pub(super) fn ask_timer(&self, request: &mut Request, timer: &SessionTimer, within: bool) {
        let Some(ours) = &self.config.session_timers else { return };
        let (interval_s, refresher) = match timer.agreed {
            Some(agreed) if within => {
                let refresher = if agreed.ours { Refresher::Uac } else { Refresher::Uas };
                (agreed.interval_s, Some(refresher))
            }
            _ => (ours.interval_s(), None),
        };
        let least = timer.min_se.max(if within { 0 } else { ours.min_s() });
        let expires = SessionExpires { interval_s: interval_s.max(least), refresher };
        for name in [Name::SessionExpires, Name::MinSe] {
            request.headers.remove_first(&name);
        }
        request.headers.push(Name::SessionExpires, expires.to_string());
        if least > 0 {
            request.headers.push(Name::MinSe, least.to_string());
        }
    }

    /// What we answer to a request of theirs.
    pub(super) fn timer_asked(&mut self, id: CallId, headers: &Headers) -> session_timer::Response {
        let asked = self.timer_response(headers);
        if let (Some(call), Some(min)) = (self.calls.get_mut(&id), session_timer::min_se(headers)) {
            call.timer.min_se = call.timer.min_se.max(min);
        }
        asked
    }

    /// The same for an INVITE that opens a call.
    pub(super) fn timer_response(&self, headers: &Headers) -> session_timer::Response {
        let Some(ours) = &self.config.session_timers else { return session_timer::Response::Off };
        let supports = headers.elements(&Name::Supported).any(|e| e.eq_ignore_ascii_case(b"timer"));
        session_timer::respond(ours, headers, supports)
    }

    /// 422 (9).
    pub(super) fn too_small(&mut self, now: Instant, checked: Checked, min: u32) {
        self.respond_final(now, checked, 422, &[(Name::MinSe, &min.to_string())]);
    }

    /// What the 2xx to a request of ours agrees on.
    pub(super) fn timer_heard(&mut self, now: Instant, id: CallId, headers: &Headers) {
        let agreed = self.config.session_timers.and_then(|_| session_timer::accepted(headers));
        self.agree_timer(now, id, agreed);
    }

    /// Starts the session timer anew; `None` ends it.
    pub(super) fn agree_timer(&mut self, now: Instant, id: CallId, agreed: Option<Agreed>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if matches!(call.phase, Phase::Incoming { .. } | Phase::Calling { .. }) {
            // Nothing runs out before the answer; its 2xx says what holds then.
            return;
        }
        for alarm in [call.timer.refresh.take(), call.timer.expire.take()] {
            self.timers.cancel(alarm);
        }
        call.timer.agreed = agreed;
        let Some(agreed) = agreed else { return };
        call.timer.expire = Some(self.timers.set(now + agreed.give_up_after(), Due::SessionOver(id)));
        if agreed.ours {
            call.timer.refresh = Some(self.timers.set(now + agreed.refresh_after(), Due::Refresh(id)));
        }
    }

    /// Half of the interval is over (10). By UPDATE where it is understood: it asks for nothing.
    pub(super) fn refresh(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.timer.refresh = None;
        if call.wanted.is_some() {
            // What the owner wants refreshes too.
            return self.refresh_later(now, id);
        }
        let sdp = if call.peer.update { None } else { call.local_sdp.clone() };
        call.wanted = Some(Wanted { sdp, update: call.peer.update, refresh: true, tries: 0 });
        self.next_change(now, id);
    }

    /// Another try while there is time (10).
    pub(super) fn refresh_later(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(agreed) = call.timer.agreed.filter(|a| a.ours) else { return };
        self.timers.cancel(call.timer.refresh.take());
        let at = now + (agreed.refresh_after() / 4).max(REFUSED);
        call.timer.refresh = Some(self.timers.set(at, Due::Refresh(id)));
    }

    /// Nobody refreshed the session.
    pub(super) fn session_over(&mut self, now: Instant, id: CallId) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.timer.expire = None;
            self.counters.expired_sessions += 1;
            self.end_call(now, id, Ending { cause: EndCause::SessionExpired, bye: true });
        }
    }
}
