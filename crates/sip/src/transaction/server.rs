//! Server transactions (RFC 3261 17.2, RFC 6026 7.1).
//!
//! ```text
//! INVITE:  Proceeding ─2xx▶ Accepted (L)                    others: Proceeding ─final▶ Completed (J)
//!                └─300-699▶ Completed (G, H) ─ACK▶ Confirmed (I)
//! ```

use std::time::Duration;

use bytes::Bytes;

use super::ServerKey;
use crate::{config::Timers, event::CallId, message::Request, timer::Alarm, wire::Flow};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
}

/// What a request that matches the transaction means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Send this again.
    Resend(Bytes),
    /// Nothing to do.
    Absorb,
    /// An ACK that ends the retransmission of a refusal.
    Acked,
    /// An ACK for a 2xx: the call's business.
    ForCall,
}

/// One server transaction.
pub(crate) struct Server {
    pub key: ServerKey,
    pub merge: Option<Box<[u8]>>,
    /// Where responses go.
    pub flow: Flow,
    /// The call whose INVITE it is.
    pub call: Option<CallId>,
    /// INVITE: kept to build its responses from, until the final one.
    pub request: Option<Box<Request>>,
    pub invite: bool,
    /// Last response.
    pub last: Option<Bytes>,
    state: State,
    interval: Duration,
    pub trying: Option<Alarm>,
    pub respond: Option<Alarm>,
    pub end: Option<Alarm>,
}

impl Server {
    pub(crate) fn new(key: ServerKey, flow: Flow, invite: bool, timers: &Timers) -> Self {
        Self {
            key,
            merge: None,
            flow,
            call: None,
            request: None,
            invite,
            last: None,
            state: State::Proceeding,
            interval: timers.t1,
            trying: None,
            respond: None,
            end: None,
        }
    }

    /// No final response yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.state == State::Proceeding
    }

    /// The same request again, or the ACK of this INVITE.
    pub(crate) fn repeated(&mut self, is_ack: bool) -> Repeat {
        match (self.state, is_ack) {
            (State::Completed, true) if self.invite => {
                self.state = State::Confirmed;
                Repeat::Acked
            }
            (State::Accepted, true) => Repeat::ForCall,
            // The call itself repeats its 2xx.
            (State::Accepted | State::Confirmed, _) | (_, true) => Repeat::Absorb,
            (State::Proceeding | State::Completed, false) => {
                self.last.clone().map_or(Repeat::Absorb, Repeat::Resend)
            }
        }
    }

    /// A response is sent; final ones move the machine.
    pub(crate) fn responded(&mut self, status: u16, bytes: Bytes) {
        self.last = Some(bytes);
        match status {
            100..200 => {}
            200..300 if self.invite => {
                self.state = State::Accepted;
                // The call keeps its own copy for as long as it needs it.
                self.last = None;
            }
            _ => self.state = State::Completed,
        }
        if status >= 200 {
            self.request = None;
        }
    }

    /// Timer G: the response to send again, and the wait until the next time.
    pub(crate) fn resend(&mut self, timers: &Timers) -> Option<(Bytes, Duration)> {
        if self.state != State::Completed || !self.invite {
            return None;
        }
        self.interval = (self.interval * 2).min(timers.t2);
        Some((self.last.clone()?, self.interval))
    }

    /// How long to stay after the final response: J, L, or H while the ACK is missing.
    pub(crate) fn linger(&self, timers: &Timers) -> Duration {
        match self.state {
            State::Completed if !self.invite && self.flow.protocol.reliable() => Duration::ZERO,
            State::Confirmed if self.flow.protocol.reliable() => Duration::ZERO,
            State::Confirmed => timers.t4,
            _ => super::whole(timers),
        }
    }

    /// Whether the final response is a refusal of an INVITE, to be repeated until its ACK.
    pub(crate) fn awaits_ack(&self) -> bool {
        self.invite && self.state == State::Completed
    }
}
