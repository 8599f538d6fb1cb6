//! One segment of a log: its `.log` file with the two indexes beside it.
//!
//! How many bytes of the file are published is not known here: every call is given the size it may look at.

mod load;
mod state;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_records::BatchHeader;
use parking_lot::Mutex;

use crate::error::io_error;
pub(crate) use state::Newest;
use state::State;

use crate::cache::{CachedFile, FileCache, Part};
use crate::index::{Index, OffsetEntry};
use crate::names::Kind;
use crate::scan::{Found, Walk, WalkError};
use crate::{Error, LogConfig, Result};

/// A segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: i64,
    pub(crate) log: CachedFile,
    state: Mutex<State>,
}

impl Segment {
    fn new(log: CachedFile, base: i64, loaded: bool) -> Self {
        let state = State {
            loaded,
            offsets: Index::empty(log.beside(Part::OffsetIndex)),
            times: Index::empty(log.beside(Part::TimeIndex)),
            newest: Newest { timestamp: -1, offset: base },
            first_timestamp: None,
            bytes_since_entry: 0,
        };
        Self { base, log, state: Mutex::new(state) }
    }

    /// A new, empty segment; leftovers of the same name are emptied. Its file is not held open: of very many partitions that
    /// are made at once few are written to soon.
    pub(crate) fn create(cache: &Arc<FileCache>, folder: &Arc<Path>, base: i64) -> Result<Self> {
        let segment = Self::new(CachedFile::log(cache, folder, base), base, true);
        let path = segment.log.path();
        File::create(&path).map_err(io_error("create", &path))?;
        Ok(segment)
    }

    /// A segment that is on disk.
    pub(crate) fn existing(cache: &Arc<FileCache>, folder: &Arc<Path>, base: i64) -> Self {
        Self::new(CachedFile::log(cache, folder, base), base, false)
    }

    /// A new, empty segment that a clean writes beside the log; leftovers of the same name are emptied.
    pub(crate) fn cleaned(cache: &Arc<FileCache>, folder: &Arc<Path>, base: i64) -> Result<Self> {
        let segment = Self::new(CachedFile::cleaned(cache, folder, base), base, true);
        let make = || segment.files().into_iter().try_for_each(|file| file.open(true)?.set_len(0));
        make().map_err(|e: std::io::Error| io_error("create", &segment.log.path())(e))?;
        Ok(segment)
    }

    /// Another segment is about to take its place and perhaps its names: who reads it goes on with what it was.
    pub(crate) fn retire(&self) -> Result<()> {
        self.files().into_iter().try_for_each(|file| file.retire()).map_err(|e| self.io("open", e))
    }

    /// It keeps its place after all.
    pub(crate) fn unretire(&self) {
        self.files().into_iter().for_each(|file| file.unretire());
    }

    fn files(&self) -> [CachedFile; 3] {
        Part::ALL.map(|part| self.log.beside(part))
    }

    fn path_of(&self, part: Part) -> PathBuf {
        self.log.beside(part).path()
    }

    pub(crate) fn file(&self) -> Result<Arc<File>> {
        self.log.open(false).map_err(|e| self.io("open", e))
    }

    pub(crate) fn io(&self, operation: &'static str, error: std::io::Error) -> Error {
        io_error(operation, &self.log.path())(error)
    }

    pub(crate) fn damaged(&self, error: WalkError) -> Error {
        match error {
            WalkError::Io(e) => self.io("read", e),
            WalkError::Invalid { position, reason } => {
                Error::Damaged { path: self.log.path(), position, reason: reason.to_string() }
            }
        }
    }

    /// Takes note of a batch that has been written at `position`, and indexes it if it is time.
    pub(crate) fn note(&self, header: &BatchHeader, position: u64, index_interval: u32) {
        let mut state = self.state.lock();
        state.note(self.base, header, position, index_interval);
    }

    /// Whether the batch `next` must go to a new segment, in a segment of `size` bytes.
    pub(crate) fn must_roll(
        &self,
        next: &BatchHeader,
        size: u64,
        config: &LogConfig,
        created: i64,
        now: i64,
    ) -> Result<bool> {
        if size == 0 {
            return Ok(false);
        }
        if size + next.total_len() as u64 > u64::from(config.segment_bytes)
            || next.last_offset() - self.base > i64::from(i32::MAX)
        {
            return Ok(true);
        }
        let mut state = self.loaded(size, config.index_interval_bytes)?;
        let capacity = (config.segment_index_bytes as usize / 8).max(1);
        let time_capacity = (config.segment_index_bytes as usize / 12).max(2);
        let index_full = state.offsets.len() >= capacity || state.times.len() + 1 >= time_capacity;
        if index_full {
            return Ok(true);
        }
        let first = self.first_of(&mut state, size)?;
        let waited = if first >= 0 { next.max_timestamp.saturating_sub(first) } else { now - created };
        let limit = config.longest_segment().saturating_sub(config.segment_jitter).as_millis();
        Ok(i64::try_from(limit).is_ok_and(|limit| waited > limit))
    }

    /// The timestamp of the first batch, or −1 if there is none.
    pub(crate) fn first_timestamp(&self, size: u64, interval: u32) -> Result<i64> {
        let mut state = self.loaded(size, interval)?;
        self.first_of(&mut state, size)
    }

    fn first_of(&self, state: &mut State, size: u64) -> Result<i64> {
        if let Some(first) = state.first_timestamp {
            return Ok(first);
        }
        let file = self.file()?;
        let first = Walk::new(&file, 0, size).next().map_err(|e| self.damaged(e))?;
        Ok(*state.first_timestamp.insert(first.map_or(-1, |f| f.header.max_timestamp)))
    }

    /// Writes the indexes' ends: the segment will get no more.
    pub(crate) fn seal(&self) -> Result<()> {
        let mut state = self.state.lock();
        if !state.loaded {
            return Ok(());
        }
        state.seal(self.base).map_err(|e| io_error("write the indexes of", &self.log.path())(e))
    }

    /// The batch that holds `target`, or else the first one after it, within the first `size` bytes.
    pub(crate) fn locate(&self, target: i64, size: u64, interval: u32) -> Result<Option<Found>> {
        let relative = target.saturating_sub(self.base);
        let file = self.file()?;
        let (mut walk, mut next) = self.walk_from(&file, size, interval, relative, |e| i64::from(e.offset))?;
        while let Some(found) = next {
            if found.header.last_offset() >= target {
                return Ok(Some(found));
            }
            next = walk.next().map_err(|e| self.damaged(e))?;
        }
        Ok(None)
    }

    /// The end of the last whole batch that ends at or before `limit`; `from` is a batch boundary before it.
    pub(crate) fn boundary(&self, from: u64, limit: u64, size: u64, interval: u32) -> Result<u64> {
        let file = self.file()?;
        let target = i64::try_from(limit).unwrap_or(i64::MAX);
        let (mut walk, mut next) = self.walk_from(&file, size, interval, target, |e| i64::from(e.position))?;
        if next.is_none_or(|f| f.position < from) {
            walk = Walk::new(&file, from, size);
            next = walk.next().map_err(|e| self.damaged(e))?;
        }
        let mut boundary = next.map_or(from, |f| f.position);
        while let Some(found) = next {
            if found.end() > limit {
                break;
            }
            boundary = found.end();
            next = walk.next().map_err(|e| self.damaged(e))?;
        }
        Ok(boundary)
    }

    /// The first batch that reaches the offset `from` and whose largest timestamp is at least `timestamp`.
    pub(crate) fn first_since(&self, timestamp: i64, from: i64, size: u64, interval: u32) -> Result<Option<Found>> {
        let entry = {
            let state = self.loaded(size, interval)?;
            if state.newest.timestamp < timestamp {
                return Ok(None);
            }
            let floor = state.times.floor(timestamp, |e| e.timestamp);
            floor.map_err(|e| io_error("read", &self.path_of(Part::TimeIndex))(e))?
        };
        let mut start = self.locate(entry.map_or(self.base, |e| self.base + i64::from(e.offset)), size, interval)?;
        // A time index may be stale after a power loss; an entry that is ahead of the batch it names proves nothing.
        if entry.is_some_and(|e| start.is_none_or(|s| s.header.max_timestamp != e.timestamp)) {
            start = self.locate(self.base, size, interval)?;
        }
        let Some(start) = start else { return Ok(None) };
        let file = self.file()?;
        let mut walk = Walk::new(&file, start.position, size);
        while let Some(found) = walk.next().map_err(|e| self.damaged(e))? {
            if found.header.max_timestamp >= timestamp && found.header.last_offset() >= from {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// When its file was last written, in ms: stands in for timestamps that records do not have.
    pub(crate) fn modified(&self) -> Result<i64> {
        let modified = self.file()?.metadata().and_then(|m| m.modified()).map_err(|e| self.io("stat", e))?;
        let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// The largest timestamp.
    pub(crate) fn newest(&self, size: u64, interval: u32) -> Result<Newest> {
        Ok(self.loaded(size, interval)?.newest)
    }

    /// Forgets what lies from `size` bytes on; `end` is the offset after the last batch that stays.
    pub(crate) fn truncate(&self, size: u64, end: i64, interval: u32) -> Result<()> {
        let file = self.file()?;
        file.set_len(size).map_err(|e| self.io("truncate", e))?;
        let mut state = self.state.lock();
        if !state.loaded {
            return self.load(&mut state, size, interval);
        }
        let last_kept = end - self.base - 1;
        state
            .offsets
            .truncate(last_kept, |e| i64::from(e.offset))
            .map_err(|e| io_error("truncate", &self.path_of(Part::OffsetIndex))(e))?;
        state
            .times
            .truncate(last_kept, |e| i64::from(e.offset))
            .map_err(|e| io_error("truncate", &self.path_of(Part::TimeIndex))(e))?;
        // The newest timestamp may have been cut off: what is left behind the last time entry is read again.
        let last = state.times.last().map_err(|e| io_error("read", &self.path_of(Part::TimeIndex))(e))?;
        if self.refresh_newest(&mut state, last, size)? {
            Ok(())
        } else {
            self.rebuild_state(&mut state, size, interval)
        }
    }

    /// Builds the indexes anew from the log.
    pub(crate) fn rebuild(&self, size: u64, interval: u32) -> Result<()> {
        let mut state = self.state.lock();
        self.rebuild_state(&mut state, size, interval)
    }

    /// Starts the indexes from nothing, on disk too where there are any: [`Segment::note`] will be called for every batch.
    pub(crate) fn reset(&self, on_disk: bool) -> Result<()> {
        let mut state = self.state.lock();
        if !on_disk {
            state.begin(self.base);
            return Ok(());
        }
        state.clear(self.base).map_err(|e| io_error("empty the indexes of", &self.log.path())(e))
    }

    /// The paths of its files, of which some may be missing.
    pub(crate) fn paths(&self) -> [PathBuf; 4] {
        let aborted = self.log.path().with_extension(Kind::AbortedIndex.extension());
        [self.log.path(), self.path_of(Part::OffsetIndex), self.path_of(Part::TimeIndex), aborted]
    }

    /// Bytes of its indexes.
    pub(crate) fn index_bytes(&self, size: u64, interval: u32) -> Result<u64> {
        Ok(self.loaded(size, interval)?.index_bytes())
    }

    pub(crate) fn close_files(&self) {
        self.files().into_iter().for_each(|file| file.close());
    }

    /// A walk that begins with the batch of the last index entry whose `key` is at most `target`, and that batch. The
    /// entry has been compared with the batch.
    fn walk_from<'f>(
        &self,
        file: &'f File,
        size: u64,
        interval: u32,
        target: i64,
        key: impl Fn(&OffsetEntry) -> i64,
    ) -> Result<(Walk<'f>, Option<Found>)> {
        if let Some(entry) = self.entry_at(size, interval, target, &key)? {
            let position = u64::from(entry.position);
            let mut walk = Walk::new(file, position, size);
            // Behind the target it would skip what was asked for: positions out of order mislead the search.
            if key(&entry) <= target
                && let Ok(Some(found)) = walk.next()
                && found.header.last_offset() == self.base + i64::from(entry.offset)
            {
                return Ok((walk, Some(found)));
            }
            let path = self.path_of(Part::OffsetIndex);
            tracing::warn!(path = %path.display(), position, "offset index does not match its log, rebuilding it");
            self.rebuild(size, interval)?;
        }
        let mut walk = Walk::new(file, 0, size);
        let first = walk.next().map_err(|e| self.damaged(e))?;
        Ok((walk, first))
    }

    /// The last index entry whose `key` is at most `target`, or an older one that lies within `size`.
    fn entry_at(
        &self,
        size: u64,
        interval: u32,
        target: i64,
        key: impl Fn(&OffsetEntry) -> i64,
    ) -> Result<Option<OffsetEntry>> {
        let state = self.loaded(size, interval)?;
        let mut entry = state.offsets.floor(target, key);
        if matches!(entry, Ok(Some(e)) if u64::from(e.position) >= size) {
            // The writer is ahead of the size that this reader knows.
            let last = i64::try_from(size).unwrap_or(i64::MAX) - 1;
            entry = state.offsets.floor(last, |e| i64::from(e.position));
        }
        entry.map_err(|e| io_error("read", &self.path_of(Part::OffsetIndex))(e))
    }
}
