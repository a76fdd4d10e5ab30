//! What happens in the conference of this MCU.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use cau_model::snapshot::StepName;
use cau_model::{ParticipantId, Words, name};

use super::feeds::End;
use super::{Fact, Link, Node, Site};
use crate::meter::Meter;
use crate::path::{Path, segment};
use crate::tree::{Entry, Grade, Kind, Line as State};

/// The sites of this MCU.
#[derive(Debug, Default)]
pub(super) struct Roster {
    sites: BTreeMap<ParticipantId, Own>,
    ids: HashMap<Path, ParticipantId>,
}

#[derive(Debug)]
struct Own {
    path: Path,
    slug: String,
    meter: Meter,
}

impl Roster {
    pub fn id_of(&self, path: &Path) -> Option<ParticipantId> {
        self.ids.get(path).copied()
    }

    pub fn path_of(&self, id: ParticipantId) -> Option<&Path> {
        self.sites.get(&id).map(|own| &own.path)
    }

    fn take(&mut self, id: ParticipantId) -> Option<Path> {
        let own = self.sites.remove(&id)?;
        self.ids.remove(&own.path);
        Some(own.path)
    }
}

impl Node {
    pub(super) fn learn(&mut self, now: Instant, fact: Fact) {
        match fact {
            Fact::Site(id, site) => self.site(now, id, site),
            Fact::Gone(id) => self.gone(now, id),
            Fact::Level(id, dbov) => {
                let step = self.roster.sites.get_mut(&id).and_then(|own| own.meter.measure(now, dbov));
                if let (Some(level), Some(path)) = (step, self.roster.path_of(id).cloned()) {
                    self.tree.change(&path, |entry| entry.level = level);
                }
            }
            Fact::Quality(id, quality) => {
                if let Some(path) = self.roster.path_of(id).cloned() {
                    self.tree.change(&path, |entry| entry.grade = Grade::from(&quality));
                }
            }
            Fact::DialFailed { site, words } => {
                if let Some(path) = self.roster.path_of(site).cloned() {
                    self.slots_not_dialled(now, &path, &words);
                }
                self.call_failed(now, site);
            }
            Fact::Media { link: Link::Above, up } => self.above_media(now, up),
            Fact::Media { link: Link::Below(path), up } => self.below_media(now, &path, up),
            Fact::Passed { slot, csrc } => self.passed(now, slot, csrc),
            Fact::Step(operation, step) => self.conference_step(now, operation, step),
            Fact::Ended(operation, outcome) => self.conference_ended(now, operation, outcome),
        }
    }

    /// A site as it is now.
    fn site(&mut self, now: Instant, id: ParticipantId, site: Site) {
        let slug = segment(&site.name);
        let known = self.roster.sites.get(&id).filter(|own| own.slug == slug).map(|own| own.path.clone());
        let path = match known {
            Some(path) => path,
            None => {
                // Another name is another path.
                self.gone(now, id);
                self.place(id, slug)
            }
        };
        let line = State::from(site.state);
        let before = self.tree.get(&path).cloned();
        let was = before.as_ref().map_or(State::Idle, |entry| entry.line);
        let entry = Entry {
            kind: if site.foreign { Kind::Foreign } else { Kind::Site },
            name: name::clean(&site.name),
            line,
            hand: site.hand,
            ..before.unwrap_or_else(|| Entry::new(path.clone(), Kind::Site))
        };
        let silent = line != State::Connected;
        self.tree.put(if silent { Entry { level: 0, grade: Grade::Unknown, ..entry } } else { entry });
        if silent && let Some(own) = self.roster.sites.get_mut(&id) {
            own.meter = Meter::default();
        }
        if line == State::Connected && was != State::Connected {
            self.slots_connected(now, &path);
            self.viewer_connected(now, id);
            self.call_answered(now, id);
        }
    }

    /// Gives a site its path.
    fn place(&mut self, id: ParticipantId, slug: String) -> Path {
        let own = &self.config.path;
        let last = name::distinct(&slug, |candidate| self.tree.get(&own.join(candidate)).is_some());
        let path = own.join(&last);
        self.roster.ids.insert(path.clone(), id);
        self.roster.sites.insert(id, Own { path: path.clone(), slug, meter: Meter::default() });
        path
    }

    /// An MCU comes whose path a site of this MCU has: the site gets another one.
    pub(super) fn make_room(&mut self, path: &Path) {
        let Some(id) = self.roster.id_of(path) else { return };
        let Some(entry) = self.tree.get(path).cloned() else { return };
        let slug = self.roster.sites.get(&id).map(|own| own.slug.clone()).unwrap_or_default();
        // Still in the tree: so that the new path is another one.
        self.roster.take(id);
        let moved = self.place(id, slug);
        self.tree.remove(path);
        self.tree.put(Entry { path: moved, ..entry });
    }

    fn gone(&mut self, now: Instant, id: ParticipantId) {
        let Some(path) = self.roster.take(id) else { return };
        self.tree.remove(&path);
        self.call_over(now, id);
        if self.feeds.contains_key(&path) {
            let words = Words::new("điểm cầu không còn trong danh sách", "the site is no more in the list");
            let obstacle = super::Obstacle { step: StepName::Find, mcu: self.config.path.clone(), words };
            self.feed_failed(now, &path, &obstacle, End::Abort);
        }
    }
}
