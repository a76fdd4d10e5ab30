//! A small map that forgets what was not asked for longest.

use std::collections::HashMap;
use std::hash::Hash;

pub(super) struct Cache<K, V> {
    entries: HashMap<K, Entry<V>>,
    capacity: usize,
    uses: u64,
}

struct Entry<V> {
    value: V,
    used: u64,
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::with_capacity(capacity + 1), capacity, uses: 0 }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(&entry.value)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.uses += 1;
        self.make_room(&key);
        self.entries.insert(key, Entry { value, used: self.uses });
    }

    pub(super) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce(&K) -> V) -> &V {
        self.uses += 1;
        self.make_room(&key);
        let used = self.uses;
        let entry = self.entries.entry(key).or_insert_with_key(|key| Entry { value: make(key), used });
        entry.used = used;
        &entry.value
    }

    /// Looks through all entries, which are few, and only when a new one comes.
    fn make_room(&mut self, coming: &K) {
        if self.entries.len() < self.capacity || self.entries.contains_key(coming) {
            return;
        }
        if let Some(oldest) = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(k, _)| k.clone()) {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_falls_out() {
        let mut cache = Cache::new(2);
        cache.insert("a", 1);
        cache.insert("b", 2);
        assert_eq!(cache.get(&"a"), Some(&1));
        assert_eq!(*cache.get_or_insert_with("c", |_| 3), 3);
        assert_eq!(cache.get(&"b"), None);
        assert_eq!(*cache.get_or_insert_with("a", |_| unreachable!("kept")), 1);
        assert_eq!(cache.entries.len(), 2);
    }
}
