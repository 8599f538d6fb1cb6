//! InitProducerId: a producer begins, or goes on after an error (KIP-360), and every earlier instance is fenced.

use std::sync::Arc;
use std::time::Duration;

use super::coordinator::{Coordinator, Then};
use super::event::Request;
use super::request::InitProducerId;
use super::transaction::Transaction;
use super::{Error, TransactionState};
use crate::Producer;
use crate::coordinator::{MAX_STRING, RequestId};
use crate::{ProducerEpoch, ProducerId, Timestamp};

/// What an InitProducerId comes to.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// The producer begins.
    Begin(Transaction),
    /// The producer begins under this new id.
    Rotate(ProducerId),
    /// The epochs of the producer id are used up, and there is no other one at hand.
    NeedsId,
    /// A transaction is open: it is aborted first.
    Abort,
}

/// Handles the request.
pub(super) fn init(coordinator: &mut Coordinator, id: RequestId, init: InitProducerId) {
    if let Err(error) = init.check(coordinator.config.max_timeout) {
        return coordinator.reply_init(id, error);
    }
    let known = coordinator.entries.get_key_value(init.transactional_id.as_str()).map(|(key, _)| key.clone());
    let key = match (known, coordinator.fresh_id()) {
        (Some(key), _) => key,
        (None, Some(fresh)) => {
            coordinator.use_fresh_id();
            coordinator.entry_or_new(&init, fresh)
        }
        (None, None) => return coordinator.wait_for_id(id, Request::Init(init)),
    };
    begin(coordinator, id, init, &key);
}

fn begin(coordinator: &mut Coordinator, id: RequestId, init: InitProducerId, key: &Arc<str>) {
    let (now, fresh) = (coordinator.now.wall, coordinator.fresh_id());
    let Some(entry) = coordinator.entries.get(key) else { return };
    if entry.is_pending {
        return coordinator.reply_init(id, Error::ConcurrentTransactions);
    }
    let current = &entry.current;
    match decide(current, &init, fresh, now) {
        Err(error) => coordinator.reply_init(id, error),
        Ok(Decision::NeedsId) => coordinator.wait_for_id(id, Request::Init(init)),
        Ok(Decision::Begin(next)) => coordinator.step(key, Some(next), Then::Init(id)),
        Ok(Decision::Rotate(fresh)) => {
            // A producer that says what it was may ask again under that name.
            let last = if init.expected.is_some() { current.producer.epoch } else { ProducerEpoch(-1) };
            let next = current.begun(Producer { id: fresh, epoch: ProducerEpoch(0) }, last, init.timeout, now);
            coordinator.use_fresh_id();
            coordinator.step(key, Some(next), Then::Init(id));
        }
        Ok(Decision::Abort) => {
            let next = current.fenced(coordinator.config.version, now);
            coordinator.step(key, Some(next), Then::Abort(id));
        }
    }
}

impl InitProducerId {
    /// Whether any coordinator may take it.
    pub fn check(&self, max_timeout: Duration) -> Result<(), Error> {
        if self.transactional_id.is_empty() || self.transactional_id.len() > MAX_STRING {
            Err(Error::InvalidRequest)
        } else if self.timeout.is_zero() || self.timeout > max_timeout {
            Err(Error::InvalidTransactionTimeout)
        } else {
            Ok(())
        }
    }
}

fn decide(
    current: &Transaction,
    init: &InitProducerId,
    fresh: Option<ProducerId>,
    now: Timestamp,
) -> Result<Decision, Error> {
    if init.expected.is_some_and(|expected| !may_go_on(current, expected)) {
        return Err(Error::ProducerFenced);
    }
    match current.state {
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => Err(Error::ConcurrentTransactions),
        TransactionState::Ongoing => Ok(Decision::Abort),
        TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
            if !current.producer.is_exhausted() {
                return next_epoch(current, init, now).map(Decision::Begin);
            }
            if init.expected.is_some_and(|expected| expected.epoch != current.producer.epoch) {
                return Err(Error::ProducerFenced);
            }
            Ok(fresh.map_or(Decision::NeedsId, Decision::Rotate))
        }
    }
}

/// Whether a producer that says what it was may be this one, its epoch aside.
fn may_go_on(current: &Transaction, expected: Producer) -> bool {
    // A producer whose id was forgotten goes on under the new one. One whose epochs were used up may not have heard
    // of its new id.
    current.is_new()
        || expected.id == current.producer.id
        || (expected.id == current.previous_id && expected.is_exhausted())
}

fn next_epoch(current: &Transaction, init: &InitProducerId, now: Timestamp) -> Result<Transaction, Error> {
    let bumped = current.producer.bumped();
    let begun = |producer, last| Ok(current.begun(producer, last, init.timeout, now));
    match init.expected {
        None => begun(bumped, ProducerEpoch(-1)),
        Some(expected) if current.is_new() || expected.epoch == current.producer.epoch => {
            begun(bumped, current.producer.epoch)
        }
        // The same request again, whose answer was lost.
        Some(expected) if expected.epoch == current.last_epoch => begun(current.producer, current.last_epoch),
        Some(_) => Err(Error::ProducerFenced),
    }
}
