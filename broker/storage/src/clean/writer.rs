//! Writes a cleaned segment beside the log: `.log.cleaned`, its indexes, and the aborted transactions that it still needs.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use ottla_records::BatchHeader;

use super::source::{Pace, moved};
use crate::Result;
use crate::aborted::{self, Aborted};
use crate::file::{remove, write_at};
use crate::names::{self, Kind};
use crate::segment::Segment;
use crate::shared::LogShared;

/// Bytes gathered before they are written.
const PIECE: usize = 256 << 10;

/// A cleaned segment that is being written; its files go with it, unless they have got their places.
pub(crate) struct Writer {
    shared: Arc<LogShared>,
    segment: Segment,
    file: Arc<File>,
    pending: Vec<u8>,
    written: u64,
    aborted: Vec<Aborted>,
    interval: u32,
    is_placed: bool,
}

impl Writer {
    pub(crate) fn create(shared: &Arc<LogShared>, base: i64) -> Result<Self> {
        let created = Segment::cleaned(&shared.dir.cache, &shared.folder, base);
        let segment = created.map_err(|e| shared.write_failed(e))?;
        Ok(Self {
            file: segment.file()?,
            segment,
            pending: Vec::new(),
            written: 0,
            aborted: Vec::new(),
            interval: shared.interval(),
            shared: Arc::clone(shared),
            is_placed: false,
        })
    }

    /// Appends a whole batch.
    pub(crate) fn batch(&mut self, header: &BatchHeader, bytes: &[u8], pace: &mut Pace<'_>) -> Result<()> {
        self.segment.note(header, self.size(), self.interval);
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PIECE { self.write(pace) } else { Ok(()) }
    }

    /// Adds an entry to the index of aborted transactions.
    pub(crate) fn aborted(&mut self, aborted: Aborted) {
        self.aborted.push(aborted);
    }

    /// Bytes so far.
    pub(crate) fn size(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Makes it durable. The index of aborted transactions is written even without entries if `has_aborted_index`: one of
    /// the segments it comes from has one, which must not outlive it.
    pub(crate) fn finish(&mut self, modified: SystemTime, has_aborted_index: bool, pace: &mut Pace<'_>) -> Result<()> {
        self.write(pace)?;
        self.segment.seal().map_err(|e| self.shared.write_failed(e))?;
        let sync = self.file.set_modified(modified).and_then(|()| self.file.sync_all());
        sync.map_err(|e| self.shared.write_failed(self.segment.io("flush", e)))?;
        if has_aborted_index || !self.aborted.is_empty() {
            let path = self.aborted_path();
            aborted::write_all(&path, &self.aborted).map_err(|e| self.shared.write_failed(e))?;
        }
        self.segment.close_files();
        Ok(())
    }

    /// Offset of its first segment.
    pub(crate) fn base(&self) -> i64 {
        self.segment.base
    }

    /// Whether its index of aborted transactions has entries.
    pub(crate) fn has_aborted(&self) -> bool {
        !self.aborted.is_empty()
    }

    /// Its files have their places.
    pub(crate) fn placed(mut self) {
        self.is_placed = true;
    }

    fn aborted_path(&self) -> PathBuf {
        let path = names::segment_path(&self.shared.folder, self.segment.base, Kind::AbortedIndex);
        names::with_suffix(&path, names::CLEANED_SUFFIX)
    }

    fn write(&mut self, pace: &mut Pace<'_>) -> Result<()> {
        self.shared.check_usable()?;
        self.shared.dir.space.take(self.pending.len() as u64)?;
        let written = write_at(&self.file, &[], &self.pending, self.written);
        written.map_err(|e| self.shared.write_failed(self.segment.io("write", e)))?;
        let len = self.pending.len();
        self.written += len as u64;
        self.pending.clear();
        moved(pace, len)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.is_placed {
            return;
        }
        self.segment.close_files();
        let [log, offsets, times, _] = self.segment.paths();
        for path in [log, offsets, times, self.aborted_path()] {
            if let Err(error) = remove(&path) {
                tracing::warn!(%error, "cannot remove what a clean has left; the next start does");
            }
        }
    }
}
