//! A small map in a ring: entries mostly come in order and leave at the front, so nothing is allocated per packet.

use std::collections::VecDeque;

/// Entries sorted by key, each key once.
#[derive(Debug)]
pub(crate) struct Sorted<K, V> {
    entries: VecDeque<(K, V)>,
}

/// Room kept when it is empty; a burst's memory is given back.
const KEPT: usize = 64;

impl<K: Copy + Ord, V> Sorted<K, V> {
    pub fn new() -> Self {
        Self { entries: VecDeque::new() }
    }

    /// False, and nothing changed, when the key is there already.
    pub fn insert(&mut self, key: K, value: V) -> bool {
        let behind = self.entries.iter().rev().take_while(|(k, _)| *k > key).count();
        let at = self.entries.len() - behind;
        if at.checked_sub(1).and_then(|i| self.entries.get(i)).is_some_and(|(k, _)| *k == key) {
            return false;
        }
        self.entries.insert(at, (key, value));
        true
    }

    pub fn first(&self) -> Option<(K, &V)> {
        self.entries.front().map(|(k, v)| (*k, v))
    }

    pub fn second(&self) -> Option<K> {
        self.entries.get(1).map(|(k, _)| *k)
    }

    pub fn last(&self) -> Option<(K, &V)> {
        self.entries.back().map(|(k, v)| (*k, v))
    }

    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let first = self.entries.pop_front();
        if self.entries.is_empty() && self.entries.capacity() > 2 * KEPT {
            self.entries.shrink_to(KEPT);
        }
        first
    }

    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.iter().map(|(k, _)| *k)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, v)| v)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_in_sorted_out_each_key_once() {
        let mut s = Sorted::new();
        for k in [5, 1, 9, 5, 7, 0, 9] {
            s.insert(k, k * 10);
        }
        assert_eq!((s.len(), s.first(), s.second(), s.last()), (5, Some((0, &0)), Some(1), Some((9, &90))));
        let out: Vec<_> = std::iter::from_fn(|| s.pop_first()).map(|e| e.0).collect();
        assert_eq!(out, [0, 1, 5, 7, 9]);
        assert!(s.insert(1, 0) && !s.insert(1, 0) && s.insert(0, 0));
    }
}
