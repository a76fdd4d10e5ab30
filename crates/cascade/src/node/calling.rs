//! Calling everybody: each MCU its own sites, evenly, the urgent ones first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cau_model::{ParticipantId, Refusal};

use super::{Act, Event, Node};
use crate::path::Path;
use crate::tree::{Kind, Line as State};
use crate::wire::{Body, Progress};

/// Seconds before a site that did not answer is called again.
const AGAIN: [u64; 3] = [2, 5, 10];
/// Progress is told at most so often.
const TELLING: Duration = Duration::from_secs(1);
/// A call without an answer counts no more as under way.
const UNANSWERED: Duration = Duration::from_secs(60);
/// Calls to all remembered.
const MOST: usize = 32;

#[derive(Debug)]
struct Call {
    under: Path,
    priority: u8,
    /// The master's number of it.
    above: Option<u64>,
    own: Progress,
    below: BTreeMap<Path, Progress>,
    told: Option<(Instant, Progress)>,
}

impl Call {
    fn sum(&self) -> Progress {
        self.below.values().fold(self.own, |sum, part| Progress {
            total: sum.total.saturating_add(part.total),
            connected: sum.connected.saturating_add(part.connected),
            failed: sum.failed.saturating_add(part.failed),
        })
    }
}

/// One site of this MCU that is to be called.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    call: u64,
    priority: u8,
    tries: usize,
    /// Its place in the queue.
    place: Option<u64>,
    /// When it joins the queue again.
    later: Option<Instant>,
}

/// All calls to all.
#[derive(Debug)]
pub(super) struct Storm {
    gap: Duration,
    at_a_time: usize,
    calls: BTreeMap<u64, Call>,
    wanted: BTreeMap<ParticipantId, Wanted>,
    queue: BTreeSet<(Reverse<u8>, u64, ParticipantId)>,
    later: BTreeSet<(Instant, ParticipantId)>,
    under_way: BTreeMap<ParticipantId, Instant>,
    next: Option<Instant>,
    /// The order of joining the queue.
    count: u64,
    dirty: bool,
    tell: Option<Instant>,
}

impl Storm {
    pub fn new(per_second: u32, at_a_time: usize) -> Storm {
        Storm {
            gap: Duration::from_secs(1) / per_second.max(1),
            at_a_time: at_a_time.max(1),
            calls: BTreeMap::new(),
            wanted: BTreeMap::new(),
            queue: BTreeSet::new(),
            later: BTreeSet::new(),
            under_way: BTreeMap::new(),
            next: None,
            count: 0,
            dirty: false,
            tell: None,
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let turn = self.next.filter(|_| !self.queue.is_empty() && self.under_way.len() < self.at_a_time);
        let later = self.later.first().map(|(at, _)| *at);
        let unanswered = self.under_way.values().min().map(|at| *at + UNANSWERED);
        let tell = self.tell.filter(|_| self.dirty);
        [turn, later, unanswered, tell].into_iter().flatten().min()
    }

    fn enqueue(&mut self, id: ParticipantId) {
        let Some(wanted) = self.wanted.get_mut(&id) else { return };
        self.count += 1;
        wanted.place = Some(self.count);
        self.queue.insert((Reverse(wanted.priority), self.count, id));
    }

    /// A site is no more to be called; its record.
    fn drop(&mut self, id: ParticipantId) -> Option<Wanted> {
        self.under_way.remove(&id);
        let wanted = self.wanted.remove(&id)?;
        if let Some(place) = wanted.place {
            self.queue.remove(&(Reverse(wanted.priority), place, id));
        }
        if let Some(at) = wanted.later {
            self.later.remove(&(at, id));
        }
        Some(wanted)
    }

    fn progress(&mut self, call: u64, change: impl FnOnce(&mut Progress)) {
        if let Some(call) = self.calls.get_mut(&call) {
            change(&mut call.own);
            self.dirty = true;
        }
    }
}

impl Node {
    pub(super) fn call_all(&mut self, now: Instant, under: Path, priority: u8) -> Result<(), Refusal> {
        if self.tree.get(&under).is_none() {
            let vi = format!("không có “{under}” trong cây");
            return Err(Refusal::invalid("under", vi, format!("there is no \"{under}\" in the tree")));
        }
        self.begin_call(now, None, under, priority);
        Ok(())
    }

    /// The master wants sites called.
    pub(super) fn called(&mut self, now: Instant, order: u64, under: Path, priority: u8) {
        if self.policy.dial {
            self.begin_call(now, Some(order), under, priority);
        } else {
            self.say_above(now, Body::Progress { order, progress: Progress::default() });
        }
    }

    fn begin_call(&mut self, now: Instant, above: Option<u64>, under: Path, priority: u8) {
        let known = self.storm.calls.iter().find(|(_, call)| call.above == above && call.under == under);
        let order = match known.map(|(order, _)| *order) {
            // Said again after a loss, or by an impatient operator: one call all the same.
            Some(order) => order,
            None => self.next_order(),
        };
        let own = &self.config.path;
        let mine = |path: &Path| path.is_within(&under) || own.is_within(&under);
        let idle: Vec<ParticipantId> = if own.is_within(&under) || under.parent().as_ref() == Some(own) {
            let sites =
                self.tree.within(own).filter(|entry| entry.kind != Kind::Mcu && entry.line == State::Idle);
            let sites = sites.filter(|entry| mine(&entry.path));
            sites.filter_map(|entry| self.roster.id_of(&entry.path)).collect()
        } else {
            Vec::new()
        };
        while self.storm.calls.len() >= MOST {
            self.storm.calls.pop_first();
        }
        let mut total = 0;
        for id in idle {
            let before = self.storm.wanted.get(&id).copied();
            match before {
                Some(wanted) if wanted.priority >= priority => {}
                Some(wanted) => {
                    // More urgent now.
                    self.storm.wanted.insert(id, Wanted { priority, ..wanted });
                    if let Some(place) = wanted.place {
                        self.storm.queue.remove(&(Reverse(wanted.priority), place, id));
                        self.storm.enqueue(id);
                    }
                }
                None => {
                    total += 1;
                    self.storm
                        .wanted
                        .insert(id, Wanted { call: order, priority, tries: 0, place: None, later: None });
                    self.storm.enqueue(id);
                }
            }
        }
        let fresh = || Call {
            under: under.clone(),
            priority,
            above,
            own: Progress::default(),
            below: BTreeMap::new(),
            told: None,
        };
        let call = self.storm.calls.entry(order).or_insert_with(fresh);
        call.own.total = call.own.total.saturating_add(total);
        (self.storm.dirty, self.storm.tell) = (true, Some(self.storm.tell.map_or(now, |at| at.max(now))));
        let links: Vec<Path> = self.below.keys().cloned().collect();
        for link in links {
            self.call_below(now, &link, order);
        }
        self.time_calls(now);
    }

    fn call_below(&mut self, now: Instant, link: &Path, order: u64) {
        let Some(call) = self.storm.calls.get(&order) else { return };
        if link.is_within(&call.under) || call.under.is_within(link) {
            let (under, priority) = (call.under.clone(), call.priority);
            self.say_below(now, link, Body::Call { order, under, priority });
        }
    }

    /// A slave is linked again: what it was to call and has not finished is said again.
    pub(super) fn call_again_below(&mut self, now: Instant, link: &Path) {
        let unfinished = |call: &Call| {
            call.below.get(link).is_none_or(|part| part.connected.saturating_add(part.failed) < part.total)
        };
        let orders: Vec<u64> =
            self.storm.calls.iter().filter(|(_, c)| unfinished(c)).map(|(order, _)| *order).collect();
        for order in orders {
            self.call_below(now, link, order);
        }
    }

    pub(super) fn progressed(&mut self, now: Instant, link: &Path, order: u64, progress: Progress) {
        let Some(call) = self.storm.calls.get_mut(&order) else { return self.count("unknown-order") };
        call.below.insert(link.clone(), progress);
        self.storm.dirty = true;
        self.storm.tell.get_or_insert(now);
    }

    /// A site of this MCU is in the meeting.
    pub(super) fn call_answered(&mut self, now: Instant, id: ParticipantId) {
        if let Some(wanted) = self.storm.drop(id) {
            self.storm
                .progress(wanted.call, |progress| progress.connected = progress.connected.saturating_add(1));
        }
        self.time_calls(now);
    }

    /// It could not be called.
    pub(super) fn call_failed(&mut self, now: Instant, id: ParticipantId) {
        if self.storm.under_way.remove(&id).is_none() {
            return;
        }
        let Some(wanted) = self.storm.wanted.get_mut(&id) else { return };
        match AGAIN.get(wanted.tries) {
            Some(wait) => {
                wanted.tries += 1;
                let at = now + Duration::from_secs(*wait);
                wanted.later = Some(at);
                self.storm.later.insert((at, id));
            }
            None => self.call_over(now, id),
        }
        self.time_calls(now);
    }

    /// It is given up.
    pub(super) fn call_over(&mut self, _now: Instant, id: ParticipantId) {
        if let Some(wanted) = self.storm.drop(id) {
            self.storm.progress(wanted.call, |progress| progress.failed = progress.failed.saturating_add(1));
        }
    }

    pub(super) fn time_calls(&mut self, now: Instant) {
        let unanswered: Vec<ParticipantId> = self
            .storm
            .under_way
            .iter()
            .filter(|(_, at)| **at + UNANSWERED <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in unanswered {
            self.call_failed(now, id);
        }
        while let Some((at, id)) = self.storm.later.first().copied().filter(|(at, _)| *at <= now) {
            self.storm.later.remove(&(at, id));
            if let Some(wanted) = self.storm.wanted.get_mut(&id) {
                wanted.later = None;
            }
            self.storm.enqueue(id);
        }
        while self.storm.under_way.len() < self.storm.at_a_time && self.storm.next.is_none_or(|at| at <= now)
        {
            let Some((.., id)) = self.storm.queue.pop_first() else { break };
            // Counted from when it was due, so that a late timer does not slow the rate; but what was not used is not saved up.
            let due =
                self.storm.next.map_or(now, |at| at.max(now.checked_sub(self.storm.gap).unwrap_or(now)));
            self.storm.next = Some(due + self.storm.gap);
            self.storm.under_way.insert(id, now);
            if let Some(wanted) = self.storm.wanted.get_mut(&id) {
                wanted.place = None;
            }
            let line = self.roster.path_of(id).and_then(|path| self.tree.get(path)).map(|entry| entry.line);
            // Somebody else may have had it called meanwhile.
            if line == Some(State::Idle) {
                self.acts.push_back(Act::Dial { site: id });
            }
        }
        if self.storm.dirty && self.storm.tell.is_none_or(|at| at <= now) {
            self.tell_progress(now);
        }
    }

    fn tell_progress(&mut self, now: Instant) {
        (self.storm.dirty, self.storm.tell) = (false, Some(now + TELLING));
        let mut told = Vec::new();
        for (order, call) in &mut self.storm.calls {
            let sum = call.sum();
            if call.told.as_ref().is_none_or(|(_, before)| *before != sum) {
                call.told = Some((now, sum));
                told.push((*order, call.above, call.under.clone(), sum));
            }
        }
        for (_, above, under, progress) in told {
            if let Some(order) = above {
                self.say_above(now, Body::Progress { order, progress });
            }
            self.event(Event::Progress { under, progress });
        }
    }
}
