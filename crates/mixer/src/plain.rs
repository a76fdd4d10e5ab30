//! Maps by numbers of our own choosing: nobody outside can choose keys that meet, so they need no costly hash.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

/// By an id.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Plain>>;
/// Of ids.
pub type Set<K> = HashSet<K, BuildHasherDefault<Plain>>;

/// Spreads one number over all bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain(u64);

impl Hasher for Plain {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        // 2^64 ÷ golden ratio: the high bits, which the map looks at too, depend on all low ones; turned, so do the low ones.
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
