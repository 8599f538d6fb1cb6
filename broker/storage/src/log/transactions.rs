//! Transactions as a log sees them: markers, what of it is stable, and what was aborted (KIP-98, KIP-890).

use ottla_core::coordinator::Verification;
use ottla_core::{LeaderEpoch, Now, Offset, Producer, ProducerId};
use ottla_records::{BatchHeader, Marker};

use super::{AppendInfo, Log, ProducerState};
use crate::{ProducerError, Result};

/// Whose transaction a marker ends, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkerOf {
    /// The producer: with version 2 of transactions in the next epoch, which fences the one that ends.
    pub producer: Producer,
    /// Whether the producer is in the epoch after that of the transaction that ends (version 2): then no transaction of
    /// this epoch is meant.
    pub in_next_epoch: bool,
    /// The end.
    pub marker: Marker,
}

/// An aborted transaction, as a reader of committed records has to know it: from `first_offset` on it passes over what
/// the producer has written, up to the next abort marker of that producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
}

impl Log {
    /// The offset that readers of committed records may read up to: the first record of the first transaction that is
    /// open, or whose marker lies at or above `watermark`; else `watermark`. Never below the log start, where the first
    /// records of an open transaction may have been deleted.
    pub fn last_stable(&mut self, watermark: Offset) -> Result<Offset> {
        self.load_producers()?;
        let stable = match &mut self.producers {
            ProducerState::Known(tracked) => Offset(tracked.producers.last_stable(watermark.0)),
            ProducerState::Unread(_) | ProducerState::Empty => watermark,
        };
        Ok(stable.max(self.log_start().min(watermark)))
    }

    /// The aborted transactions that have a record within `from..upper`, by their markers.
    pub fn aborted_transactions(&mut self, from: Offset, upper: Offset) -> Result<Vec<AbortedTransaction>> {
        self.load_producers()?;
        let ProducerState::Known(tracked) = &self.producers else { return Ok(Vec::new()) };
        let base = {
            let view = self.shared.view.read();
            view.segments[view.segment_of(from.0)].segment.base
        };
        let found = tracked.aborted.overlapping(&self.shared.folder, base, from.0, upper.0)?;
        let aborted = found.into_iter().map(|aborted| AbortedTransaction {
            producer: ProducerId(aborted.producer),
            first_offset: Offset(aborted.first),
        });
        Ok(aborted.collect())
    }

    /// Ends the transaction of a producer. It may be that none is open: a marker comes again when its ack was lost.
    ///
    /// # Errors
    /// Refuses a marker of an older epoch of the producer, or of an older coordinator; with version 2 also one that has
    /// come late, when the next transaction is open already.
    pub fn append_marker(&mut self, of: MarkerOf, epoch: LeaderEpoch, now: Now) -> Result<AppendInfo> {
        self.load_producers()?;
        if let ProducerState::Known(tracked) = &self.producers {
            tracked.producers.check_marker(&of)?;
        }
        let batch = of.marker.batch(of.producer.id.0, of.producer.epoch.0, now.wall.0);
        self.append_as_leader(&batch, epoch, now)
    }

    /// What a batch that would begin a transaction here has to show at its append, after the coordinator has confirmed
    /// the transaction; none if the transaction of this epoch has begun here already.
    pub fn begin_verification(&mut self, producer: Producer, now: Now) -> Result<Option<Verification>> {
        self.load_producers()?;
        if let ProducerState::Empty = self.producers {
            self.producers = ProducerState::Known(Box::default());
        }
        let ProducerState::Known(tracked) = &mut self.producers else { return Ok(None) };
        Ok(tracked.producers.verify(producer.id.0, producer.epoch.0, now.wall.0))
    }

    /// Whether the batch with this header may be appended now, if it is a client's and part of a transaction. A batch
    /// that is here already may, so that it is answered as it was then.
    pub fn check_verified(&mut self, header: &BatchHeader, verified: Option<Verification>) -> Result<()> {
        if !header.attributes.is_transactional() || self.find_duplicate(header)?.is_some() {
            return Ok(());
        }
        match &self.producers {
            ProducerState::Known(tracked) => {
                tracked.producers.check_verified(header.producer_id, header.producer_epoch, verified)?
            }
            ProducerState::Unread(_) | ProducerState::Empty => {
                return Err(ProducerError::NotVerified { id: ProducerId(header.producer_id) }.into());
            }
        }
        Ok(())
    }
}
