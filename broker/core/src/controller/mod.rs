//! What the controller decides: pure functions from the image and a command to records and a response.
//!
//! Nothing here changes anything. The driver applies the records to a clone of the image to decide the next command
//! on, and to everyone's once they are committed. Identifiers arrive in the commands, time as an argument.
//! One file per command; [`partition_change`] is the only place that elects, shrinks an ISR or ends a move.

mod alter_partition;
mod assignment;
mod broker_life;
mod check_restart;
mod client_quotas;
mod command;
mod config_rules;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod directories;
mod elect_leaders;
mod error;
mod features;
mod found;
mod health;
pub mod internal_topics;
mod mutations;
pub mod partition_change;
mod placement;
mod producer_ids;
mod reassign;
mod registration;
mod repeated;
pub mod sessions;
mod settings;
mod sweep;
mod wire;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use alter_partition::{AlterPartition, AlteredPartition, IsrMember, IsrProposal, PartitionFault};
pub use broker_life::{BrokerHeartbeat, BrokerStatus, CordonBroker, FenceBroker, UnregisterBroker, Wish};
pub use check_restart::{Harm, HarmedPartition, QuorumEffect, RestartVerdict, check_restart};
pub use client_quotas::{AlterClientQuotas, QuotaChange};
pub use command::{Command, Operation, Response};
pub use configs::{AlterConfigs, ConfigChange, ConfigOp, IncrementalAlterConfigs, ResourceChanges, ResourceValues};
pub use create_partitions::{CreatePartitions, MorePartitions};
pub use create_topics::{CreateTopics, CreatedTopic, NewTopic, PartitionAssignment};
pub use delete_topics::{DeleteTopics, DeletedTopic, TopicRef};
pub use directories::{AssignReplicas, FailDirectories};
pub use elect_leaders::{BalanceLeaders, ElectLeaders, ElectionKind};
pub use error::Error;
pub use features::{
    FeatureUpdate, GROUP_VERSION, OTTLA_VERSION, SHARE_VERSION, STREAMS_VERSION, TRANSACTION_VERSION, UpdateFeatures,
    supported_features,
};
pub use found::FoundCluster;
pub use health::{BrokerLoad, PartitionHealth, PendingCopy, pending_copies};
pub use mutations::mutations;
pub use producer_ids::{AllocateProducerIds, PRODUCER_ID_BLOCK, ProducerIdBlock};
pub use reassign::{AlterPartitionReassignments, Reassignment};
pub use registration::{PreviousStop, RegisterBroker};
pub use repeated::settle;
pub use settings::Settings;
pub use wire::{DecodeError, decode_result, encode_result};

use crate::Now;
use crate::metadata::{Image, Record};
use crate::quota::Budget;

/// The most partitions that one request may create.
pub const MAX_PARTITIONS_PER_REQUEST: usize = 10_000;

/// What a command is decided on.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The cluster as of all decisions so far.
    pub image: &'a Image,
    /// The controller's own configuration.
    pub settings: &'a Settings,
    /// The time.
    pub now: Now,
    /// How many partitions whoever gives the command may make and delete.
    pub budget: Budget,
}

/// What a command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<R> {
    /// The facts to commit, in order; none when nothing changes.
    pub records: Vec<Record>,
    /// The answer, which holds once the records are committed.
    pub response: R,
}

impl<R> Decision<R> {
    /// A decision that changes nothing.
    pub fn unchanged(response: R) -> Self {
        Self { records: Vec::new(), response }
    }
}

/// Decides `command` on `image`.
///
/// An error is for the command as a whole; commands about several things answer for each of them in the response.
pub fn decide(image: &Image, settings: &Settings, now: Now, command: Command) -> Result<Decision<Response>, Error> {
    command.decide(&Context { image, settings, now, budget: Budget::UNLIMITED })
}
