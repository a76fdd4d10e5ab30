//! One MCU's part of one meeting.

mod above;
mod below;
mod bringing;
mod calling;
mod feeds;
mod io;
mod local;
mod peer;
mod replica;
mod ruling;
mod slots;
mod standby;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use cau_model::snapshot::StepName;
use cau_model::{OperationId, Refusal, Words};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::ConnId;
use crate::channel::Fault;
use crate::operation::Operation;
use crate::path::Path;
use crate::rights::Policy;
use crate::shelf::Shelf;
use crate::tree::{Entry, Kind, Line as State, Tree};
use crate::wire::{Body, Frame, MAX_SLOTS, Malformed, Refused};

pub use io::{Act, Command, Config, Event, Fact, Kept, Link, Outcome, Site, Source, Transmit, Viewers};
pub use standby::{Drill, Standing};

/// Events and acts nobody fetched: at most so many; further events are lost and counted.
const MOST_EVENTS: usize = 65_536;
/// An alarm of the same sort about the same MCU is told again after so long.
const ALARM_GAP: Duration = Duration::from_secs(10);
/// A connection that has not said who it is after so long is closed.
const GREETING: Duration = Duration::from_secs(5);
/// Connections that have not said who they are.
const MOST_STRANGERS: usize = 256;
/// The same of those whose certificate is that of the other master.
const MOST_CALLERS: usize = 4;

/// What a connection is to us.
#[derive(Debug, Clone)]
enum Role {
    /// A slave that has not said its hello; what its certificate is bound to, and when it came.
    Stranger(Path, Instant),
    Below(Path),
    Above,
    /// A slave that waits until somebody commands here.
    Waiting(Path),
    /// Says that it is the other master; since when.
    Caller(Instant),
    /// The other master.
    Peer,
}

/// Why a site cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub step: StepName,
    pub mcu: Path,
    pub words: Words,
}

/// The core; see the crate's docs.
#[derive(Debug)]
pub struct Node {
    config: Config,
    random: StdRng,
    instance: u64,
    term: u64,
    commands: bool,
    /// It is this one, of two masters, that has the highest term.
    right: bool,
    policy: Policy,
    tree: Tree,
    peer: peer::Peer,
    shelf: Shelf,
    waiting: BTreeMap<Path, standby::Waiting>,
    drill: Option<Drill>,
    roster: local::Roster,
    conns: HashMap<ConnId, Role>,
    above: above::Above,
    below: BTreeMap<Path, below::Below>,
    feeds: BTreeMap<Path, feeds::Feed>,
    ups: Vec<slots::Up>,
    screens: Vec<bringing::Screen>,
    prepared: Vec<(Path, String)>,
    operations: BTreeMap<OperationId, Operation>,
    last_operation: u64,
    last_order: u64,
    storm: calling::Storm,
    floor: Option<String>,
    /// Floors taken below, and by whom.
    floors: BTreeMap<Path, String>,
    transmits: VecDeque<Transmit>,
    acts: VecDeque<Act>,
    events: VecDeque<Event>,
    alarms: BTreeMap<(&'static str, Path), Instant>,
    dropped: BTreeMap<&'static str, u64>,
}

impl Node {
    /// A node that knows nobody. `seed` makes tokens and session numbers: take it from the system's random source, tests a fixed one.
    pub fn new(now: Instant, config: Config, seed: [u8; 32]) -> Node {
        let mut random = StdRng::from_seed(seed);
        let slots = usize::from(config.slots.clamp(1, MAX_SLOTS));
        let has_master = config.masters > 0;
        let mut node = Node {
            instance: random.random::<u64>() | 1,
            // Ids of an earlier run stand in the journal: start somewhere else each time.
            last_operation: u64::from(random.random::<u32>() >> 8) << 24,
            random,
            term: 1,
            commands: config.commands,
            right: config.commands,
            policy: config.policy.clone(),
            tree: Tree::default(),
            peer: peer::Peer::default(),
            shelf: Shelf::default(),
            waiting: BTreeMap::new(),
            drill: None,
            roster: local::Roster::default(),
            conns: HashMap::new(),
            above: above::Above::default(),
            below: BTreeMap::new(),
            feeds: BTreeMap::new(),
            ups: (0..if has_master { slots } else { 0 }).map(|_| slots::Up::default()).collect(),
            screens: Vec::new(),
            prepared: Vec::new(),
            operations: BTreeMap::new(),
            last_order: 0,
            storm: calling::Storm::new(config.per_second, config.at_a_time),
            floor: None,
            floors: BTreeMap::new(),
            transmits: VecDeque::new(),
            acts: VecDeque::new(),
            events: VecDeque::new(),
            alarms: BTreeMap::new(),
            dropped: BTreeMap::new(),
            config,
        };
        let name = node.config.name.clone();
        let own = Entry { name, line: State::Connected, ..Entry::new(node.config.path.clone(), Kind::Mcu) };
        node.tree.put(own);
        node.show_own();
        if has_master {
            node.above.begin(now);
        }
        if node.config.peer {
            node.begin_peer(now);
        }
        node
    }

    /// Takes up what was kept before a restart; call it before anything else.
    pub fn restore(&mut self, now: Instant, kept: Kept) {
        self.term = self.term.max(kept.term);
        if let Some(right) = kept.commands.filter(|_| self.config.peer) {
            self.right_to(now, right);
        }
        self.policy = kept.policy.unwrap_or_else(|| self.policy.clone());
        self.restore_wishes(kept.screens, kept.prepared);
        self.floors = kept.floors.into_iter().collect();
        for (slot, site) in (0_u8..).zip(kept.offers) {
            self.offer(now, slot, site);
        }
        self.flush(now);
    }

    /// What is to be there again after a restart.
    pub fn kept(&self) -> Kept {
        let screens = self.screens.iter();
        Kept {
            term: self.term,
            policy: Some(self.policy.clone()),
            screens: screens
                .filter_map(|s| s.current.clone().map(|site| (s.viewers.clone(), site, s.by.clone())))
                .collect(),
            prepared: self.prepared.clone(),
            floors: self.floors.iter().map(|(mcu, by)| (mcu.clone(), by.clone())).collect(),
            offers: self.ups.iter().map(|up| up.offer.clone()).collect(),
            commands: self.config.peer.then_some(self.right),
        }
    }

    /// Takes up the records a standby had before a restart; call it before anything else.
    pub fn restore_shelf(&mut self, records: impl IntoIterator<Item = (String, String)>) {
        for (key, text) in records {
            if self.shelf.put(&key, &text).is_err() {
                self.count("replica-full");
            }
        }
    }

    /// A slave has connected; `identity`: the path its certificate is bound to.
    pub fn handle_accepted(&mut self, now: Instant, conn: ConnId, identity: Path) {
        let strangers = self.conns.values().filter(|role| matches!(role, Role::Stranger(..))).count();
        if strangers >= MOST_STRANGERS {
            self.count("too-many-strangers");
            self.transmits.push_back(Transmit::Close { conn });
            return;
        }
        self.conns.insert(conn, Role::Stranger(identity, now));
    }

    /// The connection to the master that was asked for stands.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        self.above_connected(now, conn);
        self.flush(now);
    }

    /// It cannot be made.
    pub fn handle_connect_failed(&mut self, now: Instant) {
        self.above_lost(now, None);
        self.flush(now);
    }

    /// The other master has connected; its certificate shows that it is one.
    pub fn handle_peer_accepted(&mut self, now: Instant, conn: ConnId) {
        let callers = self.conns.values().filter(|role| matches!(role, Role::Caller(_))).count();
        if callers >= MOST_CALLERS {
            self.count("too-many-strangers");
            self.transmits.push_back(Transmit::Close { conn });
            return;
        }
        self.conns.insert(conn, Role::Caller(now));
    }

    /// The connection to the other master that was asked for stands.
    pub fn handle_peer_connected(&mut self, now: Instant, conn: ConnId) {
        self.peer_connected(now, conn);
        self.flush(now);
    }

    /// It cannot be made.
    pub fn handle_peer_connect_failed(&mut self, now: Instant) {
        self.peer_connect_failed(now);
        self.flush(now);
    }

    /// A connection is gone.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        self.lost(now, conn);
        self.flush(now);
    }

    /// A whole message has come.
    pub fn handle_message(&mut self, now: Instant, conn: ConnId, text: &[u8]) {
        let Some(role) = self.conns.get(&conn).cloned() else { return };
        match Frame::read(text) {
            Err(malformed) => self.unreadable(now, conn, &role, malformed),
            Ok(frame) => match role {
                Role::Stranger(identity, _) => self.greeted(now, conn, identity, frame),
                Role::Above => self.heard_above(now, frame),
                Role::Below(path) => self.heard_below(now, &path, frame),
                Role::Waiting(path) => self.heard_waiting(now, &path, &frame),
                Role::Caller(_) => self.peer_greeted(now, conn, frame),
                Role::Peer => self.heard_peer(now, frame),
            },
        }
        self.flush(now);
    }

    /// The time of [`Node::poll_timeout`] has come; early or often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.time_above(now);
        self.time_peer(now);
        self.time_below(now);
        self.time_feeds(now);
        self.time_slots(now);
        self.time_operations(now);
        self.time_calls(now);
        let late = |role: &Role| matches!(role, Role::Stranger(_, since) | Role::Caller(since) if *since + GREETING <= now);
        let strangers: Vec<ConnId> =
            self.conns.iter().filter(|(_, role)| late(role)).map(|(conn, _)| *conn).collect();
        for conn in strangers {
            self.count("no-hello");
            self.close(conn);
        }
        self.flush(now);
    }

    /// When [`Node::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let strangers = self.conns.values().filter_map(|role| match role {
            Role::Stranger(_, since) | Role::Caller(since) => Some(*since + GREETING),
            _ => None,
        });
        let below = self.below.values().filter_map(below::Below::poll_timeout);
        let slots = self.ups.iter().filter_map(slots::Up::poll_timeout);
        [
            self.above.poll_timeout(&self.tree),
            self.storm.poll_timeout(),
            self.operations_timeout(),
            self.feeds_timeout(),
            self.peer.poll_timeout(),
            self.replica_timeout(),
            self.standby_timeout(),
        ]
        .into_iter()
        .flatten()
        .chain(strangers)
        .chain(below)
        .chain(slots)
        .min()
    }

    /// The next thing for the driver.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing for the conference.
    pub fn poll_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// The next thing to tell. At most 65,536 wait; further ones are lost and counted.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Something has happened in the conference.
    pub fn fact(&mut self, now: Instant, fact: Fact) {
        self.learn(now, fact);
        self.flush(now);
    }

    /// Does what an operator wants; for a bring-up its number.
    ///
    /// # Errors
    /// Why it cannot be done; what was seen is seen further on.
    pub fn command(
        &mut self,
        now: Instant,
        by: &str,
        command: Command,
    ) -> Result<Option<OperationId>, Refusal> {
        let answer = self.obey(now, by, command);
        self.flush(now);
        answer
    }

    fn obey(&mut self, now: Instant, by: &str, command: Command) -> Result<Option<OperationId>, Refusal> {
        match command {
            Command::BringUp { site, viewers, deadline } => {
                self.bring_up(now, by, &site, viewers, deadline).map(Some)
            }
            Command::Prepare { sites } => self.prepare(now, by, &sites).map(|()| None),
            Command::Take { viewers, deadline } => self.take(now, by, viewers, deadline).map(Some),
            Command::Undo { viewers, deadline } => self.undo(now, by, viewers, deadline),
            Command::Release { viewers } => {
                self.release_viewers(now, by, &viewers);
                Ok(None)
            }
            Command::Offer { slot, site } => self.offered(now, slot, site).map(|()| None),
            Command::SetPolicy(policy) => {
                self.set_policy(now, policy);
                Ok(None)
            }
            Command::Floor { mcu, seize } => {
                self.seize_floor(now, &mcu, seize.then(|| by.to_owned())).map(|()| None)
            }
            Command::CallAll { under, priority } => self.call_all(now, under, priority).map(|()| None),
            Command::TakeCommand { force } => self.want_command(now, by, force).map(|()| None),
            Command::Drill { hold } => self.begin_drill(now, by, hold).map(|()| None),
        }
    }

    /// Everything known: itself, and all below.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// How far a bring-up is; those that ended are known for an hour.
    pub fn operation(&self, id: OperationId) -> Option<&Operation> {
        self.operations.get(&id)
    }

    /// Whether the link to the master stands.
    pub fn is_linked(&self) -> bool {
        self.above.is_up()
    }

    /// The policy of a slave as it told it.
    pub fn policy_of(&self, link: &Path) -> Option<&Policy> {
        self.below.get(link).map(|below| &below.policy)
    }

    /// Which site's pictures may be in which slot of which slave; [`Path::csrc`] names it. Anything else there is dropped by the mixer.
    pub fn expected(&self) -> impl Iterator<Item = (&Path, u8, &Path)> {
        self.below.iter().flat_map(|(link, below)| {
            let slots = (0_u8..).zip(&below.slots);
            slots.filter_map(move |(slot, site)| Some((link, slot, site.as_ref()?)))
        })
    }

    /// The prepared sites in the order they will be taken, and whether a key frame of each has come.
    pub fn prepared(&self) -> impl Iterator<Item = (&Path, bool)> {
        self.prepared.iter().map(|(site, _)| (site, self.feeds.get(site).is_some_and(|feed| feed.ready)))
    }

    /// What was dropped, by cause.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.dropped.iter().map(|(cause, count)| (*cause, *count))
    }

    /// Says what has to be said after something has changed.
    fn flush(&mut self, now: Instant) {
        self.tell_tree(now);
        if self.config.peer {
            self.go_on_with_drill(now);
            self.tell_records(now);
        }
    }

    fn count(&mut self, cause: &'static str) {
        *self.dropped.entry(cause).or_default() += 1;
    }

    fn event(&mut self, event: Event) {
        if event == Event::Keep {
            self.shelve_kept();
        }
        if self.events.len() >= MOST_EVENTS {
            self.count("lost-event");
        } else {
            self.events.push_back(event);
        }
    }

    fn alarm(&mut self, now: Instant, code: &'static str, mcu: &Path, words: Words) {
        self.alarms.retain(|_, at| now.saturating_duration_since(*at) < ALARM_GAP);
        if self.alarms.insert((code, mcu.clone()), now).is_none() {
            self.event(Event::Alarm { code, mcu: mcu.clone(), words });
        }
    }

    fn next_order(&mut self) -> u64 {
        self.last_order += 1;
        self.last_order
    }

    /// A connection is not wanted any more, or is gone already.
    fn lost(&mut self, now: Instant, conn: ConnId) {
        match self.conns.remove(&conn) {
            Some(Role::Above) => self.above_lost(now, None),
            Some(Role::Below(path)) => self.below_lost(now, &path, conn),
            Some(Role::Waiting(path)) => self.waiting_lost(&path, conn),
            Some(Role::Peer) if self.is_peer(conn) => self.peer_lost(now, None),
            Some(Role::Stranger(..) | Role::Caller(_) | Role::Peer) | None => {}
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.transmits.push_back(Transmit::Close { conn });
    }

    /// The MCU a connection is about.
    fn peer(&self, role: &Role) -> Path {
        match role {
            Role::Stranger(path, _) | Role::Below(path) | Role::Waiting(path) => path.clone(),
            Role::Caller(_) | Role::Peer => self.config.path.clone(),
            Role::Above => self.config.path.parent().unwrap_or_else(Path::root),
        }
    }

    fn unreadable(&mut self, now: Instant, conn: ConnId, role: &Role, malformed: Malformed) {
        self.count(match malformed {
            Malformed::TooLong => "too-long",
            Malformed::TooDeep => "too-deep",
            Malformed::TooMany => "too-many-values",
            Malformed::Unreadable => "unreadable",
        });
        let words =
            Words::new("bản tin điều khiển không đọc được", format!("a control message: {malformed}"));
        self.alarm(now, "malformed", &self.peer(role), words);
        self.transmits.push_back(Transmit::Close { conn });
        self.lost(now, conn);
    }

    /// A message whose number is wrong; says whether the connection goes on.
    fn faulty(&mut self, now: Instant, conn: ConnId, peer: &Path, fault: Fault) {
        let (code, words) = match fault {
            Fault::Replay => (
                "replay",
                Words::new(
                    "bản tin điều khiển bị phát lại, đã bỏ",
                    "a control message was replayed; dropped",
                ),
            ),
            Fault::Gap => (
                "gap",
                Words::new("thiếu bản tin điều khiển, nối lại", "control messages are missing; reconnecting"),
            ),
            Fault::Flood => (
                "flood",
                Words::new(
                    "quá nhiều bản tin điều khiển, ngắt kết nối",
                    "too many control messages; disconnected",
                ),
            ),
        };
        self.count(code);
        self.alarm(now, code, peer, words);
        if fault != Fault::Replay {
            self.transmits.push_back(Transmit::Close { conn });
            self.lost(now, conn);
        }
    }

    /// What is in the slots, and who has the floor, as everybody above sees it.
    fn show_own(&mut self) {
        let slots = self.ups.iter().map(slots::Up::shown).collect();
        let floor = self.floor.clone();
        let path = self.config.path.clone();
        self.tree.change(&path, |entry| {
            entry.slots = slots;
            entry.floor = floor;
        });
    }
}

fn refused(to: u64, code: &str, words: Words) -> Body {
    Body::Refusal(Refused { to, code: code.to_owned(), words })
}

#[cfg(test)]
mod tests;
