//! What follows from one read to the next: gap-free polls (C6) and watermarks that never go back (C8).

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::{Micros, Read, Watermarks};

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

/// C8: a watermark, last stable offset or log start that is lower than an earlier answer had it.
pub(super) fn watermarks_that_go_back(facts: &Facts<'_>) -> Vec<String> {
    let mut partitions: BTreeMap<i32, Vec<&Read>> = BTreeMap::new();
    for read in facts.all_reads() {
        partitions.entry(read.partition).or_default().push(read);
    }
    let mut found = Vec::new();
    for (partition, mut reads) in partitions {
        let mut ends: Vec<(Micros, Watermarks)> = reads.iter().map(|read| (read.completed, read.marks)).collect();
        ends.sort_by_key(|(completed, _)| *completed);
        reads.sort_by_key(|read| read.invoked);
        let mut ended = 0;
        let mut seen = Watermarks { high: 0, stable: 0, start: 0 };
        for read in reads {
            while let Some((_, marks)) = ends.get(ended).filter(|(completed, _)| *completed < read.invoked) {
                seen.high = seen.high.max(marks.high);
                seen.stable = seen.stable.max(marks.stable);
                seen.start = seen.start.max(marks.start);
                ended += 1;
            }
            let marks = read.marks;
            if marks.high < seen.high || marks.stable < seen.stable || marks.start < seen.start {
                found.push(format!("partition {partition}: {marks:?} at {} µs, after {seen:?}", read.completed));
            }
        }
    }
    found
}
