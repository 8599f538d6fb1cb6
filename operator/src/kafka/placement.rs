//! Where partitions lie, and what is asked to lie elsewhere.

use ottla_core::ids::BrokerId;

/// One topic's partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlacement {
    /// Its name.
    pub topic: String,
    /// In-sync replicas that acks=all needs.
    pub min_in_sync: usize,
    /// Its partitions, by ascending index.
    pub partitions: Vec<PartitionPlacement>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionPlacement {
    /// Its index.
    pub index: i32,
    /// Who holds it once the reassignment under way, if any, has ended: the preferred leader first.
    pub target: Vec<BrokerId>,
    /// Who gets a copy by the reassignment.
    pub adding: Vec<BrokerId>,
    /// Whose copy goes when it ends.
    pub removing: Vec<BrokerId>,
    /// Who is in sync.
    pub in_sync: Vec<BrokerId>,
    /// Its leader, if it has one.
    pub leader: Option<BrokerId>,
    /// Bytes that the leader holds, if it told.
    pub bytes: Option<u64>,
}

/// What is asked of one partition (KIP-455).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    /// Its topic.
    pub topic: String,
    /// Its index.
    pub partition: i32,
    /// The brokers that are to hold it, the preferred leader first; `None` calls the reassignment under way off.
    pub replicas: Option<Vec<BrokerId>>,
}

/// A partition that was not reassigned, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReassigned {
    /// Its topic.
    pub topic: String,
    /// Its index.
    pub partition: i32,
    /// What the controller says.
    pub reason: String,
}

impl PartitionPlacement {
    /// Whether `broker` holds a copy now, or is to.
    pub fn involves(&self, broker: BrokerId) -> bool {
        [&self.target, &self.adding, &self.removing].iter().any(|list| list.contains(&broker))
    }
}
