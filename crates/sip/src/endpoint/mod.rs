//! The user agent core: what comes in goes through here, top down: wire, message, transaction, dialog, call.

mod auth;
mod body;
mod change;
mod early;
mod ending;
mod events;
mod info;
mod input;
mod invite;
mod notify;
mod outgoing;
mod refer;
mod refresh;
mod register;
mod registrar;
mod reinvite;
mod reliable;
mod requests;
mod respond;
mod responses;
mod subscribe;
mod timers;
mod transact;
mod update;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    time::Instant,
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use events::Events;

use crate::{
    call::Call,
    config::Config,
    counters::Counters,
    digest::Guard,
    event::{CallId, Event},
    register::{RegistrationId, Registrations},
    registrar::Registrar,
    subscribe::{SubscriptionId, Subscriptions},
    timer::{Alarm, Queue},
    transaction::{Tables, Timer, TxId},
    transport::{ConnId, Transmit},
    wire::{Bounds, Wire},
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
    events: Events,
    /// Where nobody listens on TCP, and until when that is believed (RFC 3261 18.1.1).
    no_tcp: HashMap<SocketAddr, Instant>,
    /// Checks credentials, when there are accounts.
    guard: Option<Guard>,
    registrar: Option<Registrar>,
    bindings_due: Option<Alarm>,
    registrations: Registrations,
    subscriptions: Subscriptions,
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
    /// Try the re-INVITE or UPDATE again.
    Glare(CallId),
    /// Repeat a reliable provisional response.
    Reliable(CallId),
    /// A reliable provisional response was not acknowledged.
    NoPrack(CallId),
    /// Refresh the session.
    Refresh(CallId),
    /// The session was not refreshed.
    SessionOver(CallId),
    /// A connection owes a message, or the rest of one.
    Idle(ConnId),
    /// A binding at our registrar ends.
    Bindings,
    /// A registration of ours is to be refreshed or tried again.
    Register(RegistrationId),
    /// A subscription ends.
    Subscription(SubscriptionId),
    /// The subscribers of a conference are to be told what changed.
    Watched(std::sync::Arc<str>),
}

impl Endpoint {
    /// `seed` makes tags, branches and back-off times; take a random one, tests a fixed one.
    pub fn new(config: Config, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let guard = config.digest.clone().map(|digest| Guard::new(digest, rng.random()));
        let registrar = config.registrar.clone().map(Registrar::new);
        Self {
            wire: Wire::new(Bounds {
                connections: config.max_connections,
                queued: config.max_queued,
                partial: config.max_partial,
            }),
            config,
            counters: Counters::default(),
            secret: rng.random(),
            rng,
            tx: Tables::new(),
            timers: Queue::new(),
            calls: HashMap::new(),
            by_tag: HashMap::new(),
            last_call: 0,
            events: Events::default(),
            no_tcp: HashMap::new(),
            guard,
            registrar,
            bindings_due: None,
            registrations: Registrations::default(),
            subscriptions: Subscriptions::default(),
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
        self.events.pop()
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
        let _ = local;
        self.opened(now, conn, remote, false);
    }

    /// A connection that was asked for cannot be made.
    pub fn handle_connect_failed(&mut self, now: Instant, remote: SocketAddr) {
        self.note_no_tcp(now, remote);
        for tx in self.wire.connect_failed(remote, &mut self.counters) {
            self.client_failed(now, tx, true);
        }
    }

    /// A connection is gone.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        let (clients, idle) = self.wire.closed(conn);
        self.timers.cancel(idle);
        for tx in clients {
            self.client_failed(now, tx, true);
        }
        self.connection_lost(now, conn);
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
        format!("{:016x}", self.stateless(parts))
    }

    /// A number that is the same whenever it is made of the same parts, and that nobody else can guess.
    fn stateless(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        parts.hash(&mut hasher);
        hasher.finish()
    }
}
