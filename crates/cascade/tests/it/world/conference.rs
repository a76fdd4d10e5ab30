//! What a conference and its devices answer: when a key frame comes, when a device picks up, when a viewer's report covers a picture.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cau_cascade::{Act, Fact, Outcome, Path, Site, Source};
use cau_model::participant::State;
use cau_model::snapshot::StepName;
use cau_model::{OperationId, ParticipantId, Words};
use rand::RngExt as _;

use super::{Id, World, ms};

/// What happens in one.
#[derive(Debug)]
pub enum Ev {
    /// A device answers, or does not.
    Picked(ParticipantId, bool),
    /// A key frame of an own site has arrived here.
    Own(ParticipantId),
    /// Somebody above asks for a key frame of what is in the slot.
    Asked(u8),
    /// A key frame has come from below.
    FromBelow(Path, u8, u32),
    /// A bring-up goes on.
    Stage(OperationId, Stage),
    /// Calls itself: sound levels.
    Chatter,
}

impl Ev {
    /// Devices do not end with the program.
    pub fn outlives(&self) -> bool {
        matches!(self, Ev::Picked(..) | Ev::Own(_) | Ev::Chatter)
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Stage {
    Seen,
    Covered,
}

#[derive(Debug)]
struct Route {
    csrc: u32,
    source: Source,
    sound: bool,
}

#[derive(Debug)]
struct Bringing {
    csrc: u32,
    source: Source,
    began: Instant,
    decoded: bool,
    pub seen: Option<Instant>,
}

/// One conference.
#[derive(Debug, Default)]
pub struct Conference {
    sites: BTreeMap<ParticipantId, Site>,
    wanted: BTreeMap<u8, Route>,
    /// What is in the slots to the master.
    pub content: BTreeMap<u8, u32>,
    pub sounds: BTreeMap<u8, bool>,
    bringing: BTreeMap<OperationId, Bringing>,
    pub media_up: bool,
    /// What the viewers see.
    pub on_screen: Option<u32>,
    /// Devices that never pick up.
    pub dead: Vec<ParticipantId>,
    /// Devices that send no key frame.
    pub frozen: Vec<ParticipantId>,
    /// The share of calls that are not answered the first time.
    pub unanswered: f64,
    /// Pictures seen so and so long after the command.
    pub seen_after: Vec<Duration>,
    pub dialled: Vec<(Instant, ParticipantId)>,
    pub floor: Option<String>,
    /// Tokens that wait for their call.
    pub expected: BTreeMap<String, (Path, Instant)>,
    pub acts: Vec<(Instant, Act)>,
    pub keep_acts: bool,
}

impl Conference {
    pub fn add(&mut self, id: ParticipantId, site: Site) {
        self.sites.insert(id, site);
    }

    pub fn sites(&self) -> Vec<(ParticipantId, Site)> {
        self.sites.iter().map(|(id, site)| (*id, site.clone())).collect()
    }

    pub fn forget_media(&mut self) {
        self.wanted.clear();
        self.content.clear();
        self.bringing.clear();
        self.media_up = false;
    }
}

impl World {
    /// A device's key frame after it was asked for one: the line both ways, the encoder, and a lost packet repaired now and then.
    fn key_frame_after(&mut self) -> Duration {
        let repaired = self.random.random::<f64>() < 1.0 - (1.0 - self.loss).powi(40);
        let lost_request = self.random.random::<f64>() < self.loss;
        let encoder = ms(self.random.random_range(5..45));
        self.delay * 2
            + encoder
            + if repaired { self.delay * 2 + ms(20) } else { ms(0) }
            + if lost_request { ms(200) } else { ms(0) }
    }

    fn device_event(&mut self, id: Id, wait: Duration, ev: Ev) {
        let run = self.mcus[id].run;
        self.later(wait, super::Ev::Device(id, run, ev));
    }

    pub fn chatter(&mut self, id: Id) {
        let wait = ms(self.random.random_range(2_000..6_000));
        self.device_event(id, wait, Ev::Chatter);
    }

    fn ask(&mut self, id: Id, source: &Source) {
        match source {
            Source::Own(site) => {
                if !self.mcus[id].conference.frozen.contains(site) {
                    let wait = self.key_frame_after();
                    self.device_event(id, wait, Ev::Own(*site));
                }
            }
            Source::Slot { link, slot } => {
                if let Some(slave) =
                    self.mcus[id].slaves.iter().copied().find(|s| self.mcus[*s].config.path == *link)
                    && !self.is_cut(slave)
                {
                    let wait = self.way(slave);
                    self.device_event(slave, wait, Ev::Asked(*slot));
                }
            }
        }
    }

    pub(super) fn conduct(&mut self, id: Id, act: Act) {
        let now = self.now;
        if self.mcus[id].conference.keep_acts {
            self.mcus[id].conference.acts.push((now, act.clone()));
        }
        match act {
            Act::Expect { link, token, .. } => {
                self.mcus[id].conference.expected.insert(token, (link, now + ms(30_000)));
            }
            Act::CallMaster { token, .. } => {
                let run = self.mcus[id].run;
                if !self.is_cut(id) {
                    let wait = self.way(id);
                    self.later(wait, super::Ev::Invite { slave: id, token, run });
                }
            }
            Act::Dial { site } => {
                let conference = &mut self.mcus[id].conference;
                conference.dialled.push((now, site));
                let share = conference.unanswered;
                let dead = conference.dead.contains(&site) || self.random.random::<f64>() < share;
                self.set_state(id, site, State::Calling);
                let wait = if dead { 10_000 } else { self.random.random_range(300..3_000) };
                self.device_event(id, ms(wait), Ev::Picked(site, !dead));
            }
            Act::Route { slot, csrc, source, sound, .. } => {
                self.ask(id, &source);
                self.mcus[id].conference.wanted.insert(slot, Route { csrc, source, sound });
            }
            Act::Unroute { slot } => {
                let conference = &mut self.mcus[id].conference;
                conference.wanted.remove(&slot);
                conference.content.remove(&slot);
                conference.sounds.remove(&slot);
            }
            Act::BringUp { operation, csrc, source, .. } => {
                if let Source::Own(site) = source {
                    let idle = self.mcus[id].conference.sites[&site].state != State::Connected;
                    if idle {
                        self.conduct(id, Act::Dial { site });
                    }
                }
                self.ask(id, &source);
                let bringing = Bringing { csrc, source, began: now, decoded: false, seen: None };
                self.mcus[id].conference.bringing.insert(operation, bringing);
                self.fact(id, Fact::Step(operation, StepName::Route));
            }
            Act::Abandon { operation, .. } => {
                self.mcus[id].conference.bringing.remove(&operation);
            }
            Act::Release { .. } => self.mcus[id].conference.on_screen = None,
            Act::Floor { by } => self.mcus[id].conference.floor = by,
        }
    }

    pub fn set_state(&mut self, id: Id, pid: ParticipantId, state: State) {
        let site = self.mcus[id].conference.sites.get_mut(&pid).unwrap();
        site.state = state;
        let site = site.clone();
        self.fact(id, Fact::Site(pid, site));
    }

    pub(super) fn device(&mut self, id: Id, ev: Ev) {
        match ev {
            Ev::Picked(site, true) => self.set_state(id, site, State::Connected),
            Ev::Picked(site, false) => {
                self.set_state(id, site, State::Left);
                let words = Words::new("không trả lời", "no answer");
                self.fact(id, Fact::DialFailed { site, words });
            }
            Ev::Own(site) => self.key_frame(id, &Source::Own(site), None),
            Ev::FromBelow(link, slot, csrc) => self.key_frame(id, &Source::Slot { link, slot }, Some(csrc)),
            Ev::Asked(slot) => {
                let source = self.mcus[id].conference.wanted.get(&slot).map(|route| route.source.clone());
                if let Some(source) = source {
                    self.ask(id, &source);
                }
            }
            Ev::Stage(operation, stage) => self.stage(id, operation, stage),
            Ev::Chatter => {
                let sites: Vec<ParticipantId> = self.mcus[id].conference.sites.keys().copied().collect();
                if !sites.is_empty() {
                    let site = sites[self.random.random_range(0..sites.len())];
                    let level = self.random.random_range(-90..-10);
                    self.fact(id, Fact::Level(site, level));
                }
                self.chatter(id);
            }
        }
    }

    /// A key frame has come from a source: into the slots and before the viewers that wait for it.
    fn key_frame(&mut self, id: Id, from: &Source, csrc: Option<u32>) {
        let now = self.now;
        let media_up = self.mcus[id].conference.media_up;
        let is = |source: &Source, wanted: u32| source == from && csrc.is_none_or(|csrc| csrc == wanted);
        let conference = &mut self.mcus[id].conference;
        let passing: Vec<(u8, u32, bool)> = conference
            .wanted
            .iter()
            .filter(|(_, r)| is(&r.source, r.csrc))
            .map(|(slot, r)| (*slot, r.csrc, r.sound))
            .collect();
        let ready = conference.bringing.iter_mut().filter(|(_, b)| !b.decoded && is(&b.source, b.csrc));
        let ready: Vec<OperationId> = ready
            .map(|(operation, b)| {
                b.decoded = true;
                *operation
            })
            .collect();
        for (slot, csrc, sound) in passing {
            let conference = &mut self.mcus[id].conference;
            conference.content.insert(slot, csrc);
            conference.sounds.insert(slot, sound);
            let master = self.mcus[id].master.filter(|_| media_up && !self.is_cut(id));
            if let Some(master) = master {
                let link = self.mcus[id].config.path.clone();
                // 40 packets on their way; a lost one is asked for again.
                let repaired = self.random.random::<f64>() < 1.0 - (1.0 - self.loss).powi(40);
                let wait = self.delay + if repaired { self.delay * 2 } else { ms(0) };
                self.device_event(master, wait, Ev::FromBelow(link, slot, csrc));
            }
            self.fact(id, Fact::Passed { slot, csrc });
        }
        for operation in ready {
            self.fact(id, Fact::Step(operation, StepName::Keyframe));
            self.fact(id, Fact::Step(operation, StepName::Layout));
            let _ = now;
            // Decode, compose, encode, and the line to the chair.
            let wait = ms(45) + self.delay;
            self.device_event(id, wait, Ev::Stage(operation, Stage::Seen));
        }
    }

    fn stage(&mut self, id: Id, operation: OperationId, stage: Stage) {
        let now = self.now;
        let Some(bringing) = self.mcus[id].conference.bringing.get_mut(&operation) else { return };
        match stage {
            Stage::Seen => {
                bringing.seen = Some(now);
                let (csrc, took) = (bringing.csrc, now - bringing.began);
                let conference = &mut self.mcus[id].conference;
                conference.on_screen = Some(csrc);
                conference.seen_after.push(took);
                self.fact(id, Fact::Step(operation, StepName::Picture));
                self.fact(id, Fact::Step(operation, StepName::Sound));
                let wait = ms(self.random.random_range(20..self.report));
                self.device_event(id, wait, Ev::Stage(operation, Stage::Covered));
            }
            Stage::Covered => {
                self.mcus[id].conference.bringing.remove(&operation);
                self.fact(id, Fact::Ended(operation, Outcome::Done));
            }
        }
    }

    /// A bring-up of a conference fails after its picture was there.
    pub fn fail_bringing(&mut self, id: Id, operation: OperationId, before: Option<u32>) {
        self.mcus[id].conference.bringing.remove(&operation);
        self.mcus[id].conference.on_screen = before;
        let words = Words::new("hình: mất gói", "picture: lost packets");
        self.fact(id, Fact::Ended(operation, Outcome::Failed(words)));
    }

    /// What goes over the link of a slave in a slot, as its master gets it.
    pub fn in_slot(&self, slave: Id, slot: u8) -> Option<u32> {
        self.mcus[slave].conference.content.get(&slot).copied()
    }
}
