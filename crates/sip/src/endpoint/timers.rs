//! What happens when time has passed.

use std::time::Instant;

use super::{Due, Endpoint};
use crate::{
    call::{Ending, Phase},
    end::EndCause,
    event::CallId,
    transaction::{Timer, TxId},
};

impl Endpoint {
    /// The time of [`Endpoint::poll_timeout`] has come (calling it early or often does no harm).
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.timers.pop(now) {
            match due {
                Due::Client(id, timer) => self.client_due(now, id, timer),
                Due::Server(id, timer) => self.server_due(now, id, timer),
                Due::Again(call, cseq) => self.repeat_2xx(now, call, cseq),
                Due::NoAck(call, cseq) => self.never_acked(now, call, cseq),
                Due::Ring(call) => {
                    let _ = self.ring(now, call);
                }
                Due::Expire(call) => self.rang_too_long(now, call),
                Due::Glare(call) => {
                    if let Some(call) = self.calls.get_mut(&call) {
                        call.glare = None;
                    }
                    self.next_change(now, call);
                }
                Due::Reliable(call) => self.repeat_reliable(now, call),
                Due::NoPrack(call) => self.never_pracked(now, call),
                Due::Refresh(call) => self.refresh(now, call),
                Due::SessionOver(call) => self.session_over(now, call),
                Due::Idle(conn) => self.idle(now, conn),
                Due::Bindings => self.bindings_due(now),
                Due::Register(id) => self.send_register(now, id),
                Due::Subscription(id) => self.subscription_due(now, id),
                Due::Watched(room) => self.watched_due(now, room),
            }
        }
    }

    fn client_due(&mut self, now: Instant, id: TxId, timer: Timer) {
        let Some(client) = self.tx.clients.get_mut(&id) else { return };
        match timer {
            Timer::Resend => {
                client.resend = None;
                if let Some(wait) = client.resend(&self.config.timers) {
                    client.resend = Some(self.timers.set(now + wait, Due::Client(id, Timer::Resend)));
                    let (flow, bytes) = (client.flow, client.bytes.clone());
                    self.counters.retransmitted += 1;
                    self.wire.send(&flow, bytes, None, &mut self.counters);
                }
            }
            Timer::NoConnection => {
                client.resend = None;
                let (connecting, remote) = (self.wire.is_connecting(&client.flow), client.flow.remote);
                if connecting && self.fall_back(now, id) {
                    self.note_no_tcp(now, remote);
                }
            }
            Timer::GiveUp => {
                client.give_up = None;
                self.client_failed(now, id, false);
            }
            _ => self.end_client(id),
        }
    }

    fn server_due(&mut self, now: Instant, id: TxId, timer: Timer) {
        let Some(server) = self.tx.servers.get_mut(&id) else { return };
        match timer {
            Timer::Trying => {
                server.trying = None;
                if server.last.is_none() {
                    // 100 has no tag of its own; it says whose session it is (RFC 7989).
                    let call = server.call.and_then(|c| self.calls.get(&c));
                    let tag = call.map(|c| c.dialog.local_tag.clone()).unwrap_or_default();
                    self.respond_pending(now, id, 100, &tag, &[], None);
                }
            }
            Timer::Respond => {
                server.respond = None;
                if let Some((bytes, wait)) = server.resend(&self.config.timers) {
                    server.respond = Some(self.timers.set(now + wait, Due::Server(id, Timer::Respond)));
                    let flow = server.flow;
                    self.counters.retransmitted += 1;
                    self.wire.send(&flow, bytes, None, &mut self.counters);
                }
            }
            Timer::NoAck => {
                self.counters.timeouts += 1;
                self.end_server(id);
            }
            _ => self.end_server(id),
        }
    }

    fn repeat_2xx(&mut self, now: Instant, id: CallId, cseq: u32) {
        let t2 = self.config.timers.t2;
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(unacked) = call.unacked.iter_mut().find(|u| u.cseq == cseq) else { return };
        unacked.interval = (unacked.interval * 2).min(t2);
        unacked.again = Some(self.timers.set(now + unacked.interval, Due::Again(id, cseq)));
        self.counters.retransmitted += 1;
        self.wire.send(&unacked.flow, unacked.bytes.clone(), None, &mut self.counters);
    }

    /// 64·T1 without ACK: the dialog is confirmed, but the session should be ended (13.3.1.4).
    fn never_acked(&mut self, now: Instant, id: CallId, cseq: u32) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(at) = call.unacked.iter().position(|u| u.cseq == cseq) else { return };
        let unacked = call.unacked.swap_remove(at);
        self.timers.cancel(unacked.again);
        self.counters.timeouts += 1;
        self.end_call(now, id, Ending { cause: EndCause::NoAck, bye: true });
    }

    fn rang_too_long(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.expire = None;
        match call.phase {
            Phase::Incoming { tx, .. } => {
                let tag = call.dialog.local_tag.clone();
                self.respond_pending(now, tx, 480, &tag, &[], None);
                self.refuse_pending(now, id);
                self.finish(id, Some(EndCause::NoAnswer));
            }
            Phase::Calling { .. } if !call.ended => {
                let reason = EndCause::NoAnswer.reason();
                self.give_up(now, id, EndCause::NoAnswer, reason.as_ref());
            }
            _ => {}
        }
    }
}
