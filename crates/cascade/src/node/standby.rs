//! Standing by: slaves that come while nobody commands here, taking command when it has to be, and drilling it.

use std::time::{Duration, Instant};

use cau_model::{Refusal, Words};

use super::{Event, Node, Role, Transmit, refused};
use crate::ConnId;
use crate::channel::{Channel, SILENCE};
use crate::operation::ms;
use crate::path::Path;
use crate::wire::{Body, Frame, Hello};

/// A slave that waits is told so as often: it stays, and its answers show that it is there.
const AGAIN: Duration = Duration::from_secs(2);
/// A slave that was faster than the hand-over is kept waiting for so long.
const PARKED: Duration = Duration::from_secs(1);
/// How long each part of a drill may take.
const DRILL: Duration = Duration::from_secs(30);
/// How long the other one may keep the command in a drill.
const MOST_HOLD: Duration = Duration::from_secs(600);

/// A slave that waits until somebody commands here.
#[derive(Debug)]
pub(super) struct Waiting {
    channel: Channel,
    hello: Hello,
    /// When it is sent on: another master commands.
    until: Option<Instant>,
    again: Instant,
}

/// Where a drill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The other one is to take command.
    Away,
    /// The slaves go over.
    Moving,
    /// Everything is there; until then.
    Holding(Instant),
    /// The command was asked back.
    Returning,
    /// The slaves come back.
    Back,
    Ended,
}

/// The command given to the other master and taken back on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// Who wanted it.
    pub by: String,
    /// How many slaves were linked.
    pub slaves: usize,
    /// After so many milliseconds the other one was in command, and had all slaves.
    pub command_ms: Option<u64>,
    /// See `command_ms`.
    pub over_ms: Option<u64>,
    /// So many milliseconds after it was asked back the command was here, and all slaves.
    pub return_ms: Option<u64>,
    /// See `return_ms`.
    pub back_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<Words>,
    phase: Phase,
    hold: Duration,
    /// When the way there or back began, and the present part of it.
    began: Instant,
    since: Instant,
}

impl Drill {
    /// Whether it is under way.
    pub fn is_running(&self) -> bool {
        self.phase != Phase::Ended
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Ended => None,
            Phase::Holding(until) => Some(until),
            _ => Some(self.since + DRILL),
        }
    }
}

/// Who commands, and how the other master stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// This one is in command.
    pub commands: bool,
    /// It has just begun and asks the other one.
    pub undecided: bool,
    /// Highest term seen.
    pub term: u64,
    /// The other one can be spoken to.
    pub peer_up: bool,
    /// It is in command.
    pub peer_commands: bool,
    /// The one that does not command has everything; of the standby itself: has it from the run that commands now.
    pub in_step: bool,
    /// How long something has waited to get there.
    pub behind: Duration,
    /// Records for the standby, and their bytes.
    pub records: usize,
    /// See `records`.
    pub bytes: usize,
    /// How long the other one has been gone.
    pub lost: Option<Duration>,
    /// Slaves of which the one in command knows.
    pub slaves: usize,
    /// Those of them that wait here.
    pub waiting: usize,
}

impl Node {
    /// Who commands, and how the other master stands; `None`: there is no other.
    pub fn standing(&self, now: Instant) -> Option<Standing> {
        let since = |at: Instant| now.saturating_duration_since(at);
        let copied = self.peer.is_up() && self.peer.have.is_some() && self.peer.whole.is_none();
        self.config.peer.then(|| Standing {
            commands: self.commands,
            undecided: self.peer.is_undecided(),
            term: self.term,
            peer_up: self.peer.is_up(),
            peer_commands: self.peer.commands(),
            in_step: if self.commands { self.in_step(now) } else { copied },
            behind: self.behind_since().filter(|_| self.commands).map(since).unwrap_or_default(),
            records: self.shelf.len(),
            bytes: self.shelf.bytes(),
            lost: self.peer.lost.map(since),
            slaves: self.known_slaves().0,
            waiting: self.asking(now),
        })
    }

    /// The drill that is under way, or the last one.
    pub fn drill(&self) -> Option<&Drill> {
        self.drill.as_ref()
    }

    /// Whether a slave may stay although nobody commands here.
    pub(super) fn may_wait(&self) -> bool {
        self.config.peer && !self.commands
    }

    /// A slave has come too early, or because the master is gone.
    pub(super) fn park(&mut self, now: Instant, channel: Channel, hello: Hello) {
        let path = hello.path.clone();
        if let Some(old) = self.waiting.remove(&path) {
            self.close(old.channel.conn);
        }
        let full = self.waiting.len() >= self.config.max_links;
        self.conns.insert(channel.conn, Role::Waiting(path.clone()));
        let until = self.peer.is_up().then(|| now + PARKED);
        let mut waiting = Waiting { channel, hello, until, again: now + AGAIN };
        if full {
            return self.send_on(now, waiting);
        }
        let text = waiting.channel.write(now, Body::Wait);
        self.transmits.push_back(Transmit::Message { conn: waiting.channel.conn, text });
        self.waiting.insert(path, waiting);
        self.consider(now);
    }

    fn send_on(&mut self, now: Instant, mut waiting: Waiting) {
        let words = Words::new("MCU này không chỉ huy", "this MCU is not in command");
        let text = waiting.channel.write(now, refused(0, "not-in-command", words));
        self.transmits.push_back(Transmit::Message { conn: waiting.channel.conn, text });
        self.close(waiting.channel.conn);
    }

    /// A slave that waits has said that it is there.
    pub(super) fn heard_waiting(&mut self, now: Instant, path: &Path, frame: &Frame) {
        let Some(waiting) = self.waiting.get_mut(path) else { return };
        if let Err(fault) = waiting.channel.check(now, frame) {
            let conn = waiting.channel.conn;
            self.faulty(now, conn, path, fault);
        }
    }

    /// A slave that waited is gone.
    pub(super) fn waiting_lost(&mut self, path: &Path, conn: ConnId) {
        if self.waiting.get(path).is_some_and(|waiting| waiting.channel.conn == conn) {
            self.waiting.remove(path);
        }
    }

    /// The other master is gone: whoever waits stays.
    pub(super) fn release_waiting(&mut self, now: Instant) {
        self.waiting.values_mut().for_each(|waiting| waiting.until = None);
        self.consider(now);
    }

    /// The other master is there: whoever waits does not wait for long.
    pub(super) fn hurry_waiting(&mut self, now: Instant) {
        self.waiting.values_mut().for_each(|waiting| waiting.until = Some(now + PARKED));
    }

    /// The command is here.
    pub(super) fn admit_waiting(&mut self, now: Instant) {
        for (path, mut waiting) in std::mem::take(&mut self.waiting) {
            let refusal = self.refuses(now, &path, &waiting.hello);
            if !self.commands {
                // One of them knew of a higher term: that one commands.
                self.send_on(now, waiting);
                continue;
            }
            match refusal {
                None => {
                    waiting.channel.heard_of(now);
                    self.welcome(now, waiting.channel, waiting.hello);
                }
                Some((code, words)) => {
                    let text = waiting.channel.write(now, refused(0, code, words));
                    self.transmits.push_back(Transmit::Message { conn: waiting.channel.conn, text });
                    self.close(waiting.channel.conn);
                }
            }
        }
    }

    pub(super) fn standby_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting.values();
        let waiting = waiting.flat_map(|w| [Some(w.again), w.until, Some(w.channel.heard() + SILENCE)]);
        waiting.flatten().chain(self.drill.as_ref().and_then(Drill::poll_timeout)).min()
    }

    pub(super) fn time_waiting(&mut self, now: Instant) {
        let silent = |waiting: &Waiting| waiting.channel.is_silent(now);
        let over = |waiting: &Waiting| waiting.until.is_some_and(|until| until <= now) || silent(waiting);
        let gone: Vec<Path> =
            self.waiting.iter().filter(|(_, w)| over(w)).map(|(path, _)| path.clone()).collect();
        for path in gone {
            if let Some(waiting) = self.waiting.remove(&path) {
                self.send_on(now, waiting);
            }
        }
        for waiting in self.waiting.values_mut().filter(|waiting| waiting.again <= now) {
            waiting.again = now + AGAIN;
            let text = waiting.channel.write(now, Body::Wait);
            self.transmits.push_back(Transmit::Message { conn: waiting.channel.conn, text });
        }
    }

    /// Slaves of the master that wait here, and are there.
    fn asking(&self, now: Instant) -> usize {
        let known = |path: &Path| self.shelf.get(&format!("{}{path}", super::replica::SLAVE)).is_some();
        self.waiting.iter().filter(|(path, w)| known(path) && !w.channel.is_silent(now)).count()
    }

    /// Takes command when the master is gone not for this MCU alone: more than half of the slaves it had are here.
    pub(super) fn consider(&mut self, now: Instant) {
        let by_itself = !self.config.take_over.is_zero() && self.peer.overdue.is_none();
        if self.commands || self.peer.is_up() || self.peer.is_undecided() || !by_itself || !self.config.peer {
            return;
        }
        let (known, asking) = (self.known_slaves().0, self.asking(now));
        if asking * 2 > known {
            let words = Words::new(
                format!("MCU chỉ huy đã mất, {asking}/{known} MCU cấp dưới chờ ở đây; MCU này tự tiếp quản"),
                format!("the master is gone, {asking} of {known} slaves wait here; this MCU takes command"),
            );
            self.take_command(now, true, words);
        }
    }

    /// Begins a drill.
    pub(super) fn begin_drill(&mut self, now: Instant, by: &str, hold: Duration) -> Result<(), Refusal> {
        let no = |vi: &str, en: &str| Err(Refusal::Conflict(Words::new(vi, en)));
        if hold > MOST_HOLD {
            return Err(Refusal::invalid("hold_s", "nhiều nhất 600 giây", "600 seconds at most"));
        }
        if !self.config.peer {
            return no("MCU này không có MCU dự phòng", "this MCU has no other master beside it");
        }
        if !self.commands {
            return no(
                "MCU này không chỉ huy; hãy diễn tập từ MCU đang chỉ huy",
                "this MCU is not in command; a drill begins at the one that is",
            );
        }
        if self.drill.as_ref().is_some_and(Drill::is_running) {
            return no("đang diễn tập", "a drill is under way");
        }
        if !self.peer.is_up() {
            return no("không liên lạc được với MCU dự phòng", "the standby cannot be reached");
        }
        if !self.in_step(now) {
            return no(
                "MCU dự phòng chưa có đủ bản sao; hãy thử lại sau",
                "the standby is not in step yet; try again later",
            );
        }
        let slaves = self.below.values().filter(|below| below.is_up()).count();
        self.drill = Some(Drill {
            by: by.to_owned(),
            slaves,
            command_ms: None,
            over_ms: None,
            return_ms: None,
            back_ms: None,
            error: None,
            phase: Phase::Away,
            hold,
            began: now,
            since: now,
        });
        self.yield_command(now, by);
        Ok(())
    }

    /// Looks how far a drill is.
    pub(super) fn go_on_with_drill(&mut self, now: Instant) {
        let Some(drill) = self.drill.clone().filter(Drill::is_running) else { return };
        let (peer, here) = (self.peer.commands(), self.commands);
        let whole = self.peer.have.is_some() && self.peer.whole.is_none();
        let there = peer && whole && self.known_slaves().1 >= drill.slaves;
        let back = here && self.below.values().filter(|below| below.is_up()).count() >= drill.slaves;
        let took = Some(ms(now.saturating_duration_since(drill.began)));
        let next = match drill.phase {
            Phase::Away if peer => Drill { command_ms: took, phase: Phase::Moving, ..drill },
            Phase::Moving if there => {
                Drill { over_ms: took, phase: Phase::Holding(now + drill.hold), ..drill }
            }
            Phase::Holding(until) if until <= now => Drill { phase: Phase::Returning, began: now, ..drill },
            Phase::Returning if here => Drill { return_ms: took, phase: Phase::Back, ..drill },
            Phase::Back if back => Drill { back_ms: took, phase: Phase::Ended, ..drill },
            Phase::Holding(_) | Phase::Ended => return,
            _ if drill.since + DRILL <= now => {
                let words = Words::new(
                    "diễn tập: MCU kia hoặc các MCU cấp dưới không sang kịp trong 30 giây",
                    "the drill: the other master or the slaves were not there within 30 seconds",
                );
                return self.drill_failed(now, words);
            }
            _ => return,
        };
        let (asks, by) = (next.phase == Phase::Returning, next.by.clone());
        let next = Drill { since: now, ..next };
        self.drill = Some(next.clone());
        self.event(Event::Drill(Box::new(next)));
        if asks && let Err(refusal) = self.want_command(now, &by, false) {
            return self.drill_failed(now, refusal.words().clone());
        }
        self.go_on_with_drill(now);
    }

    /// A drill that cannot go on ends; where the command is, it stays.
    pub(super) fn drill_failed(&mut self, now: Instant, words: Words) {
        let Some(drill) = self.drill.as_mut().filter(|drill| drill.is_running()) else { return };
        (drill.phase, drill.error) = (Phase::Ended, Some(words.clone()));
        let told = drill.clone();
        self.alarm(now, "drill-failed", &self.config.path.clone(), words);
        self.event(Event::Drill(Box::new(told)));
    }
}
