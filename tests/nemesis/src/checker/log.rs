//! The final log of a partition, and what reads say against it: C2, C7, C8 (payloads).

use super::facts::Facts;
use crate::history::{Read, Run};

/// The final log of a partition, in the order of the offsets.
#[derive(Debug, Default)]
pub(super) struct Log {
    runs: Vec<Run>,
}

impl Log {
    pub(super) fn extend(&mut self, read: &Read) {
        self.runs.extend_from_slice(&read.runs);
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The offset after the last record.
    pub(super) fn end(&self) -> i64 {
        self.runs.last().map_or(0, |run| run.offset + i64::from(run.count))
    }

    /// The term in which the record at an offset was appended.
    pub(super) fn epoch_at(&self, offset: i64) -> Option<i32> {
        let at = self.runs.partition_point(|run| run.offset + i64::from(run.count) <= offset);
        self.runs.get(at).filter(|run| run.offset <= offset).map(|run| run.epoch)
    }

    /// Whether a run stands in the log just so, whatever its term; if not, what stands at the first offset where it does not: `None` for
    /// nothing.
    pub(super) fn compare(&self, run: &Run) -> Result<(), (i64, Option<Found>)> {
        let mut done = 0u32;
        let mut at = self.runs.partition_point(|kept| kept.offset + i64::from(kept.count) <= run.offset);
        while done < run.count {
            let offset = run.offset + i64::from(done);
            let Some(kept) = self.runs.get(at).filter(|kept| kept.offset <= offset) else { return Err((offset, None)) };
            let into = (offset - kept.offset) as u32;
            let found = Found { writer: kept.writer, number: kept.first + u64::from(into) };
            let expected = Found { writer: run.writer, number: run.first + u64::from(done) };
            if found != expected {
                return Err((offset, Some(found)));
            }
            done += kept.count - into;
            at += 1;
        }
        Ok(())
    }
}

/// What stands at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) writer: Option<u32>,
    pub(super) number: u64,
}

fn against_the_log<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = (&'f Read, Run, i64, Option<Found>)> {
    facts.reads.iter().flat_map(|read| {
        let log = facts.logs.get(&read.partition);
        read.runs.iter().filter_map(move |run| {
            let outcome = log?.compare(run);
            outcome.err().map(|(offset, found)| (*read, *run, offset, found))
        })
    })
}

/// C2: another value at an offset than the one that was read there.
pub(super) fn two_values(facts: &Facts<'_>) -> Vec<String> {
    let differ = against_the_log(facts).filter_map(|(read, run, offset, found)| {
        let found = found?;
        Some(format!(
            "{} read {run:?} from partition {}; at the end, {found:?} is at {offset}",
            read.reader, read.partition
        ))
    });
    differ.collect()
}

/// C7: a record that was read and is not there at the end.
pub(super) fn read_and_gone(facts: &Facts<'_>) -> Vec<String> {
    let gone = against_the_log(facts).filter(|(.., found)| found.is_none());
    gone.map(|(read, run, offset, _)| {
        format!("{} read {run:?} from partition {}; at the end, nothing is at {offset}", read.reader, read.partition)
    })
    .collect()
}

/// C8: a record that is not what any writer writes.
pub(super) fn damaged(facts: &Facts<'_>) -> Vec<String> {
    let bad = |read: &Read| {
        let runs = read.runs.iter().filter(|run| run.writer.is_none());
        let what = |run: &Run| {
            format!("{} read a damaged record at {} of partition {}", read.reader, run.offset, read.partition)
        };
        runs.map(what).collect::<Vec<_>>()
    };
    facts.all_reads().flat_map(bad).collect()
}
