//! From what the conference tells to facts for the node.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use cau_cascade::{Fact, Link, Outcome, Site};
use cau_conference::{Body, Change, Notice};
use cau_model::{
    ConferenceId, OperationId, ParticipantId, Words,
    participant::{Direction, State},
    snapshot,
};
use tokio::sync::mpsc;

/// Facts that wait for the driver.
pub const QUEUE: usize = 16_384;
/// Ended operations remembered that nobody has asked for yet.
const STRAY: usize = 64;
/// MCUs without this protocol remembered before they have joined.
const FOREIGN: usize = 1_024;

/// Something the conference has told.
#[derive(Debug)]
pub enum Told {
    /// The conference of the room is there, or no more.
    Conference(Option<ConferenceId>),
    /// A participant as it is now.
    Participant(Box<snapshot::Participant>),
    /// Its sound and line.
    Level(ParticipantId, i8, snapshot::Quality),
    /// This one is another maker's MCU.
    Foreign(ParticipantId),
    /// A bring-up of the conference.
    Operation(Box<snapshot::Operation>),
    /// What was asked of the conference has begun there: the node's number, the conference's.
    Begun(OperationId, Box<snapshot::Operation>),
    /// The whole list.
    List(ConferenceId, Vec<snapshot::Participant>),
    /// What the port found out by itself.
    Fact(Fact),
    /// Settings of the conference, and the rows of all links with their paths.
    Records(Option<String>, Vec<(String, String)>),
    /// The meeting goes on here as far as it can.
    Restored,
}

/// Stands where notices are told, on the signalling thread: never waits.
#[derive(Debug)]
pub struct Hook {
    room: String,
    /// 0: there is none.
    conference: AtomicU64,
    queue: mpsc::Sender<Told>,
    lost: AtomicBool,
}

impl Hook {
    /// A hook for the conference of this room.
    pub fn new(room: String, queue: mpsc::Sender<Told>) -> Self {
        Self { room, conference: AtomicU64::new(0), queue, lost: AtomicBool::new(false) }
    }

    /// The conference of the room.
    pub fn conference(&self) -> Option<ConferenceId> {
        Some(self.conference.load(Ordering::Relaxed)).filter(|id| *id != 0).map(ConferenceId)
    }

    /// Whether something was lost since this was asked last: then the whole list has to be read.
    pub fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }

    /// Hears a notice.
    pub fn notice(&self, notice: &Notice) {
        let ours = self.conference().is_some() && notice.conference == self.conference();
        match &notice.body {
            Body::Conference(conference) if conference.room == self.room => {
                let before = self.conference.swap(conference.id.0, Ordering::Relaxed);
                if before != conference.id.0 {
                    self.tell(Told::Conference(Some(conference.id)));
                }
            }
            // Its room was changed.
            Body::Conference(_) | Body::ConferenceEnded if ours => {
                self.conference.store(0, Ordering::Relaxed);
                self.tell(Told::Conference(None));
            }
            // Links are no sites.
            Body::Participant { participant, .. } if participant.link.is_some() => {}
            Body::Participant { change: Change::Level, participant: p } if ours => {
                self.tell(Told::Level(p.id, p.audio.level_dbov, p.quality));
            }
            Body::Participant { participant, .. } if ours => {
                self.tell(Told::Participant(participant.clone()))
            }
            Body::Part(operation) if ours => self.tell(Told::Operation(operation.clone())),
            Body::Foreign(participant) if ours => self.tell(Told::Foreign(*participant)),
            Body::Link { path, above, up } if ours => {
                let link = if *above { Some(Link::Above) } else { path.parse().ok().map(Link::Below) };
                if let Some(link) = link {
                    self.tell(Told::Fact(Fact::Media { link, up: *up }));
                }
            }
            Body::Passed { slot, csrc } if ours => {
                self.tell(Told::Fact(Fact::Passed { slot: *slot, csrc: *csrc }));
            }
            _ => {}
        }
    }

    fn tell(&self, told: Told) {
        if self.queue.try_send(told).is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}

/// What the node was told so far.
#[derive(Debug, Default)]
pub struct Facts {
    sites: HashMap<ParticipantId, Site>,
    /// Those that are, or will be when they have joined, MCUs without this protocol.
    foreign: HashSet<ParticipantId>,
    /// Bring-ups of the conference that are of the node: its number there, steps told.
    ours: HashMap<OperationId, (OperationId, usize)>,
    stray: VecDeque<snapshot::Operation>,
}

impl Facts {
    /// What is to be told to the node.
    pub fn of(&mut self, told: Told) -> Vec<Fact> {
        match told {
            Told::Conference(None) => self.keep(&[]),
            Told::Conference(Some(_)) => Vec::new(),
            Told::List(_, list) => {
                let mut all = self.keep(&list);
                all.extend(list.iter().flat_map(|p| self.participant(p)));
                all
            }
            Told::Participant(p) => self.participant(&p),
            Told::Level(id, dbov, quality) if self.is_there(id) => {
                vec![Fact::Level(id, dbov), Fact::Quality(id, quality)]
            }
            Told::Level(..) => Vec::new(),
            Told::Begun(node, begun) => {
                self.ours.insert(begun.id, (node, 0));
                let later = self.stray.iter().rposition(|stray| stray.id == begun.id);
                let newest = later.and_then(|at| self.stray.remove(at)).unwrap_or(*begun);
                self.operation(newest)
            }
            Told::Foreign(id) => {
                // One that never joins is forgotten with the next ones; they say it again with every call.
                if self.foreign.len() >= FOREIGN {
                    self.foreign.retain(|id| self.sites.contains_key(id));
                }
                self.foreign.insert(id);
                let Some(site) = self.sites.get_mut(&id) else { return Vec::new() };
                site.foreign = true;
                vec![Fact::Site(id, site.clone())]
            }
            Told::Operation(operation) => self.operation(*operation),
            Told::Fact(fact) => vec![fact],
            Told::Records(..) | Told::Restored => Vec::new(),
        }
    }

    fn is_there(&self, id: ParticipantId) -> bool {
        self.sites.get(&id).is_some_and(|site| site.state == State::Connected)
    }

    /// Those that are not in the list are gone.
    fn keep(&mut self, list: &[snapshot::Participant]) -> Vec<Fact> {
        let gone: Vec<_> = self.sites.keys().copied().filter(|id| list.iter().all(|p| p.id != *id)).collect();
        gone.into_iter().filter_map(|id| self.gone(id)).collect()
    }

    fn gone(&mut self, id: ParticipantId) -> Option<Fact> {
        self.foreign.remove(&id);
        self.sites.remove(&id).map(|_| Fact::Gone(id))
    }

    fn participant(&mut self, p: &snapshot::Participant) -> Vec<Fact> {
        if p.link.is_some() {
            return Vec::new();
        }
        if p.state == State::Left && p.direction == Direction::In {
            // Nobody can call it again.
            return self.gone(p.id).into_iter().collect();
        }
        let site =
            Site { name: p.name.clone(), state: p.state, hand: false, foreign: self.foreign.contains(&p.id) };
        if self.sites.get(&p.id) == Some(&site) {
            return Vec::new();
        }
        let is_new = !self.sites.contains_key(&p.id);
        // The site of before, come in anew: it takes its old place in the tree.
        let before = |(id, old): (&ParticipantId, &Site)| {
            (*id != p.id && old.state == State::Left && old.name == site.name).then_some(*id)
        };
        let before = self.sites.iter().find_map(before).filter(|_| is_new && p.state != State::Left);
        let mut all: Vec<Fact> = before.and_then(|id| self.gone(id)).into_iter().collect();
        self.sites.insert(p.id, site.clone());
        all.push(Fact::Site(p.id, site));
        all
    }

    fn operation(&mut self, told: snapshot::Operation) -> Vec<Fact> {
        let Some((node, known)) = self.ours.get_mut(&told.id) else {
            self.stray.retain(|stray| stray.id != told.id);
            if self.stray.len() == STRAY {
                self.stray.pop_front();
            }
            self.stray.push_back(told);
            return Vec::new();
        };
        let node = *node;
        let mut all: Vec<Fact> = told.steps.iter().skip(*known).map(|s| Fact::Step(node, s.name)).collect();
        *known = told.steps.len().max(*known);
        let words =
            || Words::new(told.error.clone().unwrap_or_default(), told.error_en.clone().unwrap_or_default());
        let outcome = match told.state {
            snapshot::OperationState::Running => return all,
            snapshot::OperationState::Done => Outcome::Done,
            snapshot::OperationState::Unconfirmed => Outcome::Unconfirmed,
            snapshot::OperationState::Failed => Outcome::Failed(words()),
        };
        self.ours.remove(&told.id);
        all.push(Fact::Ended(node, outcome));
        all
    }
}
