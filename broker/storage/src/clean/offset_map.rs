//! The newest offset of each key of what is to be cleaned, in a bounded table.
//!
//! A key is known by 128 bits of two hash functions that are keyed anew for each map: who may choose keys cannot choose
//! two that are taken for one. Must not remember keys.

use std::hash::{BuildHasher, RandomState};

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: [u64; 2],
    /// Below 0 where there is no key.
    offset: i64,
}

const EMPTY: Slot = Slot { hash: [0; 2], offset: -1 };
/// Bytes of an entry.
const ENTRY: usize = size_of::<Slot>();
/// Slots of a new table.
const FEW: usize = 1024;

/// The map.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    len: usize,
    /// Slots that all tables together may have: while a table grows there are two.
    limit: usize,
    load_factor: f64,
    hashers: [RandomState; 2],
}

impl OffsetMap {
    /// A map that takes at most `bytes`, of whose slots at most the part `load_factor` is used.
    pub(crate) fn new(bytes: usize, load_factor: f64) -> Self {
        let limit = (bytes / ENTRY).max(2);
        let hashers = [RandomState::new(), RandomState::new()];
        Self { slots: vec![EMPTY; FEW.min(limit)], len: 0, limit, load_factor: load_factor.clamp(0.01, 0.99), hashers }
    }

    /// Takes note that `key` has a record at `offset`, which is higher than those noted before. False if the map is full
    /// and does not have the key.
    pub(crate) fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash(key);
        let mut at = self.find(hash);
        if self.slots[at].offset < 0 {
            if self.len as f64 + 1.0 > self.slots.len() as f64 * self.load_factor {
                if !self.grow() {
                    return false;
                }
                at = self.find(hash);
            }
            self.len += 1;
        }
        self.slots[at] = Slot { hash, offset };
        true
    }

    /// The newest offset noted of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<i64> {
        let found = self.slots[self.find(self.hash(key))];
        (found.offset >= 0).then_some(found.offset)
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The part of the bytes that may be used that is, 0 to 1.
    pub(crate) fn utilization(&self) -> f64 {
        self.len as f64 / self.limit as f64
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        [self.hashers[0].hash_one(key), self.hashers[1].hash_one(key)]
    }

    /// The slot of this hash, or the empty one that it would take. There is always an empty one.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        let mut at = ((u128::from(hash[0]) * count as u128) >> 64) as usize;
        while self.slots[at].offset >= 0 && self.slots[at].hash != hash {
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        at
    }

    /// Takes a larger table, if one fits beside this one.
    fn grow(&mut self) -> bool {
        let count = self.slots.len();
        let next = (2 * count).min(self.limit.saturating_sub(count));
        if next <= count {
            return false;
        }
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; next]);
        for slot in old.into_iter().filter(|slot| slot.offset >= 0) {
            let at = self.find(slot.hash);
            self.slots[at] = slot;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_says_what_a_plain_map_says(keys in prop::collection::vec(0u16..500, 0..5000)) {
            let mut map = OffsetMap::new(1 << 20, 0.9);
            let mut plain = HashMap::new();
            for (offset, key) in keys.iter().enumerate() {
                prop_assert!(map.put(&key.to_be_bytes(), offset as i64));
                plain.insert(*key, offset as i64);
            }
            prop_assert_eq!(map.len(), plain.len());
            for key in 0u16..500 {
                prop_assert_eq!(map.get(&key.to_be_bytes()), plain.get(&key).copied());
            }
        }
    }

    #[test]
    fn a_full_map_takes_no_new_key_and_still_moves_those_it_has() {
        let bytes = 100_000 * ENTRY;
        let mut map = OffsetMap::new(bytes, 0.9);
        let mut largest = 0;
        let full = (0u32..).find(|key| {
            largest = largest.max(map.slots.capacity());
            !map.put(&key.to_be_bytes(), i64::from(*key))
        });
        let full = full.unwrap();
        assert!((45_000..=90_000).contains(&full), "{full} keys fit");
        assert_eq!((map.len(), map.get(&full.to_be_bytes())), (full as usize, None));
        assert!(map.slots.len() * ENTRY < bytes && largest == map.slots.len());
        assert!(map.put(&0u32.to_be_bytes(), 1_000_000));
        assert_eq!(map.get(&0u32.to_be_bytes()), Some(1_000_000));
        assert!((0.45..0.9).contains(&map.utilization()));
    }

    #[test]
    fn the_smallest_map_holds_something_and_ends() {
        let mut map = OffsetMap::new(0, 0.99);
        assert!(map.put(b"a", 1));
        assert!(!map.put(b"b", 2));
        assert_eq!((map.get(b"a"), map.get(b"b")), (Some(1), None));
    }
}
