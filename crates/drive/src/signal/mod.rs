//! The loop around a signalling core: SIP sockets (UDP, TCP), its timer, and requests from the rest of the program.

mod tcp;
mod udp;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use bytes::Bytes;
use tokio::{net::TcpListener, sync::mpsc};

use crate::Clock;
use udp::Udp;

/// Messages read and not yet handled; when full, the kernel's buffers hold the rest and drop what exceeds them.
const INBOX: usize = 4096;
/// TCP connections at the same time; further ones are closed at once.
const CONNECTIONS: usize = 4096;
/// The largest UDP datagram.
const DATAGRAM: usize = 65_536;

/// Names a TCP connection; never reused.
pub type ConnectionId = u64;

/// Over what a message came or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A datagram.
    Udp,
    /// An open connection.
    Tcp(ConnectionId),
    /// A connection to the remote address, opened when there is none yet.
    TcpTo,
}

/// Something to send.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Over what.
    pub channel: Channel,
    /// From which of our addresses, when it matters.
    pub local: Option<SocketAddr>,
    /// Where to.
    pub remote: SocketAddr,
    /// The message.
    pub bytes: Bytes,
}

/// A signalling core: takes bytes, requests and the time, gives transmissions and its next time-out.
pub trait Core {
    /// What the rest of the program asks.
    type Request: Send + 'static;

    /// A datagram, or a piece of a stream. `local` is the address it was sent to.
    fn handle_input(
        &mut self,
        now: Instant,
        channel: Channel,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &[u8],
    );
    /// A connection asked for by [`Channel::TcpTo`] has this name from now on.
    fn handle_connecting(&mut self, now: Instant, id: ConnectionId, remote: SocketAddr);
    /// A connection is gone, or could not be opened.
    fn handle_closed(&mut self, now: Instant, id: ConnectionId);
    /// A request of the rest of the program.
    fn handle_request(&mut self, now: Instant, request: Self::Request);
    /// The time of [`Core::poll_timeout`] has come.
    fn handle_timeout(&mut self, now: Instant);
    /// When [`Core::handle_timeout`] wants to be called next.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The next message to send. Called until it gives none, after everything above.
    fn poll_transmit(&mut self) -> Option<Transmit>;
    /// True when the loop is to end.
    fn is_finished(&self) -> bool;
}

/// Bound sockets, not yet served.
pub struct Sockets {
    udp: Vec<Udp>,
    tcp: Vec<TcpListener>,
}

/// A socket that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for SIP on {addr} ({transport}): {source}")]
pub struct BindError {
    /// Where.
    pub addr: SocketAddr,
    /// `UDP` or `TCP`.
    pub transport: &'static str,
    /// The system's word.
    pub source: io::Error,
}

impl Sockets {
    /// Binds UDP and TCP on the same port of each address; port 0 takes a port that is free for both. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] naming the address that cannot be used.
    pub fn bind(addrs: &[SocketAddr]) -> Result<Self, BindError> {
        let mut sockets = Self { udp: Vec::new(), tcp: Vec::new() };
        for &addr in addrs {
            let (udp, tcp) = bind_pair(addr)?;
            sockets.udp.push(udp);
            sockets.tcp.push(tcp);
        }
        Ok(sockets)
    }

    /// The addresses bound, with real ports.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.udp.iter().map(Udp::bound).collect()
    }
}

fn bind_pair(addr: SocketAddr) -> Result<(Udp, TcpListener), BindError> {
    // A port the system picks for UDP may be taken for TCP: try another.
    let mut tries = if addr.port() == 0 { 16 } else { 1 };
    loop {
        let udp = Udp::bind(addr).map_err(|source| BindError { addr, transport: "UDP", source })?;
        tries -= 1;
        match tcp::listen(udp.bound()) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(source) if tries == 0 => {
                return Err(BindError { addr: udp.bound(), transport: "TCP", source });
            }
            Err(_) => {}
        }
    }
}

/// What the socket tasks report to the loop.
enum Inbound {
    Datagram { local: SocketAddr, remote: SocketAddr, bytes: Bytes },
    Stream { id: ConnectionId, local: SocketAddr, remote: SocketAddr, bytes: Bytes },
    Accepted(tokio::net::TcpStream),
    Closed(ConnectionId),
}

/// Serves `core` until it is finished or every sender of `requests` is gone.
pub async fn run<C: Core>(core: &mut C, sockets: Sockets, mut requests: mpsc::Receiver<C::Request>) {
    let (inbox, mut inbound) = mpsc::channel(INBOX);
    let udp: Vec<_> = sockets.udp.into_iter().map(std::sync::Arc::new).collect();
    for socket in &udp {
        tokio::spawn(read_datagrams(socket.clone(), inbox.clone()));
    }
    for listener in sockets.tcp {
        tokio::spawn(accept(listener, inbox.clone()));
    }
    let mut links = Links { udp, inbox, writers: HashMap::new(), outgoing: HashMap::new(), next: 1 };
    while !core.is_finished() {
        let due = core.poll_timeout();
        tokio::select! {
            biased;
            () = sleep_until(due) => core.handle_timeout(Clock::now()),
            request = requests.recv() => match request {
                Some(request) => core.handle_request(Clock::now(), request),
                None => return,
            },
            Some(inbound) = inbound.recv() => links.handle(core, inbound),
        }
        while let Some(transmit) = core.poll_transmit() {
            links.send(core, transmit);
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

async fn read_datagrams(socket: std::sync::Arc<Udp>, inbox: mpsc::Sender<Inbound>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        match socket.receive(&mut buffer).await {
            Ok((count, local, remote)) => {
                let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                if inbox.send(Inbound::Datagram { local, remote, bytes }).await.is_err() {
                    return;
                }
            }
            // An ICMP answer to something sent earlier; the transaction's timer deals with it.
            Err(e) => tracing::trace!("SIP socket: {e}"),
        }
    }
}

async fn accept(listener: TcpListener, inbox: mpsc::Sender<Inbound>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if inbox.send(Inbound::Accepted(stream)).await.is_err() {
                    return;
                }
            }
            Err(e) => {
                // Out of descriptors, most likely: wait for calls to end instead of spinning.
                tracing::warn!("cannot accept a SIP connection: {e}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

struct Links {
    udp: Vec<std::sync::Arc<Udp>>,
    inbox: mpsc::Sender<Inbound>,
    writers: HashMap<ConnectionId, tcp::Writer>,
    /// Connections we opened, by where they lead.
    outgoing: HashMap<SocketAddr, ConnectionId>,
    next: ConnectionId,
}

impl Links {
    fn handle<C: Core>(&mut self, core: &mut C, inbound: Inbound) {
        let now = Clock::now();
        match inbound {
            Inbound::Datagram { local, remote, bytes } => {
                core.handle_input(now, Channel::Udp, local, remote, &bytes);
            }
            Inbound::Stream { id, local, remote, bytes } => {
                core.handle_input(now, Channel::Tcp(id), local, remote, &bytes);
            }
            Inbound::Accepted(stream) if self.writers.len() < CONNECTIONS => {
                let id = self.name();
                self.writers.insert(id, tcp::serve(id, stream, self.inbox.clone()));
            }
            Inbound::Accepted(_) => tracing::warn!("more than {CONNECTIONS} SIP connections: one refused"),
            Inbound::Closed(id) => {
                self.forget(id);
                core.handle_closed(now, id);
            }
        }
    }

    fn send<C: Core>(&mut self, core: &mut C, transmit: Transmit) {
        match transmit.channel {
            Channel::Udp => self.send_datagram(&transmit),
            Channel::Tcp(id) => self.write(core, id, transmit.bytes),
            Channel::TcpTo => {
                let id = match self.outgoing.get(&transmit.remote) {
                    Some(id) => *id,
                    None => {
                        let id = self.name();
                        let writer = tcp::connect(id, transmit.local, transmit.remote, self.inbox.clone());
                        self.writers.insert(id, writer);
                        self.outgoing.insert(transmit.remote, id);
                        core.handle_connecting(Clock::now(), id, transmit.remote);
                        id
                    }
                };
                self.write(core, id, transmit.bytes);
            }
        }
    }

    fn send_datagram(&self, transmit: &Transmit) {
        let fits = |socket: &&std::sync::Arc<Udp>| socket.bound().is_ipv6() == transmit.remote.is_ipv6();
        let exact = |socket: &&std::sync::Arc<Udp>| {
            transmit.local.is_none_or(|local| {
                socket.bound().port() == local.port()
                    && (socket.bound().ip() == local.ip() || socket.bound().ip().is_unspecified())
            })
        };
        let socket = self.udp.iter().filter(fits).find(exact).or_else(|| self.udp.iter().find(fits));
        let Some(socket) = socket else {
            tracing::debug!(remote = %transmit.remote, "no SIP socket of that address family");
            return;
        };
        let local: Option<IpAddr> = transmit.local.map(|l| l.ip());
        if let Err(e) = socket.send(local, transmit.remote, &transmit.bytes) {
            tracing::debug!(remote = %transmit.remote, "SIP datagram not sent: {e}");
        }
    }

    fn write<C: Core>(&mut self, core: &mut C, id: ConnectionId, bytes: Bytes) {
        let Some(writer) = self.writers.get(&id) else { return };
        if writer.try_send(bytes).is_err() {
            tracing::debug!("a SIP connection does not take what it asked for: closed");
            self.forget(id);
            core.handle_closed(Clock::now(), id);
        }
    }

    fn name(&mut self) -> ConnectionId {
        self.next += 1;
        self.next
    }

    fn forget(&mut self, id: ConnectionId) {
        self.writers.remove(&id);
        self.outgoing.retain(|_, other| *other != id);
    }
}

#[cfg(test)]
mod tests;
