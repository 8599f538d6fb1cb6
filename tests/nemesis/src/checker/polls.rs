//! What follows from one read to the next: polls without gaps (C6).

use std::collections::BTreeMap;

use super::facts::Facts;

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
        // A leader that has yet to learn what is committed may know less than the reader has.
        if !read.runs.is_empty() && at > read.marks.high {
            let high = read.marks.high;
            found.push(format!(
                "{reader} was given records up to {at} of partition {partition}, whose watermark is {high}"
            ));
        }
        next.insert((reader, partition), at);
    }
    found
}
