//! Client transactions (RFC 3261 17.1, RFC 6026 7.2).
//!
//! ```text
//! INVITE:      Calling ─1xx▶ Proceeding ─2xx▶ Accepted (M)        others: Trying ─1xx▶ Proceeding ─final▶ Completed (K)
//!                     └──────┴─300-699▶ Completed (D), ACK
//! ```

use std::time::Duration;

use bytes::Bytes;

use super::ClientKey;
use crate::{
    config::Timers,
    digest::Tried,
    event::CallId,
    message::{Headers, Method, Name, Reason, Request, Response},
    register::RegistrationId,
    session_id::SessionId,
    subscribe::SubscriptionId,
    timer::Alarm,
    wire::Flow,
};

/// Whose transaction it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// The INVITE that opens this call.
    Invite(CallId),
    /// A re-INVITE or UPDATE of this call.
    Change(CallId),
    /// A request in this call whose failure matters only if the call is forgotten there.
    Info(CallId),
    /// A REGISTER of ours.
    Register(RegistrationId),
    /// A NOTIFY of this subscription.
    Notify(SubscriptionId),
    /// BYE, CANCEL, PRACK: nobody waits for the response.
    Nobody,
}

impl User {
    /// The call it is part of, if it has one.
    pub(crate) fn call(self) -> Option<CallId> {
        match self {
            Self::Invite(call) | Self::Change(call) | Self::Info(call) => Some(call),
            Self::Register(_) | Self::Notify(_) | Self::Nobody => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

/// What a response means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The user has to know of it.
    New,
    /// It was there before; nothing to do.
    Again,
    /// A non-2xx final response to INVITE, again: send the ACK again.
    AckAgain,
}

/// One client transaction.
pub(crate) struct Client {
    pub key: ClientKey,
    pub user: User,
    pub flow: Flow,
    pub request: Request,
    pub bytes: Bytes,
    state: State,
    /// Wait before the next retransmission.
    interval: Duration,
    pub resend: Option<Alarm>,
    pub give_up: Option<Alarm>,
    pub done: Option<Alarm>,
    /// CANCEL was sent: the final response has 64·T1 to come.
    pub cancel_sent: bool,
    /// Sent over TCP for its size: where to send it over UDP when that fails (18.1.1).
    pub fallback: Option<Flow>,
    /// Sent over TCP for its size only: the way of what follows.
    pub natural: Option<Flow>,
    /// The ACKs sent, by To tag: to be sent again when their 2xx comes again. One per fork.
    pub acks: Vec<(Bytes, Flow, Bytes)>,
    /// The challenges it was sent again for.
    pub tried: Tried,
}

impl Client {
    pub(crate) fn new(key: ClientKey, user: User, flow: Flow, request: Request, timers: &Timers) -> Self {
        let bytes = request.to_bytes();
        Self {
            key,
            user,
            flow,
            request,
            bytes,
            state: State::Calling,
            interval: timers.t1,
            resend: None,
            give_up: None,
            done: None,
            cancel_sent: false,
            fallback: None,
            natural: None,
            acks: Vec::new(),
            tried: Tried::default(),
        }
    }

    pub(crate) fn is_invite(&self) -> bool {
        self.key.method == Method::Invite
    }

    /// No response at all yet.
    pub(crate) fn is_calling(&self) -> bool {
        self.state == State::Calling
    }

    /// No final response yet.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling | State::Proceeding)
    }

    /// A response arrived.
    pub(crate) fn hear(&mut self, status: u16) -> Heard {
        let next = match status {
            100..200 => State::Proceeding,
            200..300 if self.is_invite() => State::Accepted,
            _ => State::Completed,
        };
        match (self.state, next) {
            (State::Calling | State::Proceeding, _) => {
                self.state = next;
                Heard::New
            }
            // 2xx of further forks, and again: the user's ACKs answer them.
            (State::Accepted, State::Accepted) => Heard::New,
            (State::Completed, State::Completed) if self.is_invite() => Heard::AckAgain,
            _ => Heard::Again,
        }
    }

    /// Timer A or E fired: whether to send again, and the wait until the next time (17.1.1.2, 17.1.2.2).
    pub(crate) fn resend(&mut self, timers: &Timers) -> Option<Duration> {
        match (self.state, self.is_invite()) {
            (State::Calling, true) => self.interval *= 2,
            (State::Calling, false) => self.interval = (self.interval * 2).min(timers.t2),
            (State::Proceeding, false) => self.interval = timers.t2,
            _ => return None,
        }
        Some(self.interval)
    }

    /// How long to stay when the final response is there: D, K or M.
    pub(crate) fn linger(&self, timers: &Timers) -> Duration {
        let reliable = self.flow.protocol.reliable();
        match self.state {
            State::Accepted => super::whole(timers),
            _ if reliable => Duration::ZERO,
            _ if self.is_invite() => super::whole(timers).max(Duration::from_secs(32)),
            _ => timers.t4,
        }
    }

    /// The ACK for a final response other than 2xx (17.1.1.3).
    pub(crate) fn ack(&self, response: &Response) -> Request {
        let mut ack = self.sibling(Method::Ack, response.headers.value(&Name::To));
        if let Some(mut session) = SessionId::of(&self.request.headers) {
            session.heard_response(&response.headers);
            ack.headers.push(Name::SessionId, session.to_string());
        }
        ack
    }

    /// The CANCEL of this INVITE (9.1); its Session-ID is that of the INVITE (RFC 7989 6).
    pub(crate) fn cancel(&self, reason: Option<&Reason>) -> Request {
        let mut cancel = self.sibling(Method::Cancel, None);
        for session in self.request.headers.all(&Name::SessionId) {
            cancel.headers.push(Name::SessionId, session.clone());
        }
        if let Some(reason) = reason {
            cancel.headers.push(Name::Reason, reason.to_string());
        }
        cancel
    }

    /// A request with the same Via, dialog and route.
    fn sibling(&self, method: Method, to: Option<&Bytes>) -> Request {
        let mut headers = Headers::new();
        for header in self.request.headers.iter() {
            match header.name {
                Name::Via | Name::From | Name::CallId | Name::MaxForwards | Name::Route | Name::UserAgent => {
                    headers.push(header.name.clone(), header.value.clone());
                }
                Name::To => headers.push(Name::To, to.unwrap_or(&header.value).clone()),
                Name::CSeq => {
                    let number = crate::message::scan::split_word(&header.value).0;
                    let text = String::from_utf8_lossy(number);
                    headers.push(Name::CSeq, format!("{text} {method}"));
                }
                _ => {}
            }
        }
        Request { method, uri: self.request.uri.clone(), headers, body: Bytes::new() }
    }
}
