//! What an MCU knows of itself and everything below, as a table whose changes can be had since any version.

use std::collections::BTreeMap;
use std::ops::Bound;

use cau_model::name;
use cau_model::participant::State;
use cau_model::snapshot::Quality;
use serde::{Deserialize, Serialize};

use crate::path::Path;
use crate::wire::{self, Malformed};

/// Removals remembered; who is further behind gets the whole tree.
const REMEMBERED: usize = 4_096;
/// A message of the tree ends at this many bytes or soon after.
const ENOUGH: usize = 40 * 1024;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A site.
    Site,
    /// An MCU that speaks this protocol.
    Mcu,
    /// An MCU that is a SIP call and nothing more: what is below it is not known.
    Foreign,
}

/// How it is connected to its MCU, or an MCU to the one above it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// Not in the meeting.
    #[default]
    Idle,
    /// Being called.
    Calling,
    /// In the meeting.
    Connected,
    /// Lost, and being brought back.
    Lost,
}

impl From<State> for Line {
    fn from(state: State) -> Line {
        match state {
            State::Calling | State::Ringing => Line::Calling,
            State::Connected => Line::Connected,
            State::Reconnecting => Line::Lost,
            State::Left => Line::Idle,
        }
    }
}

/// How good a line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Not measured.
    #[default]
    Unknown,
    /// Below 1 % loss.
    Good,
    /// Below 5 % loss.
    Fair,
    /// Worse.
    Poor,
}

impl From<&Quality> for Grade {
    fn from(quality: &Quality) -> Grade {
        match quality.loss {
            ..0.01 => Grade::Good,
            ..0.05 => Grade::Fair,
            _ => Grade::Poor,
        }
    }
}

/// What is in a slot of the link from an MCU to the one above.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The site whose picture and sound it is; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Path>,
    /// The operator above who holds it; absent: the MCU's own operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands.
    pub path: Path,
    /// What it is.
    pub kind: Kind,
    /// Its name for people.
    #[serde(default)]
    pub name: String,
    /// How it is connected.
    #[serde(default)]
    pub line: Line,
    /// How good its line is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grade: Grade,
    /// Loudness, 0 silent – 3 loud.
    #[serde(default, skip_serializing_if = "is_default")]
    pub level: u8,
    /// It asks for the floor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hand: bool,
    /// Of an MCU: its slots to the MCU above.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slots: Vec<Held>,
    /// Of an MCU: the operator above who has taken its floor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub floor: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Entry {
    /// An idle one without a name.
    pub fn new(path: Path, kind: Kind) -> Entry {
        Entry {
            path,
            kind,
            name: String::new(),
            line: Line::Idle,
            grade: Grade::Unknown,
            level: 0,
            hand: false,
            slots: Vec::new(),
            floor: None,
        }
    }

    /// Bounds what came from outside.
    pub(crate) fn bound(&mut self) -> Result<(), Malformed> {
        if self.slots.len() > usize::from(wire::MAX_SLOTS) {
            return Err(Malformed::TooMany);
        }
        self.name = name::clean(&self.name);
        self.level = self.level.min(3);
        for by in self.slots.iter_mut().filter_map(|held| held.by.as_mut()).chain(self.floor.as_mut()) {
            *by = name::clean(by);
        }
        Ok(())
    }

    /// About how long it is as text.
    fn size(&self) -> usize {
        let slots: usize =
            self.slots.iter().map(|s| 40 + s.site.as_ref().map_or(0, |p| p.as_str().len())).sum();
        100 + self.path.as_str().len() + self.name.len() + slots
    }
}

/// The table. Every change gets the next version.
#[derive(Debug, Default)]
pub struct Tree {
    version: u64,
    entries: BTreeMap<Path, (Entry, u64)>,
    /// What changed last at which version; of what is gone too.
    changes: BTreeMap<u64, Path>,
    gone: BTreeMap<Path, u64>,
    /// Removals up to this version are forgotten.
    forgotten: u64,
}

impl Tree {
    /// Its version: the number of changes so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What stands at a path.
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path).map(|(entry, _)| entry)
    }

    /// All entries, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|(entry, _)| entry)
    }

    /// The entry at a path and all below it, sorted.
    pub fn within(&self, path: &Path) -> impl Iterator<Item = &Entry> {
        let from = path.below_from();
        let below = self
            .entries
            .range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded))
            .map(|(_, (entry, _))| entry)
            .skip_while(|entry| entry.path.is_root())
            .take_while({
                let from = from.clone();
                move |entry| entry.path.as_str().starts_with(&from)
            });
        self.get(path).into_iter().chain(below)
    }

    /// Sets an entry; says whether that changed anything.
    pub fn put(&mut self, entry: Entry) -> bool {
        let path = entry.path.clone();
        if let Some((before, version)) = self.entries.get(&path) {
            if *before == entry {
                return false;
            }
            self.changes.remove(version);
        }
        if let Some(version) = self.gone.remove(&path) {
            self.changes.remove(&version);
        }
        self.version += 1;
        self.changes.insert(self.version, path.clone());
        self.entries.insert(path, (entry, self.version));
        true
    }

    /// Changes an entry that is there; says whether that changed anything.
    pub fn change(&mut self, path: &Path, change: impl FnOnce(&mut Entry)) -> bool {
        let Some(mut entry) = self.get(path).cloned() else { return false };
        change(&mut entry);
        self.put(entry)
    }

    /// Takes an entry out; says whether it was there.
    pub fn remove(&mut self, path: &Path) -> bool {
        let Some((_, version)) = self.entries.remove(path) else { return false };
        self.changes.remove(&version);
        self.version += 1;
        self.changes.insert(self.version, path.clone());
        self.gone.insert(path.clone(), self.version);
        if self.gone.len() > REMEMBERED
            && let Some((path, version)) =
                self.gone.iter().min_by_key(|(_, v)| **v).map(|(p, v)| (p.clone(), *v))
        {
            self.gone.remove(&path);
            self.changes.remove(&version);
            self.forgotten = version;
        }
        true
    }

    /// Whether what changed since a version can still be told.
    pub fn reaches_back_to(&self, version: u64) -> bool {
        (self.forgotten..=self.version).contains(&version)
    }

    /// What changed since a version, as much as fits into one message; `whole`: removals are left out.
    pub fn changes_since(&self, version: u64, whole: bool) -> wire::Tree {
        let mut told =
            wire::Tree { base: Some(version), version, done: true, entries: Vec::new(), gone: Vec::new() };
        let mut size = 0;
        for (at, path) in self.changes.range((Bound::Excluded(version), Bound::Unbounded)) {
            let full = told.entries.len() >= wire::MAX_ENTRIES || told.gone.len() >= wire::MAX_ENTRIES;
            if full || size > ENOUGH {
                told.done = !whole;
                return told;
            }
            told.version = *at;
            match self.get(path) {
                Some(entry) => {
                    size += entry.size();
                    told.entries.push(entry.clone());
                }
                None if !whole => {
                    size += path.as_str().len() + 4;
                    told.gone.push(path.clone());
                }
                None => {}
            }
        }
        told.version = self.version;
        told
    }
}

#[cfg(test)]
mod tests;
