//! What a log remembers of producers (KIP-98): per producer id the epoch and the last five batches, so that a batch
//! sent twice is stored once and a gap is refused; and which transactions are open. The rules are those of Kafka's
//! ProducerAppendInfo.

mod snapshot;

use std::collections::{BTreeMap, HashMap};

use ottla_core::coordinator::Verification;
use ottla_core::{Offset, ProducerEpoch, ProducerId, Timestamp};
use ottla_records::{BatchHeader, Marker};

use crate::MarkerOf;

pub(crate) use snapshot::{read as read_snapshot, write as write_snapshot};

/// Batches of one producer that are recognised when they come again: as many as a producer may have in flight.
const REMEMBERED: usize = 5;

/// Why an idempotent producer's batch is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER: a batch before this one is missing, or this one is too old to be recognised.
    #[error("producer {id} sent sequence {sequence}, its last one here is {last}")]
    OutOfOrderSequence {
        /// The producer.
        id: ProducerId,
        /// First sequence of the batch.
        sequence: i32,
        /// Last sequence of the last batch; −1 if it has sent none under this epoch.
        last: i32,
    },
    /// INVALID_PRODUCER_EPOCH: a newer instance of the producer has written here.
    #[error("producer {id} has epoch {current} here, the batch has {epoch}")]
    InvalidEpoch {
        /// The producer.
        id: ProducerId,
        /// Epoch of the batch.
        epoch: ProducerEpoch,
        /// The epoch last seen.
        current: ProducerEpoch,
    },
    /// TRANSACTION_COORDINATOR_FENCED: a later coordinator has written a marker here.
    #[error(
        "a coordinator of epoch {epoch} ends a transaction of producer {id}, the last one here had epoch {current}"
    )]
    CoordinatorFenced {
        /// The producer.
        id: ProducerId,
        /// Epoch of the coordinator that writes.
        epoch: i32,
        /// The epoch last seen.
        current: i32,
    },
    /// INVALID_TXN_STATE: the batch belongs to a transaction that was not verified, or has ended since.
    #[error("producer {id} writes to a transaction that is not known to be open")]
    NotVerified {
        /// The producer.
        id: ProducerId,
    },
}

/// The state of one producer, for DescribeProducers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerSummary {
    /// The producer.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Last sequence of its last batch, or −1.
    pub last_sequence: i32,
    /// Largest timestamp of its last batch.
    pub last_timestamp: Timestamp,
    /// Epoch of the transaction coordinator that wrote its last marker, or −1.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, if any.
    pub transaction_start: Option<Offset>,
}

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchMark {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: i64,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: i64,
}

impl BatchMark {
    fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        // Sequences wrap from the largest integer to 0.
        (if first < 0 { first + i64::from(i32::MAX) + 1 } else { first }) as i32
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp: i64,
    pub(crate) transaction_start: i64,
    batches: [Option<BatchMark>; REMEMBERED],
}

impl Producer {
    pub(crate) fn new(epoch: i16) -> Self {
        Self { epoch, coordinator_epoch: -1, last_timestamp: -1, transaction_start: -1, batches: [None; REMEMBERED] }
    }

    /// The newest batch.
    pub(crate) fn last(&self) -> Option<&BatchMark> {
        self.batches[0].as_ref()
    }

    pub(crate) fn push(&mut self, batch: BatchMark) {
        self.batches.rotate_right(1);
        self.batches[0] = Some(batch);
    }
}

/// Which batch of a producer holds what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastBatch {
    /// Last offset of its last batch with records; none if its epoch has begun with a marker and has none.
    pub(crate) data: Option<i64>,
    pub(crate) epoch: i16,
}

/// A transaction that has ended in this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) producer: i64,
    /// Offset of its first record.
    pub(crate) first: i64,
    /// Offset of its marker.
    pub(crate) last: i64,
    pub(crate) commit: bool,
    /// The first offset behind which, at its end, another transaction was open.
    pub(crate) last_stable: i64,
}

/// The producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    map: HashMap<i64, Producer>,
    /// Open transactions: first offset → producer.
    open: BTreeMap<i64, i64>,
    /// Ended transactions whose marker may not be committed yet: first offset → offset of the marker.
    settling: BTreeMap<i64, i64>,
    /// Transactions that are being verified before their first batch: producer and its epoch → since when.
    verifying: BTreeMap<(i64, i16), (Verification, i64)>,
    verifications: u64,
}

impl Producers {
    /// Checks a client's batch; gives the earlier batch if this one is stored already.
    pub(crate) fn check(&self, batch: &BatchHeader) -> Result<Option<BatchMark>, ProducerError> {
        let Some(known) = self.map.get(&batch.producer_id) else {
            // Nothing is known, perhaps because retention has removed it: any sequence begins.
            return Ok(None);
        };
        let id = ProducerId(batch.producer_id);
        self.check_epoch(batch)?;
        let last = known.last().map_or(-1, |b| b.last_sequence);
        let refused = ProducerError::OutOfOrderSequence { id, sequence: batch.base_sequence, last };
        if batch.producer_epoch > known.epoch {
            return if batch.base_sequence == 0 || known.epoch < 0 { Ok(None) } else { Err(refused) };
        }
        let same =
            |b: &&BatchMark| b.first_sequence() == batch.base_sequence && b.last_sequence == batch.last_sequence();
        if let Some(duplicate) = known.batches.iter().flatten().find(same) {
            return Ok(Some(*duplicate));
        }
        let follows =
            i64::from(batch.base_sequence) == i64::from(last) + 1 || (batch.base_sequence == 0 && last == i32::MAX);
        if follows { Ok(None) } else { Err(refused) }
    }

    /// Checks that no newer instance of the producer has written.
    pub(crate) fn check_epoch(&self, batch: &BatchHeader) -> Result<(), ProducerError> {
        let Some(known) = self.map.get(&batch.producer_id) else { return Ok(()) };
        if batch.producer_epoch < known.epoch {
            let (epoch, current) = (ProducerEpoch(batch.producer_epoch), ProducerEpoch(known.epoch));
            return Err(ProducerError::InvalidEpoch { id: ProducerId(batch.producer_id), epoch, current });
        }
        Ok(())
    }

    /// Checks a marker before it is appended.
    pub(crate) fn check_marker(&self, of: &MarkerOf) -> Result<(), ProducerError> {
        let (id, epoch, coordinator_epoch) = (of.producer.id, of.producer.epoch, of.marker.coordinator_epoch);
        let Some(known) = self.map.get(&id.0) else { return Ok(()) };
        // A request that was held up on its way, and sent again meanwhile, would end the wrong transaction (KIP-890).
        let is_late = of.in_next_epoch && self.is_open(id.0, epoch.0);
        if epoch.0 < known.epoch || is_late {
            return Err(ProducerError::InvalidEpoch { id, epoch, current: ProducerEpoch(known.epoch) });
        }
        if coordinator_epoch < known.coordinator_epoch {
            let current = known.coordinator_epoch;
            return Err(ProducerError::CoordinatorFenced { id, epoch: coordinator_epoch, current });
        }
        Ok(())
    }

    /// Whether a transaction of this producer is open here, and of this epoch: one of an older epoch has ended already,
    /// only that its marker is still to come (KIP-890).
    fn is_open(&self, id: i64, epoch: i16) -> bool {
        self.map.get(&id).is_some_and(|known| known.transaction_start >= 0 && known.epoch == epoch)
    }

    /// What the first batch of a transaction has to carry; none if the transaction is open here.
    pub(crate) fn verify(&mut self, id: i64, epoch: i16, now: i64) -> Option<Verification> {
        if self.is_open(id, epoch) {
            return None;
        }
        let next = Verification(self.verifications + 1);
        let (verification, since) = self.verifying.entry((id, epoch)).or_insert((next, now));
        *since = now;
        if *verification == next {
            self.verifications += 1;
        }
        Some(*verification)
    }

    /// Whether a transactional batch may be appended.
    pub(crate) fn check_verified(
        &self,
        id: i64,
        epoch: i16,
        verified: Option<Verification>,
    ) -> Result<(), ProducerError> {
        let current = self.verifying.get(&(id, epoch)).map(|(current, _)| *current);
        let is_verified = verified.is_some() && verified == current;
        if self.is_open(id, epoch) || is_verified {
            Ok(())
        } else {
            Err(ProducerError::NotVerified { id: ProducerId(id) })
        }
    }

    /// Lets no transaction of the producer that is being verified begin any more, of epochs up to this one.
    fn end_verifications(&mut self, id: i64, epoch: i16) {
        while let Some((key, _)) = self.verifying.range((id, i16::MIN)..=(id, epoch)).next() {
            let key = *key;
            self.verifying.remove(&key);
        }
    }

    /// The offset that readers of committed records may read up to, where all below `watermark` is committed.
    pub(crate) fn last_stable(&mut self, watermark: i64) -> i64 {
        self.settling.retain(|_, marker| *marker >= watermark);
        let first = |of: &BTreeMap<i64, i64>| of.first_key_value().map_or(i64::MAX, |(first, _)| *first);
        watermark.min(first(&self.open)).min(first(&self.settling))
    }

    /// Takes note of an appended batch, and of the marker in it; the header has its final offsets. Gives the transaction
    /// that has ended with it.
    pub(crate) fn update(&mut self, batch: &BatchHeader, marker: Option<Marker>) -> Option<Ended> {
        let producer = self.map.entry(batch.producer_id).or_insert_with(|| Producer::new(batch.producer_epoch));
        let epoch_before = producer.epoch;
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.batches = [None; REMEMBERED];
        }
        producer.last_timestamp = batch.max_timestamp;
        if !batch.attributes.is_control() {
            producer.push(BatchMark {
                last_sequence: batch.last_sequence(),
                last_offset: batch.last_offset(),
                offset_delta: batch.last_offset_delta,
                timestamp: batch.max_timestamp,
            });
        }
        match marker {
            Some(marker) => {
                producer.coordinator_epoch = marker.coordinator_epoch;
                let first = std::mem::replace(&mut producer.transaction_start, -1);
                // A marker of a later epoch than the transaction's has the epoch of the next transaction, which may be
                // under verification already.
                let ends_older = first >= 0 && epoch_before < batch.producer_epoch;
                self.end_verifications(batch.producer_id, batch.producer_epoch - i16::from(ends_older));
                (first >= 0).then(|| self.end(batch, marker, first))
            }
            None => {
                let begins = batch.attributes.is_transactional() && !batch.attributes.is_control();
                if begins && producer.transaction_start < 0 {
                    producer.transaction_start = batch.base_offset;
                    self.open.insert(batch.base_offset, batch.producer_id);
                    self.end_verifications(batch.producer_id, batch.producer_epoch);
                }
                None
            }
        }
    }

    /// The transaction that began at `first` ends with `batch`.
    fn end(&mut self, batch: &BatchHeader, marker: Marker, first: i64) -> Ended {
        self.open.remove(&first);
        let last = batch.last_offset();
        self.settling.insert(first, last);
        let last_stable = self.open.first_key_value().map_or(last + 1, |(open, _)| *open);
        Ended { producer: batch.producer_id, first, last, commit: marker.commit, last_stable }
    }

    /// The last batch of each producer, which a clean must not take away.
    pub(crate) fn last_batches(&self) -> HashMap<i64, LastBatch> {
        let of = |p: &Producer| LastBatch { data: p.last().map(|batch| batch.last_offset), epoch: p.epoch };
        self.map.iter().map(|(id, producer)| (*id, of(producer))).collect()
    }

    /// Forgets producers that have been silent for longer than `expiration` milliseconds; gives their number.
    pub(crate) fn expire(&mut self, now: i64, expiration: i64) -> usize {
        let before = self.map.len();
        self.verifying.retain(|_, (_, since)| now.saturating_sub(*since) < expiration);
        self.map.retain(|_, p| p.transaction_start >= 0 || now.saturating_sub(p.last_timestamp) < expiration);
        before - self.map.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(crate) fn summaries(&self) -> impl Iterator<Item = ProducerSummary> + '_ {
        self.map.iter().map(|(id, p)| ProducerSummary {
            id: ProducerId(*id),
            epoch: ProducerEpoch(p.epoch),
            last_sequence: p.last().map_or(-1, |b| b.last_sequence),
            last_timestamp: Timestamp(p.last_timestamp),
            coordinator_epoch: p.coordinator_epoch,
            transaction_start: (p.transaction_start >= 0).then_some(Offset(p.transaction_start)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_records::{BatchBuilder, Compression, ProducerStamp};

    fn batch(epoch: i16, sequence: i32, records: i64, offset: i64) -> BatchHeader {
        let stamp = ProducerStamp { id: 9, epoch, base_sequence: sequence };
        let mut builder = BatchBuilder::new(Compression::None).with_producer(stamp);
        for n in 0..records {
            builder.append(1000 + n, None, None, &[]);
        }
        BatchHeader::parse(&builder.build(offset)).unwrap()
    }

    fn with(batches: &[BatchHeader]) -> Producers {
        let mut producers = Producers::default();
        for batch in batches {
            producers.update(batch, None);
        }
        producers
    }

    #[test]
    fn each_of_the_last_five_batches_is_recognised_when_sent_again() {
        let sent: Vec<_> = (0..6).map(|n| batch(0, 2 * n, 2, 100 + 2 * i64::from(n))).collect();
        let producers = with(&sent);
        for again in &sent[1..] {
            let found = producers.check(again).unwrap().map(|b| b.base_offset());
            assert_eq!(found, Some(again.base_offset));
        }
        assert!(matches!(
            producers.check(&sent[0]),
            Err(ProducerError::OutOfOrderSequence { sequence: 0, last: 11, .. })
        ));
        assert_eq!(producers.check(&batch(0, 12, 1, 0)), Ok(None));
        assert!(matches!(producers.check(&batch(0, 13, 1, 0)), Err(ProducerError::OutOfOrderSequence { .. })));
    }

    #[test]
    fn a_new_epoch_starts_at_sequence_zero_and_fences_the_old_one() {
        let mut producers = with(&[batch(3, 0, 1, 0)]);
        assert!(matches!(producers.check(&batch(2, 1, 1, 0)), Err(ProducerError::InvalidEpoch { .. })));
        assert!(matches!(producers.check(&batch(4, 1, 1, 0)), Err(ProducerError::OutOfOrderSequence { .. })));
        assert_eq!(producers.check(&batch(4, 0, 1, 0)), Ok(None));
        producers.update(&batch(4, 0, 1, 5), None);
        assert_eq!(producers.check(&batch(4, 1, 1, 0)), Ok(None));
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        assert_eq!(Producers::default().check(&batch(0, 77, 1, 0)), Ok(None));
    }

    #[test]
    fn sequences_wrap_from_the_largest_integer_to_zero() {
        let last = batch(0, i32::MAX - 1, 2, 10);
        let producers = with(&[last]);
        assert_eq!(producers.check(&batch(0, 0, 1, 12)), Ok(None));
        let across = batch(0, i32::MAX, 3, 10);
        assert_eq!(across.last_sequence(), 1);
        let producers = with(&[across]);
        assert_eq!(producers.check(&across).unwrap().map(|b| b.base_offset()), Some(10));
        assert_eq!(producers.check(&batch(0, 2, 1, 13)), Ok(None));
    }

    fn transactional(epoch: i16, sequence: i32, offset: i64) -> BatchHeader {
        let mut header = batch(epoch, sequence, 1, offset);
        header.attributes = header.attributes.transactional();
        header
    }

    fn ended(producers: &mut Producers, epoch: i16, offset: i64, commit: bool) -> Option<Ended> {
        let marker = Marker { commit, coordinator_epoch: 1 };
        let mut header = BatchHeader::parse(&marker.batch(9, epoch, 0)).unwrap();
        header.base_offset = offset;
        producers.update(&header, Some(marker))
    }

    #[test]
    fn what_is_stable_ends_at_the_first_open_transaction_and_goes_on_when_its_marker_is_committed() {
        let mut producers = with(&[transactional(0, 0, 10), transactional(0, 1, 12)]);
        assert_eq!(producers.last_stable(5), 5);
        assert_eq!(producers.last_stable(20), 10);
        let end = ended(&mut producers, 0, 20, false);
        assert_eq!(end, Some(Ended { producer: 9, first: 10, last: 20, commit: false, last_stable: 21 }));
        assert_eq!(producers.last_stable(20), 10, "the marker is not committed yet");
        assert_eq!(producers.last_stable(21), 21);
        assert_eq!(ended(&mut producers, 0, 30, false), None, "there is nothing left to end");
    }

    #[test]
    fn a_marker_of_an_older_epoch_or_coordinator_is_refused() {
        let mut producers = with(&[transactional(3, 0, 10)]);
        ended(&mut producers, 4, 20, true);
        let of = |epoch, coordinator_epoch| MarkerOf {
            producer: ottla_core::Producer { id: ProducerId(9), epoch: ProducerEpoch(epoch) },
            in_next_epoch: false,
            marker: Marker { commit: true, coordinator_epoch },
        };
        assert!(matches!(producers.check_marker(&of(3, 1)), Err(ProducerError::InvalidEpoch { .. })));
        assert!(matches!(producers.check_marker(&of(4, 0)), Err(ProducerError::CoordinatorFenced { .. })));
        assert_eq!(producers.check_marker(&of(4, 1)), Ok(()));
        assert!(matches!(producers.check(&transactional(3, 1, 0)), Err(ProducerError::InvalidEpoch { .. })));
        assert_eq!(producers.check(&transactional(4, 0, 0)), Ok(None));
    }

    #[test]
    fn a_verification_counts_until_the_next_marker() {
        let mut producers = Producers::default();
        assert!(producers.check_verified(9, 0, None).is_err());
        let verified = producers.verify(9, 0, 0);
        assert!(verified.is_some() && producers.verify(9, 0, 1) == verified);
        assert_eq!(producers.check_verified(9, 0, verified), Ok(()));
        ended(&mut producers, 0, 5, false);
        assert!(producers.check_verified(9, 0, verified).is_err(), "it would begin a transaction that nobody ends");
        let verified = producers.verify(9, 0, 2);
        assert_eq!(producers.check_verified(9, 0, verified), Ok(()));
        producers.update(&transactional(0, 0, 6), None);
        assert_eq!(producers.check_verified(9, 0, None), Ok(()));
        assert_eq!(producers.verify(9, 0, 3), None, "it is open");
    }

    #[test]
    fn a_transaction_of_the_next_epoch_does_not_begin_in_the_one_whose_marker_is_to_come() {
        let mut producers = with(&[transactional(0, 0, 10)]);
        assert!(producers.check_verified(9, 1, None).is_err(), "the marker would end what the batch begins");
        let verified = producers.verify(9, 1, 0);
        assert!(verified.is_some(), "its coordinator says whether the transaction before it has ended");
        // The marker ends the transaction of epoch 0, with the epoch that its producer has from then on.
        assert_eq!(ended(&mut producers, 1, 11, true).map(|end| (end.first, end.last)), Some((10, 11)));
        assert_eq!(producers.check_verified(9, 1, verified), Ok(()));
        producers.update(&transactional(1, 0, 12), None);
        assert_eq!(ended(&mut producers, 2, 13, false).map(|end| (end.first, end.last)), Some((12, 13)));
    }

    #[test]
    fn a_marker_of_a_later_epoch_ends_the_verifications_of_earlier_ones() {
        let mut producers = Producers::default();
        let verified = producers.verify(9, 1, 0);
        ended(&mut producers, 2, 5, false);
        assert!(producers.check_verified(9, 1, verified).is_err());
    }

    #[test]
    fn silent_producers_expire() {
        let mut producers = with(&[batch(0, 0, 1, 0)]);
        assert_eq!(producers.expire(1_999, 1_000), 0);
        assert_eq!(producers.expire(2_000, 1_000), 1);
        assert!(producers.is_empty());
    }
}
