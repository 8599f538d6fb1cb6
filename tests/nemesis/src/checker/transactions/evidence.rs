//! Whether transactions took place: a check of none proves nothing.

use std::collections::BTreeSet;

use super::Transactions;
use super::cycles::write_cycles;
use super::ledger::{Fate, Ledger, fate};
use super::traces::Traces;
use crate::history::{Decision, End, Transaction};

/// What the history holds.
pub(super) fn counts(ledger: &Ledger<'_>, traces: &Traces) -> Transactions {
    let (write_cycles, in_write_cycles) = write_cycles(traces);
    let mut counts = Transactions {
        producers: ledger.transactors.len() as u64,
        kept: traces.logs.values().map(|log| log.records.len() as u64).sum(),
        read: ledger
            .views
            .iter()
            .filter(|view| view.committed)
            .flat_map(|view| &view.read.runs)
            .map(|run| u64::from(run.count))
            .sum(),
        write_cycles,
        in_write_cycles,
        ..Transactions::default()
    };
    for transaction in ledger.transactions.values() {
        counts.copying += u64::from(transaction.copied.is_some() && traces.is_committed(transaction.id));
        match fate(transaction) {
            Fate::Committed => {
                counts.committed += 1;
                counts.committed_by_version_1 += u64::from(version(ledger, transaction) < 2);
            }
            Fate::Open => {
                counts.open += 1;
                counts.open_committed += u64::from(traces.is_committed(transaction.id));
            }
            Fate::Aborted => count_end(ledger, transaction, &mut counts),
        }
    }
    counts
}

fn count_end(ledger: &Ledger<'_>, transaction: &Transaction, counts: &mut Transactions) {
    match &transaction.end {
        Some(End { commit: false, outcome: Decision::Acked, .. }) => counts.aborted += 1,
        Some(End { commit: true, outcome: Decision::Refused(_), invoked, completed, .. }) => {
            let fence = |before| ledger.begun_between(transaction.producer, transaction.began, before);
            // One that began while this was asked may be what refused it, or not.
            counts.fenced += u64::from(fence(*invoked).is_some());
            counts.timed_out += u64::from(fence(*completed).is_none());
        }
        _ => {}
    }
}

fn version(ledger: &Ledger<'_>, transaction: &Transaction) -> i16 {
    ledger.transactors.get(&transaction.producer).map_or(0, |transactor| transactor.version)
}

/// Kinds of ends that did not come about, and partitions that were not read.
pub(super) fn missing(ledger: &Ledger<'_>, traces: &Traces) -> Vec<String> {
    if ledger.transactors.is_empty() {
        return Vec::new();
    }
    let counts = counts(ledger, traces);
    let by_version_2 = counts.committed - counts.committed_by_version_1;
    let has = |version: i16| ledger.transactors.values().any(|transactor| transactor.version == version);
    let kinds = [
        (
            "a copy, and committed",
            counts.copying > 0 || !ledger.transactors.values().any(|transactor| transactor.copies),
        ),
        ("committed by version 1", !has(1) || counts.committed_by_version_1 > 0),
        ("committed by version 2", !has(2) || by_version_2 > 0),
        ("aborted", counts.aborted > 0),
        ("fenced by a successor", counts.fenced > 0),
        ("aborted by its coordinator", counts.timed_out > 0),
    ];
    let mut found: Vec<String> =
        kinds.iter().filter(|(_, is_there)| !is_there).map(|(kind, _)| format!("no transaction was {kind}")).collect();
    let written = ledger.transactions.values().flat_map(|transaction| &transaction.appends);
    let written: BTreeSet<i32> = written.map(|append| append.partition).collect();
    for partition in written {
        for committed in [false, true] {
            if !ledger.finals.iter().any(|view| view.read.partition == partition && view.committed == committed) {
                found.push(format!("partition {partition} was never read at the end (committed records: {committed})"));
            }
        }
    }
    found
}

/// Producers that have committed nothing since the last fault was taken back.
pub(super) fn never_back(ledger: &Ledger<'_>) -> Vec<String> {
    let Some(healed) = ledger.healed else { return Vec::new() };
    let is_back = |producer: u32| {
        let mut own = ledger.transactions.values().filter(|transaction| transaction.producer == producer);
        own.any(|transaction| transaction.began >= healed && fate(transaction) == Fate::Committed)
    };
    let silent = ledger.transactors.keys().filter(|producer| !is_back(**producer));
    silent.map(|producer| format!("transactional producer {producer} committed nothing after the last fault")).collect()
}
