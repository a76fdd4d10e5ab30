//! Rooms by what is dialled.

use std::collections::{BTreeMap, HashMap};

use cau_model::{ConferenceId, Settings, name};

/// Finds a conference by the user part of an address: its room, or its name as a path key (`Giao ban` → `giao-ban`).
#[derive(Debug, Default)]
pub(super) struct Registry {
    rooms: HashMap<String, ConferenceId>,
    /// Several conferences may have the same name; the oldest one answers.
    names: BTreeMap<(String, ConferenceId), ()>,
}

impl Registry {
    pub(super) fn insert(&mut self, id: ConferenceId, settings: &Settings) {
        self.rooms.insert(settings.room.clone(), id);
        self.names.insert((name::slug(&settings.name), id), ());
    }

    pub(super) fn remove(&mut self, id: ConferenceId, settings: &Settings) {
        self.rooms.remove(&settings.room);
        self.names.remove(&(name::slug(&settings.name), id));
    }

    /// The conference with exactly that room.
    pub(super) fn room(&self, room: &str) -> Option<ConferenceId> {
        self.rooms.get(room).copied()
    }

    /// The conference somebody means who dials `user`.
    pub(super) fn dialled(&self, user: &str) -> Option<ConferenceId> {
        if let Some(id) = self.rooms.get(&user.to_lowercase()) {
            return Some(*id);
        }
        let key = name::slug(user);
        if key.is_empty() {
            return None;
        }
        let first = (key.clone(), ConferenceId(0));
        self.names
            .range(first..)
            .next()
            .map(|((name, id), ())| (name, *id))
            .filter(|(name, _)| **name == key)
            .map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_dialled_by_number_or_by_name() {
        let named = |room: &str, name: &str| {
            let mut settings = Settings::new(room).unwrap();
            settings.name = name.to_owned();
            settings
        };
        let mut registry = Registry::default();
        registry.insert(ConferenceId(1), &named("8000", "Giao ban tuần"));
        registry.insert(ConferenceId(2), &named("8001", "Giao ban tuần"));
        assert_eq!(registry.dialled("8001"), Some(ConferenceId(2)));
        assert_eq!(registry.dialled("giao-ban-tuan"), Some(ConferenceId(1)));
        assert_eq!(registry.dialled("Giao ban tuần"), Some(ConferenceId(1)));
        assert_eq!(registry.dialled("giao-ban"), None);
        assert_eq!(registry.dialled(""), None);
        registry.remove(ConferenceId(1), &named("8000", "Giao ban tuần"));
        assert_eq!(registry.dialled("giao-ban-tuan"), Some(ConferenceId(2)));
        assert_eq!(registry.dialled("8000"), None);
    }
}
