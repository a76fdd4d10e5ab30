//! The link to the master.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cau_model::Words;

use super::{Act, Event, Link, Node, Role, Transmit, refused};
use crate::ConnId;
use crate::backoff::Backoff;
use crate::channel::{Channel, KEEP_ALIVE};
use crate::path::Path;
use crate::tree::Tree;
use crate::wire::{Body, Frame, Hello, VERSIONS, Welcome};

/// How long a connection, a welcome or a media call may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the media call may take.
const MEDIA_PATIENCE: Duration = Duration::from_secs(10);
/// Without a link for that long the calls may have been given up at the other end, whatever they look like here (a call without media ends after half a minute).
const CALLS_LAST: Duration = Duration::from_secs(20);
/// Changes of the tree go at most so often.
const PERIOD: Duration = Duration::from_millis(200);
/// Messages of the tree without acknowledgement.
const WINDOW: usize = 8;

#[derive(Debug, Default)]
enum State {
    /// There is no master, or the next try waits.
    #[default]
    Down,
    /// Asked for since then.
    Connecting(Instant),
    /// The hello was said then.
    Greeting(Channel, Instant),
    Up(Channel),
}

/// How far the tree was told.
#[derive(Debug, Default)]
struct Teller {
    /// `None`: nothing yet, or everything anew.
    sent: Option<u64>,
    whole: bool,
    /// The last message was full: the next need not wait.
    more: bool,
    in_flight: VecDeque<u64>,
    last: Option<Instant>,
}

/// The link to the master.
#[derive(Debug, Default)]
pub(super) struct Above {
    state: State,
    backoff: Backoff,
    /// Which master of the list is tried now, and which one first.
    trying: usize,
    first: usize,
    teller: Teller,
    media: bool,
    media_backoff: Backoff,
    /// The media call was asked for then.
    calling: Option<Instant>,
    /// Since when the link is lost.
    lost: Option<Instant>,
    /// Which run of the master the link stands with.
    instance: u64,
    /// Slots the master takes.
    slots: u8,
}

impl Above {
    pub fn begin(&mut self, now: Instant) {
        self.backoff.failed(now);
    }

    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    fn channel(&mut self) -> Option<&mut Channel> {
        match &mut self.state {
            State::Up(channel) => Some(channel),
            _ => None,
        }
    }

    pub fn poll_timeout(&self, tree: &Tree) -> Option<Instant> {
        let state = match &self.state {
            State::Down => self.backoff.next(),
            State::Connecting(since) | State::Greeting(_, since) => Some(*since + PATIENCE),
            State::Up(channel) => Some(channel.poll_timeout()),
        };
        let up = self.is_up();
        let due = up && self.teller.in_flight.len() < WINDOW && self.teller.sent != Some(tree.version());
        let told = self.teller.last.filter(|_| due).map(|at| at + PERIOD);
        let media = self.media_backoff.next().filter(|_| up && !self.media);
        let calling = self.calling.map(|at| at + MEDIA_PATIENCE);
        [state, told, media, calling].into_iter().flatten().min()
    }
}

impl Node {
    /// Says something to the master, when there is a link.
    pub(super) fn say_above(&mut self, now: Instant, body: Body) {
        if let Some(channel) = self.above.channel() {
            let (conn, text) = (channel.conn, channel.write(now, body));
            self.transmits.push_back(Transmit::Message { conn, text });
        }
    }

    pub(super) fn above_connected(&mut self, now: Instant, conn: ConnId) {
        if !matches!(self.above.state, State::Connecting(_)) {
            self.transmits.push_back(Transmit::Close { conn });
            return;
        }
        self.conns.insert(conn, Role::Above);
        let mut channel = Channel::new(now, conn, 0, KEEP_ALIVE);
        let hello = Hello {
            versions: VERSIONS,
            capabilities: Vec::new(),
            instance: self.instance,
            path: self.config.path.clone(),
            name: self.config.name.clone(),
            room: self.config.room.clone(),
            term: self.term,
            slots: self.config.slots,
        };
        let text = channel.write(now, Body::Hello(hello));
        self.transmits.push_back(Transmit::Message { conn, text });
        self.above.state = State::Greeting(channel, now);
    }

    /// The connection is gone, could not be made, or is given up.
    pub(super) fn above_lost(&mut self, now: Instant, words: Option<Words>) {
        let was_up = self.above.is_up();
        match std::mem::take(&mut self.above.state) {
            State::Down => return,
            State::Connecting(_) => {}
            State::Greeting(channel, _) | State::Up(channel) => {
                if self.conns.contains_key(&channel.conn) {
                    self.close(channel.conn);
                }
            }
        }
        self.above.backoff.failed(now);
        self.above.calling = None;
        if was_up {
            self.above.lost = Some(now);
        }
        if was_up || words.is_some() {
            self.event(Event::Link { link: Link::Above, up: false, words });
        }
        // Who asked is gone; who commands then says anew what is wanted.
        self.forget_orders(now);
    }

    pub(super) fn time_above(&mut self, now: Instant) {
        match &mut self.above.state {
            State::Down => {
                if self.config.masters > 0 && self.above.backoff.take(now) {
                    let master = (self.above.first + self.above.backoff.tries()) % self.config.masters;
                    self.above.trying = master;
                    self.above.state = State::Connecting(now);
                    self.transmits.push_back(Transmit::Connect { master });
                }
            }
            State::Connecting(since) | State::Greeting(_, since) => {
                if *since + PATIENCE <= now {
                    self.above_lost(now, None);
                }
            }
            State::Up(channel) => {
                if channel.is_silent(now) {
                    let words = Words::new("MCU cấp trên không trả lời", "the master does not answer");
                    self.above_lost(now, Some(words));
                } else if let Some(ping) = channel.ping_due(now) {
                    self.say_above(now, ping);
                }
            }
        }
        if self.above.calling.is_some_and(|at| at + MEDIA_PATIENCE <= now) {
            self.above.calling = None;
            self.above.media_backoff.failed(now);
        }
        if self.above.is_up() && !self.above.media && self.above.media_backoff.take(now) {
            self.say_above(now, Body::TokenRequest);
            self.above.calling = Some(now);
        }
    }

    /// The media call stands, or no more.
    pub(super) fn above_media(&mut self, now: Instant, up: bool) {
        let asked = self.above.calling.take().is_some();
        let before = std::mem::replace(&mut self.above.media, up);
        // A call that came to nothing is tried again, too.
        if before == up && (up || !asked) {
            return;
        }
        if up {
            self.above.media_backoff.succeeded(now);
            self.route_all(now);
        } else {
            self.above.media_backoff.failed(now);
            self.time_above(now);
        }
    }

    pub(super) fn heard_above(&mut self, now: Instant, frame: Frame) {
        if let State::Greeting(channel, _) = &mut self.above.state {
            let checked = channel.check(now, &frame);
            match (checked, frame.body) {
                (Ok(()), Body::Welcome(welcome)) => self.welcomed(now, welcome),
                (Ok(()), Body::Refusal(refused)) => self.above_lost(now, Some(refused.words)),
                // It may take command soon: another five seconds, and it hears that this one is still there.
                (Ok(()), Body::Wait) => {
                    if let State::Greeting(channel, since) = &mut self.above.state {
                        *since = now;
                        let (conn, text) = (channel.conn, channel.write(now, Body::Ping { id: 0 }));
                        self.transmits.push_back(Transmit::Message { conn, text });
                    }
                }
                _ => self.above_lost(now, None),
            }
            return;
        }
        let master = self.config.path.parent().unwrap_or_else(Path::root);
        let Some(channel) = self.above.channel() else { return };
        let conn = channel.conn;
        if let Err(fault) = channel.check(now, &frame) {
            self.faulty(now, conn, &master, fault);
            return;
        }
        match frame.body {
            Body::Ping { id } => self.say_above(now, Body::Pong { id }),
            Body::Pong { id } => channel.pong(now, id),
            Body::TreeAck { version } => {
                while self.above.teller.in_flight.front().is_some_and(|sent| *sent <= version) {
                    self.above.teller.in_flight.pop_front();
                }
            }
            Body::Resync => self.above.teller = Teller::default(),
            Body::Token { token } => {
                let slots = self.above.slots;
                self.acts.push_back(Act::CallMaster { link: master, token, slots });
            }
            Body::Open(open) => self.opened(now, open),
            Body::Abort { order } => self.aborted(now, order),
            Body::Close { slot } => self.closed(now, slot),
            Body::Floor { mcu, by } => self.floor_taken(now, &mcu, by),
            Body::Call { order, under, priority } => self.called(now, order, under, priority),
            Body::Moved => self.above_moved(now),
            Body::Refusal(_) => self.count("refused-by-master"),
            Body::Unknown => {
                let words = Words::new("bản tin không hiểu được", "this type of message is not known here");
                self.say_above(now, refused(frame.seq, "unknown-type", words));
            }
            _ => self.count("unexpected"),
        }
    }

    fn welcomed(&mut self, now: Instant, welcome: Welcome) {
        if welcome.term < self.term {
            let words = Words::new(
                "MCU này không còn là MCU chỉ huy: một MCU khác đã tiếp quản",
                "this MCU does not command any more: another one has taken over",
            );
            self.above_lost(now, Some(words));
            return;
        }
        let parent = self.config.path.parent().unwrap_or_else(Path::root);
        let versions = VERSIONS.first().zip(VERSIONS.last());
        let speaks = versions.is_some_and(|(least, most)| (*least..=*most).contains(&welcome.version));
        if welcome.path != parent || welcome.assigned == 0 || !speaks {
            let words = Words::new(
                format!("MCU trả lời là “{}”, không phải cấp trên của MCU này", welcome.path),
                format!("the MCU that answers is \"{}\", not the one above this one", welcome.path),
            );
            self.above_lost(now, Some(words));
            return;
        }
        let State::Greeting(mut channel, _) = std::mem::take(&mut self.above.state) else { return };
        channel.session = welcome.assigned;
        self.above.state = State::Up(channel);
        self.above.backoff.succeeded(now);
        if std::mem::replace(&mut self.above.instance, welcome.instance) != welcome.instance {
            // Another run of it knows nothing of our calls.
            self.above.media = false;
        }
        if self.above.lost.take().is_some_and(|since| now.saturating_duration_since(since) >= CALLS_LAST) {
            self.above.media = false;
        }
        self.above.slots = welcome.slots.min(self.config.slots);
        if welcome.term > self.term {
            self.term = welcome.term;
            self.event(Event::Keep);
        }
        let have = welcome.have.filter(|have| have.instance == self.instance).map(|have| have.version);
        let have = have.filter(|version| self.tree.reaches_back_to(*version));
        self.above.teller = Teller { sent: have, ..Teller::default() };
        self.event(Event::Link { link: Link::Above, up: true, words: None });
        self.say_above(now, Body::Policy(self.policy.clone()));
        if !self.above.media {
            self.above.media_backoff = Backoff::default();
            self.above.media_backoff.failed(now);
        }
        self.time_above(now);
    }

    /// Tells the master what has changed, when it is time.
    pub(super) fn tell_tree(&mut self, now: Instant) {
        while self.above.is_up() && self.above.teller.in_flight.len() < WINDOW {
            let teller = &mut self.above.teller;
            if teller.sent == Some(self.tree.version()) && !teller.whole {
                return;
            }
            let due = teller.more || teller.last.is_none_or(|at| at + PERIOD <= now);
            if !due {
                return;
            }
            let begins = teller.sent.is_none();
            teller.whole |= begins;
            let mut told = self.tree.changes_since(teller.sent.unwrap_or_default(), teller.whole);
            if begins {
                told.base = None;
            }
            teller.whole = !told.done;
            teller.sent = Some(told.version);
            teller.more = told.version != self.tree.version();
            teller.last = Some(now);
            teller.in_flight.push_back(told.version);
            self.say_above(now, Body::Tree(told));
        }
    }

    /// The master has handed over to the next one of the list, which is tried at once.
    fn above_moved(&mut self, now: Instant) {
        let words = Words::new("một MCU khác chỉ huy từ bây giờ", "another MCU commands from now on");
        self.above.first = self.above.trying + 1;
        self.above_lost(now, Some(words));
        self.above.backoff = Backoff::default();
        self.above.backoff.failed(now);
        self.time_above(now);
    }

    pub(super) fn tell_policy(&mut self, now: Instant) {
        self.say_above(now, Body::Policy(self.policy.clone()));
    }
}
