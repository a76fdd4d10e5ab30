//! What the standby keeps: told by the one that commands, record by record.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use cau_model::Words;

use super::{Event, Kept, Node};
use crate::path::Path;
use crate::shelf::Shelf;
use crate::wire::{Body, Have, Replica};

/// Messages without acknowledgement, and as many at most in one period: what is big must not look like a flood.
const WINDOW: usize = 8;
const PERIOD: Duration = Duration::from_millis(50);
/// The standby is in step when nothing has waited for longer.
const IN_STEP: Duration = Duration::from_secs(2);
/// What has waited for so long is told to the operator.
const BEHIND: Duration = Duration::from_secs(10);
/// Record of what the node itself wants to find again.
pub(super) const OWN: &str = "node";
/// Before the path of each slave; `up` or `lost`.
pub(super) const SLAVE: &str = "slave/";

/// How far the other one was told.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// `None`: nothing yet, or everything anew.
    sent: Option<u64>,
    whole: bool,
    in_flight: VecDeque<u64>,
    /// Everything was there once.
    complete: bool,
    behind: Option<Instant>,
    alarmed: bool,
    /// Messages of this period.
    burst: Option<(Instant, usize)>,
}

impl Teller {
    /// Of one that has everything up to a version.
    pub fn from(sent: Option<u64>) -> Teller {
        Teller { sent, ..Teller::default() }
    }

    pub fn acknowledged(&mut self, version: u64) {
        while self.in_flight.front().is_some_and(|sent| *sent <= version) {
            self.in_flight.pop_front();
        }
    }

    fn is_done(&self, shelf: &Shelf) -> bool {
        self.sent == Some(shelf.version()) && !self.whole && self.in_flight.is_empty()
    }

    fn has_more(&self, shelf: &Shelf) -> bool {
        self.sent != Some(shelf.version()) || self.whole
    }

    /// Takes one of the messages of this period.
    fn may_send(&mut self, now: Instant) -> bool {
        let (_, used) = self
            .burst
            .filter(|(since, _)| now.saturating_duration_since(*since) < PERIOD)
            .unwrap_or((now, 0));
        let since = self.burst.map(|(since, _)| since).filter(|s| now.saturating_duration_since(*s) < PERIOD);
        self.burst = Some((since.unwrap_or(now), used + 1));
        used < WINDOW
    }
}

impl Node {
    /// Keeps a record for the other master, or forgets it. Which there are: docs/cascade.md.
    pub fn record(&mut self, now: Instant, key: &str, text: Option<&str>) {
        if !self.config.peer {
            return;
        }
        match text.map(|text| self.shelf.put(key, text)) {
            None => {
                self.shelf.remove(key);
                if let Some(path) = key.strip_prefix("link/") {
                    // Whose right is gone is nobody whose word counts.
                    self.shelf.remove(&format!("{SLAVE}{path}"));
                }
            }
            Some(Ok(_)) => {}
            Some(Err(full)) => {
                self.count("replica-full");
                let words = Words::new(
                    format!("bản sao cho MCU dự phòng thiếu “{key}”: quá lớn"),
                    format!("the standby lacks \"{key}\": {full}"),
                );
                self.alarm(now, "standby-lacks", &self.config.path.clone(), words);
            }
        }
        self.flush(now);
    }

    /// What the other master is told, or has told.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// A slave came or went.
    pub(super) fn shelve_slave(&mut self, path: &Path, up: bool) {
        if self.config.peer && self.commands {
            let fits = self.shelf.put(&format!("{SLAVE}{path}"), if up { "up" } else { "lost" });
            if fits.is_err() {
                self.count("replica-full");
            }
        }
    }

    /// What is kept has changed.
    pub(super) fn shelve_kept(&mut self) {
        if self.config.peer && self.commands {
            let text = serde_json::to_string(&self.kept()).unwrap_or_default();
            if self.shelf.put(OWN, &text).is_err() {
                self.count("replica-full");
            }
        }
    }

    /// The command is here: what is told begins with how things are.
    pub(super) fn shelve_all(&mut self, now: Instant) {
        let slaves: Vec<Path> =
            self.shelf.within(SLAVE).filter_map(|(key, _)| key.get(SLAVE.len()..)?.parse().ok()).collect();
        for path in slaves {
            let up = self.below.get(&path).is_some_and(super::below::Below::is_up);
            self.shelve_slave(&path, up);
        }
        self.shelve_kept();
        self.tell_records(now);
    }

    /// What the other one wanted is wanted here from now on.
    pub(super) fn restore_from_shelf(&mut self, now: Instant) {
        let kept: Option<Kept> = self.shelf.get(OWN).and_then(|text| serde_json::from_str(text).ok());
        let Some(kept) = kept else { return };
        let words = Words::new("MCU khác đã tiếp quản", "another MCU has taken command");
        self.give_up_screens(now, &words);
        self.restore_wishes(kept.screens, kept.prepared);
        self.floors = kept.floors.into_iter().collect();
    }

    /// Slaves whose word counts, and how many of them are linked, as far as is known here.
    pub(super) fn known_slaves(&self) -> (usize, usize) {
        let up = self.shelf.within(SLAVE).filter(|(_, text)| *text == "up").count();
        (self.shelf.within(SLAVE).count(), up)
    }

    /// Whether everything is at the other master, but for what has just changed.
    pub(super) fn in_step(&self, now: Instant) -> bool {
        let teller = &self.peer.teller;
        let fresh = teller.behind.is_none_or(|since| now.saturating_duration_since(since) < IN_STEP);
        self.commands && self.peer.is_up() && !self.peer.commands() && teller.complete && fresh
    }

    /// Since when something has waited.
    pub(super) fn behind_since(&self) -> Option<Instant> {
        self.peer.teller.behind.filter(|_| self.peer.is_up())
    }

    fn tells(&self) -> bool {
        self.commands && self.peer.is_up() && !self.peer.commands()
    }

    /// Tells the standby what has changed.
    pub(super) fn tell_records(&mut self, now: Instant) {
        while self.tells()
            && self.peer.teller.in_flight.len() < WINDOW
            && self.peer.teller.has_more(&self.shelf)
            && self.peer.teller.may_send(now)
        {
            self.tell_some(now);
        }
        let done = self.peer.teller.is_done(&self.shelf);
        let teller = &mut self.peer.teller;
        if done {
            (teller.complete, teller.behind, teller.alarmed) = (true, None, false);
        } else {
            teller.behind.get_or_insert(now);
        }
    }

    /// All that waits goes now: the connection is about to be used for something that must not come before it.
    pub(super) fn tell_all_records(&mut self, now: Instant) {
        while self.tells() && self.peer.teller.has_more(&self.shelf) {
            self.tell_some(now);
        }
    }

    fn tell_some(&mut self, now: Instant) {
        let teller = &mut self.peer.teller;
        let begins = teller.sent.is_none();
        teller.whole |= begins;
        let mut told = self.shelf.changes_since(teller.sent.unwrap_or_default(), teller.whole);
        if begins {
            told.base = None;
        }
        teller.whole = !told.done;
        teller.sent = Some(told.version);
        teller.in_flight.push_back(told.version);
        self.say_peer(now, Body::Replica(told));
    }

    pub(super) fn replica_timeout(&self) -> Option<Instant> {
        let teller = &self.peer.teller;
        let tells = self.tells();
        let more = tells && teller.in_flight.len() < WINDOW && teller.has_more(&self.shelf);
        let next = teller.burst.filter(|_| more).map(|(since, _)| since + PERIOD);
        let late = teller.behind.filter(|_| tells && !teller.alarmed).map(|since| since + BEHIND);
        [next, late].into_iter().flatten().min()
    }

    pub(super) fn time_replica(&mut self, now: Instant) {
        let late = self.tells() && self.peer.teller.behind.is_some_and(|since| since + BEHIND <= now);
        if late && !std::mem::replace(&mut self.peer.teller.alarmed, true) {
            let words = Words::new(
                "MCU dự phòng chưa theo kịp: bản sao của nó cũ hơn 10 giây",
                "the standby is not in step: what it has is older than 10 seconds",
            );
            self.alarm(now, "standby-behind", &self.config.path.clone(), words);
        }
    }

    /// The one that commands has told of records.
    pub(super) fn copied(&mut self, now: Instant, told: Replica) {
        let Some(other) = self.peer.other.filter(|other| other.commands && !self.commands) else {
            return self.count("unexpected");
        };
        let fits = match (told.base, &self.peer.whole) {
            (None, _) => {
                let all: BTreeSet<String> = self.shelf.within("").map(|(key, _)| key.to_owned()).collect();
                self.peer.whole = Some((0, all));
                (self.peer.have, self.peer.resync) = (None, false);
                true
            }
            (Some(base), Some((partial, _))) => base == *partial,
            (Some(base), None) => self.peer.have.is_some_and(|have| have.version == base),
        };
        if !fits {
            self.count("replica-gap");
            if !std::mem::replace(&mut self.peer.resync, true) {
                self.peer.whole = None;
                self.say_peer(now, Body::ReplicaResync);
            }
            return;
        }
        for record in told.records {
            if let Some((_, rest)) = &mut self.peer.whole {
                rest.remove(&record.key);
            }
            match self.shelf.put(&record.key, &record.text) {
                Ok(true) => self.event(Event::Record { key: record.key, text: Some(record.text) }),
                Ok(false) => {}
                Err(_) => self.count("replica-full"),
            }
        }
        let mut gone = told.gone;
        if told.done {
            gone.extend(self.peer.whole.take().into_iter().flat_map(|(_, rest)| rest));
            self.peer.have = Some(Have { instance: other.instance, version: told.version });
        } else if let Some((partial, _)) = &mut self.peer.whole {
            *partial = told.version;
        }
        for key in gone {
            if self.shelf.remove(&key) {
                self.event(Event::Record { key, text: None });
            }
        }
        self.say_peer(now, Body::ReplicaAck { version: told.version });
    }
}
