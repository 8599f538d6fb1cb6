//! What became of the records that were sent: C1, C3, C4, C5 and the order of each producer (C6).

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::{Micros, Outcome, Produce, Run};

/// A call that was acked, and whose records are not all where they should be.
pub(super) struct Lost<'h> {
    pub(super) call: &'h Produce,
    what: String,
}

impl From<&Lost<'_>> for String {
    fn from(lost: &Lost<'_>) -> Self {
        lost.what.clone()
    }
}

/// C1: acked records that are not at the offset of their ack, or nowhere if the ack told no offset.
pub(super) fn lost<'h>(facts: &Facts<'h>) -> Vec<Lost<'h>> {
    let mut found = Vec::new();
    for (writer, call, offset) in facts.acked() {
        // A partition that could not be read at the end is told of as such.
        let Some(log) = facts.logs.get(&writer.partition) else { continue };
        let run = Run { offset, writer: Some(writer.id), first: call.first, count: call.count, epoch: -1 };
        if let Err((at, instead)) = log.compare(&run) {
            let what = format!("acked in partition {} by {call:?}; at {at} is {instead:?}", writer.partition);
            found.push(Lost { call, what });
        }
    }
    let kept = numbers_kept(facts);
    for (id, calls) in &facts.calls {
        for call in calls.iter().filter(|call| call.outcome == Outcome::Duplicate) {
            let last = call.first + u64::from(call.count) - 1;
            let ranges = kept.get(id).map_or(&[][..], Vec::as_slice);
            if !ranges.iter().any(|range| range.0 <= call.first && last < range.1) {
                let what = format!("acked as a duplicate, but nowhere in the log: {call:?}");
                found.push(Lost { call, what });
            }
        }
    }
    found
}

/// Ranges of record numbers (end excluded) that each writer has in the log, joined where they touch, sorted.
fn numbers_kept(facts: &Facts<'_>) -> BTreeMap<u32, Vec<(u64, u64)>> {
    let mut kept: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    for run in facts.logs.values().flat_map(|log| log.runs()) {
        if let Some(writer) = run.writer {
            kept.entry(writer).or_default().push((run.first, run.first + u64::from(run.count)));
        }
    }
    for ranges in kept.values_mut() {
        ranges.sort_unstable();
        ranges.dedup_by(|next, before| {
            let joins = next.0 <= before.1;
            if joins {
                before.1 = before.1.max(next.1);
            }
            joins
        });
    }
    kept
}

/// C3: a record of an idempotent writer that is in the log twice.
pub(super) fn duplicates(facts: &Facts<'_>) -> Vec<String> {
    let mut ranges: BTreeMap<u32, Vec<&Run>> = BTreeMap::new();
    for run in facts.logs.values().flat_map(|log| log.runs()) {
        let writer = run.writer.and_then(|id| facts.writers.get(&id)).filter(|writer| writer.idempotent);
        if let Some(writer) = writer {
            ranges.entry(writer.id).or_default().push(run);
        }
    }
    let mut found = Vec::new();
    for runs in ranges.values_mut() {
        runs.sort_by_key(|run| (run.first, run.offset));
        let twice = runs.windows(2).filter(|pair| pair[1].first < pair[0].first + u64::from(pair[0].count));
        found.extend(twice.map(|pair| format!("the same records are in {:?} and {:?}", pair[0], pair[1])));
    }
    found
}

/// C4: a record in a read that nobody had sent by then, or that was sent to another partition.
pub(super) fn phantoms(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for read in facts.all_reads() {
        for run in &read.runs {
            let Some(id) = run.writer else { continue };
            let elsewhere = facts.writers.get(&id).is_none_or(|writer| writer.partition != read.partition);
            let unsent = |number: u64| facts.call_of(id, number).is_none_or(|call| call.invoked > read.completed);
            // Calls of a writer follow each other, so the ends of a run speak for what is between.
            if elsewhere || unsent(run.first) || unsent(run.first + u64::from(run.count) - 1) {
                let (reader, partition) = (&read.reader, read.partition);
                found.push(format!("{reader} read {run:?} from partition {partition} before anybody sent it there"));
            }
        }
    }
    found
}

/// C5: a call that began after another of its partition was acked, and was acked at a lower offset.
pub(super) fn out_of_real_time_order(facts: &Facts<'_>) -> Vec<String> {
    let mut partitions: BTreeMap<i32, Vec<(Micros, Micros, i64)>> = BTreeMap::new();
    for (writer, call, offset) in facts.acked() {
        partitions.entry(writer.partition).or_default().push((call.invoked, call.completed, offset));
    }
    let mut found = Vec::new();
    for (partition, mut calls) in partitions {
        let mut ends: Vec<(Micros, i64)> = calls.iter().map(|(_, completed, offset)| (*completed, *offset)).collect();
        ends.sort_unstable();
        calls.sort_unstable();
        let (mut ended, mut highest) = (0, -1);
        for (invoked, _, offset) in calls {
            while let Some((completed, before)) = ends.get(ended).filter(|(completed, _)| *completed < invoked) {
                highest = highest.max(*before);
                let _ = completed;
                ended += 1;
            }
            if offset <= highest {
                found.push(format!(
                    "partition {partition}: a call of {invoked} µs was acked at {offset}, when {highest} had been acked"
                ));
            }
        }
    }
    found
}

/// C6: records of an idempotent writer that are in the log in another order than they were sent.
pub(super) fn out_of_producer_order(facts: &Facts<'_>) -> Vec<String> {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for run in facts.logs.values().flat_map(|log| log.runs()) {
        let Some(writer) = run.writer.and_then(|id| facts.writers.get(&id)).filter(|writer| writer.idempotent) else {
            continue;
        };
        let end = run.first + u64::from(run.count);
        let before = last.insert(writer.id, end).unwrap_or(0);
        // Records in it twice are the business of C3.
        if run.first < before && end < before {
            found.push(format!("{run:?} stands after record {before} of the same writer"));
        }
    }
    found
}
