//! Credentials: asked for (RFC 3261 22.1, 22.2) and given (8.1.3.5, 22.3).

use std::{sync::Arc, time::Instant};

use super::{Endpoint, respond::Extra};
use crate::{
    call::{Change, Checked, Phase},
    dialog::tag_of,
    digest::Verdict,
    message::{Method, Name, Request, Response, scan},
    transaction::{TxId, User},
};

impl Endpoint {
    /// The account a request comes from. When that is not clear the request is answered, without keeping anything (8.2.7), so that
    /// those who do not know a password cannot fill our tables.
    pub(super) fn demand(&mut self, now: Instant, checked: &Checked) -> Option<Arc<str>> {
        let request = &checked.request;
        let mut asked = Vec::new();
        let (status, wait) = match &mut self.guard {
            None => (403, ""),
            Some(guard) => {
                let from = checked.source.remote.ip().to_canonical();
                let method = request.method.as_str();
                match guard.check(now, from, method, &request.uri, &request.headers) {
                    Verdict::Known(account) => return Some(account),
                    Verdict::Ask { stale, wrong, md5_only } => {
                        self.counters.challenged += 1;
                        self.counters.wrong_credentials += u64::from(wrong);
                        asked = guard.challenge(now, stale, md5_only);
                        (401, "")
                    }
                    Verdict::Malformed => (400, ""),
                    Verdict::Barred => {
                        self.counters.barred += 1;
                        (403, "60")
                    }
                }
            }
        };
        let mut extra: Vec<Extra<'_>> = asked.iter().map(|c| (Name::WwwAuthenticate, c.as_str())).collect();
        if !wait.is_empty() {
            extra.push((Name::RetryAfter, wait));
        }
        self.respond_stateless(request, &checked.reply, status, "", &extra);
        None
    }

    /// The account of a request that opens something, when calls need one. `Err`: it is answered.
    pub(super) fn admitted(&mut self, now: Instant, checked: &Checked) -> Result<Option<Arc<str>>, ()> {
        if !self.config.authenticate_calls {
            return Ok(None);
        }
        self.demand(now, checked).map(Some).ok_or(())
    }

    /// Sends a request of ours again with credentials when that is what it was refused for. True when it is under way again.
    pub(super) fn answer_challenge(&mut self, now: Instant, id: TxId, response: &Response) -> bool {
        if !matches!(response.status, 401 | 407) {
            return false;
        }
        let cnonce = self.token();
        let Some(client) = self.tx.clients.get(&id) else { return false };
        let user = client.user;
        if client.cancel_sent || client.key.method == Method::Cancel || self.is_given_up(user) {
            return false;
        }
        let mut tried = client.tried.clone();
        let registration = match user {
            User::Register(id) => self.registrations.all.get(&id).map(|r| &r.credentials),
            _ => None,
        };
        let known = &self.config.credentials;
        let learned = || self.registrations.all.values().map(|r| &r.credentials);
        let find = |realm: &[u8]| {
            // A registration is for its registrar, whatever it calls its realm.
            registration
                .or_else(|| known.iter().find(|c| c.realm.as_bytes() == realm))
                .or_else(|| learned().find(|c| !c.realm.is_empty() && c.realm.as_bytes() == realm))
        };
        let uri = client.request.uri.to_bytes();
        let answered = tried.answer(&response.headers, client.key.method.as_str(), &uri, &cnonce, find);
        let Some(answered) = answered else { return false };
        if let User::Register(id) = user
            && let Some(running) = self.registrations.all.get_mut(&id)
            && let Some((_, realm, _)) = answered.0.first()
        {
            running.credentials.realm = String::from_utf8_lossy(realm).into_owned();
        }
        let mut request = client.request.clone();
        let flow = client.flow;
        request.headers.remove_first(&Name::Via);
        answered.apply(&mut request.headers);
        let cseq = self.next_cseq(user, &request);
        request.headers.retain(|h| h.name != Name::CSeq);
        request.headers.push(Name::CSeq, format!("{cseq} {}", request.method));
        let Some(next) = self.start_client(now, request, flow, user) else { return false };
        self.counters.answered_challenges += 1;
        if let Some(client) = self.tx.clients.get_mut(&next) {
            client.tried = tried;
        }
        self.replaced(user, id, next);
        true
    }

    /// Nobody waits for this request any more.
    fn is_given_up(&self, user: User) -> bool {
        let User::Invite(call) = user else { return false };
        self.calls.get(&call).is_none_or(|c| c.ended)
    }

    /// The number of a request that is sent again (22.2: one higher).
    fn next_cseq(&mut self, user: User, request: &Request) -> u32 {
        let dialog = match user.call() {
            Some(call) => self.calls.get_mut(&call).map(|c| &mut c.dialog),
            None => match user {
                User::Notify(id) => self.notifying_dialog(id),
                // A PRACK counts in its call; a BYE is the last of a dialog that is gone.
                _ => {
                    let tag = request.headers.value(&Name::From).map(|from| tag_of(from)).unwrap_or_default();
                    let call = self.by_tag.get(&tag).copied();
                    call.and_then(|call| self.calls.get_mut(&call)).map(|c| &mut c.dialog)
                }
            },
        };
        if let Some(dialog) = dialog {
            dialog.local_cseq = dialog.local_cseq.wrapping_add(1) & 0x7fff_ffff;
            return dialog.local_cseq;
        }
        let value =
            request.headers.value(&Name::CSeq).and_then(|c| scan::number::<u32>(scan::split_word(c).0));
        let next = value.unwrap_or(0).wrapping_add(1) & 0x7fff_ffff;
        if let User::Register(id) = user
            && let Some(running) = self.registrations.all.get_mut(&id)
        {
            running.cseq = next;
        }
        next
    }

    /// What waits for the old transaction now waits for the new one.
    fn replaced(&mut self, user: User, old: TxId, new: TxId) {
        match user {
            User::Invite(call) => {
                if let Some(Phase::Calling { tx, .. }) = self.calls.get_mut(&call).map(|c| &mut c.phase) {
                    *tx = new;
                }
            }
            User::Change(call) => {
                if let Some(Change::Out { tx, .. }) = self.calls.get_mut(&call).map(|c| &mut c.change)
                    && *tx == old
                {
                    *tx = new;
                }
            }
            User::Notify(id) => {
                if let Some(subscription) = self.subscriptions.all.get_mut(&id) {
                    subscription.pending = Some(new);
                }
            }
            User::Register(_) | User::Info(_) | User::Nobody => {}
        }
    }

    /// The ACK of a 2xx has the credentials of its INVITE (22.1).
    pub(super) fn credit_ack(&self, ack: &mut Request, invite: TxId) {
        let Some(client) = self.tx.clients.get(&invite) else { return };
        for header in client.request.headers.iter() {
            if matches!(header.name, Name::Authorization | Name::ProxyAuthorization) {
                ack.headers.push(header.name.clone(), header.value.clone());
            }
        }
    }
}
