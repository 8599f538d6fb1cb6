//! EndTxn: whether a transaction may be committed or aborted now, and whether it was already.

use std::sync::Arc;

use super::coordinator::{Coordinator, Then};
use super::event::Request;
use super::request::End;
use super::transaction::Transaction;
use super::{Error, TransactionState, TransactionVersion};
use crate::Producer;
use crate::coordinator::RequestId;

/// What an EndTxn comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// It was ended so before.
    Done,
    /// It is to be ended.
    Prepare,
}

/// Handles the request.
pub(super) fn end(coordinator: &mut Coordinator, id: RequestId, end: End) {
    let (now, fresh) = (coordinator.now.wall, coordinator.fresh_id());
    let found = coordinator.entries.get_key_value(end.transactional_id.as_str());
    let (key, entry) = match found {
        _ if end.transactional_id.is_empty() => return coordinator.reply_end(id, Err(Error::InvalidRequest)),
        None => return coordinator.reply_end(id, Err(Error::InvalidProducerIdMapping)),
        Some((key, entry)) => (Arc::clone(key), entry),
    };
    let current = &entry.current;
    match decide(current, entry.is_pending, &end) {
        Err(error) => coordinator.reply_end(id, Err(error)),
        Ok(Decision::Done) => {
            let producer = current.producer;
            coordinator.reply_end(id, Ok(producer));
        }
        Ok(Decision::Prepare) => {
            let needs_id = end.version == TransactionVersion::V2 && current.producer.is_exhausted();
            let next_id = fresh.filter(|_| needs_id);
            if needs_id && next_id.is_none() {
                return coordinator.wait_for_id(id, Request::End(end));
            }
            let next = current.prepared(end.commit, end.version, next_id, now);
            if needs_id {
                coordinator.use_fresh_id();
            }
            coordinator.step(&key, Some(next), Then::End(id));
        }
    }
}

fn decide(current: &Transaction, is_pending: bool, end: &End) -> Result<Decision, Error> {
    let standing = match end.version {
        TransactionVersion::V1 => standing_v1(current, end.producer),
        TransactionVersion::V2 => standing_v2(current, end.producer),
    }?;
    if is_pending {
        return Err(Error::ConcurrentTransactions);
    }
    match (current.state, end.version) {
        (TransactionState::Ongoing, _) => Ok(Decision::Prepare),
        (TransactionState::PrepareCommit, _) if end.commit => Err(Error::ConcurrentTransactions),
        (TransactionState::PrepareAbort, _) if !end.commit => Err(Error::ConcurrentTransactions),
        (TransactionState::CompleteCommit, _) if end.commit && standing == Standing::Before => Ok(Decision::Done),
        (TransactionState::CompleteAbort, _) if !end.commit && standing == Standing::Before => Ok(Decision::Done),
        // A client that does not know whether it began a transaction aborts it all the same (KIP-890).
        (
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort,
            TransactionVersion::V2,
        ) if !end.commit && standing == Standing::Now => Ok(Decision::Prepare),
        _ => Err(Error::InvalidTxnState),
    }
}

/// Which transaction a producer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The one of its present epoch.
    Now,
    /// The last one, which has ended or is ending.
    Before,
}

/// The epoch stays, so that only the state says which transaction is meant.
fn standing_v1(current: &Transaction, producer: Producer) -> Result<Standing, Error> {
    if producer.id != current.producer.id {
        Err(Error::InvalidProducerIdMapping)
    } else if producer.epoch != current.producer.epoch {
        Err(Error::ProducerFenced)
    } else if current.state == TransactionState::Ongoing {
        Ok(Standing::Now)
    } else {
        Ok(Standing::Before)
    }
}

/// Each end bumps the epoch, so that a repeated request has the one before; or the last of the producer id before.
fn standing_v2(current: &Transaction, producer: Producer) -> Result<Standing, Error> {
    use TransactionState::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit};
    let after_rotation =
        producer.id == current.previous_id && producer.epoch.0 == i16::MAX - 1 && current.producer.epoch.0 == 0;
    if producer.id != current.producer.id && !after_rotation {
        return Err(Error::InvalidProducerIdMapping);
    }
    let is_now = producer.id == current.producer.id && producer.epoch == current.producer.epoch;
    let is_before = producer.id == current.producer.id && producer.bumped() == current.producer && !is_now;
    match current.state {
        Ongoing | Empty | CompleteCommit | CompleteAbort if is_now => Ok(Standing::Now),
        PrepareCommit | PrepareAbort | CompleteCommit | CompleteAbort if is_before => Ok(Standing::Before),
        CompleteCommit | CompleteAbort if after_rotation => Ok(Standing::Before),
        _ => Err(Error::ProducerFenced),
    }
}
