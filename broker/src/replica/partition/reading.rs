//! What is asked of a partition without appending: batches, epochs, the watermark, and the deletion of old records.
//!
//! Must not change who leads, and takes the partition's lock only where the log's structure is asked for.

use ottla_core::partition::check_epoch;
use ottla_core::{BrokerId, LeaderEpoch, Offset};
use ottla_storage::EpochEnd;
use tokio::sync::Notify;

use super::{Consumer, Partition, Read, ReadLimits, Role};
use crate::replica::Error;

impl Partition {
    /// Reads for a consumer: whole batches from the one that holds `offset` on, below the high watermark or, for a reader
    /// of committed transactions, below the last stable offset. A follower is read only with `from_follower` (KIP-392). `current_epoch` and `last_fetched_epoch` are −1 where the reader does
    /// not say (KIP-320).
    pub fn read(
        &self,
        offset: Offset,
        current_epoch: LeaderEpoch,
        last_fetched_epoch: LeaderEpoch,
        reader: Consumer,
        limits: ReadLimits,
    ) -> Result<Read, Error> {
        let Consumer { from_follower, read_committed } = reader;
        match self.check_leader(current_epoch) {
            Err(Error::NotLeader { leader, epoch }) if from_follower && leader != BrokerId::NONE => {
                check_epoch(current_epoch, epoch)?;
            }
            checked => drop(checked?),
        }
        let high_watermark = self.high_watermark();
        let end = if read_committed { self.last_stable()? } else { high_watermark };
        let log_start = self.reader.log_start();
        let mut read = Read {
            high_watermark,
            log_start,
            records: None,
            diverging: None,
            preferred: None,
            end,
            aborted: Vec::new(),
            is_throttled: false,
        };
        if last_fetched_epoch != LeaderEpoch::NONE {
            read.diverging = self.divergence(offset, last_fetched_epoch)?;
            if read.diverging.is_some() {
                return Ok(read);
            }
        }
        let ReadLimits { max_bytes, at_least_one_batch } = limits;
        read.records = self.reader.read(offset, max_bytes, end, at_least_one_batch)?;
        if read_committed && read.records.is_some() {
            read.aborted = self.aborted(offset, end)?;
        }
        Ok(read)
    }

    /// The in-sync replica for a consumer to read from `offset` on, of those that `is_near`, if it is not the leader's own
    /// (KIP-392): of several the one that has come furthest.
    pub fn nearest_replica(&self, offset: Offset, is_near: impl Fn(BrokerId) -> bool) -> Option<BrokerId> {
        let inner = self.inner.lock();
        let Role::Leader(leader) = &inner.role else { return None };
        let term = leader.term();
        if is_near(term.leader) {
            return None;
        }
        let near = term.isr.iter().copied().filter(|broker| is_near(*broker));
        let reached = near.filter_map(|broker| Some((leader.progress(broker)?.end, broker)));
        reached.filter(|(end, _)| *end >= offset).max_by_key(|(end, _)| *end).map(|(_, broker)| broker)
    }

    /// Where the log of a reader that has `epoch` up to `offset` parts from this one, if it does.
    fn divergence(&self, offset: Offset, epoch: LeaderEpoch) -> Result<Option<EpochEnd>, Error> {
        let Some(end) = self.end_offset_for_epoch(epoch)? else {
            let (start, end) = (self.reader.log_start(), self.reader.log_end());
            return Err(Error::OffsetOutOfRange { requested: offset, start, end });
        };
        Ok((end.epoch < epoch || end.end < offset).then_some(end))
    }

    /// Where `epoch` ends in this log (KIP-101); none if it is above all that the log has.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Result<Option<EpochEnd>, Error> {
        let inner = self.inner.lock();
        let log = inner.log.as_ref().ok_or(Error::UnknownPartition)?;
        let found = log.end_offset_for_epoch(epoch);
        // The present term may have no batch yet; it then begins and ends at the end of the log.
        let Role::Leader(leader) = &inner.role else { return Ok(found) };
        if epoch == leader.term().leader_epoch {
            return Ok(Some(EpochEnd { epoch, end: log.log_end() }));
        }
        Ok(found)
    }

    /// The leader epoch that the batch at `offset` was appended under; the present one for the end of the log.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let inner = self.inner.lock();
        let log = inner.log.as_ref()?;
        if offset >= log.log_end()
            && let Role::Leader(leader) = &inner.role
        {
            return Some(leader.term().leader_epoch);
        }
        log.epoch_at(offset).or_else(|| log.latest_epoch())
    }

    /// The watermark as ListOffsets may tell it: only once it has reached the start of this term.
    pub fn established_high_watermark(&self) -> Result<Offset, Error> {
        match &self.inner.lock().role {
            Role::Leader(leader) if leader.is_established() => Ok(leader.high_watermark()),
            Role::Leader(_) => Err(Error::OffsetNotAvailable),
            role => Err(super::not_leader(role)),
        }
    }

    /// Deletes the records below `offset`; −1 means all that is committed. Gives the new log start offset, which the
    /// followers are told.
    pub fn delete_records(&self, offset: Offset) -> Result<Offset, Error> {
        self.check_leader(LeaderEpoch::NONE)?;
        let end = self.high_watermark();
        let target = if offset == Offset(-1) { end } else { offset };
        let start = self.reader.log_start();
        if target < Offset::ZERO || target > end {
            return Err(Error::OffsetOutOfRange { requested: offset, start, end });
        }
        let mut inner = self.inner.lock();
        let log = inner.log.as_mut().ok_or(Error::UnknownPartition)?;
        log.advance_log_start(target)?;
        drop(inner);
        self.hint_followers();
        Ok(self.reader.log_start())
    }

    /// The offset below which nothing is left here or on any follower that `is_alive`.
    pub fn low_watermark(&self, is_alive: impl Fn(BrokerId) -> bool) -> Result<Offset, Error> {
        match &self.inner.lock().role {
            Role::Leader(leader) => Ok(leader.low_watermark(self.reader.log_start(), is_alive)),
            role => Err(super::not_leader(role)),
        }
    }

    /// Notified when [`Partition::low_watermark`] may have another answer.
    pub fn log_starts(&self) -> &Notify {
        &self.log_starts
    }
}
