//! The writer of one partition's log.
//!
//! All calls are synchronous and take `&mut self`: the broker keeps a [`Log`] behind the partition's lock. Readers go
//! on meanwhile through [`LogReader`]; they see an append when its end offset is published.

mod append;
mod clean;
mod maintain;
mod producing;
mod transactions;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_core::{LeaderEpoch, Now, Offset, Timestamp, TopicPartition};

use crate::leader_epochs::LeaderEpochs;
use crate::read::LogReader;
use crate::shared::LogShared;
use crate::{EpochEnd, EpochEntry, LogConfig, Result};

pub use maintain::DeletedSegments;
pub(crate) use maintain::remove_folder;
pub(crate) use producing::ProducerState;
pub use transactions::{AbortedTransaction, MarkerOf};

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendInfo {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The log end offset afterwards.
    pub log_end: Offset,
    /// The log start offset.
    pub log_start: Offset,
    /// Largest timestamp of the batch.
    pub max_timestamp: Timestamp,
    /// The broker's time if the topic has `message.timestamp.type=LogAppendTime`, else [`Timestamp::NONE`].
    pub log_append_time: Timestamp,
    /// The batch had been appended before (KIP-98): nothing was written, the offsets are those of then.
    pub duplicate: bool,
}

/// The writer of one log.
pub struct Log {
    pub(crate) shared: Arc<LogShared>,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) epochs: LeaderEpochs,
    /// An epoch has begun that the checkpoint does not have: it is written with the first batch of it, since a start
    /// forgets epochs without batches, and ten thousand partitions may change their leader at once.
    pub(crate) epochs_ahead: bool,
    pub(crate) producers: ProducerState,
    /// When the active segment was made or opened (wall clock, ms).
    pub(crate) active_since: i64,
    /// The active segment's file is preallocated up to here.
    pub(crate) allocated: u64,
    /// Bytes appended since a flush was last asked for.
    pub(crate) unflushed: u64,
}

impl Log {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.shared.partition
    }

    /// A handle for readers.
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared))
    }

    /// The first offset that may be read.
    pub fn log_start(&self) -> Offset {
        Offset(self.shared.view.read().start)
    }

    /// The offset after the last record.
    pub fn log_end(&self) -> Offset {
        Offset(self.shared.view.read().end)
    }

    /// Everything below is on disk.
    pub fn flushed(&self) -> Offset {
        Offset(self.shared.flushed.load(Ordering::Acquire))
    }

    /// The log directory that the log lies in.
    pub fn directory(&self) -> &std::path::Path {
        &self.shared.dir.path
    }

    /// The settings in force.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Changes the settings from the next append on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.shared.index_interval.store(u64::from(config.index_interval_bytes), Ordering::Relaxed);
        self.config = config;
    }

    /// Changes the number under which the flusher reports this log.
    pub fn set_handle(&mut self, handle: u64) {
        self.shared.handle.store(handle, Ordering::Release);
    }

    /// Asks the flusher to make everything durable that is appended by now; its listener hears of it.
    pub fn request_flush(&mut self) {
        self.unflushed = 0;
        self.shared.request_flush();
    }

    /// The leader epoch of the newest batch.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// Where each leader epoch begins, ascending.
    pub fn leader_epochs(&self) -> &[EpochEntry] {
        self.epochs.entries()
    }

    /// The leader epoch that the batch at `offset` was appended under.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_at(offset)
    }

    /// Where `epoch` ends (OffsetForLeaderEpoch); none if it is above all that this log has.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_of(epoch, self.log_end())
    }

    /// Takes note that this broker leads from `epoch` on, whose first batch will be at the log end (KIP-101).
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        let end = self.log_end();
        self.epochs_ahead |= self.epochs.assign(epoch, end);
    }

    /// Takes note of a batch at `start` under `epoch`.
    pub(crate) fn note_epoch(&mut self, epoch: i32, start: i64) -> Result<()> {
        if self.epochs.assign(LeaderEpoch(epoch), Offset(start)) || self.epochs_ahead {
            self.store_epochs()?;
            self.shared.entries_dirty.store(true, Ordering::Release);
        }
        Ok(())
    }

    pub(crate) fn store_epochs(&mut self) -> Result<()> {
        let stored = self.epochs.store(&self.shared.folder, crate::checkpoint::Sync::Later);
        stored.map_err(|e| self.shared.dir.write_failed(e))?;
        self.epochs_ahead = false;
        Ok(())
    }

    /// Writes what a clean stop leaves behind: sealed indexes and a producer snapshot. The caller flushes first.
    pub(crate) fn close(&mut self, now: Now) -> Result<()> {
        let active = self.active();
        active.segment.seal()?;
        if self.allocated > active.size {
            active.segment.file()?.set_len(active.size).map_err(|e| active.segment.io("trim", e))?;
        }
        self.expire_producers(now);
        self.snapshot_producers(false)?;
        for slot in &self.shared.view.read().segments {
            slot.segment.close_files();
        }
        Ok(())
    }

    /// The active segment and its published size.
    pub(crate) fn active(&self) -> crate::shared::Slot {
        let view = self.shared.view.read();
        view.segments[view.segments.len() - 1].clone()
    }
}
