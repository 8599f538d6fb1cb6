//! Every command of the controller, and how each is tied to its own response.
//!
//! Commands and responses travel between brokers of different releases ([`super::wire`]): a field added later needs
//! `#[serde(default)]`, and no field, variant or name that was once released may change its meaning. The metadata log
//! holds none of them.

use serde::{Deserialize, Serialize};

use super::{
    AllocateProducerIds, AlterClientQuotas, AlterConfigs, AlterPartition, AlterPartitionReassignments, AssignReplicas,
    BalanceLeaders, BrokerHeartbeat, Context, CordonBroker, CreatePartitions, CreateTopics, Decision, DeleteTopics,
    ElectLeaders, Error, FailDirectories, FenceBroker, FoundCluster, IncrementalAlterConfigs, RegisterBroker,
    UnregisterBroker, UpdateFeatures,
};

/// A command whose response has its own type.
pub trait Operation: Sized {
    /// What it answers.
    type Response;

    /// Decides it.
    fn decide(self, context: &Context<'_>) -> Result<Decision<Self::Response>, Error>;

    /// It as a [`Command`], to be queued among others.
    fn into_command(self) -> Command;

    /// Its response out of a [`Response`]; `None` if that answers another command.
    fn response(response: Response) -> Option<Self::Response>;
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// A command of any kind.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Command {
            $($(#[$doc])* $name($name),)*
        }

        /// The response to a command of any kind.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Response {
            $($(#[$doc])* $name(<$name as Operation>::Response),)*
        }

        impl Command {
            /// Decides it, whatever it is.
            pub fn decide(self, context: &Context<'_>) -> Result<Decision<Response>, Error> {
                match self {
                    $(Self::$name(operation) => {
                        let Decision { records, response } = operation.decide(context)?;
                        Ok(Decision { records, response: Response::$name(response) })
                    })*
                }
            }
        }
    };
}

operations! {
    /// Begin a cluster.
    FoundCluster;
    /// Begin a broker's uptime.
    RegisterBroker;
    /// A broker says that it lives and what it wants.
    BrokerHeartbeat;
    /// A broker is dead.
    FenceBroker;
    /// A broker gets nothing new, or does again.
    CordonBroker;
    /// A broker is gone for good.
    UnregisterBroker;
    /// Create topics.
    CreateTopics;
    /// Delete topics.
    DeleteTopics;
    /// Add partitions to topics.
    CreatePartitions;
    /// Change single configuration keys (KIP-339).
    IncrementalAlterConfigs;
    /// Replace whole configurations.
    AlterConfigs;
    /// A leader proposes a new ISR (KIP-497).
    AlterPartition;
    /// Begin, replace and cancel moves of replicas (KIP-455).
    AlterPartitionReassignments;
    /// A broker says where its replicas lie (KIP-858).
    AssignReplicas;
    /// Log directories of a broker have failed (KIP-858).
    FailDirectories;
    /// Elect preferred or unclean leaders (KIP-460).
    ElectLeaders;
    /// Give partitions back to their preferred leaders.
    BalanceLeaders;
    /// A broker wants producer ids (KIP-730).
    AllocateProducerIds;
    /// Finalize feature levels (KIP-584).
    UpdateFeatures;
    /// Change what clients may use (KIP-546).
    AlterClientQuotas;
}

/// Implements [`Operation`] for `$name`, which `$decide` decides.
macro_rules! operation {
    ($name:ident => $response:ty, $decide:path) => {
        impl $crate::controller::Operation for $name {
            type Response = $response;

            fn decide(
                self,
                context: &$crate::controller::Context<'_>,
            ) -> Result<$crate::controller::Decision<Self::Response>, $crate::controller::Error> {
                $decide(self, context)
            }

            fn into_command(self) -> $crate::controller::Command {
                $crate::controller::Command::$name(self)
            }

            fn response(response: $crate::controller::Response) -> Option<Self::Response> {
                match response {
                    $crate::controller::Response::$name(response) => Some(response),
                    _ => None,
                }
            }
        }
    };
}

pub(super) use operation;
