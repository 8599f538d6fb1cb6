//! Appending whole batches.

use ottla_core::{LeaderEpoch, Now, Offset, Timestamp};
use ottla_records::{BatchHeader, Crc, HEADER_LEN, TimestampType, batches, crc_start};
use rustix::fs::{FallocateFlags, fallocate};

use super::{AppendInfo, Log, ProducerState};
use crate::file::write_at;
use crate::names::{self, Kind};
use crate::segment::Segment;
use crate::shared::Slot;
use crate::{Error, Result};

/// Blocks are reserved ahead of the writer, at most this far.
const PREALLOCATE: u64 = 1 << 20;
/// Smaller segments get nothing ahead: ten thousand small partitions must not hold gigabytes.
const PREALLOCATE_FROM: u64 = 256 << 10;
/// A log that nobody waits for is flushed after this many bytes, so that dirty pages never reach the limit at which
/// the kernel stalls writers, and recovery has little to read.
const FLUSH_EVERY: u64 = 64 << 20;

/// The first bytes of a batch as they will lie in the log.
type Head = [u8; HEADER_LEN];

impl Log {
    /// Appends one batch from a client or a coordinator: gives it its offsets and `epoch`, and its time if the topic
    /// says so. `batch` is exactly one batch whose checksum the caller has verified; it is not changed.
    ///
    /// A batch of an idempotent producer is checked for order; one that is here already is reported as a duplicate.
    pub fn append_as_leader(&mut self, batch: &[u8], epoch: LeaderEpoch, now: Now) -> Result<AppendInfo> {
        let mut header = whole_batch(batch)?;
        self.check_append(header.total_len())?;
        if let Some(duplicate) = self.find_duplicate(&header)? {
            return Ok(duplicate);
        }
        let mut head = self.leader_head(batch, &mut header, epoch, now);
        if self.config.timestamp_type == TimestampType::LogAppendTime {
            let mut crc = Crc::new();
            crc.update(&head[crc_start()..]);
            crc.update(&batch[HEADER_LEN..]);
            set_crc(&mut head, &mut header, crc.value());
        }
        self.roll_if_needed(&header, now)?;
        let position = self.write(&head, &batch[HEADER_LEN..])?;
        self.publish(&header, position)?;
        Ok(self.info(&header))
    }

    /// Appends the whole batches in `bytes` as the leader has them, after checking their checksums; a cut batch at the
    /// end is left out. None if there was no whole batch.
    pub fn append_as_follower(&mut self, bytes: &[u8], now: Now) -> Result<Option<AppendInfo>> {
        let mut info = None;
        let mut first = None;
        for batch in batches(bytes) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(ottla_records::Error::Incomplete { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            ottla_records::verify_crc(batch.bytes)?;
            self.check_append(batch.bytes.len())?;
            self.check_continues(&batch.header)?;
            if batch.header.base_offset > self.log_end().0 {
                self.note_gaps()?;
            }
            self.roll_if_needed(&batch.header, now)?;
            let position = self.write(batch.bytes, &[])?;
            self.publish(&batch.header, position)?;
            let first = *first.get_or_insert(Offset(batch.header.base_offset));
            info = Some(AppendInfo { base_offset: first, ..self.info(&batch.header) });
        }
        Ok(info)
    }

    /// What every append needs: a usable log, and space.
    fn check_append(&mut self, len: usize) -> Result<()> {
        self.shared.check_usable()?;
        if len as u64 > u64::from(self.config.segment_bytes) {
            return Err(Error::BatchTooLarge { size: len, limit: self.config.segment_bytes });
        }
        self.shared.dir.space.take(len as u64)
    }

    fn check_continues(&self, header: &BatchHeader) -> Result<()> {
        let expected = self.log_end();
        if header.base_offset < expected.0 {
            return Err(Error::UnexpectedOffset { expected, actual: Offset(header.base_offset) });
        }
        Ok(())
    }

    /// The header of a batch with what the leader decides; the checksum of LogAppendTime is still to be set.
    fn leader_head(&self, batch: &[u8], header: &mut BatchHeader, epoch: LeaderEpoch, now: Now) -> Head {
        let mut head = [0; HEADER_LEN];
        head.copy_from_slice(&batch[..HEADER_LEN]);
        header.base_offset = self.log_end().0;
        header.leader_epoch = epoch.0;
        ottla_records::set_base_offset(&mut head, header.base_offset);
        ottla_records::set_leader_epoch(&mut head, epoch.0);
        if self.config.timestamp_type == TimestampType::LogAppendTime {
            ottla_records::set_log_append_time(&mut head, now.wall.0);
            header.max_timestamp = now.wall.0;
        }
        head
    }

    /// Writes at the tail of the active segment; gives the position. On failure the tail is cut again.
    fn write(&mut self, head: &[u8], rest: &[u8]) -> Result<u64> {
        let active = self.active();
        let position = active.size;
        let mut work = || -> Result<()> {
            let file = active.segment.file()?;
            let end = position + (head.len() + rest.len()) as u64;
            if end > self.allocated && active.size >= PREALLOCATE_FROM {
                let until = (end + PREALLOCATE).min(u64::from(self.config.segment_bytes)).max(end);
                // Only a hint: a file system that cannot reserve blocks takes them as they are written.
                let reserved = fallocate(&file, FallocateFlags::KEEP_SIZE, position, until - position);
                self.allocated = if reserved.is_ok() { until } else { u64::MAX };
            }
            write_at(&file, head, rest, position).map_err(|e| active.segment.io("write", e))
        };
        work().map_err(|error| {
            // Readers have not seen these bytes; recovery would cut them too.
            let cut = active.segment.file().map(|f| f.set_len(active.size));
            self.allocated = 0;
            if !matches!(cut, Ok(Ok(()))) {
                self.shared.dir.fail("cannot cut a failed append");
            }
            self.shared.dir.write_failed(error)
        })?;
        Ok(position)
    }

    /// Makes a written batch part of the log.
    fn publish(&mut self, header: &BatchHeader, position: u64) -> Result<()> {
        self.note_epoch(header.leader_epoch, header.base_offset)?;
        let active = self.active();
        active.segment.note(header, position, self.config.index_interval_bytes);
        self.note_producer(header, position)?;
        {
            let mut view = self.shared.view.write();
            view.end = header.next_offset();
            if let Some(active) = view.segments.last_mut() {
                active.size = position + header.total_len() as u64;
            }
        }
        self.unflushed += header.total_len() as u64;
        if self.unflushed >= FLUSH_EVERY {
            self.request_flush();
        }
        Ok(())
    }

    /// Starts a new segment if `next` does not belong in the active one.
    fn roll_if_needed(&mut self, next: &BatchHeader, now: Now) -> Result<()> {
        let active = self.active();
        if active.segment.must_roll(next, active.size, &self.config, self.active_since, now.wall.0)? {
            self.roll(now)?;
        }
        Ok(())
    }

    /// Starts a new segment at the log end, unless the active one is empty.
    pub fn roll(&mut self, now: Now) -> Result<()> {
        let active = self.active();
        if active.size == 0 {
            return Ok(());
        }
        let mut work = || -> Result<()> {
            self.snapshot_producers(true)?;
            active.segment.seal()?;
            if self.allocated > active.size {
                active.segment.file()?.set_len(active.size).map_err(|e| active.segment.io("trim", e))?;
            }
            let end = self.log_end().0;
            let segment = Segment::create(&self.shared.dir.cache, &self.shared.folder, end)?;
            self.shared.view.write().segments.push(Slot { segment: segment.into(), size: 0 });
            Ok(())
        };
        work().map_err(|e| self.shared.dir.write_failed(e))?;
        self.shared.entries_dirty.store(true, std::sync::atomic::Ordering::Release);
        self.allocated = 0;
        self.active_since = now.wall.0;
        self.request_flush();
        Ok(())
    }

    fn info(&self, header: &BatchHeader) -> AppendInfo {
        let stamped = header.attributes.timestamp_type() == TimestampType::LogAppendTime
            || self.config.timestamp_type == TimestampType::LogAppendTime;
        let view = self.shared.view.read();
        AppendInfo {
            base_offset: Offset(header.base_offset),
            last_offset: Offset(header.last_offset()),
            log_end: Offset(view.end),
            log_start: Offset(view.start),
            max_timestamp: Timestamp(header.max_timestamp),
            log_append_time: if stamped { Timestamp(header.max_timestamp) } else { Timestamp::NONE },
            duplicate: false,
        }
    }

    /// Writes a snapshot of the producers as of the log end. At a roll always, so that a replay never has to read more
    /// than a segment; at a clean stop only if there is something to remember.
    pub(crate) fn snapshot_producers(&mut self, at_roll: bool) -> Result<()> {
        if at_roll {
            self.load_producers()?;
        }
        let end = self.log_end().0;
        let path = names::segment_path(&self.shared.folder, end, Kind::Snapshot);
        if let ProducerState::Known(tracked) = &mut self.producers {
            // What a snapshot covers is not read again.
            tracked.aborted.sync(&self.shared.folder)?;
        }
        match self.producers.known() {
            Some(producers) if at_roll || !producers.is_empty() => crate::producers::write_snapshot(producers, &path),
            // Snapshots of earlier ends are stale if every producer has expired since.
            _ => Ok(()),
        }
    }
}

/// Puts a recomputed checksum into a header.
fn set_crc(head: &mut Head, header: &mut BatchHeader, crc: u32) {
    head[17..21].copy_from_slice(&crc.to_be_bytes());
    header.crc = crc;
}

/// The header of `bytes`, which must be exactly one batch.
fn whole_batch(bytes: &[u8]) -> Result<BatchHeader> {
    let header = BatchHeader::parse(bytes)?;
    if header.total_len() > bytes.len() {
        let (needed, available) = (header.total_len(), bytes.len());
        return Err(ottla_records::Error::Incomplete { needed, available }.into());
    }
    if header.total_len() < bytes.len() {
        return Err(ottla_records::Error::Invalid("more than one batch for a partition").into());
    }
    Ok(header)
}
