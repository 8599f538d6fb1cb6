//! What is written: at each offset a record that can be told from the offset.

use bytes::Bytes;
use ottla_records::{BatchBuilder, Compression, ProducerStamp};

/// Records in a batch.
pub const BATCH: u64 = 1000;
/// About how many bytes a record takes.
const RECORD: u64 = 120;
/// One record of so many is a tombstone.
const TOMBSTONES: u64 = 50;

/// The records of a run.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// How many.
    pub records: u64,
    /// Of how many keys.
    pub keys: u64,
    /// Which keys, and which tombstones.
    pub seed: u64,
}

impl Script {
    /// The number of the key at `offset`.
    pub fn key(&self, offset: u64) -> u64 {
        mix(self.seed ^ offset) % self.keys
    }

    /// The text of a key.
    pub fn key_text(key: u64) -> String {
        format!("key-{key}")
    }

    /// The value at `offset`; none where a key is deleted.
    pub fn value(&self, offset: u64) -> Option<String> {
        let is_tombstone = mix(self.seed ^ offset ^ 0x5bd1_e995).is_multiple_of(TOMBSTONES);
        // Digits that no codec makes much shorter.
        let digits = || (1..5).map(|n| format!("{:016x}", mix(offset.wrapping_mul(n)))).collect::<String>();
        (!is_tombstone).then(|| format!("value-{offset}-{}", digits()))
    }

    /// The batch at `offset`, as the idempotent producer `(id, epoch)` sends it. Batches are packed with all codecs in turn.
    pub fn batch(&self, offset: u64, timestamp: i64, (id, epoch): (i64, i16)) -> Bytes {
        let codec = Compression::ALL[(offset / BATCH) as usize % Compression::ALL.len()];
        let base_sequence = (offset % (1 << 31)) as i32;
        let mut batch = BatchBuilder::new(codec).with_producer(ProducerStamp { id, epoch, base_sequence });
        for offset in offset..(offset + BATCH).min(self.records) {
            let (key, value) = (Self::key_text(self.key(offset)), self.value(offset));
            batch.append(timestamp, Some(key.as_bytes()), value.as_deref().map(str::as_bytes), &[]);
        }
        batch.build(0)
    }

    /// The last offset of each key; none for keys that are never written.
    pub fn newest(&self) -> Vec<Option<u64>> {
        let mut newest = vec![None; self.keys as usize];
        for offset in 0..self.records {
            newest[self.key(offset) as usize] = Some(offset);
        }
        newest
    }

    /// About how many bytes so many records have, were nothing packed.
    pub fn bytes(records: u64) -> u64 {
        records * RECORD
    }
}

/// Spreads `n` over all numbers (the finalizer of SplitMix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_written_and_some_are_deleted() {
        let script = Script { records: 10_000, keys: 100, seed: 3 };
        let newest = script.newest();
        assert!(newest.iter().all(|offset| offset.is_some_and(|offset| offset > 8_000)));
        let deleted = (0..10_000).filter(|offset| script.value(*offset).is_none()).count();
        assert!((100..300).contains(&deleted), "{deleted}");
        assert_ne!(script.newest(), Script { seed: 4, ..script }.newest());
    }
}
