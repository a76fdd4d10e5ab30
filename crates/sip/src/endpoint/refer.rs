//! REFER to the focus (RFC 3515 2.4, RFC 4488, RFC 4579 5.5, 5.11).

use std::time::{Duration, Instant};

use super::{Endpoint, invite::text};
use crate::{
    call::Checked,
    event::{CallId, Event, Refused},
    message::{Name, NameAddr, reason_phrase},
    refer::{Refer, read},
    subscribe::{Package, SubscriptionId},
};

/// How long the outcome of a REFER is waited for; calls ring no longer than that.
const LASTS: Duration = Duration::from_secs(240);

impl Endpoint {
    /// A REFER, outside of a dialog or within a call.
    pub(super) fn referred(&mut self, now: Instant, call: Option<CallId>, checked: Checked) {
        if !self.config.focus {
            let allow = self.allow();
            return self.respond_final(now, checked, 405, &[(Name::Allow, allow)]);
        }
        let order = match read(&checked.request.headers) {
            Ok(order) => order,
            Err(status) => {
                self.counters.malformed += u64::from(status == 400);
                return self.respond_final(now, checked, status, &[]);
            }
        };
        let contact = checked.request.headers.elements(&Name::Contact).next();
        if contact.is_none_or(|c| NameAddr::parse(c).is_err()) {
            self.counters.malformed += 1;
            return self.respond_final(now, checked, 400, &[]);
        }
        if self.subscriptions.all.len() >= self.config.subscriptions.max || !self.owner_listens() {
            self.counters.overload += 1;
            return self.respond_final(now, checked, 503, &[(Name::RetryAfter, "10")]);
        }
        let account = match call {
            Some(_) => None,
            None => match self.admitted(now, &checked) {
                Ok(account) => account,
                Err(()) => return,
            },
        };
        let (remote, uri, from) =
            (checked.source.remote, checked.request.uri.clone(), checked.core.from.clone());
        let package = Package::Refer { line: (100, String::new()), id: checked.core.cseq };
        let id = self.open_subscription(now, call, checked, package, LASTS, order.quiet);
        let (target, display, wanted) = (order.target, order.display, order.wanted);
        let refer = Refer { id, call, uri, from, remote, account, target, display, wanted };
        self.events.push_back(Event::Refer(Box::new(refer)));
    }

    /// Takes on a REFER: 202, and a NOTIFY that it is being done; [`Endpoint::refer_result`] tells the outcome.
    ///
    /// Errors when it is decided already.
    pub fn accept_refer(&mut self, now: Instant, id: SubscriptionId) -> Result<(), Refused> {
        let subscription = self.subscriptions.all.get_mut(&id).ok_or(Refused::NoSuchCall)?;
        let undecided = subscription.undecided.take().ok_or(Refused::WrongState)?;
        if undecided.quiet {
            self.respond_subscription(now, id, undecided.tx, 200, &[(Name::ReferSub, "false")]);
            self.end_subscription(id);
            return Ok(());
        }
        self.extend_subscription(now, id, undecided.expires);
        self.respond_subscription(now, id, undecided.tx, 202, &[]);
        self.notify(now, id);
        Ok(())
    }

    /// Refuses a REFER (300–699) with further headers.
    ///
    /// Errors when it is decided already.
    pub fn refuse_refer(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Result<(), Refused> {
        self.refuse_undecided(now, id, status, headers)
    }

    /// How far it is with a REFER: a status of the call it asked for. Final ones (200–699) end the report. Nothing is to be said of
    /// one that nobody wants to hear of any more.
    pub fn refer_result(&mut self, now: Instant, id: SubscriptionId, status: u16, reason: &str) {
        let Some(subscription) = self.subscriptions.all.get_mut(&id) else { return };
        let Package::Refer { line, .. } = &mut subscription.package else { return };
        let status = status.clamp(100, 699);
        if line.0 == status && status < 200 {
            return;
        }
        let reason = if reason.is_empty() { reason_phrase(status) } else { reason };
        *line = (status, text(reason.as_bytes()).chars().filter(|c| !c.is_control()).take(120).collect());
        if status >= 200 {
            subscription.ending = Some("noresource");
        }
        self.notify(now, id);
    }
}
