//! How transactions end of themselves: markers written, time run out, ids that nobody uses.

use std::sync::Arc;
use std::time::Duration;

use super::TransactionState;
use super::coordinator::{Coordinator, Then};
use super::event::{Act, Effect, Markers};
use super::transaction::Transaction;
use crate::Producer;
use crate::{Now, TopicPartition};

/// A transaction is ending: its markers are written, or it has ended when there are none left to write.
pub(super) fn go_on(coordinator: &mut Coordinator, id: &Arc<str>) {
    let Some(entry) = coordinator.entries.get(id) else { return };
    let current = &entry.current;
    let Some(commit) = current.state.preparing().filter(|_| !entry.is_pending) else { return };
    if current.partitions.is_empty() {
        let next = current.completed(coordinator.now.wall);
        coordinator.step(id, Some(next), Then::Nothing);
        return;
    }
    let markers = Markers {
        transactional_id: id.clone(),
        producer: current.producer,
        commit,
        partitions: current.partitions.clone(),
        version: current.version,
    };
    coordinator.perform(Effect::Act(Act::WriteMarkers(markers)));
}

/// Some partitions have their marker, if they are those of the transaction that is ending now.
pub(super) fn markers_written(
    coordinator: &mut Coordinator,
    id: &Arc<str>,
    producer: Producer,
    partitions: &[TopicPartition],
) {
    let Some(entry) = coordinator.entries.get_mut(id) else { return };
    let current = &mut entry.current;
    if current.state.preparing().is_none() || current.producer != producer || current.partitions.is_empty() {
        return;
    }
    for partition in partitions {
        current.partitions.remove(partition);
    }
    if current.partitions.is_empty() {
        go_on(coordinator, id);
    }
}

/// How long an open transaction may stay open, at most its whole time if the clock was set back.
pub(super) fn time_left(transaction: &Transaction, now: Now) -> Duration {
    let open_for = now.wall.0.saturating_sub(transaction.started.0);
    transaction.timeout.saturating_sub(Duration::from_millis(u64::try_from(open_for).unwrap_or(0)))
}

/// Aborts a transaction that has been open for too long, and fences its producer.
pub(super) fn abort_overdue(coordinator: &mut Coordinator, id: &Arc<str>) {
    let (now, version) = (coordinator.now.wall, coordinator.config.version);
    let open = coordinator.entries.get(id).filter(|entry| entry.current.state == TransactionState::Ongoing);
    if let Some(next) = open.map(|entry| entry.current.fenced(version, now)) {
        coordinator.step(id, Some(next), Then::Nothing);
    }
}

/// Forgets the ids that have been at rest for `transactional.id.expiration.ms`.
pub(super) fn forget_unused(coordinator: &mut Coordinator) {
    let (now, expiration) = (coordinator.now.wall, coordinator.config.id_expiration);
    let limit = i64::try_from(expiration.as_millis()).unwrap_or(i64::MAX);
    let is_unused = |transaction: &Transaction| {
        transaction.state.is_at_rest() && now.0.saturating_sub(transaction.updated.0) >= limit
    };
    let unused: Vec<_> = coordinator
        .entries
        .iter()
        .filter(|(_, entry)| !entry.is_pending && is_unused(&entry.current))
        .map(|(id, _)| id.clone())
        .collect();
    unused.iter().for_each(|id| coordinator.step(id, None, Then::Nothing));
}
