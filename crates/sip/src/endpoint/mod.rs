//! The user agent core.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

use crate::{
    config::Config,
    counters::Counters,
    event::{CallId, Event, Refused, Target},
    transport::{ConnId, Input, Transmit},
};

/// One user agent core for all calls: transactions, dialogs, sessions; UAS and UAC.
pub struct Endpoint {
    config: Config,
    counters: Counters,
    events: VecDeque<Event>,
    transmits: VecDeque<Transmit>,
}

impl Endpoint {
    /// `seed` makes tags, branches and back-off times; take a random one, tests a fixed one.
    pub fn new(config: Config, seed: u64) -> Self {
        let _ = seed;
        Self { config, counters: Counters::default(), events: VecDeque::new(), transmits: VecDeque::new() }
    }

    /// The configuration, for instance to note addresses bound later.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// What was received, sent and dropped.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A datagram, or a read from a connection.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        let _ = (now, input);
    }

    /// A connection asked for by [`Transport::TcpConnect`](crate::Transport::TcpConnect) stands, or one was accepted (that may
    /// be left unsaid: the first input tells it too).
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId, local: std::net::SocketAddr, remote: std::net::SocketAddr) {
        let _ = (now, conn, local, remote);
    }

    /// A connection that was asked for cannot be made.
    pub fn handle_connect_failed(&mut self, now: Instant, remote: std::net::SocketAddr) {
        let _ = (now, remote);
    }

    /// A connection is gone.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        let _ = (now, conn);
    }

    /// The time of [`Endpoint::poll_timeout`] has come (calling it early or often does no harm).
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// When [`Endpoint::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next piece to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Calls with a dialog or an INVITE under way.
    pub fn calls(&self) -> usize {
        0
    }

    /// Tells an incoming caller that it rings (180).
    pub fn ring(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        let _ = (now, call);
        Err(Refused::NoSuchCall)
    }

    /// Takes an incoming call: 200 with our answer, or our offer when the INVITE had none. The 2xx is repeated until the ACK.
    pub fn accept(&mut self, now: Instant, call: CallId, sdp: Bytes) -> Result<(), Refused> {
        let _ = (now, call, sdp);
        Err(Refused::NoSuchCall)
    }

    /// Refuses an incoming call (300–699) with further headers (`Warning`, `Retry-After` …). Nothing more is said of it.
    pub fn reject(&mut self, now: Instant, call: CallId, status: u16, headers: &[(&str, &str)]) -> Result<(), Refused> {
        let _ = (now, call, status, headers);
        Err(Refused::NoSuchCall)
    }

    /// Answers a re-INVITE: our answer, or our offer when it had none.
    pub fn answer_reoffer(&mut self, now: Instant, call: CallId, sdp: Bytes) -> Result<(), Refused> {
        let _ = (now, call, sdp);
        Err(Refused::NoSuchCall)
    }

    /// Refuses a re-INVITE (488, say); the call goes on as it was.
    pub fn reject_reoffer(&mut self, now: Instant, call: CallId, status: u16, headers: &[(&str, &str)]) -> Result<(), Refused> {
        let _ = (now, call, status, headers);
        Err(Refused::NoSuchCall)
    }

    /// Calls out, with our offer, or asking the other side to offer (`None`, then [`Event::Offer`] and [`Endpoint::answer`]).
    pub fn call(&mut self, now: Instant, target: Target, sdp: Option<Bytes>) -> Result<CallId, Refused> {
        let _ = (now, target, sdp);
        Err(Refused::NoAddress)
    }

    /// Our answer to [`Event::Offer`], into the ACK.
    pub fn answer(&mut self, now: Instant, call: CallId, sdp: Bytes) -> Result<(), Refused> {
        let _ = (now, call, sdp);
        Err(Refused::NoSuchCall)
    }

    /// Sends a re-INVITE, with our offer or without; as soon as nothing else is under way in the call. A newer one replaces one
    /// that still waits. Glare (491) is resolved here (RFC 3261 14.1).
    pub fn reoffer(&mut self, now: Instant, call: CallId, sdp: Option<Bytes>) -> Result<(), Refused> {
        let _ = (now, call, sdp);
        Err(Refused::NoSuchCall)
    }

    /// Ends a call by what fits its state: BYE, CANCEL, or 480. `reason` goes into a Reason header (RFC 3326).
    /// [`Event::Ended`] with [`EndCause::LocalHangUp`](crate::EndCause::LocalHangUp) follows at once.
    pub fn hangup(&mut self, now: Instant, call: CallId, reason: Option<&str>) -> Result<(), Refused> {
        let _ = (now, call, reason);
        Err(Refused::NoSuchCall)
    }

    /// Sends an INFO within the call.
    pub fn info(&mut self, now: Instant, call: CallId, content_type: &str, body: Bytes) -> Result<(), Refused> {
        let _ = (now, call, content_type, body);
        Err(Refused::NoSuchCall)
    }

    /// Asks for a key frame by INFO (RFC 5168).
    pub fn fast_update(&mut self, now: Instant, call: CallId) -> Result<(), Refused> {
        let _ = (now, call);
        Err(Refused::NoSuchCall)
    }
}
