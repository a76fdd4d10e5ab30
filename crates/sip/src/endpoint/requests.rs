//! What every new request goes through, and the methods that need no call (RFC 3261 8.2, 11, 9.2, 15.1.2).

use std::time::Instant;

use super::{
    Endpoint,
    respond::{ACCEPT, merge_key},
};
use crate::{
    call::{Change, Checked, Phase},
    end::EndCause,
    event::{CallId, Event},
    message::{Core, Method, Name, Reason, Uri, max_forwards},
    transaction::ServerKey,
};

impl Endpoint {
    /// A request that matches no transaction, ACK and CANCEL apart.
    pub(super) fn inspect(&mut self, now: Instant, checked: Checked) {
        let invites = checked.request.method == Method::Invite;
        if !self.has_room() || (invites && !self.owner_listens()) {
            self.counters.overload += 1;
            let extra = [(Name::RetryAfter, "5")];
            return self.respond_stateless(&checked.request, &checked.reply, 503, "", &extra);
        }
        let request = &checked.request;
        let allow = self.allow();
        match request.method {
            Method::Invite
            | Method::Bye
            | Method::Options
            | Method::Info
            | Method::Update
            | Method::Prack => {}
            Method::Register if self.registrar.is_some() => {}
            Method::Subscribe | Method::Refer if self.config.focus => {}
            Method::Other(_) => return self.respond_final(now, checked, 501, &[(Name::Allow, allow)]),
            _ => return self.respond_final(now, checked, 405, &[(Name::Allow, allow)]),
        }
        let tagged = checked.core.to.tag().is_some();
        if !tagged {
            match &request.uri {
                Uri::Sip(uri) if uri.headers.is_some() => {
                    self.counters.malformed += 1;
                    return self.respond_final(now, checked, 400, &[]);
                }
                Uri::Sip(_) | Uri::Tel(_) => {}
                Uri::Other(_) => return self.respond_final(now, checked, 416, &[]),
            }
            if self.tx.merges.contains_key(&merge_key(&checked)) {
                return self.respond_final(now, checked, 482, &[]);
            }
            // An endpoint does not count hops (RFC 4475 3.3.11), and OPTIONS looks for who is at the last one (11). But a call to a
            // conference goes on from here to others: one that goes round in a ring of them ends here.
            let last = max_forwards(&request.headers) == Ok(Some(0));
            if last && request.method == Method::Invite {
                return self.respond_final(now, checked, 483, &[]);
            }
        }
        // Proxy-Require is for proxies, which we are not (8.2.2.3, 20.29).
        let unknown: Vec<_> = request
            .headers
            .elements(&Name::Require)
            .filter(|option| !self.understands(option))
            .map(|option| String::from_utf8_lossy(option).into_owned())
            .collect();
        if !unknown.is_empty() {
            return self.respond_final(now, checked, 420, &[(Name::Unsupported, &unknown.join(", "))]);
        }
        if tagged {
            return match self.call_of(&checked.core) {
                Some(call) => self.in_dialog(now, call, checked),
                None => match (self.subscriptions.know(&checked.core), &request.method) {
                    (true, Method::Subscribe) => self.subscribe_alone(now, checked),
                    // There are no dialogs of REGISTER; some refresh with the tag of our last answer.
                    (false, Method::Register) => self.registering(now, checked),
                    _ => self.respond_final(now, checked, 481, &[]),
                },
            };
        }
        match request.method {
            Method::Invite => self.invite(now, checked),
            Method::Options => self.options(now, checked),
            Method::Register => self.registering(now, checked),
            Method::Subscribe => self.subscribe(now, None, checked),
            Method::Refer => self.referred(now, None, checked),
            // The others live in dialogs only.
            _ => self.respond_final(now, checked, 481, &[]),
        }
    }

    /// The call a request with a To tag belongs to (12.2.2).
    pub(super) fn call_of(&self, core: &Core) -> Option<CallId> {
        let id = *self.by_tag.get(core.to.tag()?)?;
        let call = self.calls.get(&id)?;
        let theirs = core.from.tag().unwrap_or_default();
        (call.dialog.call_id == core.call_id && call.is_with(theirs)).then_some(id)
    }

    fn in_dialog(&mut self, now: Instant, id: CallId, checked: Checked) {
        let tag = checked.core.from.tag().unwrap_or_default();
        let Some(dialog) = self.calls.get_mut(&id).and_then(|c| c.dialog_with(tag)) else { return };
        // Older than what was seen: out of order (12.2.2).
        if dialog.remote_cseq.is_some_and(|seen| checked.core.cseq <= seen) {
            return self.respond_final(now, checked, 500, &[]);
        }
        dialog.remote_cseq = Some(checked.core.cseq);
        match checked.request.method {
            Method::Invite => self.reinvite(now, id, checked),
            Method::Bye => self.bye(now, id, checked),
            Method::Info => self.info_received(now, id, checked),
            Method::Update => self.update_received(now, id, checked),
            Method::Prack => self.prack_received(now, id, checked),
            Method::Subscribe => self.subscribe_in_call(now, id, checked),
            Method::Refer => self.referred(now, Some(id), checked),
            Method::Register => {
                let allow = self.allow();
                self.respond_final(now, checked, 405, &[(Name::Allow, allow)]);
            }
            _ => self.options(now, checked),
        }
    }

    /// What we can do (11.2).
    fn options(&mut self, now: Instant, checked: Checked) {
        let contact = self.contact(&checked.request.uri.user(), &checked.source);
        let contact = String::from_utf8_lossy(&contact).into_owned();
        let supported = self.supported();
        let extra = [
            (Name::Allow, self.allow()),
            (Name::Accept, ACCEPT),
            (Name::AcceptEncoding, "identity"),
            (Name::AcceptLanguage, "vi, en"),
            (Name::Supported, supported.as_str()),
            (Name::Contact, contact.as_str()),
        ];
        self.respond_final(now, checked, 200, &extra);
    }

    /// CANCEL: ends an INVITE that has no final response yet (9.2).
    pub(super) fn cancel(&mut self, now: Instant, checked: Checked, invite: Option<ServerKey>) {
        if !self.has_room() {
            self.counters.overload += 1;
            return self.respond_stateless(
                &checked.request,
                &checked.reply,
                503,
                "",
                &[(Name::RetryAfter, "5")],
            );
        }
        let Some(tx) = invite.and_then(|key| self.tx.server_keys.get(&key).copied()) else {
            return self.respond_final(now, checked, 481, &[]);
        };
        let id = self.pending_server(tx);
        // The tag of the response is that of the INVITE's (9.2).
        let tag = self.tx.servers.get(&tx).and_then(|s| s.call).and_then(|c| self.calls.get(&c));
        let tag = tag.map(|c| c.dialog.local_tag.clone()).unwrap_or_default();
        let own = self.begin(&checked);
        let response = self.response_to(&checked.request, 200, "", &tag);
        self.send_response(now, own, 200, response.to_bytes());
        let Some(id) = id else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if matches!(call.phase, Phase::Incoming { .. }) {
            let reason = Reason::read(&checked.request.headers).map(|r| r.words());
            self.respond_pending(now, tx, 487, &tag, &[], None);
            self.finish(now, id, Some(EndCause::Cancelled { reason }));
        } else if matches!(&call.change, Change::In(it) if it.tx == tx) {
            call.change = Change::Idle;
            self.respond_pending(now, tx, 487, &tag, &[], None);
            self.events.push_back(Event::ReofferCancelled { call: id });
            self.next_change(now, id);
        }
    }

    fn bye(&mut self, now: Instant, id: CallId, checked: Checked) {
        // Who is called cannot hang up before it has answered (15).
        if self.calls.get(&id).is_some_and(|c| matches!(c.phase, Phase::Calling { .. })) {
            return self.respond_final(now, checked, 481, &[]);
        }
        let reason = Reason::read(&checked.request.headers).map(|r| r.words());
        self.respond_final(now, checked, 200, &[]);
        self.finish(now, id, Some(EndCause::RemoteHangUp { reason }));
    }
}
