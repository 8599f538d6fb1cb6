//! Committed offsets of groups: C9.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::Micros;

/// C9: a committed offset that is lower than one whose commit was acked before, or that nobody had committed.
pub(super) fn regressions(facts: &Facts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut acked: BTreeMap<(&str, i32), Vec<(Micros, i64)>> = BTreeMap::new();
    let mut sent: BTreeMap<(&str, i32), BTreeMap<i64, Micros>> = BTreeMap::new();
    for commit in &facts.commits {
        let key = (commit.group.as_str(), commit.partition);
        if commit.acked {
            acked.entry(key).or_default().push((commit.completed, commit.offset));
        }
        let first = sent.entry(key).or_default().entry(commit.offset).or_insert(commit.invoked);
        *first = (*first).min(commit.invoked);
    }
    for acked in acked.values_mut() {
        acked.sort_unstable();
        let mut highest = -1;
        for (_, offset) in acked {
            highest = highest.max(*offset);
            *offset = highest;
        }
    }
    for committed in &facts.committed {
        let key = (committed.group.as_str(), committed.partition);
        let before = acked.get(&key).map_or(&[][..], Vec::as_slice);
        let count = before.partition_point(|(completed, _)| *completed < committed.invoked);
        let highest = before[..count].last().map_or(-1, |(_, offset)| *offset);
        if committed.offset < highest {
            found.push(format!("{highest} was committed, then {committed:?} was answered"));
        }
        let was_sent = sent.get(&key).and_then(|sent| sent.get(&committed.offset));
        if committed.offset >= 0 && was_sent.is_none_or(|invoked| *invoked > committed.completed) {
            found.push(format!("nobody had committed what {committed:?} says"));
        }
    }
    found
}

/// C9: records below the last committed offset that no member of the group was given.
pub(super) fn skipped(facts: &Facts<'_>) -> Vec<String> {
    let mut read: BTreeMap<i32, Vec<(i64, i64)>> = BTreeMap::new();
    for poll in facts.reads.iter().filter(|poll| poll.reader.starts_with("member-")) {
        let end = poll.runs.last().map_or(poll.offset, |run| run.offset + i64::from(run.count));
        read.entry(poll.partition).or_default().push((poll.offset, end));
    }
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    for committed in &facts.committed {
        let highest = last.entry(committed.partition).or_insert(0);
        *highest = (*highest).max(committed.offset);
    }
    let mut found = Vec::new();
    for (partition, committed) in last {
        let mut ranges = read.remove(&partition).unwrap_or_default();
        ranges.sort_unstable();
        let mut reached = 0;
        for (from, to) in ranges {
            if from > reached {
                break;
            }
            reached = reached.max(to);
        }
        if reached < committed {
            found.push(format!(
                "partition {partition}: {committed} is committed, but {reached} was given to no member before"
            ));
        }
    }
    found
}
