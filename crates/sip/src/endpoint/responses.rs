//! Responses to our requests, and requests that got none (RFC 3261 17.1, 8.1.3).

use std::time::Instant;

use super::{Due, Endpoint};
use crate::{
    call::Ending,
    end::EndCause,
    event::CallId,
    message::{Core, Response},
    transaction::{Heard, Timer, TxId, User},
    wire::Flow,
};

impl Endpoint {
    /// A response for this client transaction.
    pub(super) fn heard(&mut self, now: Instant, id: TxId, response: Response, core: &Core, source: Flow) {
        let timers = self.config.timers;
        let Some(client) = self.tx.clients.get_mut(&id) else { return };
        let heard = client.hear(response.status);
        let (user, invite, flow) = (client.user, client.is_invite(), client.flow);
        // What went by TCP for its size only does not move the dialog there (18.1.1).
        let source = client.natural.unwrap_or(source);
        let refused = invite && response.status >= 300;
        if refused && heard != Heard::Again {
            let ack = client.ack(&response).to_bytes();
            self.wire.send(&flow, ack, None, &mut self.counters);
        }
        if invite && (200..300).contains(&response.status) && self.acked_before(id, core) {
            return;
        }
        if heard != Heard::New {
            return;
        }
        if response.status >= 200 {
            self.settle(now, id, timers);
        } else if invite && let Some(client) = self.tx.clients.get_mut(&id) {
            // Once it rings it may take as long as it takes (17.1.1.2).
            self.timers.cancel(client.resend.take());
            let cancelled = client.cancel_sent;
            if !cancelled {
                self.timers.cancel(client.give_up.take());
            }
        }
        if self.answer_challenge(now, id, &response) {
            return;
        }
        match user {
            User::Invite(call) => self.invite_heard(now, call, id, response, core, source),
            User::Change(call) if invite => self.reinvite_heard(now, call, id, response, core, source),
            User::Change(call) if response.status >= 200 => {
                self.update_heard(now, call, id, response, source)
            }
            User::Info(call) if response.status >= 200 => self.info_heard(now, call, response.status),
            User::Register(registration) if response.status >= 200 => {
                self.register_heard(now, registration, &response);
            }
            User::Notify(subscription) if response.status >= 200 => {
                self.notify_heard(now, subscription, response.status);
            }
            User::Change(_) | User::Info(_) | User::Register(_) | User::Notify(_) | User::Nobody => {}
        }
    }

    /// Stops the retransmissions of a request that has its final response (timers D, K, M).
    fn settle(&mut self, now: Instant, id: TxId, timers: crate::config::Timers) {
        let Some(client) = self.tx.clients.get_mut(&id) else { return };
        self.timers.cancel(client.resend.take());
        self.timers.cancel(client.give_up.take());
        if client.done.is_none() {
            let at = now + client.linger(&timers);
            client.done = Some(self.timers.set(at, Due::Client(id, Timer::Done)));
        }
    }

    /// The 2xx of a fork that was acknowledged comes again: so does its ACK (13.2.2.4).
    fn acked_before(&mut self, id: TxId, core: &Core) -> bool {
        let tag = core.to.tag().unwrap_or_default();
        let Some(client) = self.tx.clients.get(&id) else { return false };
        let Some((_, flow, ack)) = client.acks.iter().find(|(t, ..)| t == tag) else { return false };
        let (flow, ack) = (*flow, ack.clone());
        self.counters.retransmitted += 1;
        self.wire.send(&flow, ack, None, &mut self.counters);
        true
    }

    /// A request of ours got no response, or its connection broke.
    pub(super) fn request_failed(&mut self, now: Instant, user: User, transport: bool) {
        let cause = if transport { EndCause::TransportFailed } else { EndCause::NoResponse };
        match user {
            User::Invite(call) => self.end_call(now, call, Ending { cause, bye: false }),
            User::Change(call) => self.end_call(now, call, Ending { cause, bye: true }),
            // A device that does not answer INFO is no reason to end its call.
            User::Info(call) => self.info_done(call),
            User::Register(id) => self.register_failed(now, id, None, None),
            User::Notify(id) => self.end_subscription(id),
            User::Nobody => {}
        }
    }

    fn info_heard(&mut self, now: Instant, id: CallId, status: u16) {
        self.info_done(id);
        if status == 481 {
            self.end_call(now, id, Ending { cause: EndCause::Forgotten, bye: false });
        }
    }
}
