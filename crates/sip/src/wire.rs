//! The transport layer: where bytes go, connections and what waits for them (RFC 3261 18).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::SocketAddr,
};

use bytes::Bytes;

use crate::{
    counters::Counters,
    message::{Framer, Limits},
    transaction::TxId,
    transport::{ConnId, Protocol, Transmit, Transport},
};

/// Bytes that may wait for one connection.
const MOST_WAITING: usize = 256 * 1024;

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
    /// Client transactions that fail with the connection.
    clients: HashSet<TxId>,
}

#[derive(Default)]
struct Pending {
    waiting: Vec<Bytes>,
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
    most: usize,
}

impl Wire {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            conns: HashMap::new(),
            by_remote: HashMap::new(),
            pending: HashMap::new(),
            out: VecDeque::new(),
            most,
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Transmit> {
        self.out.pop_front()
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
            counters.sent += 1;
            let local = (!flow.local.ip().is_unspecified()).then_some(flow.local);
            self.out.push_back(Transmit { transport: Transport::Udp, local, remote, bytes });
            return Sent::Yes;
        }
        let id = flow.conn.filter(|id| self.conns.contains_key(id)).or(self.by_remote.get(&remote).copied());
        if let Some((id, conn)) = id.and_then(|id| self.conns.get_mut(&id).map(|conn| (id, conn))) {
            counters.sent += 1;
            conn.clients.extend(client);
            let transport = Transport::Tcp(id);
            self.out.push_back(Transmit { transport, local: None, remote: conn.remote, bytes });
            return Sent::Yes;
        }
        let fresh = !self.pending.contains_key(&remote);
        if fresh && self.conns.len() + self.pending.len() >= self.most {
            counters.unsendable += 1;
            return Sent::No;
        }
        let pending = self.pending.entry(remote).or_default();
        if pending.size + bytes.len() > MOST_WAITING {
            counters.unsendable += 1;
            return Sent::No;
        }
        pending.size += bytes.len();
        pending.waiting.push(bytes);
        pending.clients.extend(client);
        if fresh {
            let (transport, bytes) = (Transport::TcpConnect, Bytes::new());
            self.out.push_back(Transmit { transport, local: None, remote, bytes });
        }
        Sent::Yes
    }

    /// Notes a connection, and sends what waited for it. False when there are too many; it is closed then.
    pub(crate) fn open(
        &mut self,
        id: ConnId,
        remote: SocketAddr,
        limits: Limits,
        counters: &mut Counters,
    ) -> bool {
        if self.conns.contains_key(&id) {
            return true;
        }
        let pending = self.pending.remove(&remote);
        if self.conns.len() >= self.most && pending.is_none() {
            counters.refused_connections += 1;
            self.close(id, remote);
            return false;
        }
        let pending = pending.unwrap_or_default();
        self.conns.insert(id, Conn { remote, framer: Framer::new(limits), clients: pending.clients });
        self.by_remote.insert(remote, id);
        for bytes in pending.waiting {
            counters.sent += 1;
            self.out.push_back(Transmit { transport: Transport::Tcp(id), local: None, remote, bytes });
        }
        true
    }

    /// Writes to a connection outside of any transaction (keep-alive).
    pub(crate) fn pong(&mut self, id: ConnId, remote: SocketAddr) {
        let bytes = Bytes::from_static(b"\r\n");
        self.out.push_back(Transmit { transport: Transport::Tcp(id), local: None, remote, bytes });
    }

    /// Whether a connection to there stands.
    pub(crate) fn reaches(&self, remote: SocketAddr) -> bool {
        self.by_remote.contains_key(&remote)
    }

    pub(crate) fn framer(&mut self, id: ConnId) -> Option<&mut Framer> {
        self.conns.get_mut(&id).map(|conn| &mut conn.framer)
    }

    /// Asks the driver to close a connection.
    pub(crate) fn close(&mut self, id: ConnId, remote: SocketAddr) {
        let transport = Transport::TcpClose(id);
        self.out.push_back(Transmit { transport, local: None, remote, bytes: Bytes::new() });
    }

    /// Forgets a connection; gives the client transactions that used it.
    pub(crate) fn closed(&mut self, id: ConnId) -> Vec<TxId> {
        let Some(conn) = self.conns.remove(&id) else { return Vec::new() };
        if self.by_remote.get(&conn.remote) == Some(&id) {
            self.by_remote.remove(&conn.remote);
        }
        sorted(conn.clients)
    }

    /// A connection could not be made; gives the client transactions that waited for it.
    pub(crate) fn connect_failed(&mut self, remote: SocketAddr, counters: &mut Counters) -> Vec<TxId> {
        let Some(pending) = self.pending.remove(&remote) else { return Vec::new() };
        counters.unsendable += pending.waiting.len() as u64;
        sorted(pending.clients)
    }

    /// A client transaction is over.
    pub(crate) fn release(&mut self, flow: &Flow, client: TxId) {
        if flow.protocol == Protocol::Udp {
            return;
        }
        let id =
            flow.conn.filter(|id| self.conns.contains_key(id)).or(self.by_remote.get(&flow.remote).copied());
        if let Some(conn) = id.and_then(|id| self.conns.get_mut(&id)) {
            conn.clients.remove(&client);
        }
        if let Some(pending) = self.pending.get_mut(&flow.remote) {
            pending.clients.remove(&client);
        }
    }
}

/// In order of their making, so that the same input always gives the same output.
fn sorted(clients: HashSet<TxId>) -> Vec<TxId> {
    let mut out: Vec<_> = clients.into_iter().collect();
    out.sort_unstable();
    out
}
