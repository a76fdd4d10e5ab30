//! The loop around a signalling core: SIP sockets (UDP, TCP), its timer, and requests from the rest of the program.

mod tcp;
mod udp;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use cau_sip::{ConnId, Hop, Input, Transmit, Transport, Unlocated, Uri};
use tokio::{
    net::TcpListener,
    sync::{OnceCell, mpsc},
};

use crate::{Clock, drops, locate::Locator};
use udp::Udp;

/// Messages read and not yet handled; when full, the kernel's buffers hold the rest and drop what exceeds them.
const INBOX: usize = 4096;
/// TCP connections at the same time; further ones are closed at once.
const CONNECTIONS: usize = 4096;
/// The largest UDP datagram.
const DATAGRAM: usize = 65_536;

/// A signalling core: takes bytes, requests and the time, gives transmissions and its next time-out.
pub trait Core {
    /// What the rest of the program asks.
    type Request: Send + 'static;

    /// A datagram, or a piece of a stream.
    fn handle_input(&mut self, now: Instant, input: Input<'_>);
    /// A connection asked for by [`Transport::TcpConnect`] stands, or one was accepted.
    fn handle_connected(&mut self, now: Instant, conn: ConnId, local: SocketAddr, remote: SocketAddr);
    /// A connection that was asked for cannot be made.
    fn handle_connect_failed(&mut self, now: Instant, remote: SocketAddr);
    /// A connection is gone.
    fn handle_closed(&mut self, now: Instant, conn: ConnId);
    /// A request of the rest of the program.
    fn handle_request(&mut self, now: Instant, request: Self::Request);
    /// The time of [`Core::poll_timeout`] has come.
    fn handle_timeout(&mut self, now: Instant);
    /// When [`Core::handle_timeout`] wants to be called next.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The next message to send. Called until it gives none, after everything above.
    fn poll_transmit(&mut self) -> Option<Transmit>;
    /// The next address to be looked up, and the number of the question. Called as [`Core::poll_transmit`] is.
    fn poll_lookup(&mut self) -> Option<(u64, Uri)> {
        None
    }
    /// The answer to a question of [`Core::poll_lookup`].
    fn handle_lookup(&mut self, now: Instant, token: u64, found: Result<Vec<Hop>, Unlocated>) {
        let _ = (now, token, found);
    }
    /// Everything ready was sent: reports may be passed on now.
    fn settle(&mut self) {}
    /// True when the loop is to end.
    fn is_finished(&self) -> bool;
}

/// Bound sockets, not yet served.
pub struct Sockets {
    udp: Vec<Udp>,
    tcp: Vec<TcpListener>,
    name_servers: Vec<SocketAddr>,
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
        let mut sockets = Self { udp: Vec::new(), tcp: Vec::new(), name_servers: Vec::new() };
        for &addr in addrs {
            let (udp, tcp) = bind_pair(addr)?;
            sockets.udp.push(udp);
            sockets.tcp.push(tcp);
        }
        Ok(sockets)
    }

    /// Asks these name servers instead of the system's.
    #[must_use]
    pub fn with_name_servers(self, name_servers: Vec<SocketAddr>) -> Self {
        Self { name_servers, ..self }
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
    Stream { conn: ConnId, local: SocketAddr, remote: SocketAddr, bytes: Bytes },
    Accepted(tokio::net::TcpStream),
    Connected { conn: ConnId, local: SocketAddr, remote: SocketAddr },
    Failed { conn: ConnId, remote: SocketAddr },
    Closed(ConnId),
    Located(u64, Result<Vec<Hop>, Unlocated>),
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
    let locator = Arc::new(OnceCell::new());
    let mut links =
        Links { udp, inbox, writers: HashMap::new(), next: 0, locator, name_servers: sockets.name_servers };
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
        while let Some((token, uri)) = core.poll_lookup() {
            links.look_up(token, uri);
        }
        core.settle();
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
    writers: HashMap<ConnId, tcp::Writer>,
    next: u64,
    /// Made when first needed; reading the system's settings takes a moment.
    locator: Arc<OnceCell<Locator>>,
    name_servers: Vec<SocketAddr>,
}

impl Links {
    fn handle<C: Core>(&mut self, core: &mut C, inbound: Inbound) {
        let now = Clock::now();
        match inbound {
            Inbound::Datagram { local, remote, bytes } => {
                core.handle_input(now, Input { transport: Transport::Udp, local, remote, bytes: &bytes });
            }
            // What a connection said before it was closed by us does not count any more.
            Inbound::Stream { conn, local, remote, bytes } if self.writers.contains_key(&conn) => {
                core.handle_input(
                    now,
                    Input { transport: Transport::Tcp(conn), local, remote, bytes: &bytes },
                );
            }
            Inbound::Stream { .. } => {}
            Inbound::Accepted(stream) if self.writers.len() < CONNECTIONS => {
                let conn = self.name();
                self.writers.insert(conn, tcp::serve(conn, stream, self.inbox.clone()));
            }
            Inbound::Accepted(_) => {
                drops::SIP_REFUSED.add();
                tracing::debug!("more than {CONNECTIONS} SIP connections: one refused");
            }
            Inbound::Connected { conn, local, remote } => core.handle_connected(now, conn, local, remote),
            Inbound::Failed { conn, remote } => {
                self.writers.remove(&conn);
                core.handle_connect_failed(now, remote);
            }
            Inbound::Closed(conn) => {
                if self.writers.remove(&conn).is_some() {
                    core.handle_closed(now, conn);
                }
            }
            Inbound::Located(token, found) => core.handle_lookup(now, token, found),
        }
    }

    fn send<C: Core>(&mut self, core: &mut C, transmit: Transmit) {
        match transmit.transport {
            Transport::Udp => self.send_datagram(&transmit),
            Transport::Tcp(conn) => self.write(core, conn, transmit.bytes),
            Transport::TcpConnect => {
                let conn = self.name();
                let writer = tcp::connect(conn, transmit.local, transmit.remote, self.inbox.clone());
                let _ = writer.try_send(transmit.bytes);
                self.writers.insert(conn, writer);
            }
            // The task writes what is queued before it finds its queue closed.
            Transport::TcpClose(conn) => {
                self.writers.remove(&conn);
            }
        }
    }

    /// Looks an address up without holding up the loop. The core bounds how many it asks for at a time.
    fn look_up(&self, token: u64, uri: Uri) {
        let (inbox, locator, servers) = (self.inbox.clone(), self.locator.clone(), self.name_servers.clone());
        tokio::spawn(async move {
            let locator = locator.get_or_init(|| async { Locator::new(&servers) }).await;
            let found = locator.locate(&uri).await;
            let _ = inbox.send(Inbound::Located(token, found)).await;
        });
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
            drops::SIP_UNSENDABLE.add();
            tracing::debug!(remote = %transmit.remote, "no SIP socket of that address family");
            return;
        };
        let local: Option<IpAddr> = transmit.local.map(|l| l.ip());
        if let Err(e) = socket.send(local, transmit.remote, &transmit.bytes) {
            drops::SIP_UNSENDABLE.add();
            tracing::debug!(remote = %transmit.remote, "SIP datagram not sent: {e}");
        }
    }

    fn write<C: Core>(&mut self, core: &mut C, conn: ConnId, bytes: Bytes) {
        let Some(writer) = self.writers.get(&conn) else {
            drops::SIP_GONE.add();
            return;
        };
        if writer.try_send(bytes).is_err() {
            drops::SIP_SLOW.add();
            tracing::debug!("a SIP connection does not take what it asked for: closed");
            self.writers.remove(&conn);
            core.handle_closed(Clock::now(), conn);
        }
    }

    fn name(&mut self) -> ConnId {
        self.next += 1;
        ConnId(self.next)
    }
}

#[cfg(test)]
mod tests;
