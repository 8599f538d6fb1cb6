//! DescribeTransactions and ListTransactions.

use std::time::Duration;

use super::coordinator::Coordinator;
use super::request::{Described, ListFilter, Listed};
use super::transaction::Transaction;
use super::{Error, TransactionState};

/// Describes one transactional id.
pub(super) fn describe(coordinator: &Coordinator, id: &str) -> Result<Described, Error> {
    if id.is_empty() {
        return Err(Error::InvalidRequest);
    }
    let current = &coordinator.entries.get(id).ok_or(Error::TransactionalIdNotFound)?.current;
    Ok(Described {
        producer: current.producer,
        state: current.state,
        timeout: current.timeout,
        started: current.started,
        partitions: current.partitions.clone(),
    })
}

/// Lists the transactional ids that pass `filter`.
pub(super) fn list(coordinator: &Coordinator, filter: &ListFilter) -> Vec<Listed> {
    let open_for = |current: &Transaction| {
        let since = coordinator.now.wall.0.saturating_sub(current.started.0);
        Duration::from_millis(u64::try_from(since).unwrap_or(0))
    };
    let passes = |current: &Transaction| {
        (filter.states.is_empty() || filter.states.contains(&current.state))
            && (filter.producers.is_empty() || filter.producers.contains(&current.producer.id))
            && filter.open_for.is_none_or(|limit| is_open(current.state) && open_for(current) > limit)
    };
    let listed = coordinator.entries.iter().filter(|(_, entry)| passes(&entry.current));
    listed
        .map(|(id, entry)| Listed {
            transactional_id: id.to_string(),
            producer: entry.current.producer.id,
            state: entry.current.state,
        })
        .collect()
}

fn is_open(state: TransactionState) -> bool {
    state == TransactionState::Ongoing || state.preparing().is_some()
}
