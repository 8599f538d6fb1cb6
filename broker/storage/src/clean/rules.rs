//! Which batches and records stay in a cleaned log (KIP-58, KIP-98, KIP-534). Pure.
//!
//! Of every key the newest record stays, and a tombstone only for a while: the first clean that meets it, or a marker
//! without batches, gives it a horizon, and the first clean behind the horizon takes it away. The last batch of an active
//! producer stays without its records, since its sequence is in it, and so does the last batch of the log: a copy of the
//! log learns from it where the log ends.

use std::collections::HashMap;

use ottla_records::{BatchHeader, Marker, RawRecord};

use super::offset_map::OffsetMap;
use super::transactions::Transactions;
use crate::aborted::Aborted;
use crate::producers::LastBatch;

/// The rules of one clean.
pub(crate) struct Rules {
    keys: OffsetMap,
    /// Keys are known of what lies below; from here on all stays as it is.
    until: i64,
    log_end: i64,
    producers: HashMap<i64, LastBatch>,
    transactions: Transactions,
    now: i64,
    /// Given to what this clean meets first.
    horizon: i64,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchRule {
    /// Which of its records stay.
    pub(crate) records: Records,
    /// It stays as an empty batch if none of them does.
    pub(crate) keeps_empty: bool,
    /// The entry that the index of aborted transactions has for it.
    pub(crate) index: Option<Aborted>,
}

/// Which records of a batch stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    All,
    /// All of them, and they get this horizon.
    AllUntil(i64),
    /// Those that [`Rules::keeps`].
    Newest,
    None,
}

impl Rules {
    /// Rules for a clean at `now` (milliseconds) of a log that ends at `log_end` and has these producers, by the keys of
    /// what lies below `until`.
    pub(crate) fn new(
        keys: OffsetMap,
        (until, log_end): (i64, i64),
        producers: HashMap<i64, LastBatch>,
        (now, delete_retention): (i64, i64),
    ) -> Self {
        let horizon = now.saturating_add(delete_retention);
        Self { keys, until, log_end, producers, transactions: Transactions::default(), now, horizon }
    }

    /// Takes note of aborted transactions with batches ahead.
    pub(crate) fn expect(&mut self, aborted: impl IntoIterator<Item = Aborted>) {
        self.transactions.expect(aborted);
    }

    /// What becomes of the next batch; `marker` is what it holds if it is a control batch.
    pub(crate) fn batch(&mut self, header: &BatchHeader, marker: Option<Marker>) -> BatchRule {
        let is_last_of_log = header.next_offset() == self.log_end;
        let keeps_empty = is_last_of_log || (header.has_producer_id() && self.is_last_of_producer(header));
        let (records, index) = if header.attributes.is_control() {
            let found = self.transactions.end(header, marker);
            (self.marker(header, found.is_obsolete), found.index)
        } else {
            let is_aborted = self.transactions.is_aborted(header);
            (if is_aborted { Records::None } else { Records::Newest }, None)
        };
        let records = if header.base_offset >= self.until { Records::All } else { records };
        BatchRule { records, keeps_empty, index }
    }

    /// Whether a record of the batch stays.
    pub(crate) fn keeps(&self, header: &BatchHeader, record: &RawRecord<'_>) -> bool {
        // It was written before the topic was compacted, and nothing can be said of it.
        let Some(key) = record.key else { return false };
        let is_newest = self.keys.get(key).is_none_or(|newest| record.offset >= newest);
        is_newest && (record.has_value || !self.is_past_horizon(header))
    }

    /// The horizon that the batch gets, if a tombstone stays in it and it has none.
    pub(crate) fn horizon(&self, header: &BatchHeader, keeps_tombstone: bool) -> Option<i64> {
        (keeps_tombstone && header.delete_horizon().is_none()).then_some(self.horizon)
    }

    fn marker(&self, header: &BatchHeader, is_obsolete: bool) -> Records {
        match header.delete_horizon() {
            _ if !is_obsolete => Records::All,
            None if header.record_count > 0 => Records::AllUntil(self.horizon),
            None => Records::None,
            Some(_) if self.is_past_horizon(header) => Records::None,
            Some(_) => Records::All,
        }
    }

    fn is_past_horizon(&self, header: &BatchHeader) -> bool {
        header.delete_horizon().is_some_and(|horizon| horizon <= self.now)
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        self.producers.get(&header.producer_id).is_some_and(|last| match last.data {
            Some(offset) => header.last_offset() == offset,
            None => header.attributes.is_control() && header.producer_epoch == last.epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_records::{Attributes, BatchBuilder, Compression, Limits, ProducerStamp, RecordReader};

    const COMMIT: Marker = Marker { commit: true, coordinator_epoch: 0 };

    /// At 1000, with a retention of 100, of a log that ends at 500; the newest records of "a" and "b" below 100 are at 10 and 20.
    fn rules(producers: &[(i64, LastBatch)]) -> Rules {
        let mut keys = OffsetMap::new(1 << 16, 0.9);
        assert!(keys.put(b"a", 10) && keys.put(b"b", 20));
        Rules::new(keys, (100, 500), producers.iter().copied().collect(), (1000, 100))
    }

    fn batch(attributes: Attributes, producer: Option<i64>, offset: i64) -> BatchHeader {
        let mut builder = BatchBuilder::new(Compression::None).with_attributes(attributes);
        if let Some(id) = producer {
            builder = builder.with_producer(ProducerStamp { id, epoch: 3, base_sequence: 0 });
        }
        builder.append(0, Some(b"k"), None, &[]);
        BatchHeader::parse(&builder.build(offset)).unwrap()
    }

    fn plain(offset: i64) -> BatchHeader {
        batch(Attributes::default(), None, offset)
    }

    fn with_horizon(header: BatchHeader, horizon: i64) -> BatchHeader {
        BatchHeader { attributes: header.attributes.with_delete_horizon(), base_timestamp: horizon, ..header }
    }

    fn control(producer: i64, epoch: i16, offset: i64) -> BatchHeader {
        let header = BatchHeader::parse(&COMMIT.batch(producer, epoch, 0)).unwrap();
        BatchHeader { base_offset: offset, ..header }
    }

    fn rule(records: Records, keeps_empty: bool) -> BatchRule {
        BatchRule { records, keeps_empty, index: None }
    }

    #[test]
    fn a_record_stays_if_it_is_the_newest_of_its_key_and_a_tombstone_until_its_horizon() {
        let rules = rules(&[]);
        let keeps = |header: &BatchHeader, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>| {
            let mut builder = BatchBuilder::new(Compression::None);
            builder.append(0, key, value, &[]);
            let bytes = builder.build(offset);
            let (mut reader, mut buffer) = (RecordReader::new(&bytes, Limits::default()).unwrap(), Vec::new());
            let record = reader.next_raw(&mut buffer).unwrap().unwrap();
            rules.keeps(header, &record)
        };
        let (a, value) = (Some(&b"a"[..]), Some(&b"v"[..]));
        assert!(!keeps(&plain(9), 9, a, value) && keeps(&plain(10), 10, a, value) && keeps(&plain(11), 11, a, value));
        assert!(keeps(&plain(5), 5, Some(b"of the clean part"), value));
        assert!(!keeps(&plain(5), 5, None, value), "it was written before the topic was compacted");
        let tombstone = |horizon| keeps(&with_horizon(plain(10), horizon), 10, a, None);
        assert!(keeps(&plain(10), 10, a, None) && tombstone(1001) && !tombstone(1000));
        assert!(keeps(&with_horizon(plain(10), 1), 10, a, value), "the horizon is the tombstones'");
    }

    #[test]
    fn a_horizon_is_given_once_and_only_for_a_tombstone() {
        let rules = rules(&[]);
        assert_eq!(rules.horizon(&plain(10), true), Some(1100));
        assert_eq!(rules.horizon(&plain(10), false), None);
        assert_eq!(rules.horizon(&with_horizon(plain(10), 1050), true), None);
    }

    #[test]
    fn the_last_batch_of_an_active_producer_stays_even_without_records() {
        let (data, none) = (LastBatch { data: Some(40), epoch: 3 }, LastBatch { data: None, epoch: 3 });
        let mut rules = rules(&[(7, data), (8, none)]);
        let written = |producer, offset| batch(Attributes::default(), Some(producer), offset);
        assert_eq!(rules.batch(&written(7, 39), None), rule(Records::Newest, false));
        assert_eq!(rules.batch(&written(7, 40), None), rule(Records::Newest, true));
        assert_eq!(rules.batch(&written(9, 41), None), rule(Records::Newest, false), "it has expired");
        // An epoch that has begun with a marker is in that marker alone.
        assert_eq!(rules.batch(&control(8, 2, 42), Some(COMMIT)), rule(Records::AllUntil(1100), false));
        assert_eq!(rules.batch(&control(8, 3, 43), Some(COMMIT)), rule(Records::AllUntil(1100), true));
        assert_eq!(rules.batch(&control(7, 3, 44), Some(COMMIT)), rule(Records::AllUntil(1100), false));
    }

    #[test]
    fn the_last_batch_of_the_log_stays_even_without_records() {
        let keys = OffsetMap::new(1 << 16, 0.9);
        let mut rules = Rules::new(keys, (100, 100), HashMap::new(), (1000, 100));
        assert_eq!(rules.batch(&plain(98), None), rule(Records::Newest, false));
        assert_eq!(rules.batch(&plain(99), None), rule(Records::Newest, true));
    }

    #[test]
    fn a_marker_goes_behind_its_horizon_which_begins_when_its_batches_are_gone() {
        let mut rules = rules(&[]);
        let transactional = batch(Attributes::default().transactional(), Some(7), 30);
        rules.batch(&transactional, None);
        assert_eq!(rules.batch(&control(7, 3, 31), Some(COMMIT)).records, Records::All);
        assert_eq!(rules.batch(&control(7, 3, 32), Some(COMMIT)).records, Records::AllUntil(1100));
        let marked = |horizon| with_horizon(control(7, 3, 33), horizon);
        assert_eq!(rules.batch(&marked(1001), Some(COMMIT)).records, Records::All);
        assert_eq!(rules.batch(&marked(1000), Some(COMMIT)).records, Records::None);
        let emptied = BatchHeader { record_count: 0, ..control(7, 3, 34) };
        assert_eq!(rules.batch(&emptied, None).records, Records::None);
    }

    #[test]
    fn what_was_aborted_goes_and_what_no_keys_are_known_of_stays() {
        let mut rules = rules(&[]);
        let aborted = Aborted { producer: 7, first: 30, last: 120, last_stable: 121 };
        rules.expect([aborted]);
        let transactional = |offset| batch(Attributes::default().transactional(), Some(7), offset);
        assert_eq!(rules.batch(&transactional(30), None), rule(Records::None, false));
        assert_eq!(rules.batch(&transactional(100), None), rule(Records::All, false));
        let abort = Marker { commit: false, ..COMMIT };
        let end = rules.batch(&control(7, 3, 120), Some(abort));
        assert_eq!(end, BatchRule { records: Records::All, keeps_empty: false, index: Some(aborted) });
    }
}
