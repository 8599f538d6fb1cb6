//! Which entries the log holds, in memory: their ids and places, and the last of them whole unless they are very long.

use std::collections::VecDeque;

use super::segments::Position;
use super::types::{LogEntry, LogId, Vote};

/// Entries are kept in memory while their frames are no more than this together: what is being applied, and what
/// followers near the end ask for. One that is longer, which tens of thousands of partitions make it, is read from the
/// disk: in memory it takes five times as much.
const KEPT_BYTES: usize = 1 << 20;

/// One entry.
pub(super) struct Slot {
    pub id: LogId,
    /// Where it lies, once it is written.
    pub at: Option<Position>,
    /// The entry; always there until it is written.
    pub entry: Option<LogEntry>,
}

/// The entries between those purged and the end, without a gap.
#[derive(Default)]
pub(super) struct Index {
    pub vote: Option<Vote>,
    pub purged: Option<LogId>,
    slots: VecDeque<Slot>,
    /// How many of the first slots have their entry no more.
    released: usize,
    kept_bytes: usize,
}

impl Index {
    /// Id of the last entry, or of the last purged one.
    pub(super) fn last(&self) -> Option<LogId> {
        self.slots.back().map(|slot| slot.id).or(self.purged)
    }

    /// Index that the first slot has, or would have.
    pub(super) fn first(&self) -> u64 {
        self.slots.front().map_or_else(|| self.purged.map_or(0, |id| id.index + 1), |slot| slot.id.index)
    }

    /// The slots with indexes in `from..to` that there are.
    pub(super) fn range(&self, from: u64, to: u64) -> impl Iterator<Item = &Slot> {
        let first = self.first();
        let position = |index: u64| usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX);
        let end = position(to).min(self.slots.len());
        self.slots.range(position(from).min(end)..end)
    }

    /// Adds an entry to the end. False when it leaves a gap.
    pub(super) fn push(&mut self, entry: LogEntry) -> bool {
        let next = self.first() + self.slots.len() as u64;
        let fits = self.slots.is_empty() && self.purged.is_none() || entry.log_id.index == next;
        if fits {
            self.slots.push_back(Slot { id: entry.log_id, at: None, entry: Some(entry) });
        }
        fits
    }

    /// Notes where an entry lies, and lets go of the oldest entries kept.
    pub(super) fn written(&mut self, id: LogId, at: Position) {
        let Some(position) = self.position(id.index) else { return };
        let slot = &mut self.slots[position];
        if slot.id == id {
            self.kept_bytes += at.len();
            slot.at = Some(at);
        }
        while self.kept_bytes > KEPT_BYTES && self.released < self.slots.len() {
            let slot = &mut self.slots[self.released];
            let Some(at) = &slot.at else { break };
            self.kept_bytes -= at.len();
            slot.entry = None;
            self.released += 1;
        }
    }

    /// Forgets the entries from `index` on.
    pub(super) fn truncate(&mut self, index: u64) {
        while self.slots.back().is_some_and(|slot| slot.id.index >= index) {
            let slot = self.slots.pop_back();
            self.forget(slot);
        }
        self.released = self.released.min(self.slots.len());
    }

    /// Forgets the entries up to `id`.
    pub(super) fn purge(&mut self, id: LogId) {
        while self.slots.front().is_some_and(|slot| slot.id.index <= id.index) {
            let slot = self.slots.pop_front();
            self.released = self.released.saturating_sub(1);
            self.forget(slot);
        }
        self.purged = Some(id);
    }

    /// The number of the oldest segment that has an entry of the log; `None` when no written entry is left.
    pub(super) fn oldest_segment(&self) -> Option<u64> {
        self.slots.iter().filter_map(|slot| slot.at.as_ref()).map(|at| at.segment).min()
    }

    fn forget(&mut self, slot: Option<Slot>) {
        if let Some(Slot { at: Some(at), entry: Some(_), .. }) = slot {
            self.kept_bytes -= at.len();
        }
    }

    fn position(&self, index: u64) -> Option<usize> {
        let position = usize::try_from(index.checked_sub(self.first())?).ok()?;
        (position < self.slots.len()).then_some(position)
    }
}
