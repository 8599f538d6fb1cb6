//! What follows from one read to the next: gap-free polls (C6) and watermarks that never go back (C8).

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::{Latest, Micros, Read};

/// C6: polls of a reader that do not go on where the last one ended, or answers with gaps.
pub(super) fn gaps(facts: &Facts<'_>) -> Vec<String> {
    let mut next: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    let mut found = Vec::new();
    for read in facts.all_reads() {
        let (reader, partition) = (read.reader.as_str(), read.partition);
        let expected = *next.get(&(reader, partition)).unwrap_or(&read.offset);
        if expected != read.offset {
            found.push(format!("{reader} went on at {} of partition {partition} after {expected}", read.offset));
        }
        let mut at = read.offset;
        for run in &read.runs {
            if run.offset != at {
                found.push(format!("{reader} was given {} where {at} of partition {partition} was next", run.offset));
            }
            at = run.offset + i64::from(run.count);
        }
        if at > read.marks.high {
            let high = read.marks.high;
            found.push(format!(
                "{reader} was given records up to {at} of partition {partition}, whose watermark is {high}"
            ));
        }
        next.insert((reader, partition), at);
    }
    found
}

/// C8: a latest offset below one that was told before, below a record that was acked or read before; and a log start
/// that goes back.
///
/// Only ListOffsets is held to it. The watermark in an answer to a Fetch may trail for a moment after an election, in
/// Kafka too (KIP-207): a leader that has yet to learn what is committed still serves what it knows to be.
pub(super) fn watermarks_that_go_back(facts: &Facts<'_>) -> Vec<String> {
    let mut known: BTreeMap<i32, Vec<(Micros, i64)>> = BTreeMap::new();
    let mut asked: BTreeMap<i32, Vec<&Latest>> = BTreeMap::new();
    for latest in &facts.latest {
        known.entry(latest.partition).or_default().push((latest.completed, latest.offset));
        asked.entry(latest.partition).or_default().push(latest);
    }
    for read in facts.all_reads() {
        known.entry(read.partition).or_default().push((read.completed, read.marks.high));
    }
    for (writer, call, offset) in facts.acked() {
        known.entry(writer.partition).or_default().push((call.completed, offset + i64::from(call.count)));
    }
    let mut found = Vec::new();
    for (partition, mut asked) in asked {
        let mut known = known.remove(&partition).unwrap_or_default();
        known.sort_unstable();
        asked.sort_by_key(|latest| latest.invoked);
        let (mut ended, mut highest) = (0, 0);
        for latest in asked {
            while let Some((_, offset)) = known.get(ended).filter(|(completed, _)| *completed < latest.invoked) {
                highest = highest.max(*offset);
                ended += 1;
            }
            if latest.offset < highest {
                found.push(format!("{latest:?}, when {highest} had been told, acked or read"));
            }
        }
        found.extend(log_starts_that_go_back(facts, partition));
    }
    found
}

fn log_starts_that_go_back(facts: &Facts<'_>, partition: i32) -> Vec<String> {
    let mut reads: Vec<&Read> = facts.all_reads().filter(|read| read.partition == partition).collect();
    let mut ends: Vec<(Micros, i64)> = reads.iter().map(|read| (read.completed, read.marks.start)).collect();
    ends.sort_unstable();
    reads.sort_by_key(|read| read.invoked);
    let (mut ended, mut highest) = (0, 0);
    let mut found = Vec::new();
    for read in reads {
        while let Some((_, start)) = ends.get(ended).filter(|(completed, _)| *completed < read.invoked) {
            highest = highest.max(*start);
            ended += 1;
        }
        if read.marks.start < highest {
            found.push(format!("partition {partition}: {:?} at {} µs, after {highest}", read.marks, read.completed));
        }
    }
    found
}
