//! How transactions ended in the logs, against what their producers asked and were told.

use super::ledger::{Fate, Ledger, acked, fate};
use super::traces::Traces;
use crate::history::Transaction;

/// Transactions that are committed in one partition and not in another, or not with all of their records.
pub(super) fn torn(ledger: &Ledger<'_>, traces: &Traces) -> Vec<String> {
    let mut found = Vec::new();
    for transaction in ledger.transactions.values().filter(|transaction| traces.is_committed(transaction.id)) {
        let id = transaction.id;
        for (partition, trace) in traces.of_transaction(id).filter(|(_, trace)| !trace.is_committed()) {
            let marker = trace.marker;
            found.push(format!("transaction {id} is committed, but in partition {partition} its end is {marker:?}"));
        }
        // A producer asks to commit when all appends are acked, so an open commit takes all of them.
        found.extend(missing(transaction, traces).into_iter().filter(|_| fate(transaction) == Fate::Open));
    }
    for (partition, log) in &traces.logs {
        let unended = log.traces.iter().filter(|(_, trace)| trace.marker.is_none());
        found.extend(unended.map(|(id, _)| format!("transaction {id} never ends in partition {partition}")));
    }
    found
}

/// Records of transactions whose commit was acked, which are not where they should be, or not committed.
pub(super) fn lost(ledger: &Ledger<'_>, traces: &Traces) -> Vec<String> {
    let mut found = Vec::new();
    for transaction in ledger.transactions.values().filter(|transaction| fate(transaction) == Fate::Committed) {
        let id = transaction.id;
        found.extend(missing(transaction, traces));
        if !transaction.appends.is_empty() && !traces.is_committed(id) {
            found.push(format!("the commit of transaction {id} was acked, and it is committed nowhere"));
        }
    }
    found
}

/// Acked records that are not at the offsets of their acks.
fn missing(transaction: &Transaction, traces: &Traces) -> Vec<String> {
    let id = transaction.id;
    let mut found = Vec::new();
    for append in &transaction.appends {
        let (Some(offset), Some(log)) = (acked(&append.outcome), traces.logs.get(&append.partition)) else { continue };
        for at in 0..append.count {
            let number = append.first + u64::from(at);
            let kept = log.traces.get(&id).and_then(|trace| trace.offsets.get(&number)).copied();
            let is_there = kept.is_some() && offset.is_none_or(|offset| kept == Some(offset + i64::from(at)));
            if !is_there {
                let partition = append.partition;
                found.push(format!(
                    "record {number} of transaction {id} was acked at {offset:?} of partition {partition}, and is at {kept:?}"
                ));
            }
        }
    }
    found
}

/// Transactions that are committed though no commit of theirs was taken.
pub(super) fn unasked(ledger: &Ledger<'_>, traces: &Traces) -> Vec<String> {
    let unasked = ledger.transactions.values().filter(|transaction| fate(transaction) == Fate::Aborted);
    let committed = unasked.filter(|transaction| traces.is_committed(transaction.id));
    let what = |transaction: &&Transaction| {
        let Transaction { id, producer, session, end, .. } = transaction;
        format!("transaction {id} of producer {producer} in {session:?} is committed, though its end was {end:?}")
    };
    committed.map(what).collect()
}
