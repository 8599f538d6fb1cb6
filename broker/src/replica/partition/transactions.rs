//! Transactions in a partition: markers, verification, and how far readers of committed records may go (KIP-98, KIP-890).

use std::sync::Arc;

use ottla_core::coordinator::Verification;
use ottla_core::partition::RequiredAcks;
use ottla_core::{LeaderEpoch, Now, Offset, Producer};
use ottla_storage::{AbortedTransaction, MarkerOf, ProducerSummary};

use super::{Inner, Partition, Role, not_leader};
use crate::replica::{Error, ProduceWait};

impl Partition {
    /// Writes a marker; the place of `wait` ends when the watermark has passed it.
    pub fn append_marker(&self, of: MarkerOf, wait: (&Arc<ProduceWait>, usize), now: Now) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        let Inner { log: Some(log), role: Role::Leader(leader), effects, .. } = &mut *inner else {
            return Err(not_leader(&inner.role));
        };
        leader.check_append(RequiredAcks::All)?;
        let info = log.append_marker(of, leader.term().leader_epoch, now)?;
        leader.appended(info.log_end, effects);
        self.park(&mut inner, info.last_offset.plus(1), wait.0, wait.1);
        self.perform(inner);
        Ok(())
    }

    /// What the first batch of a transaction has to show; none if the transaction has begun here. Only the leader says.
    pub fn begin_verification(&self, producer: Producer, now: Now) -> Result<Option<Verification>, Error> {
        self.check_leader(LeaderEpoch::NONE)?;
        let begun = self.with_log(|log| log.begin_verification(producer, now)).ok_or(Error::UnknownPartition)?;
        Ok(begun?)
    }

    /// The offset that readers of committed records may read up to.
    pub fn last_stable(&self) -> Result<Offset, Error> {
        let watermark = self.high_watermark();
        Ok(self.with_log(|log| log.last_stable(watermark)).ok_or(Error::UnknownPartition)??)
    }

    /// The aborted transactions with records in `from..upper`.
    pub fn aborted(&self, from: Offset, upper: Offset) -> Result<Vec<AbortedTransaction>, Error> {
        Ok(self.with_log(|log| log.aborted_transactions(from, upper)).ok_or(Error::UnknownPartition)??)
    }

    /// The producers that the log remembers.
    pub fn producers(&self) -> Result<Vec<ProducerSummary>, Error> {
        Ok(self.with_log(ottla_storage::Log::producers).ok_or(Error::UnknownPartition)??)
    }
}
