//! The other master: who of the two commands, and the way they speak (docs/cascade.md, "Standby").

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cau_model::{Refusal, Words};
use rand::RngExt as _;

use super::replica::Teller;
use super::{Act, Event, Node, Role, Transmit, Viewers, refused};
use crate::ConnId;
use crate::channel::{Channel, KEEP_ALIVE};
use crate::wire::{Body, Frame, Have, Peer as Word, VERSIONS};

/// How often the other one is tried by who has no command, and by who has it: two who both think they have it must find each other.
const TRY: Duration = Duration::from_secs(2);
const TRY_IN_COMMAND: Duration = Duration::from_secs(10);
/// How long a connection or its first word may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long after its start a master asks the other one before it takes slaves.
const PROBE: Duration = Duration::from_secs(5);
/// How long the other may take to hand over the command.
const CLAIM: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
enum State {
    /// The next try waits.
    #[default]
    Down,
    /// Asked for since then.
    Connecting(Instant),
    /// The first word was said then.
    Greeting(Channel, Instant),
    Up(Channel),
}

/// What the other one has said of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Other {
    pub instance: u64,
    pub commands: bool,
}

/// The way to the other master.
#[derive(Debug, Default)]
pub(super) struct Peer {
    state: State,
    next: Option<Instant>,
    /// Until then the other one is asked whether it has taken the command meanwhile.
    undecided: Option<Instant>,
    /// Since when it cannot be spoken to.
    pub lost: Option<Instant>,
    /// When it has been gone for long enough to take its place.
    pub overdue: Option<Instant>,
    pub other: Option<Other>,
    /// The command was handed over on this term, and nobody has been heard to have taken it.
    yielded: Option<u64>,
    pub teller: Teller,
    /// How far its records are here.
    pub have: Option<Have>,
    /// All of them are coming: up to which version they are here, and what has not been said again yet.
    pub whole: Option<(u64, BTreeSet<String>)>,
    pub resync: bool,
    claim: Option<Instant>,
}

impl Peer {
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// It commands, and can be spoken to.
    pub fn commands(&self) -> bool {
        self.is_up() && self.other.is_some_and(|other| other.commands)
    }

    pub fn is_undecided(&self) -> bool {
        self.undecided.is_some()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let state = match &self.state {
            State::Down => self.next,
            State::Connecting(since) | State::Greeting(_, since) => Some(*since + PATIENCE),
            State::Up(channel) => Some(channel.poll_timeout()),
        };
        [state, self.undecided, self.overdue, self.claim].into_iter().flatten().min()
    }
}

impl Node {
    /// The first thing of a node that has another master beside it.
    pub(super) fn begin_peer(&mut self, now: Instant) {
        self.peer.next = Some(now);
        self.gone_since(now);
        self.right_to(now, self.config.commands);
    }

    /// Whether it is this one that had the command before it began.
    pub(super) fn right_to(&mut self, now: Instant, right: bool) {
        self.right = right;
        self.commands = false;
        self.peer.undecided = right.then(|| now + PROBE);
    }

    fn gone_since(&mut self, now: Instant) {
        self.peer.lost = Some(now);
        self.peer.overdue = Some(now + self.config.take_over).filter(|_| !self.config.take_over.is_zero());
    }

    /// Says something to the other master, when there is a way.
    pub(super) fn say_peer(&mut self, now: Instant, body: Body) {
        if let State::Up(channel) = &mut self.peer.state {
            let (conn, text) = (channel.conn, channel.write(now, body));
            self.transmits.push_back(Transmit::Message { conn, text });
        }
    }

    fn own_word(&self, assigned: u64) -> Word {
        Word {
            versions: VERSIONS,
            instance: self.instance,
            path: self.config.path.clone(),
            name: self.config.name.clone(),
            room: self.config.room.clone(),
            term: self.term,
            commands: self.commands,
            assigned,
            have: self.peer.have,
        }
    }

    /// The other one hears who commands.
    fn tell_standing(&mut self, now: Instant) {
        let word = self.own_word(0);
        self.say_peer(now, Body::Peer(word));
    }

    pub(super) fn peer_connected(&mut self, now: Instant, conn: ConnId) {
        if !matches!(self.peer.state, State::Connecting(_)) {
            self.transmits.push_back(Transmit::Close { conn });
            return;
        }
        self.conns.insert(conn, Role::Peer);
        let mut channel = Channel::new(now, conn, 0, KEEP_ALIVE);
        let text = channel.write(now, Body::Peer(self.own_word(0)));
        self.transmits.push_back(Transmit::Message { conn, text });
        self.peer.state = State::Greeting(channel, now);
    }

    pub(super) fn peer_connect_failed(&mut self, now: Instant) {
        if matches!(self.peer.state, State::Connecting(_)) {
            self.peer_lost(now, None);
        }
    }

    /// The connection is gone, could not be made, or is given up.
    pub(super) fn peer_lost(&mut self, now: Instant, words: Option<Words>) {
        let was_up = self.peer.is_up();
        if let State::Greeting(channel, _) | State::Up(channel) = std::mem::take(&mut self.peer.state)
            && self.conns.contains_key(&channel.conn)
        {
            self.close(channel.conn);
        }
        self.peer.next = Some(now + if self.commands { TRY_IN_COMMAND } else { TRY });
        (self.peer.whole, self.peer.resync) = (None, false);
        if was_up {
            self.gone_since(now);
            self.release_waiting(now);
            let gone = || Words::new("mất kết nối với MCU dự phòng", "the other master is lost");
            let told = words.clone().unwrap_or_else(gone);
            self.event(Event::Peer { up: false, words: Some(told) });
            let own = self.config.path.clone();
            if self.commands {
                let words = Words::new(
                    "mất kết nối với MCU dự phòng: nếu MCU này hỏng, không có bản sao mới nhất",
                    "the standby is lost: should this MCU fail now, it does not have the latest",
                );
                self.alarm(now, "standby-lost", &own, words);
            } else {
                let words = Words::new(
                    "mất kết nối với MCU chỉ huy; MCU này tiếp quản khi quá nửa số MCU cấp dưới cũng mất, hoặc khi có lệnh",
                    "the master is lost; this MCU takes command when more than half of the slaves have lost it too, or when ordered to",
                );
                self.alarm(now, "master-lost", &own, words);
            }
        } else if let Some(words) = words {
            self.event(Event::Peer { up: false, words: Some(words) });
        }
    }

    pub(super) fn is_peer(&self, conn: ConnId) -> bool {
        match &self.peer.state {
            State::Greeting(channel, _) | State::Up(channel) => channel.conn == conn,
            _ => false,
        }
    }

    pub(super) fn time_peer(&mut self, now: Instant) {
        if !self.config.peer {
            return;
        }
        match &mut self.peer.state {
            State::Down => {
                if self.peer.next.take_if(|next| *next <= now).is_some() {
                    self.peer.state = State::Connecting(now);
                    self.transmits.push_back(Transmit::ConnectPeer);
                }
            }
            State::Connecting(since) | State::Greeting(_, since) => {
                if *since + PATIENCE <= now {
                    self.peer_lost(now, None);
                }
            }
            State::Up(channel) => {
                if channel.is_silent(now) {
                    self.peer_lost(now, None);
                } else if let Some(ping) = channel.ping_due(now) {
                    self.say_peer(now, ping);
                }
            }
        }
        if self.peer.undecided.is_some_and(|until| until <= now) {
            let words = Words::new(
                "không hỏi được MCU dự phòng khi khởi động; tiếp tục chỉ huy",
                "the other master could not be asked at the start; this one commands as before",
            );
            self.assume(now, words);
        }
        if self.peer.claim.take_if(|until| *until <= now).is_some() {
            self.not_taken(now, Words::new("MCU kia không trả lời", "the other master does not answer"));
        }
        self.time_waiting(now);
        self.peer.overdue.take_if(|at| *at <= now);
        self.consider(now);
        self.time_replica(now);
    }

    /// The first message of a connection of the other master.
    pub(super) fn peer_greeted(&mut self, now: Instant, conn: ConnId, frame: Frame) {
        let mut channel = Channel::new(now, conn, 0, KEEP_ALIVE);
        let seq = frame.seq;
        let refusal = match (channel.check(now, &frame), frame.body) {
            (Ok(()), Body::Peer(word)) => match self.refuses_peer(&word) {
                None => return self.peer_accepted(now, channel, word),
                Some(refusal) => refusal,
            },
            _ => ("hello", Words::new("cần lời chào trước", "a hello is needed first")),
        };
        self.count("refused-peer");
        if refusal.0 != "path-in-use" {
            self.alarm(now, "peer-refused", &self.config.path.clone(), refusal.1.clone());
        }
        let text = channel.write(now, refused(seq, refusal.0, refusal.1));
        self.transmits.push_back(Transmit::Message { conn, text });
        self.close(conn);
    }

    fn refuses_peer(&self, word: &Word) -> Option<(&'static str, Words)> {
        let ([least, most], [our_least, our_most]) = (word.versions, VERSIONS);
        if !self.config.peer {
            let words = Words::new("MCU này không có MCU dự phòng", "this MCU has no other master beside it");
            return Some(("no-peer", words));
        }
        if most < our_least || least > our_most {
            return Some((
                "version",
                Words::new(
                    format!("phiên bản giao thức {least}–{most} không hợp với {our_least}–{our_most} ở đây"),
                    format!("protocol versions {least} to {most} do not meet {our_least} to {our_most} here"),
                ),
            ));
        }
        if word.path != self.config.path || word.instance == self.instance {
            let words = Words::new(
                "MCU kia không phải MCU dự phòng của MCU này (cùng vị trí trong cây, máy khác)",
                "the other MCU is not one of the same place in the tree, on another machine",
            );
            return Some(("topology", words));
        }
        if word.room != self.config.room {
            let words =
                Words::new("không có phiên họp đó ở đây", "there is no such meeting here (cascade.room)");
            return Some(("room", words));
        }
        // Both have called: the call of the one with the lower number goes on.
        let calling = matches!(self.peer.state, State::Connecting(_) | State::Greeting(..));
        (calling && self.instance < word.instance)
            .then(|| ("path-in-use", Words::new("đang nối theo chiều kia", "it is being called already")))
    }

    fn peer_accepted(&mut self, now: Instant, mut channel: Channel, word: Word) {
        match std::mem::take(&mut self.peer.state) {
            State::Greeting(old, _) | State::Up(old) => self.close(old.conn),
            State::Down | State::Connecting(_) => {}
        }
        let session = self.random.random::<u64>() | 1;
        let text = channel.write(now, Body::Peer(self.own_word(session)));
        channel.session = session;
        self.transmits.push_back(Transmit::Message { conn: channel.conn, text });
        self.conns.insert(channel.conn, Role::Peer);
        self.met(now, channel, word);
    }

    /// The way stands.
    fn met(&mut self, now: Instant, channel: Channel, word: Word) {
        self.peer.state = State::Up(channel);
        (self.peer.next, self.peer.lost, self.peer.overdue) = (None, None, None);
        (self.peer.whole, self.peer.resync) = (None, false);
        let sent = word.have.filter(|have| have.instance == self.instance).map(|have| have.version);
        self.peer.teller = Teller::from(sent.filter(|version| self.shelf.reaches_back_to(*version)));
        self.event(Event::Peer { up: true, words: None });
        self.heard_standing(now, &word);
        let lost = self.peer.yielded.take().is_some_and(|term| word.term <= term) && !word.commands;
        if lost && !self.commands {
            let words = Words::new(
                "lời bàn giao không tới MCU kia; tiếp tục chỉ huy",
                "the word that handed over the command did not reach the other master: this one goes on",
            );
            self.assume(now, words);
        }
        if let State::Up(channel) = &mut self.peer.state
            && let Some(ping) = channel.ping_due(now)
        {
            self.say_peer(now, ping);
        }
        self.hurry_waiting(now);
    }

    /// The other one has said whether it commands, and the highest term it knows.
    fn heard_standing(&mut self, now: Instant, word: &Word) {
        self.peer.other = Some(Other { instance: word.instance, commands: word.commands });
        if word.term > self.term {
            self.superseded(now, word.term);
        } else if self.right && !self.commands {
            let words =
                Words::new("MCU kia không chỉ huy; tiếp tục chỉ huy", "the other master is not in command");
            self.assume(now, words);
        } else if self.commands && word.commands && word.term < self.term {
            // It gives way as soon as it hears this.
            self.tell_standing(now);
        }
    }

    pub(super) fn heard_peer(&mut self, now: Instant, frame: Frame) {
        let own = self.config.path.clone();
        if let State::Greeting(channel, _) = &mut self.peer.state {
            let checked = channel.check(now, &frame);
            match (checked, frame.body) {
                (Ok(()), Body::Peer(word)) if word.assigned != 0 => match self.refuses_peer_back(&word) {
                    None => {
                        let State::Greeting(mut channel, _) = std::mem::take(&mut self.peer.state) else {
                            return;
                        };
                        channel.session = word.assigned;
                        self.met(now, channel, word);
                    }
                    Some(words) => self.peer_lost(now, Some(words)),
                },
                (Ok(()), Body::Refusal(refused)) => {
                    let words = Some(refused.words).filter(|_| refused.code != "path-in-use");
                    self.peer_lost(now, words);
                }
                _ => self.peer_lost(now, None),
            }
            return;
        }
        let State::Up(channel) = &mut self.peer.state else { return };
        let conn = channel.conn;
        if let Err(fault) = channel.check(now, &frame) {
            self.faulty(now, conn, &own, fault);
            return;
        }
        match frame.body {
            Body::Ping { id } => self.say_peer(now, Body::Pong { id }),
            Body::Pong { id } => channel.pong(now, id),
            Body::Peer(word) => self.heard_standing(now, &word),
            Body::Replica(told) => self.copied(now, told),
            Body::ReplicaAck { version } => self.peer.teller.acknowledged(version),
            Body::ReplicaResync => self.peer.teller = Teller::default(),
            Body::Take { by, force } => self.asked_for_command(now, frame.seq, &by, force),
            Body::Yield { term, by } => {
                if term >= self.term && !self.commands {
                    let words = Words::new(
                        format!("nhận quyền chỉ huy theo lệnh của {by}"),
                        format!("the command was handed over, ordered by {by}"),
                    );
                    self.term = term;
                    self.take_command(now, true, words);
                } else {
                    self.count("unexpected");
                }
            }
            Body::Refusal(refused) => self.not_taken(now, refused.words),
            Body::Unknown => {
                let words = Words::new("bản tin không hiểu được", "this type of message is not known here");
                self.say_peer(now, refused(frame.seq, "unknown-type", words));
            }
            _ => self.count("unexpected"),
        }
    }

    fn refuses_peer_back(&self, word: &Word) -> Option<Words> {
        let speaks = word.versions.first().zip(VERSIONS.last()).is_some_and(|(least, most)| least <= most);
        let fits = word.path == self.config.path && word.instance != self.instance && speaks;
        (!fits).then(|| {
            Words::new(
                "MCU trả lời không phải MCU dự phòng của MCU này",
                "what answers is not the other master of this place in the tree",
            )
        })
    }

    /// The operator of the other one wants the command.
    fn asked_for_command(&mut self, now: Instant, seq: u64, by: &str, force: bool) {
        if !self.commands {
            let words = Words::new("MCU kia cũng không chỉ huy", "the other master is not in command either");
            return self.say_peer(now, refused(seq, "not-in-command", words));
        }
        if !force && !self.in_step(now) {
            let words = Words::new("bản sao chưa đầy đủ", "its records are not all there yet");
            return self.say_peer(now, refused(seq, "not-in-step", words));
        }
        self.yield_command(now, by);
    }

    /// Gives the command to the other master, which can be spoken to.
    pub(super) fn yield_command(&mut self, now: Instant, by: &str) {
        // Taken by force while it is still being copied to: more at once than the line takes, and the word behind it would be lost.
        if self.in_step(now) {
            self.tell_all_records(now);
        }
        self.peer.yielded = Some(self.term);
        self.say_peer(now, Body::Yield { term: self.term, by: by.to_owned() });
        let words = Words::new(
            format!("bàn giao quyền chỉ huy theo lệnh của {by}"),
            format!("the command is handed over, ordered by {by}"),
        );
        self.stand_down(now, words);
    }

    /// What was asked of the other master was not done.
    fn not_taken(&mut self, now: Instant, words: Words) {
        self.peer.claim = None;
        let told = Words::new(
            format!("chưa nhận được quyền chỉ huy: {}", words.vi),
            format!("the command was not handed over: {}", words.en),
        );
        self.alarm(now, "not-taken", &self.config.path.clone(), told);
        self.drill_failed(now, words);
    }

    /// An operator wants the command here.
    pub(super) fn want_command(&mut self, now: Instant, by: &str, force: bool) -> Result<(), Refusal> {
        let words = Words::new(format!("theo lệnh của {by}"), format!("ordered by {by}"));
        if !self.config.peer {
            let was = std::mem::replace(&mut self.commands, true);
            self.term = self.term.saturating_add(1);
            self.event(Event::Keep);
            self.event(Event::Commands { commands: true, restore: !was, words });
            return Ok(());
        }
        if self.commands {
            let words = Words::new("MCU này đang chỉ huy", "this MCU is in command");
            return Err(Refusal::Conflict(words));
        }
        if self.peer.commands() {
            self.peer.claim = Some(now + CLAIM);
            self.say_peer(now, Body::Take { by: by.to_owned(), force });
            return Ok(());
        }
        if !self.peer.is_up() && !force {
            return Err(Refusal::Conflict(Words::new(
                "không liên lạc được với MCU kia nên không biết nó còn chỉ huy hay không; nếu chắc chắn nó đã dừng, hãy lặp lại với force",
                "the other master cannot be asked, and may be in command; when it is certain that it is not, say so with force",
            )));
        }
        self.take_command(now, true, words);
        Ok(())
    }

    /// The next term is this one's: nobody else ever has the same, for the master by name has odd ones and its standby even ones.
    pub(super) fn take_command(&mut self, now: Instant, restore: bool, words: Words) {
        let odd = self.config.commands;
        self.term = self.term.saturating_add(1);
        if (self.term % 2 == 1) != odd {
            self.term = self.term.saturating_add(1);
        }
        if restore {
            self.restore_from_shelf(now);
        }
        self.right = true;
        self.alarm(now, "took-command", &self.config.path.clone(), words.clone());
        self.enter(now, restore, words);
    }

    /// Commands as before: nobody else does.
    fn assume(&mut self, now: Instant, words: Words) {
        self.enter(now, false, words);
    }

    fn enter(&mut self, now: Instant, restore: bool, words: Words) {
        self.commands = true;
        (self.peer.undecided, self.peer.claim, self.peer.have) = (None, None, None);
        self.peer.teller = Teller::default();
        self.event(Event::Keep);
        self.event(Event::Commands { commands: true, restore, words });
        self.shelve_all(now);
        self.tell_standing(now);
        self.admit_waiting(now);
    }

    /// Somebody has seen a higher term: another one commands.
    pub(super) fn superseded(&mut self, now: Instant, term: u64) {
        self.term = term;
        self.right = false;
        self.peer.undecided = None;
        self.event(Event::Keep);
        if !self.commands {
            return;
        }
        let words = Words::new(
            "một MCU khác đã tiếp quản quyền chỉ huy; MCU này ngừng nhận MCU cấp dưới",
            "another MCU has taken command; this one takes no slaves any more",
        );
        self.alarm(now, "superseded", &self.config.path.clone(), words.clone());
        if self.config.masters == 0 {
            self.stand_down(now, words);
        } else {
            self.commands = false;
        }
    }

    /// Gives up everything below: the slaves go to the other master, what was wanted is its business.
    fn stand_down(&mut self, now: Instant, words: Words) {
        self.commands = false;
        self.right = false;
        self.peer.have = None;
        let slaves: Vec<_> = self.below.keys().cloned().collect();
        for path in slaves {
            self.say_below(now, &path, Body::Moved);
            if let Some(conn) = self.below.get(&path).and_then(super::below::Below::conn) {
                self.close(conn);
                self.below_lost(now, &path, conn);
            }
        }
        self.give_up_screens(now, &words);
        self.below.clear();
        let roster: Vec<_> = self.tree.iter().map(|entry| entry.path.clone()).collect();
        for path in roster {
            if path != self.config.path && self.roster.id_of(&path).is_none() {
                self.tree.remove(&path);
            }
        }
        self.acts.push_back(Act::Release { viewers: Viewers::All });
        self.event(Event::Keep);
        self.event(Event::Commands { commands: false, restore: false, words });
        self.tell_standing(now);
    }
}
