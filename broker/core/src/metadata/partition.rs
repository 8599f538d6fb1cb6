//! One partition as the controller knows it: who holds it, who leads it, who may lead it next (KIP-966).
//!
//! The rules that change it live in [`crate::controller::partition_change`], and nowhere else.

use serde::{Deserialize, Serialize};

use crate::{BrokerId, DirectoryId, LeaderEpoch, PartitionEpoch};

/// One copy of a partition: the broker and the log directory of that broker it lies in (KIP-858).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Replica {
    /// The broker.
    pub broker: BrokerId,
    /// Its log directory; [`DirectoryId::ZERO`] while the broker has not said which.
    pub directory: DirectoryId,
}

/// Whether the leader was elected cleanly or has yet to repair what an unclean election left (KIP-704).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaderRecovery {
    /// The leader holds everything that was committed.
    #[default]
    Recovered,
    /// The leader came from an unclean election and has not finished its recovery.
    Recovering,
}

/// A partition's assignment, leadership and in-sync sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Every copy, the preferred leader first.
    pub replicas: Vec<Replica>,
    /// In-sync replicas: the high watermark waits for all of them.
    pub isr: Vec<BrokerId>,
    /// Eligible leader replicas: out of the ISR but known to hold everything committed, because the high watermark
    /// does not move while the ISR is below min.insync.replicas.
    pub elr: Vec<BrokerId>,
    /// Members that the ELR lost to an unclean stop: the best guess for an unclean election.
    pub last_known_elr: Vec<BrokerId>,
    /// Replicas that a reassignment adds.
    pub adding: Vec<BrokerId>,
    /// Replicas that a reassignment takes away once those added are in sync.
    pub removing: Vec<BrokerId>,
    /// The leader; [`BrokerId::NONE`] while the partition is offline.
    pub leader: BrokerId,
    /// Whether the leader still repairs an unclean election.
    pub recovery: LeaderRecovery,
    /// Raised at each change of leader.
    pub leader_epoch: LeaderEpoch,
    /// Raised at each change of anything here.
    pub partition_epoch: PartitionEpoch,
    /// The topic has been changed to `fsync`, and members may not have flushed yet what was committed before: until
    /// the leader says that they have, a power loss costs a member its place. Means nothing while it is `replicated`.
    #[serde(default)]
    pub unflushed: bool,
}

impl Partition {
    /// The brokers that hold a copy, the preferred leader first.
    pub fn brokers(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.replicas.iter().map(|replica| replica.broker)
    }

    /// The brokers that will hold a copy once the move under way, if any, has ended.
    pub fn target(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.brokers().filter(|broker| !self.removing.contains(broker))
    }

    /// The copy on `broker`, if it has one.
    pub fn replica_on(&self, broker: BrokerId) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.broker == broker)
    }

    /// Whether a reassignment is under way.
    pub fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The least size of the ISR at which the high watermark moves: no more than there will be copies (KIP-966).
    pub fn effective_min_isr(&self, min_isr: usize) -> usize {
        effective_min_isr(min_isr, self.target().count())
    }
}

/// The rule of [`Partition::effective_min_isr`], where `targets` copies stay. Copies that a move adds do not raise what
/// is asked before those that it takes away have gone: else one copy that moves could take no append until then.
pub fn effective_min_isr(min_isr: usize, targets: usize) -> usize {
    min_isr.min(targets).max(1)
}

/// The difference between two states of one partition: what is `None` stays as it is.
///
/// The log holds these instead of whole states because a broker's end changes thousands of partitions by an ISR each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields of `Partition`
pub struct PartitionChange {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    pub leader: Option<BrokerId>,
    pub recovery: Option<LeaderRecovery>,
    pub replicas: Option<Vec<Replica>>,
    pub isr: Option<Vec<BrokerId>>,
    pub elr: Option<Vec<BrokerId>>,
    pub last_known_elr: Option<Vec<BrokerId>>,
    pub adding: Option<Vec<BrokerId>>,
    pub removing: Option<Vec<BrokerId>>,
    pub unflushed: Option<bool>,
}

impl PartitionChange {
    /// What turns `before` into `after`.
    pub fn between(before: &Partition, after: &Partition) -> Self {
        fn changed<T: Clone + PartialEq>(before: &T, after: &T) -> Option<T> {
            (before != after).then(|| after.clone())
        }
        Self {
            leader_epoch: after.leader_epoch,
            partition_epoch: after.partition_epoch,
            leader: changed(&before.leader, &after.leader),
            recovery: changed(&before.recovery, &after.recovery),
            replicas: changed(&before.replicas, &after.replicas),
            isr: changed(&before.isr, &after.isr),
            elr: changed(&before.elr, &after.elr),
            last_known_elr: changed(&before.last_known_elr, &after.last_known_elr),
            adding: changed(&before.adding, &after.adding),
            removing: changed(&before.removing, &after.removing),
            unflushed: changed(&before.unflushed, &after.unflushed),
        }
    }

    /// Makes the change.
    pub(super) fn apply_to(&self, partition: &mut Partition) {
        fn set<T: Clone>(field: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        partition.leader_epoch = self.leader_epoch;
        partition.partition_epoch = self.partition_epoch;
        set(&mut partition.leader, &self.leader);
        set(&mut partition.recovery, &self.recovery);
        set(&mut partition.replicas, &self.replicas);
        set(&mut partition.isr, &self.isr);
        set(&mut partition.elr, &self.elr);
        set(&mut partition.last_known_elr, &self.last_known_elr);
        set(&mut partition.adding, &self.adding);
        set(&mut partition.removing, &self.removing);
        set(&mut partition.unflushed, &self.unflushed);
    }
}
