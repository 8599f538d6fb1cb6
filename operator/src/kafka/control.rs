//! What the brokers' cluster-control service tells, as the operator thinks of it.

use ottla_core::ids::{BrokerEpoch, BrokerId};

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerView {
    /// Its id.
    pub id: BrokerId,
    /// Its uptime.
    pub epoch: BrokerEpoch,
    /// Its rack, if it has one.
    pub rack: Option<String>,
    /// Whether the cluster takes it for dead.
    pub fenced: bool,
    /// Whether it gets no new replicas.
    pub cordoned: bool,
    /// Whether the active controller runs on it.
    pub is_controller: bool,
    /// How many partitions it leads.
    pub leaders: u32,
    /// How many replicas are assigned to it.
    pub replicas: u32,
    /// What clients outside are told, as it was set while the broker ran: `NAME://host:port`, separated by commas.
    pub advertised: String,
    /// Its log directories.
    pub directories: Vec<DirectoryView>,
}

/// A log directory of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryView {
    /// Its id.
    pub id: String,
    /// Why it does not work, if it does not.
    pub failure: Option<String>,
    /// Size of its file system and what of it is free, in bytes, if they are known.
    pub space: Option<(u64, u64)>,
}

/// Counts over all partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionHealth {
    /// All of them.
    pub total: u32,
    /// Those with a replica out of sync.
    pub under_replicated: u32,
    /// Those at which acks=all is refused.
    pub under_min_isr: u32,
    /// Those without a leader.
    pub offline: u32,
    /// Those that are being reassigned.
    pub moving: u32,
    /// Bytes that reassignments have still to copy.
    pub bytes_left: u64,
}

/// What would come of a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartVerdict {
    /// Whether nothing speaks against it that waiting could mend.
    pub allowed: bool,
    /// What waiting could mend, as far as it is named: the first partitions that would be harmed.
    pub harmed: Vec<HarmedPartition>,
    /// Whether the metadata quorum would be lost.
    pub loses_quorum: bool,
    /// Whether no majority of the metadata quorum would be left although every voter is up: there are one or two.
    pub holds_quorum: bool,
    /// How many partitions would be harmed although they are whole: they have one replica, or as many as
    /// min.insync.replicas asks for. No waiting helps them.
    pub unavoidable: u32,
    /// How many partitions wait for another broker that serves to catch up.
    pub catching_up: u32,
}

/// A partition that a restart would harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarmedPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// Whether nobody could lead it; otherwise acks=all would be refused.
    pub goes_offline: bool,
}

/// The metadata quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumView {
    /// Those that vote.
    pub voters: Vec<VoterView>,
    /// Those that only follow.
    pub observers: Vec<VoterView>,
}

/// A broker with one particular disk, as the quorum knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterView {
    /// The broker.
    pub broker: BrokerId,
    /// The id of its disk.
    pub directory: String,
}

impl BrokerView {
    /// How full its fullest disk is, if any is known; rounded up, so that only an empty one is at 0.
    pub fn disk_used_percent(&self) -> Option<i32> {
        let used = |(total, free): (u64, u64)| {
            let percent = u128::from(total.saturating_sub(free)) * 100;
            (total > 0).then(|| percent.div_ceil(u128::from(total)))
        };
        let fullest = self.directories.iter().filter_map(|directory| used(directory.space?)).max()?;
        i32::try_from(fullest).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_disk_counts_and_unknown_ones_do_not() {
        let disk = |space| DirectoryView { id: String::new(), failure: None, space };
        let mut broker = super::super::fake::broker(0);
        broker.directories = vec![disk(Some((1000, 990))), disk(Some((1000, 399))), disk(None), disk(Some((0, 0)))];
        assert_eq!(broker.disk_used_percent(), Some(61));
        broker.directories.clear();
        assert_eq!(broker.disk_used_percent(), None);
    }
}
