//! A map that is cheap to clone and cheap to change after a clone.
//!
//! A clone shares all shards; a change copies only the shard it falls in. With plain `Arc<BTreeMap>` each topic made
//! in a cluster of 100,000 would copy 100,000 entries.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Resource;
use crate::{TopicId, TopicName};

const SHARDS: usize = 256;

/// Says which shard a key lies in; equal keys, also borrowed ones, say the same.
pub trait ShardKey: Ord {
    /// Any number that spreads well over its low eight bits.
    fn spread(&self) -> u8;
}

impl ShardKey for str {
    fn spread(&self) -> u8 {
        // FNV-1a, folded: the same in every process, so that iteration order is too.
        let hash = self.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        hash.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ byte)
    }
}

impl ShardKey for String {
    fn spread(&self) -> u8 {
        self.as_str().spread()
    }
}

impl ShardKey for TopicName {
    fn spread(&self) -> u8 {
        self.as_str().spread()
    }
}

impl ShardKey for TopicId {
    fn spread(&self) -> u8 {
        self.0.as_bytes().iter().fold(0, |folded, byte| folded.rotate_left(1) ^ byte)
    }
}

impl ShardKey for Resource {
    fn spread(&self) -> u8 {
        self.name.spread()
    }
}

/// A map in 256 shared shards. Iteration is in a fixed order that means nothing.
#[derive(Clone, Debug)]
pub struct Shards<K, V> {
    shards: Arc<[Arc<BTreeMap<K, V>>]>,
    len: usize,
}

impl<K: ShardKey + Clone, V: Clone> Default for Shards<K, V> {
    fn default() -> Self {
        let empty = Arc::new(BTreeMap::new());
        Self { shards: (0..SHARDS).map(|_| Arc::clone(&empty)).collect(), len: 0 }
    }
}

impl<K: ShardKey + Clone, V: Clone> Shards<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The value of `key`.
    pub fn get<Q: ShardKey + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards[usize::from(key.spread())].get(key)
    }

    /// The value of `key`, to be changed in place.
    pub fn get_mut<Q: ShardKey + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.get(key)?; // so that a miss copies nothing
        self.shard_mut(key.spread()).get_mut(key)
    }

    /// Puts `value` in place of what `key` had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let previous = self.shard_mut(key.spread()).insert(key, value);
        self.len += usize::from(previous.is_none());
        previous
    }

    /// Takes the value of `key` out.
    pub fn remove<Q: ShardKey + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.get(key)?;
        let removed = self.shard_mut(key.spread()).remove(key);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// Before and after of every key in the shards that `old` and `new` do not share; most pairs are equal.
    pub fn candidates<'a>(old: &'a Self, new: &'a Self) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
        let shards = old.shards.iter().zip(new.shards.iter()).filter(|(old, new)| !Arc::ptr_eq(old, new));
        shards.flat_map(|(old, new)| {
            let kept = new.iter().map(|(key, value)| (key, old.get(key), Some(value)));
            let gone = old.iter().filter(|(key, _)| !new.contains_key(*key));
            gone.map(|(key, value)| (key, Some(value), None)).chain(kept)
        })
    }

    fn shard_mut(&mut self, spread: u8) -> &mut BTreeMap<K, V> {
        let shards = Arc::make_mut(&mut self.shards);
        Arc::make_mut(&mut shards[usize::from(spread)])
    }
}

impl<K: ShardKey + Clone, V: Clone + PartialEq> PartialEq for Shards<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.shards == other.shards
    }
}

impl<K: ShardKey + Clone, V: Clone + Eq> Eq for Shards<K, V> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_does_not_see_later_changes_and_shares_the_rest() {
        let mut map = Shards::<String, i32>::default();
        for number in 0..1000 {
            map.insert(format!("topic-{number}"), number);
        }
        let before = map.clone();
        map.insert("topic-7".to_owned(), -7);
        map.remove("topic-8");
        assert_eq!((before.len(), map.len()), (1000, 999));
        assert_eq!((before.get("topic-7"), map.get("topic-7")), (Some(&7), Some(&-7)));
        assert_eq!((before.get("topic-8"), map.get("topic-8")), (Some(&8), None));
        let shared = before.shards.iter().zip(map.shards.iter()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert!(shared >= SHARDS - 2, "{shared} shards shared");
        let candidates = Shards::candidates(&before, &map).count();
        assert!(candidates < 40, "{candidates} candidates for two changes");
    }

    #[test]
    fn names_that_count_up_spread_over_the_shards() {
        let mut map = Shards::<String, ()>::default();
        for number in 0..25_600 {
            map.insert(format!("orders-{number}"), ());
        }
        let fullest = map.shards.iter().map(|shard| shard.len()).max().unwrap_or(0);
        assert!(fullest < 300, "a shard holds {fullest} of 25,600");
    }
}
