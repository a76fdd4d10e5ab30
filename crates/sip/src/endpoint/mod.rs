//! The user agent core: what comes in goes through here, top down: wire, message, transaction, dialog, call.

mod body;
mod ending;
mod info;
mod input;
mod invite;
mod outgoing;
mod reinvite;
mod requests;
mod respond;
mod responses;
mod resume;
mod timers;
mod told;
mod transact;

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    time::Instant,
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    call::Call,
    config::Config,
    counters::Counters,
    event::{CallId, Event},
    timer::Queue,
    transaction::{Tables, Timer, TxId},
    transport::{ConnId, Transmit},
    wire::Wire,
};

/// One user agent core for all calls: transactions, dialogs, sessions; UAS and UAC.
pub struct Endpoint {
    config: Config,
    counters: Counters,
    rng: StdRng,
    /// Makes tags of responses without state the same for every retransmission (RFC 3261 8.2.7).
    secret: u64,
    wire: Wire,
    tx: Tables,
    timers: Queue<Due>,
    calls: HashMap<CallId, Call>,
    /// Calls by our tag.
    by_tag: HashMap<Bytes, CallId>,
    last_call: u64,
    events: VecDeque<Event>,
}

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Due {
    Client(TxId, Timer),
    Server(TxId, Timer),
    /// Repeat a 2xx.
    Again(CallId, u32),
    /// A 2xx was not acknowledged.
    NoAck(CallId, u32),
    /// Repeat the 1xx of a ringing call.
    Ring(CallId),
    /// It rang too long.
    Expire(CallId),
    /// Try the re-INVITE again.
    Glare(CallId),
}

impl Endpoint {
    /// `seed` makes tags, branches and back-off times; take a random one, tests a fixed one.
    pub fn new(config: Config, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            wire: Wire::new(config.max_connections),
            config,
            counters: Counters::default(),
            secret: rng.random(),
            rng,
            tx: Tables::new(),
            timers: Queue::new(),
            calls: HashMap::new(),
            by_tag: HashMap::new(),
            last_call: 0,
            events: VecDeque::new(),
        }
    }

    /// The configuration, for instance to note addresses bound later.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// What was received, sent and dropped.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// When [`Endpoint::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next piece to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.wire.poll()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Calls with a dialog or an INVITE under way, those that are being ended included.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Transactions that are kept, the finished ones that wait for retransmissions included.
    pub fn transactions(&self) -> usize {
        self.tx.len()
    }

    /// A connection asked for by [`Transport::TcpConnect`](crate::Transport::TcpConnect) stands, or one was accepted (that may
    /// be left unsaid: the first input tells it too).
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId, local: SocketAddr, remote: SocketAddr) {
        let _ = (now, local);
        self.wire.open(conn, remote, self.config.limits, &mut self.counters);
    }

    /// A connection that was asked for cannot be made.
    pub fn handle_connect_failed(&mut self, now: Instant, remote: SocketAddr) {
        for tx in self.wire.connect_failed(remote, &mut self.counters) {
            self.client_failed(now, tx, true);
        }
    }

    /// A connection is gone.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        for tx in self.wire.closed(conn) {
            self.client_failed(now, tx, true);
        }
    }

    fn new_call_id(&mut self) -> CallId {
        self.last_call += 1;
        CallId(self.last_call)
    }

    /// Random text for tags, branches and Call-IDs.
    fn token(&mut self) -> String {
        format!("{:016x}", self.rng.random::<u64>())
    }

    /// A tag that is the same whenever it is made of the same message.
    fn stateless_tag(&self, parts: &[&[u8]]) -> String {
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        parts.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}
