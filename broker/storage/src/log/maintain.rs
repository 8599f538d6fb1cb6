//! Cutting a log at either end: retention, delete-records, truncation, deletion.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_core::{Now, Offset, TopicPartition};
use uuid::Uuid;

use super::{Log, ProducerState};
use crate::error::io_error;
use crate::names::{self, Kind};
use crate::segment::Segment;
use crate::shared::{DirShared, Slot};
use crate::{Error, Result};

/// What retention or delete-records has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeletedSegments {
    /// Number of segments.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The log start offset afterwards.
    pub log_start: Offset,
}

impl Log {
    /// Applies `retention.ms` and `retention.bytes` to whole segments below `high_watermark`, and removes segments
    /// that lie below the log start offset. The wall clock of `now` decides.
    pub fn apply_retention(&mut self, now: Now, high_watermark: Offset) -> Result<DeletedSegments> {
        self.shared.check_usable()?;
        if !self.config.delete {
            return self.delete_below_start();
        }
        let (segments, end) = {
            let view = self.shared.view.read();
            (view.segments.clone(), view.end)
        };
        let next_base = |n: usize| segments.get(n + 1).map_or(end, |s| s.segment.base);
        let mut excess = match self.config.retention_bytes {
            Some(limit) => segments.iter().map(|s| s.size).sum::<u64>().saturating_sub(limit),
            None => 0,
        };
        let mut count = 0;
        for (n, slot) in segments.iter().enumerate() {
            // A clean may have left nothing of a segment; an empty active one is as it should be.
            let is_active = n + 1 == segments.len();
            if next_base(n) > high_watermark.0 || (slot.size == 0 && is_active) {
                break;
            }
            let over_size = excess >= slot.size;
            if !over_size && !self.is_expired(slot, now)? {
                break;
            }
            excess = excess.saturating_sub(slot.size);
            count = n + 1;
        }
        if count > 0 && count == segments.len() {
            // The active segment has expired too; an empty one takes its place.
            self.roll(now)?;
        }
        if count > 0 {
            let start = next_base(count - 1);
            let mut view = self.shared.view.write();
            view.start = view.start.max(start);
        }
        self.delete_below_start()
    }

    /// Advances the log start offset (DeleteRecords, or a follower told by its leader); segments below it are removed.
    /// An offset at or below the present one changes nothing.
    pub fn advance_log_start(&mut self, offset: Offset) -> Result<DeletedSegments> {
        self.shared.check_usable()?;
        {
            let mut view = self.shared.view.write();
            if offset.0 > view.end {
                let (start, end) = (Offset(view.start), Offset(view.end));
                return Err(Error::OffsetOutOfRange { requested: offset, start, end });
            }
            view.start = view.start.max(offset.0);
        }
        self.delete_below_start()
    }

    /// Cuts the log so that it ends at `offset`, or where the batch that holds `offset` begins. Gives the new end.
    pub fn truncate_to(&mut self, offset: Offset) -> Result<Offset> {
        self.shared.check_usable()?;
        let (start, end, slots) = {
            let view = self.shared.view.read();
            (view.start, view.end, view.segments.clone())
        };
        if offset.0 >= end {
            // The term of a leader that lost before it appended anything.
            if self.epochs.truncate_end(Offset(end)) {
                self.store_epochs()?;
            }
            return Ok(Offset(end));
        }
        if offset.0 <= start {
            return self.truncate_fully_and_start_at(offset).map(|()| offset);
        }
        let n = self.shared.view.read().segment_of(offset.0);
        let slot = &slots[n];
        let found = slot.segment.locate(offset.0, slot.size, self.shared.interval())?;
        // Where a clean has left a gap, the next batch may lie behind the offset.
        let (size, end) = found.map_or((slot.size, offset.0), |f| (f.position, f.header.base_offset.min(offset.0)));
        if end <= start {
            // Records before the start have gone from the middle of that batch: nothing readable is left.
            return self.truncate_fully_and_start_at(Offset(end)).map(|()| Offset(end));
        }
        self.publish_truncation(n, size, end)?;
        let work = || -> Result<()> {
            self.shared.dir.marks.lower(&self.shared)?;
            self.shared.dir.watermarks.lower(&[(&self.shared.partition, Offset(end))])?;
            self.lower_cleaned(end)?;
            slot.segment.truncate(size, end, self.shared.interval())
        };
        work().map_err(|e| self.shared.dir.write_failed(e))?;
        self.remove_segments(&slots[n + 1..]);
        self.allocated = 0;
        self.after_truncation(end)?;
        Ok(Offset(end))
    }

    /// Forgets everything and starts an empty log at `offset`: a follower whose log lies before its leader's start.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset) -> Result<()> {
        self.shared.check_usable()?;
        let old = self.shared.view.read().segments.clone();
        self.shared.flushed.store(offset.0, Ordering::Release);
        let lowered = self.shared.dir.marks.lower(&self.shared);
        let lowered = lowered.and_then(|()| self.shared.dir.watermarks.lower(&[(&self.shared.partition, offset)]));
        let lowered = lowered.and_then(|()| self.lower_cleaned(0));
        lowered.map_err(|e| self.shared.dir.write_failed(e))?;
        self.remove_segments(&old);
        let created = Segment::create(&self.shared.dir.cache, &self.shared.folder, offset.0);
        let segment = created.map_err(|e| self.shared.dir.write_failed(e))?;
        {
            let mut view = self.shared.view.write();
            view.segments = vec![Slot { segment: Arc::new(segment), size: 0 }];
            (view.start, view.end) = (offset.0, offset.0);
            view.generation = view.generation.wrapping_add(1);
            self.shared.flushed.store(offset.0, Ordering::Release);
        }
        self.shared.entries_dirty.store(true, Ordering::Release);
        self.allocated = 0;
        self.epochs.clear();
        self.store_epochs()?;
        self.remove_snapshots(|_| true);
        self.producers = ProducerState::Empty;
        Ok(())
    }

    /// Deletes the log: its folder is renamed at once and removed in the background. Readers that hold a slice go on.
    pub fn delete(self) -> Result<()> {
        self.shared.deleted.store(true, Ordering::Release);
        self.shared.dir.marks.forget(&self.shared);
        for slot in &self.shared.view.read().segments {
            slot.segment.close_files();
        }
        remove_folder(&self.shared.dir, &self.shared.partition)
    }

    fn is_expired(&self, slot: &Slot, now: Now) -> Result<bool> {
        let Some(limit) = self.config.retention_ms else { return Ok(false) };
        let newest = slot.segment.newest(slot.size, self.shared.interval())?.timestamp;
        let newest = if newest >= 0 { newest } else { slot.segment.modified()? };
        Ok(i128::from(now.wall.0) - i128::from(newest) > limit.as_millis() as i128)
    }

    fn delete_below_start(&mut self) -> Result<DeletedSegments> {
        let (gone, start) = {
            let mut view = self.shared.view.write();
            let start = view.start;
            // The active segment stays, and so does the one that holds the start.
            let gone = (1..view.segments.len()).take_while(|n| view.segments[*n].segment.base <= start).count();
            (view.segments.drain(..gone).collect::<Vec<_>>(), start)
        };
        let bytes = gone.iter().map(|s| s.size).sum();
        self.remove_segments(&gone);
        if !gone.is_empty() {
            let first = self.shared.view.read().segments[0].segment.base;
            self.remove_snapshots(|offset| offset < first);
        }
        if self.epochs.truncate_start(Offset(start)) && !gone.is_empty() {
            self.store_epochs()?;
        }
        Ok(DeletedSegments { segments: gone.len(), bytes, log_start: Offset(start) })
    }

    fn publish_truncation(&self, n: usize, size: u64, end: i64) -> Result<()> {
        let mut view = self.shared.view.write();
        view.segments.truncate(n + 1);
        view.segments[n].size = size;
        view.end = end;
        view.generation = view.generation.wrapping_add(1);
        self.shared.flushed.fetch_min(end, Ordering::AcqRel);
        Ok(())
    }

    fn after_truncation(&mut self, end: i64) -> Result<()> {
        if self.epochs.truncate_end(Offset(end)) {
            self.store_epochs()?;
        }
        self.remove_snapshots(|offset| offset > end);
        self.producers = ProducerState::Unread(self.snapshots());
        Ok(())
    }

    /// Renames the files of segments that are out of the view, and has them removed in the background.
    fn remove_segments(&self, slots: &[Slot]) {
        let mut trash = Vec::new();
        for slot in slots {
            for path in slot.segment.paths() {
                let renamed = names::with_suffix(&path, names::DELETED_SUFFIX);
                match std::fs::rename(&path, &renamed) {
                    Ok(()) => trash.push(renamed),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => tracing::warn!(path = %path.display(), %error, "cannot rename a deleted segment"),
                }
            }
        }
        if !trash.is_empty() {
            self.shared.dir.queue.remove(trash);
        }
    }

    /// Offsets of the producer snapshots on disk, ascending.
    pub(super) fn snapshots(&self) -> Vec<i64> {
        let Ok(entries) = std::fs::read_dir(&self.shared.folder) else { return Vec::new() };
        let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
        let mut offsets: Vec<i64> = names
            .filter_map(|name| names::parse_segment_name(&name))
            .filter(|(_, kind)| *kind == Kind::Snapshot)
            .map(|(offset, _)| offset)
            .collect();
        offsets.sort_unstable();
        offsets
    }

    pub(super) fn remove_snapshots(&self, which: impl Fn(i64) -> bool) {
        for offset in self.snapshots().into_iter().filter(|o| which(*o)) {
            let path = names::segment_path(&self.shared.folder, offset, Kind::Snapshot);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a producer snapshot");
            }
        }
    }
}

/// Renames the folder of a partition, and has it removed in the background.
pub(crate) fn remove_folder(dir: &DirShared, partition: &TopicPartition) -> Result<()> {
    let folder = dir.path.join(partition.to_string());
    let target = dir.path.join(names::deleted_folder(partition, Uuid::new_v4()));
    std::fs::rename(&folder, &target).map_err(|e| dir.write_failed(io_error("rename", &folder)(e)))?;
    dir.entries_dirty.store(true, Ordering::Release);
    dir.queue.remove([target]);
    Ok(())
}
