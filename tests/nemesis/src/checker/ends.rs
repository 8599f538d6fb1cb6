//! What leaders say of the ends of their logs, which never go back (C8).
//!
//! A leader that is cut off from the controller, but not from clients, does not know that it has been replaced: it goes on
//! to tell the end that it knows, while its successor is further on, as Kafka's does. To refuse, it would have to stop
//! serving whenever the quorum does. So a leader is held to what was told, acked or read in its own term or an earlier one,
//! and what one says behind its successor's back is counted. No answer may go back within a term.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::{Micros, Read};

/// That records below an offset are committed, as a leader of this term or an earlier one knew at this time.
struct Known {
    since: Micros,
    partition: i32,
    offset: i64,
    epoch: i32,
}

/// What was told of the end of a log.
struct Answer {
    invoked: Micros,
    completed: Micros,
    partition: i32,
    offset: i64,
    epoch: i32,
    /// A ListOffsets, which must know all that was committed in earlier terms. The watermark in an answer to a Fetch may
    /// trail for a moment after an election, in Kafka too (KIP-207): it is held to its own term alone.
    is_latest: bool,
}

/// What the answers about ends came to.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Those that went back.
    pub(super) violations: Vec<String>,
    /// ListOffsets answered by leaders that had been replaced, with less than their successors had told or acked.
    pub(super) outdated: u64,
}

/// C8: an end below one that was told, acked or read before in the same term, for ListOffsets also in an earlier one.
pub(super) fn that_go_back(facts: &Facts<'_>) -> Ends {
    let mut answers = answers(facts);
    let mut known = known(facts, &answers);
    known.sort_by_key(|known| known.since);
    answers.sort_by_key(|answer| answer.invoked);
    let mut next = known.iter().peekable();
    // By partition and term, the highest offset that was known in it.
    let mut highest: BTreeMap<i32, BTreeMap<i32, i64>> = BTreeMap::new();
    let mut ends = Ends::default();
    for answer in answers {
        while let Some(known) = next.next_if(|known| known.since < answer.invoked) {
            let highest = highest.entry(known.partition).or_default().entry(known.epoch).or_insert(0);
            *highest = (*highest).max(known.offset);
        }
        let Some(terms) = highest.get(&answer.partition) else { continue };
        let since = if answer.is_latest { i32::MIN } else { answer.epoch };
        let before = terms.range(since..=answer.epoch).map(|(_, offset)| *offset).max().unwrap_or(0);
        if answer.offset < before {
            let Answer { invoked, partition, offset, epoch, is_latest, .. } = answer;
            let what = if is_latest { "ListOffsets" } else { "a Fetch" };
            ends.violations.push(format!(
                "partition {partition}: {what} of {invoked} µs was told {offset} in term {epoch}, when {before} had been \
                 told, acked or read in that term or before"
            ));
        } else if answer.is_latest && terms.values().any(|offset| answer.offset < *offset) {
            ends.outdated += 1;
        }
    }
    ends
}

fn known(facts: &Facts<'_>, answers: &[Answer]) -> Vec<Known> {
    let told = answers.iter().map(|answer| Known {
        since: answer.completed,
        partition: answer.partition,
        offset: answer.offset,
        epoch: answer.epoch,
    });
    // An idempotent writer may be told by a later leader that an earlier one has its records: it is not known of which
    // term such an ack is.
    let plain = facts.acked().filter(|(writer, ..)| !writer.idempotent);
    let acks = plain.filter_map(|(writer, call, offset)| {
        let epoch = facts.logs.get(&writer.partition)?.epoch_at(offset)?;
        let offset = offset + i64::from(call.count);
        Some(Known { since: call.completed, partition: writer.partition, offset, epoch })
    });
    told.chain(acks).collect()
}

fn answers(facts: &Facts<'_>) -> Vec<Answer> {
    let latest = facts.latest.iter().map(|latest| Answer {
        invoked: latest.invoked,
        completed: latest.completed,
        partition: latest.partition,
        offset: latest.offset,
        epoch: latest.epoch,
        is_latest: true,
    });
    let reads = facts.all_reads().map(|read| Answer {
        invoked: read.invoked,
        completed: read.completed,
        partition: read.partition,
        offset: read.marks.high,
        epoch: read.epoch,
        is_latest: false,
    });
    latest.chain(reads).collect()
}

/// C8: a log start below one that was told before.
pub(super) fn starts_that_go_back(facts: &Facts<'_>) -> Vec<String> {
    let mut partitions: BTreeMap<i32, Vec<&Read>> = BTreeMap::new();
    facts.all_reads().for_each(|read| partitions.entry(read.partition).or_default().push(read));
    partitions.into_values().flat_map(starts_of_one).collect()
}

fn starts_of_one(mut reads: Vec<&Read>) -> Vec<String> {
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
            let partition = read.partition;
            found.push(format!("partition {partition}: {:?} at {} µs, after {highest}", read.marks, read.completed));
        }
    }
    found
}
