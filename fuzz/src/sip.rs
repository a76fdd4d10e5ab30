//! SIP and SDP, through the endpoint: what comes from outside goes in where it comes in.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Instant,
};

use bytes::Bytes;
use cau_sip::{
    CallId, Config, ConnId, Endpoint, Event, Input, Limits, Protocol, Target, Transmit, Transport, Uri,
    message::{Headers, Message, Name, NameAddr, parse},
    sdp::{
        Capabilities, Origin, Ports, Session, accept_answer, answer, crypto, formats, h264::Receive, offer,
        settle,
    },
};

use crate::{ms, start};

const OURS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 5060);
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nt=0 0\r\n";
/// Between the steps of a script, and at its beginning.
const SEPARATOR: u8 = 0x1e;
/// Most steps of a script.
const STEPS: usize = 64;
/// Most messages one step may cause: what is sent to a peer that floods must not grow with the flood.
const MOST_CAUSED: usize = 4096;

/// A side of the conversation: the endpoint, its owner, and what a peer would know of it.
pub struct Stage {
    endpoint: Endpoint,
    now: Instant,
    /// Calls that were reported, the last ones.
    calls: Vec<CallId>,
    /// Values of the last message of ours, to be named in scripts: `{via}`, `{tag}` …
    heard: HashMap<&'static str, Vec<u8>>,
    /// The owner answers by itself.
    obliging: bool,
}

impl Default for Stage {
    fn default() -> Self {
        let config = Config {
            udp: vec![OURS],
            tcp: vec![OURS],
            focus: true,
            max_calls: 64,
            max_transactions: 256,
            max_connections: 8,
            max_events: 256,
            max_queued: 4 * 1024 * 1024,
            max_partial: 1024 * 1024,
            ..Config::default()
        };
        Self {
            endpoint: Endpoint::new(config, 1),
            now: start(),
            calls: Vec::new(),
            heard: HashMap::new(),
            obliging: true,
        }
    }
}

impl Stage {
    /// Plays one input: a datagram, or (when the first byte is the separator) a script of what happens to an endpoint.
    pub fn play(&mut self, data: &[u8]) {
        match data.split_first() {
            Some((&SEPARATOR, script)) => {
                for step in script.split(|b| *b == SEPARATOR).take(STEPS) {
                    self.step(step);
                }
            }
            _ => {
                self.input(Transport::Udp, 5060, data);
            }
        }
    }

    fn input(&mut self, transport: Transport, port: u16, bytes: &[u8]) -> Vec<Transmit> {
        let remote = SocketAddr::new(THEIRS, port);
        self.endpoint.handle_input(self.now, Input { transport, local: OURS, remote, bytes });
        self.settle()
    }

    /// Lets the owner act, and reads what is sent.
    fn settle(&mut self) -> Vec<Transmit> {
        let mut all = Vec::new();
        loop {
            let before = all.len();
            while let Some(event) = self.endpoint.poll_event() {
                self.act(&event);
            }
            while let Some(transmit) = self.endpoint.poll_transmit() {
                self.read(&transmit);
                all.push(transmit);
            }
            assert!(all.len() <= MOST_CAUSED, "{} messages at once", all.len());
            if all.len() == before {
                return all;
            }
        }
    }

    fn act(&mut self, event: &Event) {
        let sdp = Bytes::from_static(OFFER);
        let (it, now) = (&mut self.endpoint, self.now);
        match event {
            Event::Incoming { call, .. } => {
                self.calls.push(*call);
                if self.obliging {
                    let _ = it.accept(now, *call, sdp);
                }
            }
            Event::Reoffer { call, .. } if self.obliging => drop(it.answer_reoffer(now, *call, sdp)),
            Event::Offer { call, .. } if self.obliging => drop(it.answer(now, *call, sdp)),
            _ => {}
        }
    }

    /// What is sent can be read, and holds what a peer needs to go on.
    fn read(&mut self, transmit: &Transmit) {
        if transmit.bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
            return;
        }
        // A response repeats what it answers, and may be larger than what is taken in.
        let limits = Limits { head: 1 << 20, headers: 1 << 12, body: 1 << 20 };
        let message = parse(&transmit.bytes, &limits);
        let message = message.unwrap_or_else(|e| panic!("{e:?}: {:?}", transmit.bytes));
        let headers = message.headers();
        let values = [
            ("via", Name::Via),
            ("from", Name::From),
            ("to", Name::To),
            ("callid", Name::CallId),
            ("cseq", Name::CSeq),
            ("rseq", Name::RSeq),
            ("session", Name::SessionId),
        ];
        for (name, header) in values {
            if let Some(value) = headers.value(&header) {
                self.heard.insert(name, value.to_vec());
            }
        }
        let own = match message {
            Message::Request(_) => Name::From,
            Message::Response(_) => Name::To,
        };
        if let Some(tag) = tag(headers, &own) {
            self.heard.insert("tag", tag);
        }
        if let Some(number) = headers.value(&Name::CSeq).and_then(|v| v.split(|b| *b == b' ').next()) {
            self.heard.insert("number", number.to_vec());
        }
    }

    /// `{name}` replaced by what was heard last.
    fn fill(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.iter().position(|b| *b == b'{') {
            let (head, tail) = rest.split_at(open);
            out.extend_from_slice(head);
            let end = tail.iter().take(12).position(|b| *b == b'}');
            let value = end.and_then(|end| {
                let name = std::str::from_utf8(&tail[1..end]).ok()?;
                Some((end, self.heard.get(name)?))
            });
            match value {
                Some((end, value)) => {
                    out.extend_from_slice(value);
                    rest = &tail[end + 1..];
                }
                None => {
                    out.push(b'{');
                    rest = &tail[1..];
                }
            }
        }
        out.extend_from_slice(rest);
        out
    }

    /// One step of a script: what, to whom, and the text.
    fn step(&mut self, step: &[u8]) {
        let [what, which, text @ ..] = step else { return };
        let which = which % 4;
        let conn = ConnId(u64::from(which));
        let port = 5060 + u16::from(which);
        match what {
            b'U' => drop(self.input(Transport::Udp, port, &self.fill(text))),
            b'T' => drop(self.input(Transport::Tcp(conn), port, &self.fill(text))),
            b'W' => self.wait(u64::from(text.first().copied().unwrap_or(1)).pow(2) * 100),
            b'X' => self.endpoint.handle_closed(self.now, conn),
            b'F' => self.endpoint.handle_connect_failed(self.now, SocketAddr::new(THEIRS, port)),
            b'K' => {
                let remote = SocketAddr::new(THEIRS, port);
                self.endpoint.handle_connected(self.now, conn, OURS, remote);
            }
            b'S' => self.obliging = which % 2 == 0,
            b'C' => self.command(which, text.first().copied().unwrap_or_default()),
            _ => {}
        }
        self.settle();
    }

    /// What an owner may do at any time.
    fn command(&mut self, which: u8, what: u8) {
        let (now, sdp) = (self.now, Bytes::from_static(OFFER));
        let last = self.calls.len().saturating_sub(1 + usize::from(which));
        let call = self.calls.get(last).copied().unwrap_or(CallId(1));
        let it = &mut self.endpoint;
        let _ = match what % 16 {
            0..=2 => {
                let target = Target {
                    protocol: Some(if what % 16 == 1 { Protocol::Tcp } else { Protocol::Udp }),
                    ..Target::new(Uri::sip("site", SocketAddr::new(THEIRS, 5060)))
                };
                let called = it.call(now, target, (what % 16 != 2).then_some(sdp));
                self.calls.extend(called);
                Ok(())
            }
            3 => it.hangup(now, call, Some("words")),
            4 => it.reoffer(now, call, Some(sdp)),
            5 => it.reoffer(now, call, None),
            6 => it.update(now, call, sdp),
            7 => it.ring(now, call),
            8 => it.progress(now, call, 183, Some(sdp)),
            9 => it.accept(now, call, sdp),
            10 => it.reject(now, call, 486, &[("Warning", "399 cau \"x\"")]),
            11 => it.answer_reoffer(now, call, sdp),
            12 => it.reject_reoffer(now, call, 488, &[]),
            13 => it.answer(now, call, sdp),
            14 => it.fast_update(now, call),
            _ => it.set_session_id(call, 5),
        };
    }

    fn wait(&mut self, milliseconds: u64) {
        let end = self.now + ms(milliseconds);
        for _ in 0..STEPS * 16 {
            let Some(next) = self.endpoint.poll_timeout().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.endpoint.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// Everything that was begun comes to its end, and nothing stays behind.
    ///
    /// # Panics
    /// When something does stay.
    pub fn end(&mut self) {
        for call in std::mem::take(&mut self.calls) {
            let _ = self.endpoint.hangup(self.now, call, None);
        }
        self.settle();
        for conn in 0..4 {
            self.endpoint.handle_closed(self.now, ConnId(conn));
            self.endpoint.handle_connect_failed(self.now, SocketAddr::new(THEIRS, 5060 + conn as u16));
        }
        self.settle();
        for _ in 0..50_000 {
            let Some(next) = self.endpoint.poll_timeout() else {
                assert_eq!((self.endpoint.calls(), self.endpoint.transactions()), (0, 0), "left behind");
                return;
            };
            self.now = self.now.max(next);
            self.endpoint.handle_timeout(self.now);
            self.settle();
        }
        panic!("time-outs without end");
    }
}

fn tag(headers: &Headers, name: &Name) -> Option<Vec<u8>> {
    NameAddr::parse(headers.value(name)?).ok()?.tag().map(<[u8]>::to_vec)
}

/// See [`Stage::play`].
pub fn sip_endpoint(data: &[u8]) {
    let mut stage = Stage::default();
    stage.play(data);
    stage.end();
}

/// A stream must mean the same however it is cut: the first byte says how.
pub fn sip_stream(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let play = |piece: usize| {
        // When the owner acts between the pieces, it rightly acts on what there is by then.
        let mut stage = Stage { obliging: false, ..Stage::default() };
        let mut sent: Vec<(Transport, Bytes)> = Vec::new();
        for part in stream.chunks(piece) {
            let new = stage.input(Transport::Tcp(ConnId(1)), 5060, part);
            sent.extend(new.into_iter().map(|t| (t.transport, t.bytes)));
            if sent.iter().any(|(t, _)| matches!(t, Transport::TcpClose(_))) {
                break;
            }
        }
        let counters = *stage.endpoint.counters();
        stage.end();
        (sent, counters)
    };
    let whole = play(stream.len().max(1));
    let pieces = play(1 + usize::from(*cut));
    assert_eq!(whole, pieces, "cut into pieces of {}", 1 + usize::from(*cut));
}

fn ours() -> Capabilities {
    Capabilities::mcu(Receive::HD720, 2_000)
}

const PORTS: Ports = Ports { addr: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), audio: 4_000, video: 4_002 };

/// The input as the offer of an INVITE, answered as the conference answers it.
pub fn sdp_offer(data: &[u8]) {
    let mut stage = Stage { obliging: false, ..Stage::default() };
    let head = format!(
        "INVITE sip:8000@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:site@192.0.2.1>;tag=a\r\nTo: <sip:8000@192.0.2.2>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:site@192.0.2.1>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
        data.len()
    );
    let input = [head.as_bytes(), data].concat();
    let remote = SocketAddr::new(THEIRS, 5060);
    let input = Input { transport: Transport::Tcp(ConnId(1)), local: OURS, remote, bytes: &input };
    stage.endpoint.handle_input(stage.now, input);
    if let Some(Event::Incoming { call, request }) = stage.endpoint.poll_event() {
        stage.calls.push(call);
        let answered = request.offer.and_then(|offer| answered(&offer));
        let _ = match answered {
            Some(sdp) => stage.endpoint.accept(stage.now, call, sdp),
            None => stage.endpoint.reject(stage.now, call, 488, &[]),
        };
    }
    stage.settle();
    stage.end();
}

fn answered(offered: &[u8]) -> Option<Bytes> {
    let session = Session::parse(offered).ok()?;
    written(&session);
    let origin = Origin::new(1, PORTS.addr);
    let (answer, agreed) = answer(&session, &ours(), &PORTS, &origin).ok()?;
    assert_eq!(answer.media.len(), session.media.len(), "as many lines");
    let taken = answer.media.iter().filter(|m| m.port != 0).count();
    assert_eq!(taken, usize::from(agreed.audio.is_some()) + usize::from(agreed.video.is_some()));
    assert_eq!(taken + agreed.declined.len(), session.media.len(), "each line is taken or declined");
    for (o, a) in session.media.iter().zip(&answer.media) {
        assert_eq!((&o.kind, &o.protocol), (&a.kind, &a.protocol));
    }
    let next = offer(&ours(), &PORTS, &origin, Some(&settle(&answer, &session)));
    assert!(next.media.len() >= answer.media.len(), "lines are never removed");
    accept_answer(&session, &answer, &ours()).expect("our own answer fits");
    Some(answer.to_bytes())
}

fn written(session: &Session) {
    let again = Session::parse(&session.to_bytes()).expect("what we write we can read");
    assert_eq!(again, *session, "reading and writing lose nothing");
    for media in &session.media {
        assert!(formats(media).len() <= 128);
        let _ = crypto::of(media);
    }
}

/// The input as the answer to our offer, in the 200 to our INVITE.
pub fn sdp_answer(data: &[u8]) {
    let mut stage = Stage::default();
    let origin = Origin::new(1, PORTS.addr);
    let first = offer(&ours(), &PORTS, &origin, None);
    let target = Target {
        protocol: Some(Protocol::Tcp),
        ..Target::new(Uri::sip("site", SocketAddr::new(THEIRS, 5060)))
    };
    let call = stage.endpoint.call(stage.now, target, Some(first.to_bytes())).expect("a call");
    stage.calls.push(call);
    stage.endpoint.handle_connected(stage.now, ConnId(1), OURS, SocketAddr::new(THEIRS, 5060));
    stage.settle();
    let head = stage.fill(
        b"SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to};tag=b\r\nCall-ID: {callid}\r\nCSeq: {cseq}\r\n\
          Contact: <sip:site@192.0.2.1>\r\nContent-Type: application/sdp\r\n",
    );
    let length = format!("Content-Length: {}\r\n\r\n", data.len());
    let bytes = [&head[..], length.as_bytes(), data].concat();
    let remote = SocketAddr::new(THEIRS, 5060);
    let input = Input { transport: Transport::Tcp(ConnId(1)), local: OURS, remote, bytes: &bytes };
    stage.endpoint.handle_input(stage.now, input);
    while let Some(event) = stage.endpoint.poll_event() {
        let Event::Answer { sdp, .. } = event else { continue };
        let Ok(answer) = Session::parse(&sdp) else { continue };
        written(&answer);
        if let Ok(agreed) = accept_answer(&first, &answer, &ours()) {
            let open = answer.media.iter().filter(|m| m.port != 0).count();
            assert!(open >= usize::from(agreed.audio.is_some()) + usize::from(agreed.video.is_some()));
            let next = offer(&ours(), &PORTS, &origin, Some(&settle(&first, &answer)));
            written(&next);
        }
    }
    stage.settle();
    stage.end();
}
