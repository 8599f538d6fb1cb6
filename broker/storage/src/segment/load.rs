//! Looks into the indexes of a segment found on disk, when it is first used, and builds them anew where they lie.

use std::fs::File;

use super::Segment;
use super::state::{Newest, State};
use crate::Result;
use crate::cache::Part;
use crate::error::io_error;
use crate::index::{OffsetEntry, TimeEntry};
use crate::scan::Walk;

impl Segment {
    /// Its state, once it is known.
    pub(super) fn loaded(&self, size: u64, interval: u32) -> Result<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        if !state.loaded {
            self.load(&mut state, size, interval)?;
        }
        Ok(state)
    }

    pub(super) fn load(&self, state: &mut State, size: u64, interval: u32) -> Result<()> {
        let sound = |state: &mut State| -> std::io::Result<Option<Option<TimeEntry>>> {
            let whole = state.offsets.load()? & state.times.load()?;
            let last_offset = state.offsets.last()?;
            let last_time = state.times.last()?;
            // Zeros at the end are what a preallocated file of a stopped Kafka, or a lost write, leaves.
            let zeros = state.offsets.len() > 1 && last_offset.is_some_and(|e| e.offset == 0)
                || state.times.len() > 1 && last_time.is_some_and(|e| e.timestamp == 0);
            let plausible = !zeros && last_offset.is_none_or(|e| u64::from(e.position) < size);
            // Without entries a segment must be small enough to need none.
            let covered = last_offset.map_or(0, |e| u64::from(e.position));
            let plausible =
                plausible && (last_offset.is_some() || size <= u64::from(interval) || size - covered < 16 << 20);
            Ok((whole && plausible).then_some(last_time))
        };
        match sound(state) {
            Ok(Some(last_time)) if self.refresh_newest(state, last_time, size)? => {
                state.loaded = true;
                Ok(())
            }
            _ => self.rebuild_state(state, size, interval),
        }
    }

    /// Reads the end of the log from the last time entry's batch on, for a larger timestamp. False if an index lies.
    pub(super) fn refresh_newest(&self, state: &mut State, last: Option<TimeEntry>, size: u64) -> Result<bool> {
        state.newest = Newest { timestamp: -1, offset: self.base };
        let file = self.file()?;
        let mut start = 0;
        if let Some(entry) = last {
            let floor = state.offsets.floor(i64::from(entry.offset), |e| i64::from(e.offset));
            if let Some(floor) = floor.map_err(|e| io_error("read", &self.path_of(Part::OffsetIndex))(e))? {
                if !self.entry_holds(&file, floor, size) {
                    return Ok(false);
                }
                start = u64::from(floor.position);
            }
        }
        let mut confirmed = last.is_none();
        let mut since_entry = 0;
        let mut walk = Walk::new(&file, start, size);
        while let Some(found) = walk.next().map_err(|e| self.damaged(e))? {
            let header = &found.header;
            if header.max_timestamp > state.newest.timestamp {
                state.newest = Newest { timestamp: header.max_timestamp, offset: header.last_offset() };
            }
            confirmed |= last.is_some_and(|e| {
                e.timestamp == header.max_timestamp && self.base + i64::from(e.offset) == header.last_offset()
            });
            since_entry += header.total_len();
        }
        state.bytes_since_entry = u32::try_from(since_entry).unwrap_or(u32::MAX);
        // Between the floor and the entry's batch nothing is newer than the entry, so the maximum above is right.
        Ok(confirmed)
    }

    /// Reads the whole segment for its indexes.
    pub(super) fn rebuild_state(&self, state: &mut State, size: u64, interval: u32) -> Result<()> {
        // A writer may be ahead of `size`; the newest timestamp that it has noted stays.
        let known = state.loaded.then_some(state.newest);
        state.clear(self.base).map_err(|e| io_error("empty the indexes of", &self.log.path())(e))?;
        let file = self.file()?;
        let mut walk = Walk::new(&file, 0, size);
        while let Some(found) = walk.next().map_err(|e| self.damaged(e))? {
            state.note(self.base, &found.header, found.position, interval);
        }
        if let Some(known) = known.filter(|k| k.timestamp > state.newest.timestamp) {
            state.newest = known;
        }
        if state.offsets.len() > 0
            && let Err(error) = state.seal(self.base)
        {
            tracing::warn!(path = %self.log.path().display(), %error, "indexes built anew are kept in memory only");
        }
        Ok(())
    }

    fn entry_holds(&self, file: &File, entry: OffsetEntry, size: u64) -> bool {
        let found = Walk::new(file, u64::from(entry.position), size).next();
        matches!(found, Ok(Some(f)) if f.header.last_offset() == self.base + i64::from(entry.offset))
    }
}
