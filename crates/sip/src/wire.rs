//! The transport layer: where bytes go, connections and what waits for them (RFC 3261 18).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::SocketAddr,
};

use bytes::Bytes;

use crate::{
    counters::Counters,
    message::{Framer, Limits},
    timer::Alarm,
    transaction::TxId,
    transport::{ConnId, Protocol, Transmit, Transport},
};

/// Bytes that may wait for one connection.
const MOST_WAITING: usize = 256 * 1024;

/// What a piece in a queue takes besides its bytes, about.
const OVERHEAD: usize = 128;

/// Where something goes to or came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub protocol: Protocol,
    /// TCP: the connection to use if it still stands.
    pub conn: Option<ConnId>,
    /// Our address.
    pub local: SocketAddr,
    /// Theirs.
    pub remote: SocketAddr,
}

impl Flow {
    /// Of a piece of input.
    pub(crate) fn of(transport: Transport, local: SocketAddr, remote: SocketAddr) -> Self {
        let conn = match transport {
            Transport::Tcp(id) => Some(id),
            _ => None,
        };
        Self { protocol: transport.protocol(), conn, local, remote }
    }
}

struct Conn {
    remote: SocketAddr,
    framer: Framer,
    /// Bytes of an unfinished message, as counted in the sum of all.
    partial: usize,
    /// Client transactions that fail with the connection.
    clients: HashSet<TxId>,
    /// A message, or the rest of one, must have come by then.
    idle: Option<Alarm>,
}

#[derive(Default)]
struct Pending {
    waiting: Vec<(Option<TxId>, Bytes)>,
    size: usize,
    clients: HashSet<TxId>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Handed to the driver, or waiting for a connection.
    Yes,
    /// Cannot be sent.
    No,
}

/// Connections and the queue to the driver.
pub(crate) struct Wire {
    conns: HashMap<ConnId, Conn>,
    by_remote: HashMap<SocketAddr, ConnId>,
    pending: HashMap<SocketAddr, Pending>,
    out: VecDeque<Transmit>,
    /// Bytes in `out`.
    queued: usize,
    /// Bytes that wait for connections.
    waiting: usize,
    /// Bytes of unfinished messages.
    partial: usize,
    bounds: Bounds,
}

/// Limits of the transport layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections.
    pub connections: usize,
    /// Bytes that wait for the driver, and for connections, each.
    pub queued: usize,
    /// Bytes of unfinished messages.
    pub partial: usize,
}

impl Wire {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            conns: HashMap::new(),
            by_remote: HashMap::new(),
            pending: HashMap::new(),
            out: VecDeque::new(),
            queued: 0,
            waiting: 0,
            partial: 0,
            bounds,
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Transmit> {
        let transmit = self.out.pop_front()?;
        self.queued -= transmit.bytes.len() + OVERHEAD;
        Some(transmit)
    }

    /// Hands a piece to the driver; false when too much waits there.
    fn put(&mut self, transmit: Transmit, counters: &mut Counters) -> bool {
        let size = transmit.bytes.len() + OVERHEAD;
        // What opens and closes connections is little, and must not be lost.
        let control = matches!(transmit.transport, Transport::TcpConnect | Transport::TcpClose(_));
        if self.queued + size > self.bounds.queued && !control {
            counters.queue_overflow += 1;
            return false;
        }
        self.queued += size;
        self.out.push_back(transmit);
        true
    }

    /// Sends over `flow`, opening a connection when there is none; `client` fails when that fails.
    pub(crate) fn send(
        &mut self,
        flow: &Flow,
        bytes: Bytes,
        client: Option<TxId>,
        counters: &mut Counters,
    ) -> Sent {
        let remote = flow.remote;
        if flow.protocol == Protocol::Udp {
            let local = (!flow.local.ip().is_unspecified()).then_some(flow.local);
            let transmit = Transmit { transport: Transport::Udp, local, remote, bytes };
            // What gets lost here may get lost on the way as well: it is sent again.
            counters.sent += u64::from(self.put(transmit, counters));
            return Sent::Yes;
        }
        if let Some(id) = self.connection(flow) {
            let Some(conn) = self.conns.get_mut(&id) else { return Sent::No };
            let remote = conn.remote;
            conn.clients.extend(client);
            let transmit = Transmit { transport: Transport::Tcp(id), local: None, remote, bytes };
            if self.put(transmit, counters) {
                counters.sent += 1;
                return Sent::Yes;
            }
            return Sent::No;
        }
        let fresh = !self.pending.contains_key(&remote);
        let size = bytes.len() + OVERHEAD;
        let full = fresh && self.conns.len() + self.pending.len() >= self.bounds.connections;
        if full || self.waiting + size > self.bounds.queued {
            counters.unsendable += 1;
            return Sent::No;
        }
        let pending = self.pending.entry(remote).or_default();
        if pending.size + size > MOST_WAITING {
            counters.unsendable += 1;
            return Sent::No;
        }
        pending.size += size;
        pending.waiting.push((client, bytes));
        pending.clients.extend(client);
        self.waiting += size;
        if fresh {
            let (transport, bytes) = (Transport::TcpConnect, Bytes::new());
            self.put(Transmit { transport, local: None, remote, bytes }, counters);
        }
        Sent::Yes
    }

    /// The connection that serves `flow`, when one stands.
    fn connection(&self, flow: &Flow) -> Option<ConnId> {
        let own = flow.conn.filter(|id| self.conns.contains_key(id));
        own.or_else(|| self.by_remote.get(&flow.remote).copied())
    }

    /// Whether `flow` waits for its connection to be made.
    pub(crate) fn is_connecting(&self, flow: &Flow) -> bool {
        flow.protocol != Protocol::Udp && self.connection(flow).is_none()
    }

    /// Notes a connection, and sends what waited for it. `None` when there are too many; it is closed then. True when it is new.
    pub(crate) fn open(
        &mut self,
        id: ConnId,
        remote: SocketAddr,
        limits: Limits,
        counters: &mut Counters,
    ) -> Option<bool> {
        if self.conns.contains_key(&id) {
            return Some(false);
        }
        let pending = self.pending.remove(&remote);
        if self.conns.len() >= self.bounds.connections && pending.is_none() {
            counters.refused_connections += 1;
            self.close(id, remote, counters);
            return None;
        }
        let pending = pending.unwrap_or_default();
        self.waiting -= pending.size;
        let clients = pending.clients;
        let conn = Conn { remote, framer: Framer::new(limits), partial: 0, clients, idle: None };
        self.conns.insert(id, conn);
        self.by_remote.insert(remote, id);
        for (_, bytes) in pending.waiting {
            let sent =
                self.put(Transmit { transport: Transport::Tcp(id), local: None, remote, bytes }, counters);
            counters.sent += u64::from(sent);
        }
        Some(true)
    }

    /// Writes to a connection outside of any transaction (keep-alive).
    pub(crate) fn pong(&mut self, id: ConnId, remote: SocketAddr, counters: &mut Counters) {
        let bytes = Bytes::from_static(b"\r\n");
        self.put(Transmit { transport: Transport::Tcp(id), local: None, remote, bytes }, counters);
    }

    /// Counts what a connection keeps of an unfinished message, after a read. `None`: too much, all together. True while there is
    /// such a message.
    pub(crate) fn weigh(&mut self, id: ConnId) -> Option<bool> {
        let Some(conn) = self.conns.get_mut(&id) else { return Some(false) };
        let now = conn.framer.pending();
        self.partial = self.partial - conn.partial + now;
        conn.partial = now;
        (self.partial <= self.bounds.partial).then_some(now > 0)
    }

    /// The alarm of a connection that owes something.
    pub(crate) fn idle(&mut self, id: ConnId) -> Option<&mut Option<Alarm>> {
        self.conns.get_mut(&id).map(|conn| &mut conn.idle)
    }

    /// Who is at the other end.
    pub(crate) fn remote(&self, id: ConnId) -> Option<SocketAddr> {
        self.conns.get(&id).map(|conn| conn.remote)
    }

    /// Whether a connection to there stands.
    pub(crate) fn reaches(&self, remote: SocketAddr) -> bool {
        self.by_remote.contains_key(&remote)
    }

    pub(crate) fn framer(&mut self, id: ConnId) -> Option<&mut Framer> {
        self.conns.get_mut(&id).map(|conn| &mut conn.framer)
    }

    /// Asks the driver to close a connection.
    pub(crate) fn close(&mut self, id: ConnId, remote: SocketAddr, counters: &mut Counters) {
        let transport = Transport::TcpClose(id);
        self.put(Transmit { transport, local: None, remote, bytes: Bytes::new() }, counters);
    }

    /// Forgets a connection; gives the client transactions that used it, and its alarm.
    pub(crate) fn closed(&mut self, id: ConnId) -> (Vec<TxId>, Option<Alarm>) {
        let Some(conn) = self.conns.remove(&id) else { return (Vec::new(), None) };
        self.partial -= conn.partial;
        if self.by_remote.get(&conn.remote) == Some(&id) {
            self.by_remote.remove(&conn.remote);
        }
        (sorted(conn.clients), conn.idle)
    }

    /// A connection could not be made; gives the client transactions that waited for it.
    pub(crate) fn connect_failed(&mut self, remote: SocketAddr, counters: &mut Counters) -> Vec<TxId> {
        let Some(pending) = self.pending.remove(&remote) else { return Vec::new() };
        self.waiting -= pending.size;
        counters.unsendable += pending.waiting.len() as u64;
        sorted(pending.clients)
    }

    /// A client transaction is over, or goes another way: what of it still waits for a connection is not sent any more.
    pub(crate) fn release(&mut self, flow: &Flow, client: TxId) {
        if flow.protocol == Protocol::Udp {
            return;
        }
        if let Some(conn) = self.connection(flow).and_then(|id| self.conns.get_mut(&id)) {
            conn.clients.remove(&client);
        }
        if let Some(pending) = self.pending.get_mut(&flow.remote) {
            pending.clients.remove(&client);
            let before = pending.size;
            pending.waiting.retain(|(of, bytes)| {
                let goes = *of == Some(client);
                pending.size -= if goes { bytes.len() + OVERHEAD } else { 0 };
                !goes
            });
            self.waiting -= before - pending.size;
        }
    }
}

/// In order of their making, so that the same input always gives the same output.
fn sorted(clients: HashSet<TxId>) -> Vec<TxId> {
    let mut out: Vec<_> = clients.into_iter().collect();
    out.sort_unstable();
    out
}
