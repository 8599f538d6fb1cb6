//! Which leader epoch began at which offset (KIP-101, KIP-279), kept in `leader-epoch-checkpoint`.

use std::path::Path;

use ottla_core::partition::EpochEnd;
use ottla_core::{LeaderEpoch, Offset};

use crate::checkpoint::{self, Sync};
use crate::{Error, Result, names};

/// A leader epoch and the offset of its first batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Offset of the first batch appended under it.
    pub start: Offset,
}

/// The epochs of one log, ascending in both fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochs {
    /// Reads the checkpoint in `folder`. None if it is missing, empty or broken: it must be built anew from the log.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>> {
        let lines = match checkpoint::read_lines(&folder.join(names::LEADER_EPOCHS)) {
            Ok(Some(lines)) => lines,
            Ok(None) => return Ok(None),
            Err(Error::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let parse = |line: &String| {
            let (epoch, start) = line.split_once(' ')?;
            Some(EpochEntry { epoch: LeaderEpoch(epoch.parse().ok()?), start: Offset(start.trim().parse().ok()?) })
        };
        let entries: Option<Vec<_>> = lines.iter().map(parse).collect();
        let ascending = |e: &Vec<EpochEntry>| e.is_sorted_by(|a, b| a.epoch < b.epoch && a.start < b.start);
        Ok(entries.filter(ascending).map(|entries| Self { entries }))
    }

    /// Writes the checkpoint. It need not be durable at once: recovery reads the epochs above the recovery point from
    /// the batches.
    pub(crate) fn store(&self, folder: &Path, sync: Sync) -> Result<()> {
        let lines: Vec<String> = self.entries.iter().map(|e| format!("{} {}", e.epoch, e.start)).collect();
        checkpoint::replace_file(&folder.join(names::LEADER_EPOCHS), checkpoint::format_lines(&lines).as_bytes(), sync)
    }

    /// Takes note of a batch at `start` under `epoch`; true if that begins an epoch.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch.0 < 0 || self.latest() == Some(epoch) {
            return false;
        }
        // Entries that contradict the new one were written by a leader that lost.
        self.entries.retain(|e| e.epoch < epoch && e.start < start);
        self.entries.push(EpochEntry { epoch, start });
        true
    }

    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|e| e.epoch)
    }

    pub(crate) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The epoch that the batch at `offset` was appended under.
    pub(crate) fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|e| e.start <= offset);
        after.checked_sub(1).map(|n| self.entries[n].epoch)
    }

    /// Where `epoch` ends in a log that ends at `log_end`; none if it is above all that is known.
    pub(crate) fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        let latest = self.latest()?;
        if epoch == latest {
            return Some(EpochEnd { epoch, end: log_end });
        }
        let above = self.entries.partition_point(|e| e.epoch <= epoch);
        let next = self.entries.get(above)?;
        let floor = above.checked_sub(1).map_or(epoch, |n| self.entries[n].epoch);
        Some(EpochEnd { epoch: floor, end: next.start })
    }

    /// Forgets epochs that begin at or after `end`; true if there were any.
    pub(crate) fn truncate_end(&mut self, end: Offset) -> bool {
        let len = self.entries.len();
        self.entries.retain(|e| e.start < end);
        self.entries.len() != len
    }

    /// Forgets what lies before `start`; the epoch that holds `start` begins there now. True if something changed.
    pub(crate) fn truncate_start(&mut self, start: Offset) -> bool {
        let held = self.entries.partition_point(|e| e.start <= start);
        let Some(holding) = held.checked_sub(1) else { return false };
        let changed = holding > 0 || self.entries[holding].start != start;
        self.entries.drain(..holding);
        self.entries[0].start = start;
        changed
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in entries {
            assert!(epochs.assign(LeaderEpoch(*epoch), Offset(*start)));
        }
        epochs
    }

    fn pairs(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
        epochs.entries.iter().map(|e| (e.epoch.0, e.start.0)).collect()
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next_one() {
        let epochs = epochs(&[(2, 10), (4, 20), (7, 30)]);
        let end = |epoch| epochs.end_of(LeaderEpoch(epoch), Offset(99)).map(|e| (e.epoch.0, e.end.0));
        assert_eq!(end(1), Some((1, 10)));
        assert_eq!(end(2), Some((2, 20)));
        assert_eq!(end(3), Some((2, 20)));
        assert_eq!(end(5), Some((4, 30)));
        assert_eq!(end(7), Some((7, 99)));
        assert_eq!(end(8), None);
        assert_eq!(LeaderEpochs::default().end_of(LeaderEpoch(0), Offset(0)), None);
    }

    #[test]
    fn an_entry_replaces_those_that_contradict_it() {
        let mut epochs = epochs(&[(2, 10), (4, 20)]);
        assert!(!epochs.assign(LeaderEpoch(4), Offset(25)));
        assert!(epochs.assign(LeaderEpoch(5), Offset(15)));
        assert_eq!(pairs(&epochs), [(2, 10), (5, 15)]);
        assert_eq!(epochs.epoch_at(Offset(14)), Some(LeaderEpoch(2)));
        assert_eq!(epochs.epoch_at(Offset(9)), None);
    }

    #[test]
    fn truncation_at_either_end_keeps_the_epoch_of_what_stays() {
        let mut at_end = epochs(&[(2, 10), (4, 20), (7, 30)]);
        assert!(at_end.truncate_end(Offset(20)));
        assert_eq!(pairs(&at_end), [(2, 10)]);
        let mut at_start = epochs(&[(2, 10), (4, 20), (7, 30)]);
        assert!(at_start.truncate_start(Offset(25)));
        assert_eq!(pairs(&at_start), [(4, 25), (7, 30)]);
        assert!(!at_start.truncate_start(Offset(25)));
    }

    #[test]
    fn the_checkpoint_is_kafkas_and_a_broken_one_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let written = epochs(&[(0, 0), (3, 17)]);
        written.store(folder.path(), Sync::Later).unwrap();
        let path = folder.path().join("leader-epoch-checkpoint");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0\n2\n0 0\n3 17\n");
        assert_eq!(LeaderEpochs::load(folder.path()).unwrap(), Some(written));
        std::fs::write(&path, "0\n2\n3 17\n0 0\n").unwrap();
        assert_eq!(LeaderEpochs::load(folder.path()).unwrap(), None);
    }
}
