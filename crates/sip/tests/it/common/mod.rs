//! Endpoints on a virtual clock, over a seeded network that loses, repeats and reorders datagrams and cuts streams into pieces.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cau_sip::{
    CallId, Config, ConnId, Endpoint, Event, Input, Protocol, Target, Transmit, Transport, Uri,
    message::{Message, Method, Request, Response, parse},
    register::RegistrationState,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

pub const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";
pub const ANSWER: &[u8] = b"v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\ns=-\r\nt=0 0\r\n";

pub fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a virtual clock has to begin somewhere")]
pub fn start() -> Instant {
    Instant::now()
}

/// How the network treats datagrams.
#[derive(Clone, Copy)]
pub struct Weather {
    pub loss: f64,
    pub duplication: f64,
    pub delay: Duration,
    /// Further delay, random: reorders.
    pub jitter: Duration,
    /// Streams are cut into pieces of this size.
    pub piece: usize,
}

pub const FAIR: Weather = Weather {
    loss: 0.0,
    duplication: 0.0,
    delay: Duration::from_millis(10),
    jitter: Duration::ZERO,
    piece: usize::MAX,
};

pub const STORM: Weather = Weather {
    loss: 0.2,
    duplication: 0.2,
    delay: Duration::from_millis(10),
    jitter: Duration::from_millis(300),
    piece: usize::MAX,
};

/// What an owner does by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Nothing; the test does it.
    Silent,
    /// Takes calls and answers offers at once.
    Obliging,
}

pub struct Side {
    pub endpoint: Endpoint,
    pub address: SocketAddr,
    pub events: Vec<Event>,
    pub manner: Manner,
    /// First lines of what it sent.
    pub sent: Vec<String>,
    conns: HashMap<SocketAddr, ConnId>,
}

impl Side {
    fn new(address: SocketAddr, seed: u64, config: Config) -> Self {
        let config = Config { udp: vec![address], tcp: vec![address], ..config };
        Self {
            endpoint: Endpoint::new(config, seed),
            address,
            events: Vec::new(),
            manner: Manner::Obliging,
            sent: Vec::new(),
            conns: HashMap::new(),
        }
    }

    pub fn call(&self) -> CallId {
        self.events
            .iter()
            .find_map(|e| match e {
                Event::Incoming { call, .. } => Some(*call),
                _ => None,
            })
            .expect("a call came in")
    }

    /// Short names of the events.
    pub fn story(&self) -> Vec<String> {
        self.events.iter().map(name).collect()
    }

    pub fn told(&self, what: &str) -> usize {
        self.events.iter().filter(|e| name(e) == what).count()
    }

    pub fn sent(&self, start: &str) -> usize {
        self.sent.iter().filter(|l| l.starts_with(start)).count()
    }
}

pub fn name(event: &Event) -> String {
    match event {
        Event::Incoming { request, .. } => {
            if request.offer.is_some() {
                "incoming".into()
            } else {
                "incoming without offer".into()
            }
        }
        Event::Reoffer { offer, .. } => {
            if offer.is_some() {
                "reoffer".into()
            } else {
                "reoffer without offer".into()
            }
        }
        Event::ReofferCancelled { .. } => "reoffer cancelled".into(),
        Event::Answer { .. } => "answer".into(),
        Event::Offer { .. } => "offer".into(),
        Event::Confirmed { .. } => "confirmed".into(),
        Event::Progress { status, .. } => format!("progress {status}"),
        Event::Rejected { status, .. } => format!("rejected {status}"),
        Event::ReofferRejected { status, .. } => format!("reoffer rejected {status}"),
        Event::Ended { cause, .. } => format!("ended {}", cause.code()),
        Event::Info { body, .. } => format!("info {body:?}"),
        Event::Subscribe(_) => "subscribe".into(),
        Event::StateWanted { room } => format!("state wanted {room}"),
        Event::Refer(refer) => format!("refer {:?}", refer.wanted),
        Event::Registrar(changed) => format!("{} {:?}", changed.account, changed.change),
        Event::Registration { state, .. } => match state {
            RegistrationState::Trying => "trying".into(),
            RegistrationState::Registered { .. } => "registered".into(),
            RegistrationState::Failed { status, .. } => format!("failed {status:?}"),
            RegistrationState::Ended => "signed off".into(),
        },
    }
}

enum Parcel {
    Datagram { from: usize, bytes: Bytes },
    Piece { from: usize, bytes: Bytes },
    Connect { from: usize },
}

/// Two endpoints: 0 calls, 1 is called.
pub struct Pair {
    pub now: Instant,
    pub sides: [Side; 2],
    pub weather: Weather,
    /// Datagrams sent by a side that never arrive: first lines that begin so, and how many are still to be lost.
    pub swallow: Vec<(usize, &'static str, usize)>,
    rng: StdRng,
    parcels: BTreeMap<(Instant, u64), Parcel>,
    posted: u64,
    /// When the last piece of the stream of each side arrives.
    stream: [Instant; 2],
}

impl Pair {
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self::with(seed, weather, Config::default(), Config { focus: true, ..Config::default() })
    }

    pub fn with(seed: u64, weather: Weather, caller: Config, called: Config) -> Self {
        let now = start();
        Self {
            now,
            sides: [
                Side::new(at("192.0.2.1:5060"), seed, caller),
                Side::new(at("192.0.2.2:5060"), seed + 1000, called),
            ],
            weather,
            swallow: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            parcels: BTreeMap::new(),
            posted: 0,
            stream: [now; 2],
        }
    }

    pub fn a(&mut self) -> &mut Side {
        &mut self.sides[0]
    }

    pub fn b(&mut self) -> &mut Side {
        &mut self.sides[1]
    }

    /// Side 0 calls side 1.
    pub fn dial(&mut self, protocol: Protocol, offer: Option<&'static [u8]>) -> CallId {
        let target =
            Target { protocol: Some(protocol), ..Target::new(Uri::sip("8000", self.sides[1].address)) };
        let now = self.now;
        let call = self.sides[0].endpoint.call(now, target, offer.map(Bytes::from_static)).unwrap();
        self.settle();
        call
    }

    /// A call that stands; the ids on both sides.
    pub fn established(&mut self, protocol: Protocol) -> (CallId, CallId) {
        let a = self.dial(protocol, Some(OFFER));
        self.run(Duration::from_millis(300));
        assert_eq!(self.sides[0].told("confirmed"), 1);
        assert_eq!(self.sides[1].told("confirmed"), 1);
        (a, self.sides[1].call())
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        loop {
            let parcel = self.parcels.first_key_value().map(|((at, _), _)| *at);
            let timer = self.sides.iter().filter_map(|s| s.endpoint.poll_timeout()).min();
            let Some(next) = [parcel, timer].into_iter().flatten().min().filter(|n| *n <= end) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.parcels.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let parcel = entry.remove();
                self.deliver(parcel);
            }
            for side in &mut self.sides {
                side.endpoint.handle_timeout(self.now);
            }
            self.settle();
        }
        self.now = end;
    }

    /// Breaks the connection between the two.
    pub fn cut(&mut self) {
        let now = self.now;
        for side in &mut self.sides {
            for (_, conn) in std::mem::take(&mut side.conns) {
                side.endpoint.handle_closed(now, conn);
            }
        }
        self.parcels.retain(|_, p| !matches!(p, Parcel::Piece { .. }));
        self.settle();
    }

    fn deliver(&mut self, parcel: Parcel) {
        let now = self.now;
        match parcel {
            Parcel::Datagram { from, bytes } => self.input(from, Transport::Udp, &bytes),
            Parcel::Piece { from, bytes } => {
                let peer = self.sides[from].address;
                let Some(conn) = self.sides[1 - from].conns.get(&peer).copied() else { return };
                self.input(from, Transport::Tcp(conn), &bytes);
            }
            Parcel::Connect { from } => {
                self.posted += 1;
                let conn = ConnId(self.posted);
                let (here, there) = (self.sides[from].address, self.sides[1 - from].address);
                self.sides[from].conns.insert(there, conn);
                self.sides[1 - from].conns.insert(here, conn);
                self.sides[from].endpoint.handle_connected(now, conn, here, there);
            }
        }
        self.settle();
    }

    fn input(&mut self, from: usize, transport: Transport, bytes: &[u8]) {
        let remote = self.sides[from].address;
        let to = &mut self.sides[1 - from];
        let input = Input { transport, local: to.address, remote, bytes };
        to.endpoint.handle_input(self.now, input);
        self.settle();
    }

    /// Lets the owners act and posts what they send, until nothing more comes.
    pub fn settle(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for which in 0..2 {
                let side = &mut self.sides[which];
                while let Some(event) = side.endpoint.poll_event() {
                    if side.manner == Manner::Obliging {
                        oblige(&mut side.endpoint, self.now, &event);
                    }
                    side.events.push(event);
                }
                while let Some(transmit) = self.sides[which].endpoint.poll_transmit() {
                    busy = true;
                    self.post(which, transmit);
                }
            }
        }
    }

    fn post(&mut self, from: usize, transmit: Transmit) {
        let first = transmit.bytes.split(|b| *b == b'\r').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first).into_owned();
        self.sides[from].sent.push(first.clone());
        let swallowed = self
            .swallow
            .iter_mut()
            .find(|(side, start, left)| *side == from && *left > 0 && first.starts_with(start));
        if let Some((_, _, left)) = swallowed {
            *left -= 1;
            return;
        }
        match transmit.transport {
            Transport::Udp => {
                if transmit.remote != self.sides[1 - from].address {
                    return;
                }
                let copies = 1 + usize::from(self.rng.random_bool(self.weather.duplication));
                for _ in 0..copies {
                    if self.rng.random_bool(self.weather.loss) {
                        continue;
                    }
                    let jitter = self.weather.jitter.mul_f64(self.rng.random());
                    let bytes = transmit.bytes.clone();
                    self.put(self.now + self.weather.delay + jitter, Parcel::Datagram { from, bytes });
                }
            }
            Transport::Tcp(_) => {
                let pieces: Vec<_> = transmit.bytes.chunks(self.weather.piece.min(1 << 20)).collect();
                for piece in pieces {
                    let at = self.stream[from].max(self.now + self.weather.delay);
                    self.stream[from] = at;
                    self.put(at, Parcel::Piece { from, bytes: Bytes::copy_from_slice(piece) });
                }
            }
            Transport::TcpConnect => {
                if transmit.remote == self.sides[1 - from].address {
                    self.put(self.now + self.weather.delay, Parcel::Connect { from });
                } else {
                    self.sides[from].endpoint.handle_connect_failed(self.now, transmit.remote);
                }
            }
            Transport::TcpClose(_) => self.cut(),
        }
    }

    fn put(&mut self, at: Instant, parcel: Parcel) {
        self.posted += 1;
        self.parcels.insert((at, self.posted), parcel);
    }
}

fn oblige(endpoint: &mut Endpoint, now: Instant, event: &Event) {
    let answer = Bytes::from_static(ANSWER);
    let done = match event {
        Event::Incoming { call, .. } => endpoint.accept(now, *call, answer),
        Event::Reoffer { call, .. } => endpoint.answer_reoffer(now, *call, answer),
        Event::Offer { call, .. } => endpoint.answer(now, *call, answer),
        _ => Ok(()),
    };
    // The call may have ended by a later event already.
    let _ = done;
}

/// One endpoint and what the test writes to it by hand.
pub struct Bench {
    pub endpoint: Endpoint,
    pub now: Instant,
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

impl Bench {
    pub fn new(config: Config) -> Self {
        let local = at("192.0.2.2:5060");
        let config = Config { udp: vec![local], tcp: vec![local], ..config };
        Self { endpoint: Endpoint::new(config, 1), now: start(), peer: at("192.0.2.1:5060"), local }
    }

    pub fn input(&mut self, transport: Transport, bytes: &[u8]) {
        let input = Input { transport, local: self.local, remote: self.peer, bytes };
        self.endpoint.handle_input(self.now, input);
    }

    pub fn send(&mut self, text: &str) -> Vec<Message> {
        self.input(Transport::Udp, text.replace('\n', "\r\n").as_bytes());
        self.sent()
    }

    /// The messages sent; keep-alives and orders to the driver left out.
    pub fn sent(&mut self) -> Vec<Message> {
        let is_message = |t: &&Transmit| t.bytes.iter().any(|b| !matches!(b, b'\r' | b'\n'));
        self.transmits().iter().filter(is_message).map(|t| read(&t.bytes)).collect()
    }

    pub fn transmits(&mut self) -> Vec<Transmit> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).collect()
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    pub fn pass(&mut self, time: Duration) -> Vec<Message> {
        self.now += time;
        self.endpoint.handle_timeout(self.now);
        self.sent()
    }

    /// The one response to a request.
    pub fn response(&mut self, text: &str) -> Response {
        let mut sent = self.send(text);
        assert_eq!(sent.len(), 1, "one response: {sent:?}");
        response(sent.remove(0))
    }

    /// A call that came in and stands: its id and the tag of our side.
    pub fn established(&mut self) -> (CallId, String) {
        let invite = request("INVITE", "1", "", "v=0\r\n");
        assert!(self.send(&invite).is_empty());
        let call = self
            .events()
            .into_iter()
            .find_map(|e| match e {
                Event::Incoming { call, .. } => Some(call),
                _ => None,
            })
            .expect("incoming");
        self.endpoint.accept(self.now, call, Bytes::from_static(ANSWER)).unwrap();
        let ok = response(self.sent().remove(0));
        let tag = to_tag(&ok);
        self.send(&in_dialog("ACK", 1, "ack", &tag, "", ""));
        assert!(matches!(self.events()[..], [Event::Confirmed { .. }]));
        (call, tag)
    }
}

pub fn read(bytes: &Bytes) -> Message {
    parse(bytes, &Default::default()).unwrap_or_else(|e| panic!("{e:?}: {bytes:?}"))
}

pub fn response(message: Message) -> Response {
    match message {
        Message::Response(r) => r,
        Message::Request(r) => panic!("a request: {}", r.method),
    }
}

pub fn only_request(messages: Vec<Message>, method: Method) -> Request {
    match &messages[..] {
        [Message::Request(r)] if r.method == method => r.clone(),
        other => panic!("not one {method}: {other:?}"),
    }
}

pub fn to_tag(response: &Response) -> String {
    let to = response.headers.value(&cau_sip::message::Name::To).expect("To");
    let to = cau_sip::NameAddr::parse(to).expect("To");
    String::from_utf8(to.tag().expect("a tag").to_vec()).unwrap()
}

/// A request outside of dialogs; `extra` are whole lines.
pub fn request(method: &str, branch: &str, extra: &str, body: &str) -> String {
    let kind = if body.is_empty() || extra.contains("Content-Type") {
        ""
    } else {
        "Content-Type: application/sdp\n"
    };
    format!(
        "{method} sip:8000@192.0.2.2 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch};rport\nMax-Forwards: 70\n\
         From: \"Xã Hòa Phú\" <sip:site@192.0.2.1>;tag=theirs\nTo: <sip:8000@192.0.2.2>\nCall-ID: bench\nCSeq: 1 {method}\n\
         Contact: <sip:site@192.0.2.1:5060>\n{kind}{extra}Content-Length: {}\n\n{body}",
        body.replace("\r\n", "\n").replace('\n', "\r\n").len()
    )
    .replace("\r\n", "\n")
}

/// A request within the dialog of [`request`].
pub fn in_dialog(method: &str, cseq: u32, branch: &str, tag: &str, extra: &str, body: &str) -> String {
    request(method, branch, extra, body)
        .replace("To: <sip:8000@192.0.2.2>", &format!("To: <sip:8000@192.0.2.2>;tag={tag}"))
        .replace("CSeq: 1 ", &format!("CSeq: {cseq} "))
}

/// A response to a request the endpoint sent: its Via, From, Call-ID and CSeq; To with this tag (none when empty).
pub fn reply(request: &Request, status: u16, tag: &str, extra: &str, body: &str) -> String {
    use cau_sip::message::Name;
    let value = |name: &Name| request.headers.text(name).expect("the header");
    let mut to = value(&Name::To);
    if !tag.is_empty() && !to.contains(";tag=") {
        to = format!("{to};tag={tag}");
    }
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    format!(
        "SIP/2.0 {status} X\nVia: {}\nFrom: {}\nTo: {to}\nCall-ID: {}\nCSeq: {}\n{extra}{kind}Content-Length: {}\n\n{body}",
        value(&Name::Via),
        value(&Name::From),
        value(&Name::CallId),
        value(&Name::CSeq),
        body.replace("\r\n", "\n").replace('\n', "\r\n").len()
    )
    .replace("\r\n", "\n")
}

/// A request of the other side within a dialog that an INVITE of the endpoint opened.
pub fn callee_request(
    invite: &Request,
    method: &str,
    cseq: u32,
    tag: &str,
    extra: &str,
    body: &str,
) -> String {
    use cau_sip::message::Name;
    let value = |name: &Name| invite.headers.text(name).expect("the header");
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    format!(
        "{method} sip:mcu@192.0.2.2 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKc{method}{cseq};rport\nMax-Forwards: 70\n\
         From: {};tag={tag}\nTo: {}\nCall-ID: {}\nCSeq: {cseq} {method}\nContact: <sip:site@192.0.2.1:5060>\n{extra}{kind}\
         Content-Length: {}\n\n{body}",
        value(&Name::To),
        value(&Name::From),
        value(&Name::CallId),
        body.replace("\r\n", "\n").replace('\n', "\r\n").len()
    )
    .replace("\r\n", "\n")
}

/// Short names of events.
pub fn story(events: &[Event]) -> Vec<String> {
    events.iter().map(name).collect()
}

impl Bench {
    /// Calls out; the id and the INVITE.
    pub fn dial(&mut self, offer: Option<&'static [u8]>) -> (CallId, Request) {
        let target = Target::new(Uri::sip("site", self.peer));
        let call = self.endpoint.call(self.now, target, offer.map(Bytes::from_static)).unwrap();
        (call, only_request(self.sent(), Method::Invite))
    }

    /// Everything due until then, one time-out after the other.
    pub fn run(&mut self, time: Duration) -> Vec<Message> {
        let end = self.now + time;
        let mut sent = self.sent();
        while let Some(next) = self.endpoint.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.endpoint.handle_timeout(self.now);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }

    /// Nothing is left when all is over.
    pub fn assert_clean(&mut self) {
        self.run(Duration::from_secs(600));
        assert_eq!((self.endpoint.calls(), self.endpoint.transactions()), (0, 0));
    }
}
