//! A country in virtual time: production nodes of the cascade, joined by lines that delay, lose and break, each with a conference that
//! answers as the mixer and the devices of a province do. Everything follows from the seed.

mod conference;
mod line;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use cau_cascade::{
    Act, Command, Config, ConnId, Event, Fact, Kept, Link, Node, Path, Site, Transmit, Viewers,
};
use cau_model::participant::State;
use cau_model::{OperationId, ParticipantId, Refusal};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

pub use conference::Conference;
use line::Line;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn path(text: &str) -> Path {
    text.parse().unwrap()
}

/// Number of an MCU in the world.
pub type Id = usize;

/// What will happen.
#[derive(Debug)]
pub enum Ev {
    Timer(Id, u64),
    Connect {
        slave: Id,
        master: Id,
        run: u64,
    },
    /// One master calls the other.
    Meet {
        from: Id,
        to: Id,
        run: u64,
    },
    Deliver {
        conn: ConnId,
        to: Id,
        text: Vec<u8>,
    },
    Closed {
        conn: ConnId,
        at: Id,
    },
    /// The slave's INVITE reaches the master, or the answer the slave.
    Invite {
        slave: Id,
        token: String,
        run: u64,
    },
    Answered {
        slave: Id,
        run: u64,
    },
    Media {
        at: Id,
        link: Link,
        up: bool,
        run: u64,
        /// Whose line, and since when it is dead.
        slave: Id,
        since: Instant,
    },
    /// In a conference.
    Device(Id, u64, conference::Ev),
}

/// One MCU.
pub struct Mcu {
    pub config: Config,
    pub node: Option<Node>,
    pub conference: Conference,
    /// The master it is linked to, or tried last.
    pub master: Option<Id>,
    /// Those of its list.
    pub masters: Vec<Id>,
    pub peer: Option<Id>,
    pub slaves: Vec<Id>,
    /// Number of the run.
    pub run: u64,
    kept: Kept,
    shelf: Vec<(String, String)>,
    armed: Option<Instant>,
    conns: Vec<ConnId>,
    pub events: Vec<(Instant, Event)>,
    pub messages: u64,
    pub bytes: u64,
}

impl Mcu {
    /// Its disk is lost.
    pub fn forget(&mut self) {
        self.kept = Kept::default();
        self.shelf.clear();
    }
}

/// Everything.
pub struct World {
    pub start: Instant,
    pub now: Instant,
    pub mcus: Vec<Mcu>,
    by_path: HashMap<Path, Id>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    pending: HashMap<u64, Ev>,
    count: u64,
    pub random: SmallRng,
    /// Between two MCUs, the one with the lower number first.
    lines: BTreeMap<(Id, Id), Line>,
    conns: HashMap<ConnId, (Id, Id)>,
    /// When the media call of a slave was made last.
    called: HashMap<Id, Instant>,
    last_conn: u64,
    last_site: u64,
    /// One way, and the share of packets lost.
    pub delay: Duration,
    pub loss: f64,
    /// A viewer's report comes at most so long after the picture, ms.
    pub report: u64,
    /// Texts a listener on the line has kept: sender, conn, text.
    pub tapped: Option<Vec<(Id, ConnId, Vec<u8>)>>,
    pub handled: u64,
}

impl World {
    #[allow(clippy::disallowed_methods, reason = "zero of the virtual clock")]
    pub fn new(seed: u64, delay: Duration, loss: f64) -> World {
        let start = Instant::now();
        World {
            start,
            now: start,
            mcus: Vec::new(),
            by_path: HashMap::new(),
            queue: BinaryHeap::new(),
            pending: HashMap::new(),
            count: 0,
            random: SmallRng::seed_from_u64(seed),
            lines: BTreeMap::new(),
            conns: HashMap::new(),
            called: HashMap::new(),
            last_conn: 0,
            last_site: 0,
            delay,
            loss,
            report: 5_000,
            tapped: None,
            handled: 0,
        }
    }

    /// An MCU; its master has to be there already.
    pub fn add(&mut self, text: &str, change: impl FnOnce(&mut Config)) -> Id {
        let own = path(text);
        let master = own.parent().and_then(|parent| self.by_path.get(&parent).copied());
        let mut config = Config::new(own.clone(), &format!("MCU {text}"));
        config.masters = usize::from(master.is_some());
        config.room = "8000".into();
        change(&mut config);
        let id = self.mcus.len();
        self.mcus.push(Mcu {
            config,
            node: None,
            conference: Conference::default(),
            master,
            masters: master.into_iter().collect(),
            peer: None,
            slaves: Vec::new(),
            run: 0,
            kept: Kept::default(),
            shelf: Vec::new(),
            armed: None,
            conns: Vec::new(),
            events: Vec::new(),
            messages: 0,
            bytes: 0,
        });
        if let Some(master) = master {
            self.mcus[master].slaves.push(id);
            self.lines.insert((master, id), Line::default());
        }
        self.by_path.insert(own, id);
        self.switch_on(id);
        id
    }

    /// A standby beside the root, which is there already; add the slaves afterwards with [`World::stands_by`].
    pub fn add_standby(&mut self, root: Id) -> Id {
        let id = self.add("", |config| {
            config.commands = false;
            config.peer = true;
        });
        self.by_path.insert(path(""), root);
        self.lines.insert((root, id), Line::default());
        self.mcus[id].peer = Some(root);
        self.mcus[root].peer = Some(id);
        self.pump(id);
        self.pump(root);
        id
    }

    /// A slave has the standby in its list, too.
    pub fn stands_by(&mut self, standby: Id, slave: Id) {
        self.mcus[slave].masters.push(standby);
        self.mcus[standby].slaves.push(slave);
        self.lines.insert((standby, slave), Line::default());
        self.kill(slave);
        self.mcus[slave].config.masters = 2;
        self.switch_on(slave);
    }

    pub fn switch_on(&mut self, id: Id) {
        let seed: [u8; 32] = self.random.random();
        let mcu = &mut self.mcus[id];
        mcu.run += 1;
        mcu.armed = None;
        let mut node = Node::new(self.now, mcu.config.clone(), seed);
        node.restore(self.now, mcu.kept.clone());
        node.restore_shelf(mcu.shelf.clone());
        for (pid, site) in mcu.conference.sites() {
            node.fact(self.now, Fact::Site(pid, site));
        }
        mcu.node = Some(node);
        self.pump(id);
    }

    /// `kill -9`: what its kernel still says is that the connections are gone. Calls of its sites live on (they are taken over by the
    /// next run), the media calls of its links have to be made anew.
    pub fn kill(&mut self, id: Id) {
        let mcu = &mut self.mcus[id];
        mcu.node = None;
        mcu.run += 1;
        mcu.conference.forget_media();
        mcu.conference.floor = None;
        for conn in std::mem::take(&mut mcu.conns) {
            self.hang_up(conn, id);
        }
        let peers: Vec<(Id, Link)> = self.mcus[id]
            .slaves
            .iter()
            .filter(|slave| self.mcus[**slave].master == Some(id))
            .map(|slave| (*slave, Link::Above))
            .chain(
                self.mcus[id].master.map(|master| (master, Link::Below(self.mcus[id].config.path.clone()))),
            )
            .collect();
        for (at, link) in peers {
            // A device that does not send is noticed by the re-INVITE after a while.
            let run = self.mcus[at].run;
            let slave = if link == Link::Above { at } else { id };
            self.later(ms(1_500), Ev::Media { at, link, up: false, run, slave, since: self.now });
        }
    }

    /// The lines of a slave to its masters are cut, or mended.
    pub fn cut(&mut self, slave: Id, cut: bool) {
        for master in self.mcus[slave].masters.clone() {
            self.cut_between(master, slave, cut);
        }
    }

    /// The line between two MCUs is cut, or mended.
    pub fn cut_between(&mut self, one: Id, other: Id, cut: bool) {
        let now = self.now;
        let line = self.lines.get_mut(&(one.min(other), one.max(other))).unwrap();
        for (at, ev) in line.cut(now, cut, &mut self.random) {
            self.at(at, ev);
        }
    }

    /// Media of a line that was cut for long is given up at both ends.
    pub fn lose_media(&mut self, slave: Id) {
        let master = self.mcus[slave].master.unwrap();
        let link = Link::Below(self.mcus[slave].config.path.clone());
        self.mcus[slave].conference.forget_media();
        self.fact(slave, Fact::Media { link: Link::Above, up: false });
        self.fact(master, Fact::Media { link, up: false });
    }

    /// A site of an MCU; `state` as its conference would have it.
    pub fn site(&mut self, id: Id, name: &str, state: State) -> ParticipantId {
        self.last_site += 1;
        let pid = ParticipantId(self.last_site);
        let site = Site { name: name.into(), state, hand: false, foreign: false };
        self.mcus[id].conference.add(pid, site.clone());
        self.fact(id, Fact::Site(pid, site));
        pid
    }

    pub fn fact(&mut self, id: Id, fact: Fact) {
        let now = self.now;
        if let Some(node) = &mut self.mcus[id].node {
            node.fact(now, fact);
        }
        self.pump(id);
    }

    pub fn node(&self, id: Id) -> &Node {
        self.mcus[id].node.as_ref().unwrap()
    }

    pub fn command(&mut self, id: Id, by: &str, command: Command) -> Result<Option<OperationId>, Refusal> {
        let now = self.now;
        let answer = self.mcus[id].node.as_mut().unwrap().command(now, by, command);
        self.pump(id);
        answer
    }

    pub fn bring_up(&mut self, id: Id, site: &str) -> Result<OperationId, Refusal> {
        let command = Command::BringUp { site: path(site), viewers: chair(), deadline: ms(30_000) };
        self.command(id, "Lan", command).map(Option::unwrap)
    }

    /// Lets an operation end; gives how it ended.
    pub fn finish(&mut self, id: Id, operation: OperationId) -> cau_cascade::Operation {
        for _ in 0..700 {
            let found = self.node(id).operation(operation).unwrap().clone();
            if !found.is_running() {
                return found;
            }
            self.run(ms(50));
        }
        panic!("an operation without end");
    }

    pub fn later(&mut self, wait: Duration, ev: Ev) {
        self.at(self.now + wait, ev);
    }

    pub fn at(&mut self, at: Instant, ev: Ev) {
        self.count += 1;
        self.queue.push(Reverse((at, self.count)));
        self.pending.insert(self.count, ev);
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(Reverse((at, number))) = self.queue.peek().copied() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = self.now.max(at);
            let ev = self.pending.remove(&number).unwrap();
            self.handled += 1;
            self.happen(ev);
        }
        self.now = until;
    }

    fn happen(&mut self, ev: Ev) {
        let now = self.now;
        match ev {
            Ev::Timer(id, run) => {
                let mcu = &mut self.mcus[id];
                if mcu.run != run || mcu.armed != Some(now) {
                    return;
                }
                mcu.armed = None;
                if let Some(node) = &mut mcu.node {
                    node.handle_timeout(now);
                }
                self.pump(id);
            }
            Ev::Connect { slave, master, run } => self.connect(slave, master, run),
            Ev::Meet { from, to, run } => self.meet(from, to, run),
            Ev::Deliver { conn, to, text } => {
                if !self.mcus[to].conns.contains(&conn) {
                    return;
                }
                self.mcus[to].node.as_mut().unwrap().handle_message(now, conn, &text);
                self.pump(to);
            }
            Ev::Closed { conn, at } => {
                let mcu = &mut self.mcus[at];
                if let Some(place) = mcu.conns.iter().position(|other| *other == conn) {
                    mcu.conns.swap_remove(place);
                    mcu.node.as_mut().unwrap().handle_closed(now, conn);
                    self.pump(at);
                }
            }
            Ev::Invite { slave, token, run } => {
                let master = self.mcus[slave].master.unwrap();
                if self.mcus[slave].run != run {
                    return;
                }
                let expected = self.mcus[master].conference.expected.remove(&token);
                let Some((link, _)) = expected.filter(|(_, until)| *until > now) else { return };
                self.called.insert(slave, now);
                self.fact(master, Fact::Media { link: Link::Below(link.clone()), up: false });
                self.fact(master, Fact::Media { link: Link::Below(link), up: true });
                let back = self.way(slave);
                self.later(back, Ev::Answered { slave, run });
            }
            Ev::Answered { slave, run } => {
                if self.mcus[slave].run == run {
                    self.mcus[slave].conference.media_up = true;
                    self.fact(slave, Fact::Media { link: Link::Above, up: true });
                }
            }
            Ev::Media { at, link, up, run, slave, since } => {
                // A call made since is another call.
                let other = self.called.get(&slave).is_some_and(|at| *at > since);
                if self.mcus[at].run == run && !other {
                    if link == Link::Above {
                        self.mcus[at].conference.media_up = up;
                    }
                    self.fact(at, Fact::Media { link, up });
                }
            }
            Ev::Device(id, run, ev) => {
                if self.mcus[id].run == run || ev.outlives() {
                    self.device(id, ev);
                }
            }
        }
    }

    /// One way over a slave's line for something that is not TCP.
    pub fn way(&mut self, _slave: Id) -> Duration {
        self.delay
    }

    /// The line of a slave to the master it has now.
    pub fn is_cut(&self, slave: Id) -> bool {
        self.mcus[slave].master.is_some_and(|master| self.is_cut_between(master, slave))
    }

    fn is_cut_between(&self, one: Id, other: Id) -> bool {
        self.lines.get(&(one.min(other), one.max(other))).is_some_and(Line::is_cut)
    }

    fn meet(&mut self, from: Id, to: Id, run: u64) {
        if self.mcus[from].run != run || self.is_cut_between(from, to) {
            return;
        }
        let now = self.now;
        if self.mcus[to].node.is_none() {
            self.mcus[from].node.as_mut().unwrap().handle_peer_connect_failed(now);
            return self.pump(from);
        }
        self.last_conn += 1;
        let conn = ConnId(self.last_conn);
        self.conns.insert(conn, (from, to));
        self.mcus[from].conns.push(conn);
        self.mcus[to].conns.push(conn);
        self.mcus[to].node.as_mut().unwrap().handle_peer_accepted(now, conn);
        self.pump(to);
        self.mcus[from].node.as_mut().unwrap().handle_peer_connected(now, conn);
        self.pump(from);
    }

    fn connect(&mut self, slave: Id, master: Id, run: u64) {
        if self.mcus[slave].run != run || self.is_cut_between(master, slave) {
            return;
        }
        self.mcus[slave].master = Some(master);
        let now = self.now;
        if self.mcus[master].node.is_none() {
            self.mcus[slave].node.as_mut().unwrap().handle_connect_failed(now);
            return self.pump(slave);
        }
        self.last_conn += 1;
        let conn = ConnId(self.last_conn);
        self.conns.insert(conn, (slave, master));
        self.mcus[slave].conns.push(conn);
        self.mcus[master].conns.push(conn);
        let identity = self.mcus[slave].config.path.clone();
        self.mcus[master].node.as_mut().unwrap().handle_accepted(now, conn, identity);
        self.pump(master);
        self.mcus[slave].node.as_mut().unwrap().handle_connected(now, conn);
        self.pump(slave);
    }

    fn hang_up(&mut self, conn: ConnId, from: Id) {
        let Some((slave, master)) = self.conns.get(&conn).copied() else { return };
        let to = if from == slave { master } else { slave };
        let ev = Ev::Closed { conn, at: to };
        self.send((slave, master), from, conn, 40, ev);
    }

    /// Over a line, in order, with the delays of TCP; `ends`: who has called, and whom.
    fn send(&mut self, ends: (Id, Id), from: Id, conn: ConnId, len: usize, ev: Ev) {
        let (now, delay, loss) = (self.now, self.delay, self.loss);
        let stream = (conn, from == ends.0);
        let line = (ends.0.min(ends.1), ends.0.max(ends.1));
        if let Some((at, ev)) =
            self.lines.get_mut(&line).unwrap().send(now, stream, len, delay, loss, &mut self.random, ev)
        {
            self.at(at, ev);
        }
    }

    /// Takes everything a node has to say.
    fn pump(&mut self, id: Id) {
        loop {
            let now = self.now;
            let Some(node) = &mut self.mcus[id].node else { return };
            if let Some(transmit) = node.poll_transmit() {
                self.transmit(id, transmit);
                continue;
            }
            if let Some(act) = node.poll_act() {
                self.act(id, act);
                continue;
            }
            if let Some(event) = node.poll_event() {
                if event == Event::Keep {
                    self.mcus[id].kept = self.node(id).kept();
                } else {
                    if matches!(event, Event::Record { .. }) {
                        let all = self.node(id).shelf().within("");
                        self.mcus[id].shelf = all.map(|(k, t)| (k.to_owned(), t.to_owned())).collect();
                    }
                    self.mcus[id].events.push((now, event));
                }
                continue;
            }
            break;
        }
        let mcu = &mut self.mcus[id];
        let Some(at) = mcu.node.as_ref().and_then(Node::poll_timeout) else { return };
        let at = at.max(self.now);
        if mcu.armed.is_none_or(|armed| at < armed) {
            mcu.armed = Some(at);
            let run = mcu.run;
            self.at(at, Ev::Timer(id, run));
        }
    }

    fn transmit(&mut self, id: Id, transmit: Transmit) {
        match transmit {
            Transmit::Connect { master } => {
                let run = self.mcus[id].run;
                let Some(master) = self.mcus[id].masters.get(master).copied() else { return };
                // SYN and its answer, and TLS.
                self.later(self.delay * 4, Ev::Connect { slave: id, master, run });
            }
            Transmit::ConnectPeer => {
                let run = self.mcus[id].run;
                if let Some(to) = self.mcus[id].peer {
                    self.later(self.delay * 4, Ev::Meet { from: id, to, run });
                }
            }
            Transmit::Message { conn, text } => {
                self.mcus[id].messages += 1;
                self.mcus[id].bytes += text.len() as u64;
                if let Some(tapped) = &mut self.tapped {
                    tapped.push((id, conn, text.clone()));
                }
                let Some((slave, master)) = self.conns.get(&conn).copied() else { return };
                let to = if id == slave { master } else { slave };
                let len = text.len();
                self.send((slave, master), id, conn, len, Ev::Deliver { conn, to, text });
            }
            Transmit::Close { conn } => {
                let mcu = &mut self.mcus[id];
                if let Some(place) = mcu.conns.iter().position(|other| *other == conn) {
                    mcu.conns.swap_remove(place);
                    self.hang_up(conn, id);
                }
            }
        }
    }

    fn act(&mut self, id: Id, act: Act) {
        self.conduct(id, act);
    }

    /// Alarms an MCU has raised.
    pub fn alarms(&self, id: Id) -> Vec<&'static str> {
        let alarm = |(_, event): &(Instant, Event)| match event {
            Event::Alarm { code, .. } => Some(*code),
            _ => None,
        };
        self.mcus[id].events.iter().filter_map(alarm).collect()
    }

    /// Whether an MCU knows exactly what is true below it.
    pub fn tree_is_true(&self, id: Id) -> bool {
        let node = self.node(id);
        let below = |mcu: &&Mcu| mcu.config.path.is_below(&self.mcus[id].config.path);
        self.mcus.iter().filter(below).filter(|mcu| mcu.node.is_some()).all(|mcu| {
            let theirs = mcu.node.as_ref().unwrap().tree();
            theirs.iter().all(|entry| node.tree().get(&entry.path) == Some(entry))
                && node.tree().within(&mcu.config.path).count() == theirs.len()
        })
    }
}

/// The chair of the tests.
pub fn chair() -> Viewers {
    Viewers::Only([ParticipantId(u64::MAX)].into())
}
