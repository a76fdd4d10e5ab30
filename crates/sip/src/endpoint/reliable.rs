//! Provisional responses sent reliably, and their PRACKs (RFC 3262 3, 5).

use std::time::Instant;

use bytes::Bytes;
use rand::RngExt;

use super::{Due, Endpoint, body, invite::text, respond::Extra};
use crate::{
    call::{Checked, Phase, Unpracked},
    end::EndCause,
    event::{CallId, Event, Refused},
    message::{Headers, Method, Name, scan},
    session_timer,
    transaction::whole,
};

/// Provisional responses that wait for the PRACK of the one before.
const MOST_WAITING: usize = 4;

impl Endpoint {
    /// Tells an incoming caller how far its call is (101–199), with a description when there is early media (183): our answer, or
    /// our offer when the INVITE had none. Sent reliably when the caller requires that, or supports it and there is a description;
    /// such a description holds, and what `accept` is given later is left out. One that could not be sent reliably must be given
    /// to `accept` once more.
    ///
    /// Errors when the call is over or already answered, for an offer that cannot be sent reliably, and when too many wait for
    /// their PRACK.
    pub fn progress(
        &mut self,
        now: Instant,
        call: CallId,
        status: u16,
        sdp: Option<Bytes>,
    ) -> Result<(), Refused> {
        let id = call;
        let status = status.clamp(101, 199);
        let call = self.calls.get_mut(&id).filter(|c| !c.ended).ok_or(Refused::NoSuchCall)?;
        let Phase::Incoming { tx, offered, .. } = call.phase else { return Err(Refused::WrongState) };
        if call.reliable.accept.is_some() || (sdp.is_some() && !offered && !call.peer.reliable) {
            return Err(Refused::WrongState);
        }
        let described = call.agreed.is_some() || call.reliable.describes();
        let reliably = call.peer.only_reliable || (call.peer.reliable && sdp.is_some());
        if !reliably {
            let (tag, contact) = (call.dialog.local_tag.clone(), text(&call.dialog.contact));
            self.respond_pending(now, tx, status, &tag, &[(Name::Contact, &contact)], sdp);
            return Ok(());
        }
        if !offered && sdp.is_none() && !described {
            // The first reliable response would have to bring our offer (5), and the caller takes no other: 100 has to do.
            return Ok(());
        }
        // There is one answer; it is on its way.
        let sdp = sdp.filter(|_| !described);
        if call.reliable.unacked.is_some() {
            if call.reliable.waiting.len() >= MOST_WAITING {
                return Err(Refused::TooMany);
            }
            call.reliable.waiting.push_back((status, sdp));
            return Ok(());
        }
        self.send_reliable(now, id, status, sdp);
        Ok(())
    }

    fn send_reliable(&mut self, now: Instant, id: CallId, status: u16, sdp: Option<Bytes>) {
        let first = self.rng.random_range(1..0x4000_0000);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Phase::Incoming { tx, .. } = call.phase else { return };
        let Some(flow) = self.tx.servers.get(&tx).map(|s| s.flow) else { return };
        call.reliable.rseq = if call.reliable.rseq == 0 { first } else { call.reliable.rseq.wrapping_add(1) };
        let (tag, contact) = (call.dialog.local_tag.clone(), text(&call.dialog.contact));
        let rseq = call.reliable.rseq.to_string();
        let described = sdp.is_some();
        if described {
            call.local_sdp.clone_from(&sdp);
        }
        let supported = self.supported();
        let extra: [Extra<'_>; 5] = [
            (Name::Contact, &contact),
            (Name::Allow, self.allow()),
            (Name::Supported, &supported),
            (Name::Require, "100rel"),
            (Name::RSeq, &rseq),
        ];
        let Some(bytes) = self.respond_pending(now, tx, status, &tag, &extra, sdp) else { return };
        let interval = self.config.timers.t1;
        let again = Some(self.timers.set(now + interval, Due::Reliable(id)));
        let give_up = Some(self.timers.set(now + whole(&self.config.timers), Due::NoPrack(id)));
        if let Some(call) = self.calls.get_mut(&id) {
            call.reliable.unacked = Some(Unpracked { flow, bytes, interval, again, give_up, described });
        }
    }

    /// T1 doubled each time, without bound (3).
    pub(super) fn repeat_reliable(&mut self, now: Instant, id: CallId) {
        let Some(unacked) = self.calls.get_mut(&id).and_then(|c| c.reliable.unacked.as_mut()) else { return };
        unacked.interval *= 2;
        unacked.again = Some(self.timers.set(now + unacked.interval, Due::Reliable(id)));
        self.counters.retransmitted += 1;
        self.wire.send(&unacked.flow, unacked.bytes.clone(), None, &mut self.counters);
    }

    /// 64·T1 without PRACK: the INVITE is refused with a 5xx (3).
    pub(super) fn never_pracked(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let Phase::Incoming { tx, .. } = call.phase else { return };
        let tag = call.dialog.local_tag.clone();
        self.counters.timeouts += 1;
        self.respond_pending(now, tx, 504, &tag, &[], None);
        self.refuse_pending(now, id);
        self.finish(id, Some(EndCause::NoPrack));
    }

    /// A PRACK of the other side; its CSeq is checked already.
    pub(super) fn prack_received(&mut self, now: Instant, id: CallId, checked: Checked) {
        let Some((rseq, cseq)) = rack(&checked.request.headers) else {
            self.counters.malformed += 1;
            return self.respond_final(now, checked, 400, &[]);
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let invite = match call.phase {
            Phase::Incoming { tx, cseq, offered, .. } => Some((tx, cseq, offered)),
            _ => None,
        };
        let matches = call.reliable.rseq == rseq && invite.is_none_or(|(_, number, _)| number == cseq);
        if call.reliable.unacked.is_none() || !matches {
            return self.respond_final(now, checked, 481, &[]);
        }
        let sdp = match body::description(&checked.request.headers, &checked.request.body) {
            Ok(sdp) => sdp,
            Err(foreign) => return self.foreign_body(now, checked, foreign),
        };
        let Some(unacked) = call.reliable.unacked.take() else { return };
        self.timers.cancel(unacked.again);
        self.timers.cancel(unacked.give_up);
        let Some((tx, _, offered)) = invite else {
            // Late, but as it should be: the final response has overtaken it.
            return self.respond_final(now, checked, 200, &[]);
        };
        if unacked.described {
            call.agreed = Some(call.dialog.remote_tag.clone());
        }
        match (unacked.described && !offered, sdp) {
            (true, Some(sdp)) => {
                call.remote_sdp = Some(sdp.clone());
                self.respond_final(now, checked, 200, &[]);
                self.events.push_back(Event::Answer { call: id, sdp });
            }
            (true, None) => {
                let tag = call.dialog.local_tag.clone();
                self.respond_final(now, checked, 200, &[]);
                self.respond_pending(now, tx, 400, &tag, &[], None);
                return self.finish(id, Some(EndCause::NoDescription));
            }
            // A new offer, once the first has its answer (5).
            (false, Some(sdp)) if call.agreed.is_some() && !call.their_offer_pending() => {
                self.ask_owner(now, id, &checked, Some(sdp), session_timer::Response::Off);
            }
            (false, _) => self.respond_final(now, checked, 200, &[]),
        }
        if let Some((status, sdp)) = self.calls.get_mut(&id).and_then(|c| c.reliable.waiting.pop_front()) {
            self.send_reliable(now, id, status, sdp);
        }
        self.release_accept(now, id);
        self.next_change(now, id);
    }

    /// Sends the 2xx that waited for a PRACK, or for our answer to the offer in one.
    pub(super) fn release_accept(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.must_wait() {
            return;
        }
        if let Some(sdp) = call.reliable.accept.take() {
            let _ = self.accept(now, id, sdp);
        }
    }
}

/// RAck of an INVITE: number of the response, number of the request (7.2).
fn rack(headers: &Headers) -> Option<(u32, u32)> {
    let (rseq, rest) = scan::split_word(headers.value(&Name::RAck)?);
    let (cseq, method) = scan::split_word(rest);
    let is_invite = Method::parse(method) == Some(Method::Invite);
    Some((scan::number(rseq)?, scan::number(cseq)?)).filter(|_| is_invite)
}
