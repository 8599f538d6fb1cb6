//! What readers were given and told, against the final logs.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Ledger, asked};
use super::traces::{Cell, Log, Trace, Traces, cells};
use crate::history::{Micros, View};

/// The records of a read with their offsets.
fn given(view: &View) -> impl Iterator<Item = (i64, Option<Cell>)> {
    view.read.runs.iter().flat_map(cells)
}

/// Whether readers find the transaction of a record committed.
fn is_committed(log: &Log, cell: Option<Cell>) -> bool {
    cell.and_then(|(id, _)| log.traces.get(&id)).is_some_and(Trace::is_committed)
}

/// G1a: records of transactions that were not committed, given to a reader of committed records.
pub(super) fn aborted(ledger: &Ledger<'_>, traces: &Traces) -> Vec<String> {
    let mut found = Vec::new();
    for view in ledger.all_views().filter(|view| view.committed) {
        let Some(log) = traces.logs.get(&view.read.partition) else { continue };
        // What is not in the log at the end is told of elsewhere.
        let dirty =
            given(view).filter(|(offset, cell)| log.records.get(offset) == Some(cell) && !is_committed(log, *cell));
        let ids: BTreeSet<u32> = dirty.filter_map(|(_, cell)| Some(cell?.0)).collect();
        let marker = |id: u32| log.traces.get(&id).and_then(|trace| trace.marker);
        found.extend(ids.into_iter().map(|id| format!("{} had transaction {id}: {:?}", of(view), marker(id))));
    }
    found
}

/// G1b: records given to a reader of committed records before anybody had asked to commit them.
pub(super) fn early(ledger: &Ledger<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for view in ledger.all_views().filter(|view| view.committed) {
        let ids: BTreeSet<u32> = view.read.runs.iter().filter_map(|run| run.writer).collect();
        for id in ids {
            let asked = ledger.transactions.get(&id).and_then(|transaction| asked(transaction));
            if let Some(asked) = asked.filter(|asked| *asked > view.read.completed) {
                found.push(format!("{} had transaction {id}, whose commit was asked for at {asked} µs", of(view)));
            }
        }
    }
    found
}

/// Reads that differ from what the log has at the end: records passed over, changed, or gone.
pub(super) fn differing(ledger: &Ledger<'_>, traces: &Traces) -> Vec<String> {
    let empty = Log::default();
    let mut found = Vec::new();
    for view in ledger.all_views() {
        let log = traces.logs.get(&view.read.partition).unwrap_or(&empty);
        let seen: BTreeMap<i64, Option<Cell>> = given(view).collect();
        if let Some((offset, cell)) = seen.iter().find(|(offset, cell)| log.records.get(offset) != Some(cell)) {
            let kept = log.records.get(offset);
            found.push(format!("{} had {cell:?} at {offset}; at the end, {kept:?} is there", of(view)));
        }
        let range = view.read.offset..view.next.max(view.read.offset);
        let due = log.records.range(range).filter(|(_, cell)| !view.committed || is_committed(log, **cell));
        if let Some((offset, cell)) = due.into_iter().find(|(offset, _)| !seen.contains_key(offset)) {
            found.push(format!("{} passed over {cell:?} at {offset}", of(view)));
        }
    }
    found
}

/// Reads that do not go on where the reader's last one ended, or go beyond what may be read.
pub(super) fn gaps(ledger: &Ledger<'_>) -> Vec<String> {
    let mut next: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    let mut found = Vec::new();
    for view in ledger.all_views() {
        let read = &view.read;
        let expected = next.insert((&read.reader, read.partition), view.next).unwrap_or(read.offset);
        if expected != read.offset {
            found.push(format!("{} went on at {} after {expected}", of(view), read.offset));
        }
        let limit = if view.committed { read.marks.stable } else { read.marks.high };
        // A leader that has yet to learn what is committed may know less than the reader has.
        if view.next > read.offset && view.next > limit {
            found.push(format!("{} was given what lies below {}, of {:?}", of(view), view.next, read.marks));
        }
        if read.marks.stable > read.marks.high || read.marks.stable < read.marks.start {
            found.push(format!("{} was told {:?}", of(view), read.marks));
        }
    }
    found
}

/// A last stable offset behind the first record of a transaction whose marker is not committed yet. Only readers of
/// committed records are told it; Ottla tells others the watermark in its place.
pub(super) fn unstable(ledger: &Ledger<'_>, traces: &Traces) -> Vec<String> {
    let mut found = Vec::new();
    let mut partitions: BTreeMap<i32, Vec<(i64, i64)>> = BTreeMap::new();
    for (partition, log) in &traces.logs {
        let mut ends: Vec<(i64, i64)> = log
            .traces
            .values()
            .map(|trace| (trace.first, trace.marker.map_or(i64::MAX, |marker| marker.offset)))
            .collect();
        ends.sort_unstable();
        let mut latest = i64::MIN;
        for (_, end) in &mut ends {
            latest = latest.max(*end);
            *end = latest;
        }
        partitions.insert(*partition, ends);
    }
    for view in ledger.all_views().filter(|view| view.committed) {
        let (marks, Some(ends)) = (view.read.marks, partitions.get(&view.read.partition)) else { continue };
        let begun = ends.partition_point(|(first, _)| *first < marks.stable);
        if let Some((_, end)) = ends[..begun].last().filter(|(_, end)| *end >= marks.high) {
            found.push(format!("{} was told {marks:?}, but a transaction before that ends at {end}", of(view)));
        }
    }
    found
}

/// Watermarks and last stable offsets that go back within a term.
pub(super) fn marks_that_go_back(ledger: &Ledger<'_>) -> Vec<String> {
    let mut terms: BTreeMap<(i32, i32), Vec<&View>> = BTreeMap::new();
    ledger.all_views().for_each(|view| terms.entry((view.read.partition, view.read.epoch)).or_default().push(view));
    let mut found = Vec::new();
    for mut views in terms.into_values() {
        let stable_of = |view: &View| if view.committed { view.read.marks.stable } else { 0 };
        let mut ended: Vec<(Micros, i64, i64)> =
            views.iter().map(|view| (view.read.completed, view.read.marks.high, stable_of(view))).collect();
        ended.sort_unstable();
        views.sort_by_key(|view| view.read.invoked);
        let mut ended = ended.into_iter().peekable();
        let (mut high, mut stable) = (0, 0);
        for view in views {
            while let Some((_, h, s)) = ended.next_if(|(completed, ..)| *completed < view.read.invoked) {
                (high, stable) = (high.max(h), stable.max(s));
            }
            let marks = view.read.marks;
            if marks.high < high || view.committed && marks.stable < stable {
                found.push(format!("{} was told {marks:?} after {high} and {stable} in the same term", of(view)));
            }
        }
    }
    found
}

fn of(view: &View) -> String {
    format!("the {} of partition {}, at {} µs,", view.read.reader, view.read.partition, view.read.invoked)
}
