//! Threads that own RTP sockets and run one sans-IO media core each.
//!
//! Received datagrams are read in batches (`recvmmsg` with GRO); datagrams of one picture for one receiver go out in one call (GSO).

use std::{
    collections::HashMap,
    hash::Hash,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use bytes::{Bytes, BytesMut};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use mio::{Events, Interest, Poll, Token, Waker};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};

use crate::{Clock, drops, limits, load::Load};

/// Token of the waker; sockets count from one.
const WAKE: Token = Token(0);
/// Datagrams (each of up to 64 packets, by GRO) read by one call: a line has few waiting, and what the kernel is told of each costs time.
const BATCH: usize = 4;
/// From so many sockets a second on that have something …
const BUSY: u32 = 5_000;
/// … a thread lets them gather for this long: a wake-up costs as much as reading two of them, for who sends as for who reads.
const GATHER: Duration = Duration::from_millis(1);
/// Sockets read between two looks at the clock.
const SOCKETS: usize = 16;
/// Sleeping for less costs more than it saves.
const NAP: Duration = Duration::from_micros(100);
/// Batches read from one socket before the others get their turn.
const BATCHES_PER_TURN: usize = 16;
/// Sockets and commands on their way to a thread; a sender waits when there are more. The thread itself never waits for senders.
const INBOX: usize = 4096;
/// Bytes of one piece of memory for what has come: below what the C library fetches from the system each time.
const ARENA: usize = 64 << 10;
/// A datagram that seems to have waited for longer did not: the wall clock was set.
const OLDEST: Duration = Duration::from_secs(1);
/// One GRO buffer: the largest datagram the kernel hands over, coalesced or not.
const BUFFER: usize = 65_536;

/// Datagrams to be sent from one port.
#[derive(Debug)]
pub struct Transmit<P> {
    /// The port they leave from.
    pub port: P,
    /// Where to.
    pub to: SocketAddr,
    /// One datagram, or several of `segment` bytes each (the last may be shorter).
    pub data: Bytes,
    /// Size of one datagram when `data` holds several.
    pub segment: Option<usize>,
}

/// A media core: takes packets, commands and the time, gives packets, events and its next time-out.
pub trait Core: Send + 'static {
    /// Names a socket.
    type Port: Copy + Eq + Hash + Send + 'static;
    /// What signalling asks.
    type Command: Send + 'static;
    /// What it reports.
    type Event: Send + 'static;

    /// A datagram is read that the machine got `at` that time: a busy one some time before `now`.
    fn handle_packet(&mut self, now: Instant, at: Instant, port: Self::Port, from: SocketAddr, data: Bytes);
    /// A command of signalling.
    fn handle_command(&mut self, now: Instant, command: Self::Command);
    /// The time of [`Core::poll_timeout`] has come.
    fn handle_timeout(&mut self, now: Instant);
    /// Work done elsewhere (a decoded or encoded picture) may be ready.
    fn handle_wake(&mut self, now: Instant);
    /// When [`Core::handle_timeout`] wants to be called next.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The next datagrams to send.
    fn poll_transmit(&mut self) -> Option<Transmit<Self::Port>>;
    /// The next report.
    fn poll_event(&mut self) -> Option<Self::Event>;
}

enum Message<C: Core> {
    Add(C::Port, UdpSocket),
    Remove(C::Port),
    Command(C::Command),
    Stop,
}

/// Talks to one media thread.
pub struct Handle<C: Core> {
    messages: Sender<Message<C>>,
    waker: Arc<Waker>,
    load: Arc<Load>,
}

impl<C: Core> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self { messages: self.messages.clone(), waker: self.waker.clone(), load: self.load.clone() }
    }
}

impl<C: Core> Handle<C> {
    /// Gives a socket to the thread.
    pub fn add(&self, port: C::Port, socket: UdpSocket) {
        self.send(Message::Add(port, socket));
    }

    /// Closes a socket after everything queued before has been sent.
    pub fn remove(&self, port: C::Port) {
        self.send(Message::Remove(port));
    }

    /// Hands over a command.
    pub fn command(&self, command: C::Command) {
        self.send(Message::Command(command));
    }

    /// How busy the thread is.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.send(Message::Stop);
    }

    fn send(&self, message: Message<C>) {
        // A full queue has woken the thread already. Fails only when the thread has ended, and then nobody is there to miss it.
        let _ = self.messages.send(message);
        let _ = self.waker.wake();
    }
}

/// Starts a media thread. `build` gets a function that wakes the thread from any other ([`Core::handle_wake`]);
/// `events` receives the core's reports on the media thread and must not block. `urgent`: before the other threads of this machine, where the
/// system allows it ([`limits::be_urgent`]).
///
/// # Errors
/// When the system refuses the poll set or the thread.
pub fn spawn<C: Core>(
    name: &str,
    urgent: bool,
    build: impl FnOnce(Arc<dyn Fn() + Send + Sync>) -> C,
    events: impl FnMut(C::Event) + Send + 'static,
) -> io::Result<(Handle<C>, thread::JoinHandle<()>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
    let (messages, inbox) = bounded(INBOX);
    let wake: Arc<dyn Fn() + Send + Sync> = {
        let waker = waker.clone();
        Arc::new(move || {
            let _ = waker.wake();
        })
    };
    let core = build(wake);
    let load = Arc::new(Load::default());
    let handle = Handle { messages, waker: waker.clone(), load: load.clone() };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        if urgent {
            limits::be_urgent();
        }
        Runner::new(poll, waker, inbox, core, events, load).run();
    })?;
    Ok((handle, thread))
}

struct Port<P> {
    name: P,
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
}

struct Runner<C: Core, F> {
    poll: Poll,
    /// Kept until the end: a waker closed by the last handle takes its unread wake-up with it.
    _waker: Arc<Waker>,
    inbox: Receiver<Message<C>>,
    core: C,
    events: F,
    /// By token less one.
    ports: Vec<Option<Port<C::Port>>>,
    tokens: HashMap<C::Port, Token>,
    /// Places in `ports` that are free.
    free: Vec<usize>,
    buffers: [Vec<u8>; BATCH],
    /// Where what has come is kept, datagram behind datagram: one piece of memory for dozens of them.
    arena: BytesMut,
    /// Sockets with more to read than one turn allowed.
    unread: Vec<Token>,
    load: Arc<Load>,
    traffic: Traffic,
}

/// How many sockets have something, by the tenth of a second.
#[derive(Debug)]
struct Traffic {
    since: Instant,
    count: u32,
    busy: bool,
}

impl Traffic {
    fn new(now: Instant) -> Self {
        Self { since: now, count: 0, busy: false }
    }

    fn note(&mut self, now: Instant, sockets: usize) {
        self.count += u32::try_from(sockets).unwrap_or(u32::MAX);
        if now.saturating_duration_since(self.since) >= Duration::from_millis(100) {
            *self = Self { since: now, count: 0, busy: self.count >= BUSY / 10 };
        }
    }
}

impl<C: Core, F: FnMut(C::Event)> Runner<C, F> {
    fn new(
        poll: Poll,
        waker: Arc<Waker>,
        inbox: Receiver<Message<C>>,
        core: C,
        events: F,
        load: Arc<Load>,
    ) -> Self {
        Self {
            poll,
            _waker: waker,
            inbox,
            core,
            events,
            ports: Vec::new(),
            tokens: HashMap::new(),
            free: Vec::new(),
            buffers: std::array::from_fn(|_| vec![0; BUFFER]),
            arena: BytesMut::with_capacity(ARENA),
            unread: Vec::new(),
            load,
            traffic: Traffic::new(Clock::now()),
        }
    }

    fn run(mut self) {
        let mut ready = Events::with_capacity(1024);
        let mut tokens = Vec::new();
        let mut woke = Clock::now();
        loop {
            let slept = Clock::now();
            if self.traffic.busy && self.unread.is_empty() {
                self.gather(woke + GATHER);
            }
            let wait = if self.unread.is_empty() {
                self.core.poll_timeout().map(|at| at.saturating_duration_since(Clock::now()))
            } else {
                Some(Duration::ZERO)
            };
            if let Err(e) = self.poll.poll(&mut ready, wait)
                && e.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!("media thread cannot wait for packets: {e}");
                return;
            }
            self.load.worked(slept.saturating_duration_since(woke), slept);
            woke = Clock::now();
            tokens.append(&mut self.unread);
            let again = tokens.len();
            self.traffic.note(woke, ready.iter().count());
            let mut woken = false;
            for event in &ready {
                match event.token() {
                    WAKE => woken = true,
                    // The system names each once; only those of the turn before may be among them.
                    token if !tokens.iter().take(again).any(|t| *t == token) => tokens.push(token),
                    _ => {}
                }
            }
            if woken && !self.read_messages() {
                self.flush();
                return;
            }
            for (n, token) in tokens.drain(..).enumerate() {
                self.receive(token);
                self.flush();
                // A thousand sockets take as long to read as half a tick of sound: that does not wait for them.
                if n % SOCKETS == SOCKETS - 1 {
                    self.be_on_time();
                }
            }
            if woken {
                self.core.handle_wake(Clock::now());
            }
            self.be_on_time();
            self.flush();
        }
    }

    /// Does what is due.
    fn be_on_time(&mut self) {
        let now = Clock::now();
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            self.core.handle_timeout(now);
            self.flush();
        }
    }

    /// Sleeps until then, or until the core wants to be called.
    #[expect(
        clippy::disallowed_methods,
        reason = "a media thread waits here and nowhere else, for a millisecond or two"
    )]
    fn gather(&self, until: Instant) {
        let until = self.core.poll_timeout().map_or(until, |at| at.min(until));
        let rest = until.saturating_duration_since(Clock::now());
        if rest >= NAP {
            thread::sleep(rest);
        }
    }

    /// Takes what signalling sent; false when the thread is to end.
    fn read_messages(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Message::Add(port, socket)) => {
                    if let Err(e) = self.add(port, socket) {
                        tracing::error!("a media socket cannot be used: {e}");
                    }
                }
                Ok(Message::Remove(port)) => {
                    self.flush();
                    let place = self.tokens.remove(&port).map(place_of);
                    let port = place.and_then(|place| self.ports.get_mut(place)?.take());
                    if let (Some(mut port), Some(place)) = (port, place) {
                        let _ = self.poll.registry().deregister(&mut port.socket);
                        self.free.push(place);
                    }
                }
                Ok(Message::Command(command)) => self.core.handle_command(Clock::now(), command),
                Err(TryRecvError::Empty) => return true,
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn add(&mut self, name: C::Port, socket: UdpSocket) -> io::Result<()> {
        let state = UdpSocketState::new((&socket).into())?;
        let mut socket = mio::net::UdpSocket::from_std(socket);
        let place = self.free.pop().unwrap_or(self.ports.len());
        let token = Token(place + 1);
        if let Err(e) = self.poll.registry().register(&mut socket, token, Interest::READABLE) {
            if place < self.ports.len() {
                self.free.push(place);
            }
            return Err(e);
        }
        self.tokens.insert(name, token);
        let port = Some(Port { name, socket, state });
        match self.ports.get_mut(place) {
            Some(free) => *free = port,
            None => self.ports.push(port),
        }
        // Readiness is edge-triggered: what arrived before the registration must be read now.
        self.unread.push(token);
        Ok(())
    }

    fn receive(&mut self, token: Token) {
        let Some(Some(port)) = self.ports.get(place_of(token)) else { return };
        let mut metas = [RecvMeta::default(); BATCH];
        for _ in 0..BATCHES_PER_TURN {
            let mut slices = self.buffers.each_mut().map(|b| IoSliceMut::new(b));
            let count = match port.state.recv(UdpSockRef::from(&port.socket), &mut slices, &mut metas) {
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP answer to something we sent: the far port is closed. The call will find out by itself.
                Err(_) => continue,
            };
            let (now, wall) = (Clock::now(), Clock::wall_now());
            for (meta, buffer) in metas.iter().zip(&self.buffers).take(count) {
                let at = arrival(meta.timestamp, now, wall);
                let (stride, read) = (meta.stride.max(1), buffer.get(..meta.len).unwrap_or_default());
                self.arena.extend_from_slice(read);
                let whole = self.arena.split().freeze();
                for start in (0..read.len()).step_by(stride) {
                    let datagram = whole.slice(start..(start + stride).min(read.len()));
                    self.core.handle_packet(now, at, port.name, meta.addr, datagram);
                }
            }
            if count < BATCH {
                // There was no more: readiness is told anew when something comes.
                return;
            }
        }
        self.unread.push(token);
    }

    /// Sends and reports everything the core has ready.
    fn flush(&mut self) {
        while let Some(transmit) = self.core.poll_transmit() {
            let place = self.tokens.get(&transmit.port).copied().map(place_of);
            let Some(Some(port)) = place.and_then(|place| self.ports.get(place)) else {
                drops::MEDIA_GONE.add();
                continue;
            };
            send(port, &transmit);
        }
        while let Some(event) = self.core.poll_event() {
            (self.events)(event);
        }
    }
}

/// When the kernel got a datagram that is read at `now`: how late a busy thread reads is no fault of the line. A wall clock that was set in between
/// says nothing.
fn arrival(stamp: Option<Duration>, now: Instant, wall: SystemTime) -> Instant {
    let age = stamp.and_then(|stamp| wall.duration_since(SystemTime::UNIX_EPOCH).ok()?.checked_sub(stamp));
    age.filter(|age| *age < OLDEST).and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

/// Where the socket of a token is. Never asked for that of the waker.
fn place_of(token: Token) -> usize {
    token.0.wrapping_sub(1)
}

/// Sends datagrams in as few calls as the kernel allows. What a full socket buffer refuses is lost like on any line.
fn send<P>(port: &Port<P>, transmit: &Transmit<P>) {
    let segment = transmit.segment.unwrap_or(transmit.data.len()).max(1);
    let per_call = port.state.max_gso_segments().max(1) * segment;
    // A GSO call is bounded by the size of one IP packet.
    let per_call = if per_call > 60_000 { (60_000 / segment).max(1) * segment } else { per_call };
    for part in transmit.data.chunks(per_call) {
        if part.len() <= segment {
            // One datagram needs nothing of what the other call tells the kernel.
            note(port.socket.send_to(part, transmit.to).map(drop), transmit.to);
            continue;
        }
        let result = port.state.try_send(
            UdpSockRef::from(&port.socket),
            &quinn_udp::Transmit {
                destination: transmit.to,
                ecn: None,
                contents: part,
                segment_size: Some(segment),
                src_ip: None,
            },
        );
        note(result, transmit.to);
    }
}

/// Counts what could not be sent.
fn note(result: io::Result<()>, to: SocketAddr) {
    if let Err(e) = result {
        drops::MEDIA_UNSENDABLE.add();
        tracing::trace!(%to, "cannot send media: {e}");
    }
}

#[cfg(test)]
mod tests;
