//! What was copied: every committed record once, and by a transaction that follows it.

use super::ledger::Ledger;
use super::traces::{Trace, Traces};
use crate::history::{Copied, Transaction};

/// The copying transactions that readers found committed, with what they copied.
fn copies<'h>(ledger: &Ledger<'h>, traces: &Traces) -> Vec<(&'h Transaction, Copied)> {
    let committed = ledger.transactions.values().filter(|transaction| traces.is_committed(transaction.id));
    committed.filter_map(|transaction| Some((*transaction, transaction.copied?))).collect()
}

/// The committed records of what was copied, by offset.
fn originals<'t>(traces: &'t Traces, copied: &Copied) -> impl Iterator<Item = (i64, u32)> + use<'t> {
    let (log, range) = (traces.logs.get(&copied.partition), copied.from..copied.next);
    let records = log.into_iter().flat_map(move |log| log.records.range(range.clone()).map(move |found| (log, found)));
    records.filter_map(|(log, (offset, cell))| {
        let (id, _) = (*cell)?;
        log.traces.get(&id).is_some_and(Trace::is_committed).then_some((*offset, id))
    })
}

/// Records that were copied twice, or passed over by a copier that went on behind them.
pub(super) fn not_once(ledger: &Ledger<'_>, traces: &Traces) -> Vec<String> {
    let mut found = Vec::new();
    let mut copies = copies(ledger, traces);
    copies.sort_by_key(|(transaction, copied)| (copied.partition, copied.from, transaction.id));
    let mut reached: Option<Copied> = None;
    for (transaction, copied) in copies {
        let (id, Copied { partition, from, next }) = (transaction.id, copied);
        let before = reached.filter(|before| before.partition == partition).map_or(0, |before| before.next);
        let between = Copied { partition, from: before, next: from.max(before) };
        if from < before && originals(traces, &Copied { partition, from, next: before.min(next) }).next().is_some() {
            found.push(format!(
                "transaction {id} copies {from}..{next} of partition {partition}, as was copied up to {before}"
            ));
        }
        if let Some((offset, _)) = originals(traces, &between).next() {
            found.push(format!(
                "transaction {id} copies from {from} of partition {partition} on; {offset} was not copied"
            ));
        }
        let (due, kept) = (originals(traces, &copied).count(), records_of(traces, id));
        if due != kept {
            found.push(format!("transaction {id} has {kept} copies of {due} records, {from}..{next} of {partition}"));
        }
        reached = Some(Copied { next: next.max(before), ..copied });
    }
    found
}

fn records_of(traces: &Traces, id: u32) -> usize {
    traces.of_transaction(id).map(|(_, trace)| trace.offsets.len()).sum()
}

/// G1c: a transaction that read of another one, and has a record before one of that.
pub(super) fn circular(ledger: &Ledger<'_>, traces: &Traces) -> Vec<String> {
    let mut found = Vec::new();
    for (transaction, copied) in copies(ledger, traces) {
        let id = transaction.id;
        let mut read: Vec<u32> = originals(traces, &copied).map(|(_, read)| read).collect();
        read.sort_unstable();
        read.dedup();
        for read in read {
            let follows = |(partition, own): (i32, &Trace)| {
                let log = traces.logs.get(&partition)?;
                let (_, last) = log.traces.get(&read)?.offsets.last_key_value()?;
                (own.first < *last).then_some(partition)
            };
            if let Some(partition) = traces.of_transaction(id).find_map(follows) {
                found
                    .push(format!("transaction {id} read of {read}, which goes on behind it in partition {partition}"));
            }
        }
    }
    found
}
