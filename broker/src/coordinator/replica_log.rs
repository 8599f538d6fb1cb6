//! The partition under a coordinator, through the replica layer: appends with acks=all.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use ottla_core::coordinator::{AppendError, InTransaction, NewBatch, Replayed};
use ottla_core::partition::{Refusal, RequiredAcks};
use ottla_core::{LeaderEpoch, Now, Offset, ProducerId};
use ottla_records::{Attributes, BatchBuilder, Compression, Limits, Marker, ProducerStamp, RecordReader, batches};
use ottla_storage::ProducerError;
use tracing::warn;

use super::log::{Appended, CoordinatorLog, LoadError, Replay};
use crate::replica::{Error, FetchWait, Outcome, Partition, ProduceWait};

/// Bytes read at a time while loading (`offsets.load.buffer.size`).
const LOAD_BYTES: usize = 5 << 20;

/// A led partition of a coordinators' topic.
pub struct ReplicaLog {
    partition: Arc<Partition>,
    /// The end of the log when the coordinator was loaded.
    replayed: parking_lot::Mutex<Offset>,
}

impl ReplicaLog {
    /// The log of `partition`.
    pub fn new(partition: Arc<Partition>) -> Self {
        Self { partition, replayed: parking_lot::Mutex::new(Offset::ZERO) }
    }
}

impl CoordinatorLog for ReplicaLog {
    fn append(&self, new: &NewBatch, now: Now) -> Result<(Offset, Appended), AppendError> {
        let mut batch = BatchBuilder::new(Compression::None);
        if let Some(InTransaction { producer, .. }) = new.transaction {
            // As Kafka's coordinators do, without a sequence: the coordinator answers for repeated requests.
            let stamp = ProducerStamp { id: producer.id.0, epoch: producer.epoch.0, base_sequence: -1 };
            batch = batch.with_producer(stamp).with_attributes(Attributes::default().transactional());
        }
        for record in &new.records {
            batch.append(now.wall.0, Some(&record.key), record.value.as_deref(), &[]);
        }
        let wait = Arc::new(ProduceWait::new(1));
        let appended =
            self.partition.append(&batch.build(0), new.transaction, RequiredAcks::All, Some((&wait, 0)), now);
        let offset = appended.map_err(refusal)?.base_offset;
        wait.sealed();
        let appended: Appended = Box::pin(poll_fn(move |context| {
            wait.register(context.waker());
            match wait.ended(0) {
                None => Poll::Pending,
                Some(Outcome::Committed) => Poll::Ready(Ok(())),
                Some(Outcome::Waiting | Outcome::NotLeader | Outcome::StorageFailed) => {
                    Poll::Ready(Err(AppendError::NotLeader))
                }
            }
        }));
        Ok((offset, appended))
    }

    fn prune(&self, offset: Offset) {
        if let Err(error) = self.partition.delete_records(offset) {
            warn!(partition = %self.partition.id(), %offset, %error, "cannot delete what the coordinator needs no more");
        }
    }

    fn replay(&self, each: Replay<'_>) -> Result<(), LoadError> {
        let reader = self.partition.reader();
        let end = reader.log_end();
        let mut next = reader.log_start();
        while next < end {
            let slice = reader.read(next, LOAD_BYTES, end, true).map_err(failed)?;
            let Some(slice) = slice else { break };
            let bytes = slice.read().map_err(failed)?;
            let before = next;
            for batch in batches(&bytes) {
                let batch = batch.map_err(failed)?;
                next = Offset(batch.header.last_offset() + 1);
                let offset = Offset(batch.header.base_offset);
                let producer = ProducerId(batch.header.producer_id);
                if batch.header.attributes.is_control() {
                    if let Some(Marker { commit, .. }) = Marker::read(batch.bytes).map_err(failed)? {
                        each(offset, Replayed::TransactionEnd { producer, commit });
                    }
                    continue;
                }
                let transaction = batch.header.attributes.is_transactional().then_some(producer);
                let mut records = RecordReader::new(batch.bytes, Limits::default()).map_err(failed)?;
                while let Some(record) = records.next_record().map_err(failed)? {
                    if let Some(key) = record.key {
                        each(offset, Replayed::Record { key: &key, value: record.value.as_deref(), transaction });
                    }
                }
            }
            if next == before {
                break;
            }
        }
        *self.replayed.lock() = end;
        Ok(())
    }

    fn settled(&self) -> Appended {
        let (partition, end) = (Arc::clone(&self.partition), *self.replayed.lock());
        Box::pin(async move {
            let wait = Arc::new(FetchWait::default());
            while partition.high_watermark() < end {
                partition.park_fetch(&wait, 0);
                // It may have moved before the wait was known.
                if partition.high_watermark() >= end {
                    break;
                }
                if partition.check_leader(LeaderEpoch::NONE).is_err() {
                    return Err(AppendError::NotLeader);
                }
                poll_fn(|context| {
                    wait.register(context.waker());
                    if wait.take_moved().is_empty() { Poll::Pending } else { Poll::Ready(()) }
                })
                .await;
            }
            partition.unpark_fetch(&wait);
            Ok(())
        })
    }
}

/// Why nothing was appended.
fn refusal(error: Error) -> AppendError {
    match error {
        Error::Storage(ottla_storage::Error::BatchTooLarge { .. }) | Error::Invalid(_) => AppendError::TooLarge,
        Error::Storage(ottla_storage::Error::Producer(ProducerError::InvalidEpoch { .. })) => {
            AppendError::InvalidProducerEpoch
        }
        Error::Storage(ottla_storage::Error::Producer(ProducerError::NotVerified { .. })) => AppendError::NotVerified,
        // All of these pass; the coordinator stays where it is.
        Error::Refused(Refusal::NotEnoughReplicas { .. }) | Error::Storage(ottla_storage::Error::DiskFull { .. }) => {
            AppendError::NotEnoughReplicas
        }
        _ => AppendError::NotLeader,
    }
}

fn failed(error: impl std::fmt::Display) -> LoadError {
    LoadError(error.to_string())
}
