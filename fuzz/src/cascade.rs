//! The control protocol between MCUs.

use std::time::{Duration, Instant};

use cau_cascade::wire::{Body, Frame, Hello, MAX_BYTES, Peer, VERSIONS, Welcome};
use cau_cascade::{Command, Config, ConnId, Event, Fact, Link, Node, Path, Policy, Site, Transmit, Viewers};
use cau_model::ParticipantId;
use cau_model::participant::State;

use crate::{ms, records, start};

/// Most virtual steps of one input.
const STEPS: usize = 400;
/// Most messages one of ours may answer to one of theirs: a whole tree, and what has waited.
const ANSWERS: usize = 64;

/// An MCU in the middle: its master above, a slave below, and strangers.
pub struct Middle {
    now: Instant,
    node: Node,
    conns: u64,
    /// Connection, session and last number of what is said to us.
    master: (ConnId, u64, u64),
    slave: (ConnId, u64, u64),
    /// The last order it has given.
    order: u64,
    standby: Standby,
}

/// A standby, its master played by the input, and a slave that comes to it.
struct Standby {
    now: Instant,
    node: Node,
    conns: u64,
    /// Connection, session and last number of what the master says.
    master: (ConnId, u64, u64),
}

impl Standby {
    fn new() -> Self {
        let now = start();
        let mut config = Config::new(Path::root(), "Dự phòng");
        (config.commands, config.peer, config.max_links) = (false, true, 4);
        let node = Node::new(now, config, [8; 32]);
        let mut it = Self { now, node, conns: 0, master: (ConnId(0), 0, 0) };
        it.meet(1);
        it
    }

    /// The master has called.
    fn meet(&mut self, term: u64) {
        self.conns += 1;
        self.master = (ConnId(self.conns), 0, 0);
        self.node.handle_peer_accepted(self.now, self.master.0);
        let word = Peer {
            versions: VERSIONS,
            instance: 5,
            path: Path::root(),
            name: "Trung tâm".into(),
            room: String::new(),
            term,
            commands: true,
            assigned: 0,
            have: None,
        };
        self.say(&Frame { session: 0, seq: 0, body: Body::Peer(word) }.write());
    }

    fn say(&mut self, text: &[u8]) {
        self.master.2 += 1;
        let text = filled(text, self.master.1, self.master.2, 0);
        self.node.handle_message(self.now, self.master.0, &text);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            if let Transmit::Message { conn, text } = transmit {
                assert!(text.len() <= MAX_BYTES, "a message of {} bytes", text.len());
                let frame = Frame::read(&text).expect("what we say can be read");
                if let Body::Peer(word) = frame.body
                    && conn == self.master.0
                    && word.assigned != 0
                {
                    self.master.1 = word.assigned;
                }
            }
        }
        while self.node.poll_act().is_some() {}
        while self.node.poll_event().is_some() {}
        assert!(self.node.shelf().bytes() <= cau_cascade::shelf::MOST_BYTES);
    }

    fn play(&mut self, kind: u8, record: &[u8]) {
        let first = record.first().copied().unwrap_or(0);
        match kind & 0x3f {
            0 => self.node.handle_closed(self.now, self.master.0),
            1 => self.meet(u64::from(first)),
            2 => {
                self.now += ms(u64::from(first) * 100 + 1);
                self.node.handle_timeout(self.now);
            }
            3 => {
                let _ = self.node.command(self.now, "Lan", Command::TakeCommand { force: first & 1 == 0 });
            }
            4 => {
                let hold = ms(u64::from(first) * 10);
                let _ = self.node.command(self.now, "Lan", Command::Drill { hold });
            }
            5 => {
                self.conns += 1;
                let slave = if first & 1 == 0 { "hue" } else { "dak-lak" };
                self.node.handle_accepted(self.now, ConnId(self.conns), path(slave));
                let hello = Hello {
                    versions: VERSIONS,
                    capabilities: vec![],
                    instance: 9,
                    path: path(slave),
                    name: "C".into(),
                    room: String::new(),
                    term: u64::from(first >> 4),
                    slots: 2,
                };
                let text = Frame { session: 0, seq: 1, body: Body::Hello(hello) }.write();
                self.node.handle_message(self.now, ConnId(self.conns), &text);
            }
            6 => {
                let key = format!("k/{first}");
                let text = String::from_utf8_lossy(record);
                self.node.record(self.now, &key, (first & 3 != 0).then_some(&text));
            }
            _ => self.say(record),
        }
        self.drain();
    }
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

impl Default for Middle {
    fn default() -> Self {
        let now = start();
        let mut config = Config::new(path("a/b"), "Buôn Ma Thuột");
        (config.masters, config.max_sites, config.max_links) = (1, 100, 4);
        let none = (ConnId(0), 0, 0);
        let mut it = Self {
            now,
            node: Node::new(now, config, [7; 32]),
            conns: 0,
            master: none,
            slave: none,
            order: 1,
            standby: Standby::new(),
        };
        it.set_out();
        it
    }
}

impl Middle {
    /// Links above and below, a few sites.
    fn set_out(&mut self) {
        for (id, name) in [(1, "Xã Hòa Phú"), (2, "Xã Hòa Khánh")] {
            let site = Site { name: name.into(), state: State::Connected, hand: false, foreign: false };
            self.node.fact(self.now, Fact::Site(ParticipantId(id), site));
        }
        self.link_slave();
        self.pass(ms(10));
    }

    fn link_slave(&mut self) {
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.slave = (conn, 0, 0);
        self.node.handle_accepted(self.now, conn, path("a/b/c"));
        let hello = Hello {
            versions: VERSIONS,
            capabilities: vec![],
            instance: 9,
            path: path("a/b/c"),
            name: "C".into(),
            room: String::new(),
            term: 0,
            slots: 2,
        };
        self.slave_says(&Frame { session: 0, seq: 0, body: Body::Hello(hello) }.write());
        self.node.fact(self.now, Fact::Media { link: Link::Below(path("a/b/c")), up: true });
        self.drain();
    }

    fn slave_says(&mut self, text: &[u8]) {
        self.slave.2 += 1;
        let text = filled(text, self.slave.1, self.slave.2, self.order);
        self.node.handle_message(self.now, self.slave.0, &text);
        self.drain();
    }

    fn master_says(&mut self, text: &[u8]) {
        self.master.2 += 1;
        let text = filled(text, self.master.1, self.master.2, self.order);
        self.node.handle_message(self.now, self.master.0, &text);
        self.drain();
    }

    /// The master has connected.
    fn welcome(&mut self) {
        self.conns += 1;
        self.master = (ConnId(self.conns), 0, 0);
        self.node.handle_connected(self.now, self.master.0);
        let welcome = Welcome {
            version: 1,
            capabilities: vec![],
            instance: 5,
            assigned: 77,
            term: 1,
            path: path("a"),
            have: None,
            slots: 2,
            keep_alive_ms: 2_000,
        };
        self.master_says(&Frame { session: 0, seq: 0, body: Body::Welcome(welcome) }.write());
        self.master.1 = 77;
        self.node.fact(self.now, Fact::Media { link: Link::Above, up: true });
    }

    /// Takes what the node says, and looks at it.
    fn drain(&mut self) {
        let (mut said, mut connect) = (0, false);
        while let Some(transmit) = self.node.poll_transmit() {
            match transmit {
                Transmit::Message { conn, text } => {
                    said += 1;
                    assert!(text.len() <= MAX_BYTES, "a message of {} bytes", text.len());
                    let frame = Frame::read(&text).expect("what we say can be read");
                    assert_eq!(Frame::read(&frame.write()).as_ref(), Ok(&frame), "and reads back the same");
                    match frame.body {
                        Body::Welcome(welcome) if conn == self.slave.0 => self.slave.1 = welcome.assigned,
                        Body::Open(open) => self.order = open.order,
                        _ => {}
                    }
                }
                Transmit::Connect { .. } => connect = true,
                Transmit::ConnectPeer | Transmit::Close { .. } => {}
            }
        }
        assert!(said <= ANSWERS, "{said} messages at once");
        while self.node.poll_act().is_some() {}
        while let Some(event) = self.node.poll_event() {
            if event == Event::Keep {
                let _ = self.node.kept();
            }
        }
        if connect {
            self.welcome();
        }
    }

    /// Lets time pass, from time-out to time-out.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut at_once = 0;
        while let Some(next) = self.node.poll_timeout().filter(|next| *next <= until) {
            at_once = if next > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 8, "a time-out that does not pass");
            self.now = self.now.max(next);
            self.node.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    /// Messages of slave, master and strangers, time, facts and commands. In a text `{s}`, `{n}` and `{o}` stand for the session, the
    /// next number, and the last order.
    pub fn play(&mut self, data: &[u8]) {
        for (kind, record) in records(data).take(STEPS) {
            if kind & 0x40 != 0 {
                self.standby.play(kind, record);
                continue;
            }
            match kind % 8 {
                0 | 1 => self.slave_says(record),
                2 | 3 => self.master_says(record),
                4 => {
                    self.conns += 1;
                    let conn = ConnId(self.conns);
                    self.node.handle_accepted(self.now, conn, path("a/b/d"));
                    self.node.handle_message(self.now, conn, &filled(record, 0, 1, self.order));
                    self.node.handle_closed(self.now, conn);
                }
                5 => self.pass(ms(record.len() as u64 * 40 + 1)),
                6 => self.fact(record),
                _ => self.command(record),
            }
            self.drain();
        }
    }

    fn fact(&mut self, record: &[u8]) {
        let (kind, value) = (record.first().copied().unwrap_or(0), record.get(1).copied().unwrap_or(0));
        let site = ParticipantId(1 + u64::from(value) % 4);
        let name = String::from_utf8_lossy(record.get(2..).unwrap_or_default()).into_owned();
        let fact = match kind % 8 {
            0 => {
                let state = [State::Left, State::Connected, State::Calling, State::Reconnecting]
                    [usize::from(value / 4 % 4)];
                Fact::Site(site, Site { name, state, hand: value & 64 != 0, foreign: value & 128 != 0 })
            }
            1 => Fact::Gone(site),
            2 => Fact::Level(site, value as i8),
            3 => Fact::Passed { slot: value & 1, csrc: path("a/b/c/x").csrc() },
            4 => Fact::Passed { slot: value & 1, csrc: path("a/b/xa-hoa-phu").csrc() },
            5 => Fact::Media { link: Link::Below(path("a/b/c")), up: value & 1 == 0 },
            6 => {
                let conn = if value & 1 == 0 { self.slave.0 } else { self.master.0 };
                self.node.handle_closed(self.now, conn);
                return if value & 1 == 0 { self.link_slave() } else { self.pass(ms(2_000)) };
            }
            _ => Fact::DialFailed { site, words: cau_model::Words::new(name.clone(), name) },
        };
        self.node.fact(self.now, fact);
    }

    fn command(&mut self, record: &[u8]) {
        let sites = ["a/b/c/x", "a/b/xa-hoa-phu", "a/b/c/y", "a/b/xa-hoa-khanh"].map(path);
        let (kind, value) =
            (record.first().copied().unwrap_or(0), usize::from(record.get(1).copied().unwrap_or(0)));
        let site = sites[value % 4].clone();
        let viewers = if value & 16 == 0 { Viewers::All } else { Viewers::Only([ParticipantId(7)].into()) };
        let deadline = ms(5_000);
        let command = match kind % 8 {
            0 => Command::BringUp { site, viewers, deadline },
            1 => Command::Prepare { sites: sites[..value % 4].to_vec() },
            2 => Command::Take { viewers, deadline },
            3 => Command::Undo { viewers, deadline },
            4 => Command::Release { viewers },
            5 => Command::Offer { slot: (value % 3) as u8, site: (value & 8 == 0).then_some(site) },
            6 => Command::CallAll { under: path("a/b"), priority: value as u8 },
            _ => Command::SetPolicy(Policy {
                seize: value & 1 == 0,
                dial: value & 2 == 0,
                pictures: value & 4 == 0,
                ..Policy::default()
            }),
        };
        let _ = self.node.command(self.now, "Lan", command);
    }

    /// Lets all that waits come to its end.
    pub fn end(&mut self) {
        self.pass(ms(400_000));
        for n in 1..5 {
            self.node.fact(self.now, Fact::Gone(ParticipantId(n)));
        }
        self.drain();
        assert!(self.node.tree().len() <= 110, "{} entries", self.node.tree().len());
    }
}

/// The text with session, number and order in it.
fn filled(text: &[u8], session: u64, seq: u64, order: u64) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
    let own = format!(r#""session":{session},"seq":{seq}"#);
    let text = text.replace(r#""session":0,"seq":0"#, &own);
    text.replace("{s}", &session.to_string())
        .replace("{n}", &seq.to_string())
        .replace("{o}", &order.to_string())
        .into_bytes()
}

/// See [`Middle::play`].
pub fn cascade(data: &[u8]) {
    let mut it = Middle::default();
    it.play(data);
    it.end();
}
