//! AddPartitionsToTxn and AddOffsetsToTxn: which partitions the end of a transaction has to reach.

use super::coordinator::{Coordinator, Entry, Then};
use super::request::{AddPartitions, Verified};
use super::{Error, TransactionState};
use crate::coordinator::RequestId;

/// Adds partitions to the open transaction, or begins one with them.
pub(super) fn add(coordinator: &mut Coordinator, id: RequestId, add: &AddPartitions) {
    let now = coordinator.now.wall;
    let found = find(coordinator, add).and_then(|(key, entry)| {
        if entry.is_pending { Err(Error::ConcurrentTransactions) } else { Ok((key, &entry.current)) }
    });
    let (key, current) = match found {
        Ok(found) => found,
        Err(error) => return coordinator.reply_add(id, Err(error)),
    };
    if current.state == TransactionState::Ongoing && add.partitions.is_subset(&current.partitions) {
        return coordinator.reply_add(id, Ok(()));
    }
    let (key, next) = (key.clone(), current.joined_by(&add.partitions, add.version, now));
    coordinator.step(&key, Some(next), Then::Add(id));
}

/// Says which partitions are part of the open transaction. A leader asks before it takes the first batch, so that none
/// comes after the end (KIP-890).
pub(super) fn verify(coordinator: &Coordinator, add: AddPartitions) -> Result<Verified, Error> {
    let (_, entry) = find(coordinator, &add)?;
    let is_part = |partition| {
        if entry.current.partitions.contains(partition) { Ok(()) } else { Err(Error::TransactionAbortable) }
    };
    Ok(add.partitions.iter().map(|partition| (partition.clone(), is_part(partition))).collect())
}

/// The transaction that partitions can be part of.
fn find<'a>(coordinator: &'a Coordinator, add: &AddPartitions) -> Result<(&'a std::sync::Arc<str>, &'a Entry), Error> {
    if add.transactional_id.is_empty() {
        return Err(Error::InvalidRequest);
    }
    let found = coordinator.entries.get_key_value(add.transactional_id.as_str());
    let (key, entry) = found.ok_or(Error::InvalidProducerIdMapping)?;
    let current = &entry.current;
    if current.producer.id != add.producer.id {
        Err(Error::InvalidProducerIdMapping)
    } else if current.producer.epoch != add.producer.epoch {
        Err(Error::ProducerFenced)
    } else if current.state.preparing().is_some() {
        Err(Error::ConcurrentTransactions)
    } else {
        Ok((key, entry))
    }
}
