//! What is kept of meetings, as the standby needs it: told on the signalling thread, taken by the driver.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cau_conference::{Keep, Kept};
use cau_model::ConferenceId;

/// Longest part of a record; the shelf of the node takes somewhat more.
const PART: usize = 16 * 1024;

/// All sites and live parts of conferences as they are, and which of them have changed. Cheap to clone; never waits; bounded by the number
/// of conferences and sites.
#[derive(Debug, Clone, Default)]
pub struct Mirror(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    all: BTreeMap<(ConferenceId, String), String>,
    changed: BTreeSet<(ConferenceId, String)>,
}

impl Mirror {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears what is to be kept.
    pub fn keep(&self, keep: &Keep) {
        let mut seen = self.lock();
        match keep {
            Keep::Room(id, room) => {
                let text = serde_json::to_string(room).unwrap_or_default();
                let parts = parts(&text);
                let gone: Vec<_> = seen
                    .all
                    .keys()
                    .filter(|(of, key)| of == id && key.starts_with("room/"))
                    .skip(parts.len())
                    .cloned()
                    .collect();
                for key in gone {
                    seen.all.remove(&key);
                    seen.changed.insert(key);
                }
                for (n, part) in parts.into_iter().enumerate() {
                    seen.put(*id, room_key(n), part.to_owned());
                }
            }
            Keep::RoomGone(id) => {
                let gone: Vec<_> = seen.all.keys().filter(|(of, _)| of == id).cloned().collect();
                for key in gone {
                    seen.all.remove(&key);
                    seen.changed.insert(key);
                }
            }
            // Its call stands between it and this machine: nobody else can go on with it.
            Keep::Site(id, site, kept) if kept.target.is_some() => {
                let kept = Kept { call: None, ..(**kept).clone() };
                let text = serde_json::to_string(&kept).unwrap_or_default();
                seen.put(*id, format!("site/{site}"), text);
            }
            Keep::Site(id, site, _) | Keep::SiteGone(id, site) => {
                let key = (*id, format!("site/{site}"));
                if seen.all.remove(&key).is_some() {
                    seen.changed.insert(key);
                }
            }
        }
    }

    /// What has changed in a conference since this was asked last: name and text, or none when it is gone. Changes of others are forgotten.
    pub fn take(&self, conference: ConferenceId) -> Vec<(String, Option<String>)> {
        let mut seen = self.lock();
        let changed = std::mem::take(&mut seen.changed);
        let ours = changed.into_iter().filter(|(of, _)| *of == conference);
        ours.map(|key| (key.1.clone(), seen.all.get(&key).cloned())).collect()
    }

    /// What has changed so far is told to nobody: this MCU does not command.
    pub fn forget_changes(&self) {
        self.lock().changed.clear();
    }

    /// Everything there is of a conference.
    pub fn all(&self, conference: ConferenceId) -> BTreeMap<String, String> {
        let seen = self.lock();
        let ours = seen.all.iter().filter(|((of, _), _)| *of == conference);
        ours.map(|((_, key), text)| (key.clone(), text.clone())).collect()
    }
}

impl Seen {
    fn put(&mut self, id: ConferenceId, key: String, text: String) {
        let key = (id, key);
        if self.all.get(&key) != Some(&text) {
            self.all.insert(key.clone(), text);
            self.changed.insert(key);
        }
    }
}

/// Sorted by number as text, too.
fn room_key(n: usize) -> String {
    format!("room/{n:04}")
}

fn parts(text: &str) -> Vec<&str> {
    let (mut rest, mut parts) = (text, Vec::new());
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.floor_char_boundary(PART));
        parts.push(part);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use cau_model::{ParticipantId, kept::Room, snapshot::Seat};

    use super::*;

    #[test]
    fn a_room_of_any_length_is_told_in_parts_and_only_what_has_changed() {
        let mirror = Mirror::default();
        let id = ConferenceId(7);
        let seat = |seat| Seat { seat, participant: Some(ParticipantId(u64::from(seat))), cycle: None };
        let long = Room { seats: (0..2_000).map(seat).collect(), ..Room::default() };
        mirror.keep(&Keep::Room(id, long.clone()));
        mirror.keep(&Keep::Room(ConferenceId(8), long.clone()));
        let told = mirror.take(id);
        assert!(
            told.len() > 3 && told.iter().all(|(_, text)| text.as_ref().is_some_and(|t| t.len() <= PART))
        );
        let text: String = told.into_iter().filter_map(|(_, text)| text).collect();
        assert_eq!(serde_json::from_str::<Room>(&text).ok(), Some(long.clone()));
        mirror.keep(&Keep::Room(id, long));
        assert!(mirror.take(id).is_empty());
        mirror.keep(&Keep::Room(id, Room::default()));
        let told = mirror.take(id);
        assert!(told.iter().filter(|(_, text)| text.is_none()).count() >= 3);
        assert_eq!(mirror.all(id).len(), 1);
        mirror.keep(&Keep::RoomGone(id));
        assert!(mirror.all(id).is_empty() && mirror.take(id).iter().all(|(_, text)| text.is_none()));
    }
}
