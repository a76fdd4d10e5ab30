//! From bytes to checked messages (RFC 3261 18, 8.2).

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;

use super::{Due, Endpoint};
use crate::{
    call::Checked,
    message::{
        Core, Framed, Malformed, Message, Method, Name, Problem, Request, Response, Via, max_forwards, parse,
    },
    transaction::{Repeat, ServerKey},
    transport::{ConnId, Input, Protocol, Transport},
    wire::Flow,
};

impl Endpoint {
    /// A datagram, or a read from a connection.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        let mut local = input.local;
        if local.ip().is_unspecified() {
            local = self.config.local_for(input.transport.protocol(), input.remote).unwrap_or(local);
        }
        let source = Flow::of(input.transport, local, input.remote);
        match input.transport {
            Transport::Udp => self.datagram(now, input.bytes, source),
            Transport::Tcp(id) => self.stream(now, id, input.bytes, source),
            Transport::TcpConnect | Transport::TcpClose(_) => {}
        }
    }

    fn datagram(&mut self, now: Instant, bytes: &[u8], source: Flow) {
        // Keep-alives: line ends, or a few zero bytes.
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | b' ' | 0)) {
            self.counters.keep_alives += 1;
            return;
        }
        let limits = self.config.limits;
        let message = if bytes.len() > limits.head + limits.body {
            // Read what is needed to answer it, no more.
            let head = bytes.get(..limits.head).unwrap_or(bytes);
            let read = parse(&Bytes::copy_from_slice(head), &limits);
            Err(match read {
                Ok(Message::Request(r)) => {
                    Malformed { problem: Problem::BodyTooLarge, request: Some(Box::new(r)) }
                }
                Ok(Message::Response(_)) => Malformed { problem: Problem::BodyTooLarge, request: None },
                Err(malformed) => Malformed { problem: Problem::HeaderTooLarge, ..malformed },
            })
        } else {
            parse(&Bytes::copy_from_slice(bytes), &limits)
        };
        self.message(now, message, source);
    }

    fn stream(&mut self, now: Instant, id: ConnId, bytes: &[u8], source: Flow) {
        if !self.opened(now, id, source.remote, true) {
            return;
        }
        if let Some(framer) = self.wire.framer(id) {
            framer.push(bytes);
        }
        let mut any = false;
        loop {
            let Some(framer) = self.wire.framer(id) else { return };
            match framer.poll() {
                Ok(None) => break,
                Ok(Some(Framed::Ping)) => {
                    self.counters.keep_alives += 1;
                    self.wire.pong(id, source.remote, &mut self.counters);
                }
                Ok(Some(Framed::Message(message))) => {
                    any = true;
                    self.message(now, *message, source);
                }
                Err(_) => {
                    self.counters.broken_streams += 1;
                    tracing::debug!(remote = %source.remote, "a SIP stream cannot be followed: connection closed");
                    return self.drop_connection(now, id, source.remote);
                }
            }
        }
        let Some(begun) = self.wire.weigh(id) else {
            self.counters.partial_overflow += 1;
            return self.drop_connection(now, id, source.remote);
        };
        self.watch(now, id, any, begun);
    }

    /// Notes a connection; false when there are too many. Who connects to us has to say something.
    pub(super) fn opened(&mut self, now: Instant, id: ConnId, remote: SocketAddr, owes: bool) -> bool {
        let Some(new) = self.wire.open(id, remote, self.config.limits, &mut self.counters) else {
            return false;
        };
        if new
            && owes
            && let Some(idle) = self.wire.idle(id)
        {
            *idle = Some(self.timers.set(now + self.config.max_idle, Due::Idle(id)));
        }
        true
    }

    /// After a read: a message that has begun must come to its end in time. What came before it gives no new time.
    fn watch(&mut self, now: Instant, id: ConnId, any: bool, begun: bool) {
        let Some(idle) = self.wire.idle(id) else { return };
        if any {
            self.timers.cancel(idle.take());
        }
        if begun && idle.is_none() {
            *idle = Some(self.timers.set(now + self.config.max_idle, Due::Idle(id)));
        }
    }

    /// A connection did not bring what it owes.
    pub(super) fn idle(&mut self, now: Instant, id: ConnId) {
        let Some(remote) = self.wire.remote(id) else { return };
        self.counters.idle_connections += 1;
        self.drop_connection(now, id, remote);
    }

    fn drop_connection(&mut self, now: Instant, id: ConnId, remote: SocketAddr) {
        self.wire.close(id, remote, &mut self.counters);
        self.handle_closed(now, id);
    }

    fn message(&mut self, now: Instant, message: Result<Message, Malformed>, source: Flow) {
        match message {
            Ok(Message::Request(request)) => {
                self.counters.requests += 1;
                self.request(now, request, source);
            }
            Ok(Message::Response(response)) => {
                self.counters.responses += 1;
                self.response(now, response, source);
            }
            Err(malformed) => self.malformed(malformed, source),
        }
    }

    /// Answers what can be answered, without state; counts the rest.
    fn malformed(&mut self, malformed: Malformed, source: Flow) {
        let problem = malformed.problem;
        tracing::debug!(remote = %source.remote, %problem, "a bad SIP message");
        if matches!(problem, Problem::BodyTooLarge | Problem::HeaderTooLarge) {
            self.counters.oversized += 1;
        }
        match malformed.request {
            Some(request) => {
                self.counters.requests += 1;
                self.refuse_unread(*request, source, problem);
            }
            None => self.counters.unreadable += 1,
        }
    }

    fn refuse_unread(&mut self, mut request: Request, source: Flow, problem: Problem) {
        if request.method == Method::Ack || request.headers.value(&Name::Via).is_none() {
            self.counters.unreadable += 1;
            return;
        }
        let status = problem.status();
        if status == 400 {
            self.counters.malformed += 1;
        }
        let via = request.headers.elements(&Name::Via).next().and_then(|v| Via::parse(v).ok());
        let reply = match via {
            Some(via) => note_source(&mut request, via, &source),
            None => source,
        };
        let reason = if status == 400 { capitalized(&problem.to_string()) } else { String::new() };
        let allow = [(Name::Allow, self.allow())];
        let extra = if status == 501 { &allow[..] } else { &[] };
        self.respond_stateless(&request, &reply, status, &reason, extra);
    }

    fn request(&mut self, now: Instant, mut request: Request, source: Flow) {
        let checked = Core::read(&request.headers).and_then(|core| {
            max_forwards(&request.headers)?;
            match core.method == request.method {
                true => Ok(core),
                // 501 tells more than 400 (RFC 4475 3.1.2.18).
                false if matches!(request.method, Method::Other(_)) => Err(Problem::Method),
                false => Err(Problem::Bad("CSeq method")),
            }
        });
        let core = match checked {
            Ok(core) => core,
            Err(problem) => return self.refuse_unread(request, source, problem),
        };
        let key = ServerKey::of(&request, &core.via, &request.method);
        let cancels =
            (request.method == Method::Cancel).then(|| ServerKey::of(&request, &core.via, &Method::Invite));
        let reply = note_source(&mut request, core.via.clone(), &source);
        if let Some(id) = self.tx.server_keys.get(&key).copied() {
            let is_ack = request.method == Method::Ack;
            let Some(server) = self.tx.servers.get_mut(&id) else { return };
            match server.repeated(is_ack) {
                Repeat::Resend(bytes) => {
                    self.counters.repeated += 1;
                    let flow = server.flow;
                    self.wire.send(&flow, bytes, None, &mut self.counters);
                }
                Repeat::Absorb => self.counters.repeated += 1,
                Repeat::Acked => self.server_acked(now, id),
                Repeat::ForCall => self.ack(now, &request, &core),
            }
            return;
        }
        let checked = Checked { request, core, source, reply, key };
        match checked.request.method {
            Method::Ack => self.ack(now, &checked.request, &checked.core),
            Method::Cancel => self.cancel(now, checked, cancels),
            _ => self.inspect(now, checked),
        }
    }

    /// A response, for one of our client transactions (17.1.3, 18.1.2).
    fn response(&mut self, now: Instant, response: Response, source: Flow) {
        let core = Core::read(&response.headers).ok();
        let single = response.headers.elements(&Name::Via).nth(1).is_none();
        let found = core.filter(|_| single).and_then(|core| {
            let branch = core.via.branch()?.into();
            let key = crate::transaction::ClientKey { branch, method: core.method.clone() };
            Some((*self.tx.client_keys.get(&key)?, core))
        });
        match found {
            Some((id, core)) => self.heard(now, id, response, &core, source),
            None => self.counters.stray_responses += 1,
        }
    }
}

/// Writes `received` and `rport` into the topmost Via; gives the way of the responses (RFC 3261 18.2.2, RFC 3581).
///
/// Over UDP they go back to the source. Only when the client does not ask for that (`rport`), and speaks from the very address it
/// names in Via, the port it names there is taken: some phones send from one port and listen on another.
fn note_source(request: &mut Request, mut via: Via, source: &Flow) -> Flow {
    via.note_source(source.remote);
    let mut top = Vec::with_capacity(128);
    via.write(&mut top);
    request.headers.replace_first_element(&Name::Via, &top);
    let mut reply = *source;
    let named = via.port.unwrap_or(5060);
    match source.protocol {
        Protocol::Udp => {
            if !via.params.has("rport") && via.is_from(source.remote.ip()) {
                reply.remote.set_port(named);
            }
        }
        // The address to connect to when the connection is gone by then; the port the client opened is no listener.
        Protocol::Tcp => reply.remote.set_port(named),
    }
    reply
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
