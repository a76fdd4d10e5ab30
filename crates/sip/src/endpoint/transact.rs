//! Running transactions: making them, sending, ending (RFC 3261 17).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Due, Endpoint};
use crate::{
    event::CallId,
    message::{Method, Name, NameAddr, Reason, Request},
    transaction::{Client, ClientKey, Server, ServerKey, Timer, TxId, User, whole},
    transport::Protocol,
    wire::{Flow, Sent},
};

/// Requests above this size may be too much for a path over UDP (RFC 3261 18.1.1).
const LARGE: usize = 1300;
/// How long it is believed that nobody listens on TCP at an address.
const NO_TCP_FOR: Duration = Duration::from_secs(600);
/// Addresses of which that is remembered.
const MOST_NO_TCP: usize = 4096;

impl Endpoint {
    /// Sends a request in a new client transaction. `None` when it cannot be sent at all.
    pub(super) fn start_client(
        &mut self,
        now: Instant,
        mut request: Request,
        flow: Flow,
        user: User,
    ) -> Option<TxId> {
        let mut flow = flow;
        let branch = format!("z9hG4bK{}", self.token());
        self.put_via(&mut request, &flow, &branch);
        let large = flow.protocol == Protocol::Udp && request.to_bytes().len() > LARGE;
        let natural = (large && self.may_try_tcp(now, flow.remote)).then_some(flow);
        let fallback = natural.or_else(|| self.without_its_connection(&request, &flow));
        if natural.is_some() {
            flow.protocol = Protocol::Tcp;
            request.headers.remove_first(&Name::Via);
            self.put_via(&mut request, &flow, &branch);
        }
        let key = ClientKey { branch: branch.as_bytes().into(), method: request.method.clone() };
        let id = self.add_client(now, key, request, flow, user)?;
        let connecting = self.wire.is_connecting(&flow);
        if let (Some(client), Some(_)) = (self.tx.clients.get_mut(&id), fallback) {
            (client.natural, client.fallback) = (natural, fallback);
            if connecting {
                let at = now + self.config.timers.t1 * 2;
                client.resend = Some(self.timers.set(at, Due::Client(id, Timer::NoConnection)));
            }
        }
        Some(id)
    }

    /// A request in a dialog whose connection is gone: the way by UDP, unless the other side has asked for TCP. Without
    /// `transport=` an address means UDP (RFC 3263 4.1), and not everybody who connects to us can be connected to.
    fn without_its_connection(&self, request: &Request, flow: &Flow) -> Option<Flow> {
        if flow.protocol != Protocol::Tcp || !self.wire.is_connecting(flow) {
            return None;
        }
        request.headers.value(&Name::To).filter(|to| !crate::dialog::tag_of(to).is_empty())?;
        let route = request.headers.elements(&Name::Route).next().and_then(|r| NameAddr::parse(r).ok());
        let hop = route.as_ref().map_or(&request.uri, |route| &route.uri);
        if hop.param("transport").is_some() {
            return None;
        }
        let local = self.config.local_for(Protocol::Udp, flow.remote)?;
        Some(Flow { protocol: Protocol::Udp, conn: None, local, remote: flow.remote })
    }

    /// Whether a large request may go by TCP: not where that was in vain a short while ago.
    fn may_try_tcp(&mut self, now: Instant, remote: SocketAddr) -> bool {
        self.config.tcp_for_large && self.no_tcp.get(&remote).is_none_or(|until| *until <= now)
    }

    /// Nobody listens on TCP there, or nobody can be reached.
    pub(super) fn note_no_tcp(&mut self, now: Instant, remote: SocketAddr) {
        if self.no_tcp.len() >= MOST_NO_TCP {
            self.no_tcp.retain(|_, until| *until > now);
        }
        if self.no_tcp.len() < MOST_NO_TCP {
            self.no_tcp.insert(remote, now + NO_TCP_FOR);
        }
    }

    /// Nobody listens on TCP there: the same request over UDP after all (18.1.1). False when that is no way.
    pub(super) fn fall_back(&mut self, now: Instant, id: TxId) -> bool {
        let Some(client) = self.tx.clients.get_mut(&id) else { return false };
        let Some(flow) = client.fallback.take().filter(|_| client.is_calling()) else { return false };
        self.wire.release(&client.flow, id);
        self.timers.cancel(client.resend.take());
        let branch = String::from_utf8_lossy(&client.key.branch).into_owned();
        let mut request = client.request.clone();
        request.headers.remove_first(&Name::Via);
        self.put_via(&mut request, &flow, &branch);
        let bytes = request.to_bytes();
        self.counters.fallbacks += 1;
        self.wire.send(&flow, bytes.clone(), None, &mut self.counters);
        let again = self.timers.set(now + self.config.timers.t1, Due::Client(id, Timer::Resend));
        if let Some(client) = self.tx.clients.get_mut(&id) {
            (client.request, client.bytes, client.flow) = (request, bytes, flow);
            client.resend = Some(again);
        }
        true
    }

    /// Sends the CANCEL of an INVITE of ours (9.1).
    pub(super) fn send_cancel(&mut self, now: Instant, invite: TxId, reason: Option<&Reason>) {
        let Some(client) = self.tx.clients.get(&invite) else { return };
        let (request, flow) = (client.cancel(reason), client.flow);
        let key = ClientKey { branch: client.key.branch.clone(), method: Method::Cancel };
        self.add_client(now, key, request, flow, User::Nobody);
        // The INVITE must have ended by then, or never will (9.1).
        let at = now + whole(&self.config.timers);
        if let Some(client) = self.tx.clients.get_mut(&invite) {
            client.cancel_sent = true;
            self.timers.cancel(client.give_up.take());
            client.give_up = Some(self.timers.set(at, Due::Client(invite, Timer::GiveUp)));
        }
    }

    fn add_client(
        &mut self,
        now: Instant,
        key: ClientKey,
        request: Request,
        flow: Flow,
        user: User,
    ) -> Option<TxId> {
        let id = self.tx.new_id();
        let mut client = Client::new(key, user, flow, request, &self.config.timers);
        let sent = self.wire.send(&flow, client.bytes.clone(), Some(id), &mut self.counters);
        if sent == Sent::No {
            return None;
        }
        if !flow.protocol.reliable() {
            let at = now + self.config.timers.t1;
            client.resend = Some(self.timers.set(at, Due::Client(id, Timer::Resend)));
        }
        let at = now + whole(&self.config.timers);
        client.give_up = Some(self.timers.set(at, Due::Client(id, Timer::GiveUp)));
        self.tx.client_keys.insert(client.key.clone(), id);
        self.tx.clients.insert(id, client);
        Some(id)
    }

    /// Puts our Via on top (8.1.1.7, RFC 3581).
    fn put_via(&self, request: &mut Request, flow: &Flow, branch: &str) {
        let (host, port) = self.config.shown(flow.protocol, flow.local);
        let via = format!("SIP/2.0/{} {host}:{port};branch={branch};rport", flow.protocol.via());
        request.headers.push_front(Name::Via, via);
    }

    /// Sends a request outside of any transaction: the ACK for a 2xx.
    pub(super) fn send_ack(&mut self, mut request: Request, flow: Flow, invite: TxId) {
        let branch = format!("z9hG4bK{}", self.token());
        self.put_via(&mut request, &flow, &branch);
        self.credit_ack(&mut request, invite);
        let tag = request.headers.value(&Name::To).map(|to| crate::dialog::tag_of(to)).unwrap_or_default();
        let bytes = request.to_bytes();
        self.wire.send(&flow, bytes.clone(), None, &mut self.counters);
        if let Some(client) = self.tx.clients.get_mut(&invite) {
            // As many forks as there may be; the rest is acknowledged anew each time.
            if client.acks.len() < 16 {
                client.acks.push((tag, flow, bytes));
            }
        }
    }

    /// Forgets a client transaction.
    pub(super) fn end_client(&mut self, id: TxId) {
        let Some(client) = self.tx.clients.remove(&id) else { return };
        for alarm in [client.resend, client.give_up, client.done] {
            self.timers.cancel(alarm);
        }
        self.tx.client_keys.remove(&client.key);
        self.wire.release(&client.flow, id);
    }

    /// No response came, or the connection broke.
    pub(super) fn client_failed(&mut self, now: Instant, id: TxId, transport: bool) {
        let Some(client) = self.tx.clients.get(&id) else { return };
        if !client.is_pending() {
            // It only waited for retransmissions, and there are none on a stream.
            self.end_client(id);
            return;
        }
        let user = client.user;
        if transport && self.fall_back(now, id) {
            return;
        }
        if !transport {
            self.counters.timeouts += 1;
        }
        self.end_client(id);
        self.request_failed(now, user, transport);
    }

    /// A server transaction for a request; it has no response yet.
    pub(super) fn start_server(&mut self, key: ServerKey, flow: Flow, invite: bool) -> TxId {
        let id = self.tx.new_id();
        self.tx.server_keys.insert(key.clone(), id);
        self.tx.servers.insert(id, Server::new(key, flow, invite, &self.config.timers));
        id
    }

    /// Sends a response in its transaction and sets the timers that follow it.
    pub(super) fn send_response(&mut self, now: Instant, id: TxId, status: u16, bytes: Bytes) {
        let timers = self.config.timers;
        let Some(server) = self.tx.servers.get_mut(&id) else { return };
        if !server.is_pending() {
            return;
        }
        self.wire.send(&server.flow, bytes.clone(), None, &mut self.counters);
        self.timers.cancel(server.trying.take());
        server.responded(status, bytes);
        if status < 200 {
            return;
        }
        let linger = server.linger(&timers);
        if server.awaits_ack() {
            if !server.flow.protocol.reliable() {
                server.respond = Some(self.timers.set(now + timers.t1, Due::Server(id, Timer::Respond)));
            }
            server.end = Some(self.timers.set(now + linger, Due::Server(id, Timer::NoAck)));
        } else if linger.is_zero() {
            self.end_server(id);
        } else {
            server.end = Some(self.timers.set(now + linger, Due::Server(id, Timer::Over)));
        }
    }

    /// The ACK of a refusal came (timer I).
    pub(super) fn server_acked(&mut self, now: Instant, id: TxId) {
        let Some(server) = self.tx.servers.get_mut(&id) else { return };
        self.timers.cancel(server.respond.take());
        self.timers.cancel(server.end.take());
        let linger = server.linger(&self.config.timers);
        if linger.is_zero() {
            self.end_server(id);
        } else {
            server.end = Some(self.timers.set(now + linger, Due::Server(id, Timer::Over)));
        }
    }

    /// Forgets a server transaction.
    pub(super) fn end_server(&mut self, id: TxId) {
        let Some(server) = self.tx.servers.remove(&id) else { return };
        for alarm in [server.trying, server.respond, server.end] {
            self.timers.cancel(alarm);
        }
        self.tx.server_keys.remove(&server.key);
        if let Some(merge) = server.merge
            && self.tx.merges.get(&merge) == Some(&id)
        {
            self.tx.merges.remove(&merge);
        }
    }

    /// Whether another transaction fits.
    pub(super) fn has_room(&self) -> bool {
        self.tx.len() < self.config.max_transactions
    }

    /// The call's INVITE that is still pending on the server side.
    pub(super) fn pending_server(&self, id: TxId) -> Option<CallId> {
        self.tx.servers.get(&id).filter(|s| s.is_pending()).and_then(|s| s.call)
    }
}
