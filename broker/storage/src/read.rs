//! Reading a log while its writer appends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_core::{Offset, Timestamp, TopicPartition};
use parking_lot::RwLock;

use crate::file::FileSlice;
use crate::scan::Found;
use crate::segment::Segment;
use crate::shared::{LogShared, Slot};
use crate::{Error, Log, Result};

/// The shared handle of a log: cheap to clone, never waits for an append.
#[derive(Clone)]
pub struct LogReader {
    /// Shared by all clones, so that all go on together when the log moves to another directory.
    shared: Arc<RwLock<Arc<LogShared>>>,
}

/// The batch that a look-up by timestamp ends at.
#[derive(Clone, Debug)]
pub struct TimestampHit {
    /// The whole batch; the caller looks inside it for the exact record.
    pub batch: FileSlice,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its largest timestamp.
    pub max_timestamp: Timestamp,
}

impl LogReader {
    /// A reader of `shared`.
    pub(crate) fn new(shared: Arc<LogShared>) -> Self {
        Self { shared: Arc::new(RwLock::new(shared)) }
    }

    /// Has this reader and every clone of it go on with `log`, which holds the same records.
    pub fn go_on_with(&self, log: &Log) {
        *self.shared.write() = Arc::clone(&log.shared);
    }

    fn shared(&self) -> Arc<LogShared> {
        Arc::clone(&self.shared.read())
    }

    /// The partition.
    pub fn partition(&self) -> TopicPartition {
        self.shared().partition.clone()
    }

    /// The first offset that may be read.
    pub fn log_start(&self) -> Offset {
        Offset(self.shared().view.read().start)
    }

    /// The offset after the last record.
    pub fn log_end(&self) -> Offset {
        Offset(self.shared().view.read().end)
    }

    /// Everything below is on disk.
    pub fn flushed(&self) -> Offset {
        Offset(self.shared().flushed.load(Ordering::Acquire))
    }

    /// An error if the log's directory has failed.
    pub fn check_online(&self) -> Result<()> {
        self.shared().dir.check_online()
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.shared().view.read().segments.iter().map(|s| s.size).sum()
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        self.shared().view.read().segments.len()
    }

    /// Asks the flusher to make everything durable that is appended by now; its listener hears of it.
    pub fn request_flush(&self) {
        self.shared().request_flush();
    }

    /// Whole batches from the one that contains `offset` on, none of which reaches `upper`, together at most
    /// `max_bytes`; the first one even if it is larger, if `at_least_one_batch`. None if there is nothing to read yet.
    ///
    /// The slice ends at the end of a segment at the latest. It never holds a part of a batch.
    pub fn read(
        &self,
        offset: Offset,
        max_bytes: usize,
        upper: Offset,
        at_least_one_batch: bool,
    ) -> Result<Option<FileSlice>> {
        self.shared().check_usable()?;
        let mut target = offset.0;
        let within = |target: i64| -> Result<Option<(Slot, i64, bool)>> {
            let shared = self.shared();
            let view = shared.view.read();
            if offset.0 < view.start || offset.0 > view.end {
                let (start, end) = (Offset(view.start), Offset(view.end));
                return Err(Error::OffsetOutOfRange { requested: offset, start, end });
            }
            if target >= view.end.min(upper.0) {
                return Ok(None);
            }
            let n = view.segment_of(target);
            Ok(Some((view.segments[n].clone(), view.segment_end(n), upper.0 < view.segment_end(n))))
        };
        while let Some((slot, segment_end, bounded)) = within(target)? {
            let bound = if bounded { Some(upper.0) } else { None };
            match self.read_segment(&slot, target, max_bytes, bound, at_least_one_batch)? {
                Some(slice) => return Ok((slice.len > 0).then_some(slice)),
                // Compaction may leave a gap up to the next segment.
                None => target = segment_end,
            }
        }
        Ok(None)
    }

    /// None if the segment has nothing from `target` on.
    fn read_segment(
        &self,
        slot: &Slot,
        target: i64,
        max_bytes: usize,
        bound: Option<i64>,
        at_least_one_batch: bool,
    ) -> Result<Option<FileSlice>> {
        let interval = self.shared().interval();
        let segment: &Segment = &slot.segment;
        let Some(first) = segment.locate(target, slot.size, interval)? else { return Ok(None) };
        let end = match bound {
            None => slot.size,
            Some(upper) => segment.locate(upper, slot.size, interval)?.map_or(slot.size, |f| f.position),
        };
        let position = first.position;
        let len = if end <= position {
            0
        } else if end - position <= max_bytes as u64 {
            end - position
        } else if first.header.total_len() >= max_bytes {
            let fits = at_least_one_batch || first.header.total_len() == max_bytes;
            if fits { first.header.total_len() as u64 } else { 0 }
        } else {
            segment.boundary(first.end(), position + max_bytes as u64, end, interval)? - position
        };
        Ok(Some(FileSlice { file: segment.file()?, position, len: len as usize }))
    }

    /// The first batch that holds a record with at least this timestamp: its largest timestamp is at least `timestamp`.
    pub fn offset_for_timestamp(&self, timestamp: Timestamp) -> Result<Option<TimestampHit>> {
        self.shared().check_usable()?;
        let (start, segments) = {
            let shared = self.shared();
            let view = shared.view.read();
            (view.start, view.segments.clone())
        };
        for slot in &segments {
            let found = slot.segment.first_since(timestamp.0, start, slot.size, self.shared().interval())?;
            if let Some(found) = found {
                return hit(slot, &found).map(Some);
            }
        }
        Ok(None)
    }

    /// The first batch with the largest timestamp of the log; none if no record has a timestamp.
    pub fn batch_of_max_timestamp(&self) -> Result<Option<TimestampHit>> {
        self.shared().check_usable()?;
        let segments = self.shared().view.read().segments.clone();
        let mut newest = -1;
        for slot in &segments {
            newest = newest.max(slot.segment.newest(slot.size, self.shared().interval())?.timestamp);
        }
        if newest < 0 { Ok(None) } else { self.offset_for_timestamp(Timestamp(newest)) }
    }
}

fn hit(slot: &Slot, found: &Found) -> Result<TimestampHit> {
    let header = &found.header;
    let batch = FileSlice { file: slot.segment.file()?, position: found.position, len: header.total_len() };
    Ok(TimestampHit {
        batch,
        base_offset: Offset(header.base_offset),
        last_offset: Offset(header.last_offset()),
        max_timestamp: Timestamp(header.max_timestamp),
    })
}
