//! The task that owns a node: it hands in what comes and does what comes out (docs/cascade.md, "Driving it").

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use cau_cascade::{ConnId, Event, Kept, Link, Node, Path, Transmit, tree};
use cau_conference::Handle;
use cau_control::{
    Events, Sample,
    cascade::{Above, Ask, Below, FarOperation, Links, Wish},
};
use cau_drive::Clock;
use cau_model::{ConferenceId, OperationId, Refusal, Words, snapshot::OperationState};
use cau_store::{Entry, Journal};
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
    time::MissedTickBehavior,
};
use tokio_tungstenite::tungstenite::Bytes;
use tokio_util::sync::CancellationToken;

use super::{
    client::Client,
    facts::{Facts, Hook, Told},
    line::{Line, Socket},
    port::Port,
    refusals::{Tell, alarm},
    standby::Standby,
};
use crate::data_dir;

/// Messages of all lines that wait for the driver.
pub const QUEUE: usize = 1_024;
/// How often changes of the tree are told, and what changed is kept.
const LOOK: Duration = Duration::from_millis(500);
/// How often the whole list of participants is read.
const WHOLE: Duration = Duration::from_secs(30);
/// Changes of the tree that wait to be told; more of them and whoever listens reads it anew.
const BEHIND: u64 = 4_096;
/// Bring-ups whose beginning is remembered, as long as they run.
const RUNNING: usize = 4_096;

/// What comes from lines.
pub enum Input {
    /// A slave has connected; the path is that of its certificate.
    Accepted(Box<Socket>, Path),
    /// What became of a try to connect: its number.
    Connected(u64, Result<Box<Socket>, Words>),
    /// The other master has connected.
    PeerAccepted(Box<Socket>),
    /// What became of a try to connect to it: its number.
    PeerConnected(u64, Result<Box<Socket>, Words>),
    /// A message.
    Message(ConnId, Bytes),
    /// A line has ended, and why.
    Closed(ConnId, &'static str),
}

/// What goes into a driver.
pub struct Ways {
    /// From lines and the door.
    pub inputs: mpsc::Receiver<Input>,
    /// The same, for lines of its own.
    pub own: mpsc::Sender<Input>,
    /// From the conference.
    pub told: mpsc::Receiver<Told>,
    /// The same, for lists it reads itself.
    pub back: mpsc::Sender<Told>,
    /// From the API.
    pub asks: mpsc::Receiver<Ask>,
}

/// Where it tells.
#[derive(Clone)]
pub struct Ears {
    /// Events of the API.
    pub events: Events,
    /// What operators did.
    pub journal: Journal,
    /// Alarms.
    pub tell: Tell,
    /// For `/metrics`.
    pub figures: Figures,
}

/// Figures as of half a second ago at most. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Mutex<Numbers>>);

#[derive(Debug, Default)]
struct Numbers {
    entries: usize,
    below: usize,
    above: Option<bool>,
    /// Of two masters: in command, the other one can be spoken to, it is in step; the term.
    standing: Option<(bool, bool, bool, u64)>,
    dropped: BTreeMap<&'static str, u64>,
}

impl Figures {
    /// The figures.
    pub fn samples(&self) -> Vec<Sample> {
        let numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = vec![
            Sample::new("cau_cascade_links", "Links of slaves that stand now.", numbers.below as f64),
            Sample::new("cau_cascade_tree", "MCUs and sites in the tree.", numbers.entries as f64),
        ];
        if let Some(up) = numbers.above {
            let help = "Whether the link to the master stands.";
            all.push(Sample::new("cau_cascade_linked", help, f64::from(u8::from(up))));
        }
        if let Some((commands, up, in_step, term)) = numbers.standing {
            let yes = |yes| f64::from(u8::from(yes));
            all.push(Sample::new(
                "cau_cascade_commands",
                "Whether this one of two masters is in command.",
                yes(commands),
            ));
            all.push(Sample::new(
                "cau_cascade_standby_linked",
                "Whether the other master can be spoken to.",
                yes(up),
            ));
            all.push(Sample::new(
                "cau_cascade_standby_in_step",
                "Whether the standby has everything.",
                yes(in_step),
            ));
            all.push(Sample::new("cau_cascade_term", "The highest term seen.", term as f64));
        }
        all.extend(numbers.dropped.iter().map(|(reason, n)| {
            let help = "Messages and lines of the cascade dropped, by reason.";
            Sample::new("cau_cascade_dropped_total", help, *n as f64).label("reason", *reason)
        }));
        all
    }
}

/// A slave's connection, or the one to the master.
struct Linked {
    line: Line,
    /// The path of its certificate; `None`: the master.
    identity: Option<Path>,
}

/// The driver.
pub struct Driver<P> {
    pub(super) node: Node,
    own_path: Path,
    port: P,
    pub(super) focus: Handle,
    pub(super) hook: Arc<Hook>,
    facts: Facts,
    client: Option<Arc<Client>>,
    pub(super) standby: Option<Standby>,
    pub(super) own: mpsc::Sender<Input>,
    pub(super) back: mpsc::Sender<Told>,
    ears: Ears,
    lines: HashMap<ConnId, Linked>,
    last_conn: u64,
    attempt: u64,
    connecting: Option<AbortHandle>,
    /// The master tried last, and why it could not be had.
    master: usize,
    why_not: Option<Words>,
    below: BTreeMap<Path, Option<Words>>,
    running: HashMap<OperationId, (ConferenceId, Instant)>,
    told_version: u64,
    /// What was said of the slots of each slave.
    admitted: BTreeMap<(Path, u8), u32>,
    read_at: Option<Instant>,
    dropped: BTreeMap<&'static str, u64>,
    kept: Keeping,
}

struct Keeping {
    file: PathBuf,
    changed: bool,
    writing: Option<JoinHandle<()>>,
}

/// Reads what a node kept before a restart; nothing when it cannot be read.
pub fn kept(file: &std::path::Path) -> Option<Kept> {
    let text = std::fs::read_to_string(file).ok()?;
    serde_json::from_str(&text).map_err(|e| tracing::warn!("{} cannot be read: {e}", file.display())).ok()
}

impl<P: Port> Driver<P> {
    /// A driver of this node.
    #[expect(clippy::too_many_arguments, reason = "all of it is handed over once")]
    pub fn new(
        node: Node,
        own_path: Path,
        port: P,
        focus: Handle,
        hook: Arc<Hook>,
        client: Option<Client>,
        standby: Option<Standby>,
        ways: &Ways,
        ears: Ears,
        file: PathBuf,
    ) -> Self {
        Self {
            node,
            own_path,
            port,
            focus,
            hook,
            facts: Facts::default(),
            client: client.map(Arc::new),
            standby,
            own: ways.own.clone(),
            back: ways.back.clone(),
            ears,
            lines: HashMap::new(),
            last_conn: 0,
            attempt: 0,
            connecting: None,
            master: 0,
            why_not: None,
            below: BTreeMap::new(),
            running: HashMap::new(),
            told_version: 0,
            admitted: BTreeMap::new(),
            read_at: None,
            dropped: BTreeMap::new(),
            kept: Keeping { file, changed: false, writing: None },
        }
    }

    /// Runs until `ended`.
    pub async fn run(mut self, mut ways: Ways, ended: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.settle(Clock::now());
        loop {
            let due = self.node.poll_timeout();
            let timer = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(input) = ways.inputs.recv() => self.input(Clock::now(), input),
                Some(told) = ways.told.recv() => self.told(Clock::now(), told),
                Some(ask) = ways.asks.recv() => self.answer(Clock::now(), ask),
                () = timer => self.node.handle_timeout(Clock::now()),
                _ = look.tick() => self.look(Clock::now()),
                () = ended.cancelled() => break,
            }
            self.settle(Clock::now());
        }
        self.keep();
        if let Some(writing) = self.kept.writing.take() {
            let _ = writing.await;
        }
        for (_, linked) in self.lines.drain() {
            linked.line.close();
        }
    }

    fn input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Accepted(socket, path) => {
                let conn = self.line(*socket, Some(path.clone()));
                self.node.handle_accepted(now, conn, path);
            }
            Input::Connected(attempt, _) if attempt != self.attempt => {}
            Input::Connected(_, Ok(socket)) => {
                self.connecting = None;
                let conn = self.line(*socket, None);
                self.node.handle_connected(now, conn);
            }
            Input::Connected(_, Err(words)) => {
                self.connecting = None;
                if self.why_not.as_ref() != Some(&words) {
                    tracing::warn!("the link to the master: {}", words.en);
                    self.why_not = Some(words);
                }
                self.node.handle_connect_failed(now);
            }
            Input::PeerAccepted(socket) => {
                let conn = self.line(*socket, None);
                self.node.handle_peer_accepted(now, conn);
            }
            Input::PeerConnected(attempt, made) => {
                let Some(standby) = self.standby.as_mut().filter(|standby| standby.attempt == attempt) else {
                    return;
                };
                standby.connecting = None;
                match made {
                    Ok(socket) => {
                        let conn = self.line(*socket, None);
                        self.node.handle_peer_connected(now, conn);
                    }
                    Err(words) => {
                        if standby.why_not.as_ref() != Some(&words) {
                            tracing::warn!("the other master: {}", words.en);
                            standby.why_not = Some(words);
                        }
                        self.node.handle_peer_connect_failed(now);
                    }
                }
            }
            Input::Message(conn, text) => self.node.handle_message(now, conn, &text),
            Input::Closed(conn, why) => {
                let Some(linked) = self.lines.remove(&conn) else { return };
                if !matches!(why, "ended" | "lost") {
                    self.broken(linked.identity.as_ref(), why);
                }
                self.node.handle_closed(now, conn);
            }
        }
    }

    fn line(&mut self, socket: Socket, identity: Option<Path>) -> ConnId {
        self.last_conn += 1;
        let conn = ConnId(self.last_conn);
        self.lines.insert(conn, Linked { line: Line::spawn(conn, socket, self.own.clone()), identity });
        conn
    }

    /// A line that did what no MCU of ours does.
    fn broken(&mut self, of: Option<&Path>, why: &'static str) {
        *self.dropped.entry(why).or_default() += 1;
        let name = of.map_or("master", |path| path.as_str());
        tracing::warn!(link = name, why, "a link was cut");
        let words = Words::new(
            format!("{name}: đường nối bị cắt vì gói tin không hợp lệ ({why})."),
            format!("{name}: the link was cut for what it sent ({why})."),
        );
        alarm(&self.ears.tell, "link-broken", words);
    }

    fn told(&mut self, now: Instant, told: Told) {
        if matches!(told, Told::Conference(Some(_))) {
            self.read_at = None;
            self.conference_opened(now);
        }
        if matches!(&told, Told::List(conference, _) if Some(*conference) != self.hook.conference()) {
            return;
        }
        match told {
            Told::Records(settings, links) => return self.read_records(now, settings, links),
            Told::Restored => return self.settled(now),
            _ => {}
        }
        for fact in self.facts.of(told) {
            self.node.fact(now, fact);
        }
    }

    /// Does what comes out of the node.
    fn settle(&mut self, now: Instant) {
        loop {
            let mut idle = true;
            // First: what a slave is told of, the conference knows already.
            while let Some(act) = self.node.poll_act() {
                idle = false;
                self.port.act(act);
            }
            self.admit();
            while let Some(transmit) = self.node.poll_transmit() {
                idle = false;
                self.transmit(now, transmit);
            }
            while let Some(event) = self.node.poll_event() {
                idle = false;
                self.event(now, event);
            }
            if idle {
                return;
            }
        }
    }

    /// Says what may come in the slots, when that has changed.
    fn admit(&mut self) {
        let wanted: BTreeMap<(Path, u8), u32> =
            self.node.expected().map(|(link, slot, site)| ((link.clone(), slot), site.csrc())).collect();
        if wanted == self.admitted {
            return;
        }
        for (link, slot) in self.admitted.keys().filter(|held| !wanted.contains_key(*held)) {
            self.port.admit(link, *slot, None);
        }
        for ((link, slot), csrc) in
            wanted.iter().filter(|(held, csrc)| self.admitted.get(*held) != Some(*csrc))
        {
            self.port.admit(link, *slot, Some(*csrc));
        }
        self.admitted = wanted;
    }

    fn transmit(&mut self, now: Instant, transmit: Transmit) {
        match transmit {
            Transmit::Connect { master } => self.connect(master),
            Transmit::ConnectPeer => self.connect_peer(),
            Transmit::Message { conn, text } => {
                let slow = self.lines.get(&conn).is_some_and(|linked| linked.line.send(text).is_err());
                if slow && let Some(linked) = self.lines.remove(&conn) {
                    linked.line.cut();
                    self.broken(linked.identity.as_ref(), "slow");
                    self.node.handle_closed(now, conn);
                }
            }
            Transmit::Close { conn } => {
                if let Some(linked) = self.lines.remove(&conn) {
                    linked.line.close();
                }
            }
        }
    }

    fn connect(&mut self, master: usize) {
        let Some(client) = self.client.clone() else { return };
        if let Some(before) = self.connecting.take() {
            before.abort();
        }
        self.master = master;
        self.port.master(master);
        self.attempt += 1;
        let (attempt, own) = (self.attempt, self.own.clone());
        let task = tokio::spawn(async move {
            let connected = client.connect(master).await.map(Box::new);
            let _ = own.send(Input::Connected(attempt, connected)).await;
        });
        self.connecting = Some(task.abort_handle());
    }

    fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Operation(operation) => {
                let Some(far) = self.far(now, &operation) else { return };
                self.ears.events.publish("operation", Some(far.conference), &far);
                if far.state != OperationState::Running {
                    self.running.remove(&far.id);
                    self.note(&far.by.clone(), "bring-up.ended", Some(far.conference), json!(far));
                }
            }
            Event::Link { link: Link::Above, up, words } => {
                tracing::info!(
                    up,
                    why = words.as_ref().map(|words| words.en.as_str()),
                    "the link to the master"
                );
                let state = if up { "connected" } else { "lost" };
                self.why_not = if up { None } else { words.or(self.why_not.take()) };
                self.publish(
                    &json!({ "link": { "direction": "up", "state": state, "detail": self.why_not } }),
                );
            }
            Event::Link { link: Link::Below(path), up, words } => {
                tracing::info!(slave = %path, up, why = words.as_ref().map(|words| words.en.as_str()), "a link");
                let state = if up { "connected" } else { "lost" };
                let link = json!({ "direction": "down", "path": path, "state": state, "detail": words });
                self.publish(&json!({ "link": link }));
                self.below.insert(path, words);
            }
            Event::Alarm { code, mcu, words } => {
                let name = if mcu.is_root() { "/" } else { mcu.as_str() };
                let words = Words::new(format!("{name}: {}", words.vi), format!("{name}: {}", words.en));
                alarm(&self.ears.tell, code, words);
            }
            Event::Progress { under, progress } => {
                self.publish(&json!({ "progress": { "under": under, "total": progress.total,
                    "connected": progress.connected, "failed": progress.failed } }));
            }
            Event::Keep => self.kept.changed = true,
            Event::Peer { up, words } => {
                tracing::info!(up, why = words.as_ref().map(|words| words.en.as_str()), "the other master");
                if let Some(standby) = &mut self.standby {
                    standby.why_not = words.filter(|_| !up);
                }
                self.publish(&json!({ "standby": self.shown_standby(now) }));
            }
            Event::Commands { commands, restore, words } => self.commanded(now, commands, restore, &words),
            Event::Record { key, .. } => self.recorded(&key),
            Event::Drill(drill) => self.drilled(&drill),
        }
    }

    pub(super) fn publish(&self, data: &serde_json::Value) {
        self.ears.events.publish("cascade", self.hook.conference(), data);
    }

    pub(super) fn note(
        &self,
        who: &str,
        what: &str,
        conference: Option<ConferenceId>,
        detail: serde_json::Value,
    ) {
        let (who, what, at): (_, _, SystemTime) = (who.to_owned(), what.to_owned(), Clock::wall_now());
        self.ears.journal.append(Entry { at, conference, who, what, detail });
    }

    fn far(&self, now: Instant, operation: &cau_cascade::Operation) -> Option<FarOperation> {
        let (conference, began) = match self.running.get(&operation.id) {
            Some(running) => *running,
            // Ended already, or its command has not come back yet.
            None => (self.hook.conference()?, now),
        };
        Some(FarOperation::of(conference, operation, now.saturating_duration_since(began)))
    }

    fn answer(&mut self, now: Instant, ask: Ask) {
        // Whoever does not wait any more needs no answer.
        match ask {
            Ask::Tree(part, answer) => drop(answer.send(part.of(self.node.tree()))),
            Ask::Standby(answer) => drop(answer.send(self.shown_standby(now))),
            Ask::Links(answer) => drop(answer.send(self.links())),
            Ask::Wish(wish, answer) => drop(answer.send(self.wish(now, *wish))),
            Ask::Prepared(answer) => {
                let list = self.node.prepared().map(|(site, ready)| (site.clone(), ready)).collect();
                let _ = answer.send(list);
            }
            Ask::Operation(id, answer) => {
                let found = self.node.operation(id).and_then(|operation| self.far(now, operation));
                let _ = answer.send(found);
            }
            Ask::Revoked(path) => self.revoked(now, &path),
        }
    }

    fn wish(&mut self, now: Instant, wish: Wish) -> Result<Option<OperationId>, Refusal> {
        let Wish { conference, by, command } = wish;
        if conference.is_some() && self.hook.conference() != conference {
            return Err(Refusal::invalid(
                "site",
                "phiên họp này không nối tầng (cascade.room)",
                "this conference is not the one that spans MCUs (cascade.room)",
            ));
        }
        let begun = self.node.command(now, &by, command)?;
        if let (Some(id), Some(conference)) = (begun, conference)
            && self.running.len() < RUNNING
        {
            self.running.insert(id, (conference, now));
        }
        Ok(begun)
    }

    fn revoked(&mut self, now: Instant, path: &Path) {
        let of = |linked: &Linked| linked.identity.as_ref() == Some(path);
        let conns: Vec<ConnId> = self.lines.iter().filter(|(_, l)| of(l)).map(|(conn, _)| *conn).collect();
        for conn in conns {
            if let Some(linked) = self.lines.remove(&conn) {
                linked.line.cut();
                self.node.handle_closed(now, conn);
            }
        }
    }

    fn links(&self) -> Links {
        let tree = self.node.tree();
        let is_up = |path: &Path| tree.get(path).is_some_and(|entry| entry.line == tree::Line::Connected);
        let below = self.below.iter().map(|(path, words)| {
            let up = is_up(path);
            let below = Below {
                up,
                sites: tree.within(path).count(),
                policy: self.node.policy_of(path).filter(|_| up).cloned(),
                words: words.clone().filter(|_| !up),
            };
            (path.clone(), below)
        });
        let above = self.client.as_ref().map(|client| Above {
            path: self.own_path.parent().unwrap_or_else(Path::root),
            address: client.masters.get(self.master).cloned().unwrap_or_default(),
            up: self.node.is_linked(),
            words: self.why_not.clone().filter(|_| !self.node.is_linked()),
        });
        Links { above, below: below.collect() }
    }

    /// Twice a second.
    fn look(&mut self, now: Instant) {
        self.tell_tree();
        self.read_list(now);
        self.keep();
        self.look_at_standby(now);
        let standing = self.node.standing(now);
        let mut numbers = self.ears.figures.0.lock().unwrap_or_else(PoisonError::into_inner);
        let links = self.lines.values().filter(|linked| linked.identity.is_some()).count();
        let dropped = self.node.dropped().chain(self.dropped.iter().map(|(cause, n)| (*cause, *n)));
        *numbers = Numbers {
            entries: self.node.tree().len(),
            below: links,
            above: self.client.is_some().then(|| self.node.is_linked()),
            standing: standing.map(|s| (s.commands, s.peer_up, s.in_step, s.term)),
            dropped: dropped.collect(),
        };
    }

    fn tell_tree(&mut self) {
        let tree = self.node.tree();
        let version = tree.version();
        if version == self.told_version {
            return;
        }
        let behind = version.saturating_sub(self.told_version) > BEHIND;
        let data = if behind || !tree.reaches_back_to(self.told_version) {
            self.told_version = version;
            json!({ "version": version, "reset": true })
        } else {
            let told = tree.changes_since(self.told_version, false);
            self.told_version = told.version;
            let changed: Vec<_> = told.entries.iter().map(cau_control::cascade::Node::from).collect();
            json!({ "version": told.version, "changed": changed, "gone": told.gone })
        };
        self.publish(&data);
    }

    /// Reads the list of participants anew when something was lost, and now and then.
    fn read_list(&mut self, now: Instant) {
        let Some(conference) = self.hook.conference() else { return };
        let recent = self.read_at.is_some_and(|at| now.saturating_duration_since(at) < WHOLE);
        if recent && !self.hook.take_lost() {
            return;
        }
        self.read_at = Some(now);
        let (focus, back) = (self.focus.clone(), self.back.clone());
        tokio::spawn(async move {
            if let Ok(list) = focus.participants(conference).await {
                let _ = back.send(Told::List(conference, list)).await;
            }
        });
    }

    fn keep(&mut self) {
        let busy = self.kept.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if !self.kept.changed || busy {
            return;
        }
        self.kept.changed = false;
        let file = self.kept.file.clone();
        let Ok(text) = serde_json::to_string(&self.node.kept()) else { return };
        self.kept.writing = Some(tokio::task::spawn_blocking(move || {
            if let Err(e) = data_dir::write_private(&file, &text) {
                tracing::error!("{} cannot be written: {e}", file.display());
            }
        }));
    }
}
