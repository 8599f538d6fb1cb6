//! What a plan consists of.

use ottla_core::ids::BrokerId;

use super::{super::scaling::Scaling, Restart};
use crate::{
    child::Child,
    error::Refusal,
    kafka::{BrokerAt, ConfigChange, LogDirMove, Reassignment},
};

/// One thing to do, or to wait for.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write an annotation on the KafkaCluster before anything rests on it.
    Annotate {
        /// The annotation.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// Remove an annotation of the KafkaCluster: what it says is done.
    Forget {
        /// The annotation.
        key: &'static str,
    },
    /// Give up a claim, and the disk with it, once its pod is gone.
    DeleteClaim {
        /// Its name.
        name: String,
        /// That claim and no later one of its name.
        uid: String,
    },
    /// Make a claim larger, and its disk with it.
    GrowClaim {
        /// Its name.
        name: String,
        /// That claim and no later one of its name.
        uid: String,
        /// How large.
        size: String,
    },
    /// Have the StatefulSet's deletion leave the claims, and wait until its controller has heard of it.
    KeepClaims {
        /// That StatefulSet and no later one.
        uid: String,
    },
    /// Delete the StatefulSet and leave its pods to the next one.
    OrphanBrokers {
        /// That StatefulSet and no later one.
        uid: String,
        /// As it was seen.
        version: Option<String>,
    },
    /// Make a child that is never changed.
    Create(Child),
    /// Make a child as it should be.
    Apply(Child),
    /// Make the PodDisruptionBudget say whether one more broker may be taken away.
    Budget(Child),
    /// Delete the Service of a listener, or of a broker, that is no longer there.
    DeleteService {
        /// Its name.
        name: String,
        /// That Service and no later one of its name.
        uid: String,
    },
    /// Change settings that need no restart.
    ChangeConfig(Vec<ConfigChange>),
    /// Let the first of these brokers that can be spared start again from what is wanted now. Never empty.
    Restart(Vec<Restart>),
    /// Write on the KafkaCluster how its number of brokers changes, or that it does no longer.
    Scaling(Option<Scaling>),
    /// Let the StatefulSet have so many pods fewer that these are left, if the others' brokers are still empty.
    Shrink(Child, i32),
    /// Ask something of the brokers.
    Ask(Request),
    /// Do nothing: this keeps what is to be done from being done. The only step of its plan.
    Wait(Refusal),
    /// Write on a kept claim which disks the cluster has retired.
    MarkClaim {
        /// The claim.
        claim: String,
        /// That claim and no later one of its name.
        uid: String,
        /// All of the disks.
        disks: String,
    },
}

/// What is asked of the brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Give a broker nothing more, or do so again.
    Cordon {
        /// The broker.
        broker: BrokerId,
        /// True gives it nothing more.
        cordoned: bool,
    },
    /// Tell clients outside where the broker is.
    Advertise {
        /// The broker.
        broker: BrokerId,
        /// `NAME://host:port`, separated by commas.
        listeners: String,
    },
    /// Begin, replace and call off moves of partitions.
    Reassign(Vec<Reassignment>),
    /// Begin moves of replicas between the disks of their broker.
    Shift {
        /// The broker.
        broker: BrokerAt,
        /// Which replicas go where.
        moves: Vec<LogDirMove>,
    },
    /// Have preferred leaders lead these partitions.
    Elect(Vec<(String, i32)>),
    /// Change settings of a topic.
    Configure {
        /// Its name.
        topic: String,
        /// What changes.
        changes: Vec<ConfigChange>,
    },
    /// Give a broker a vote on the metadata.
    AddVoter(BrokerId),
    /// Take a vote away.
    RemoveVoter {
        /// The broker.
        broker: BrokerId,
        /// The disk that votes.
        directory: String,
    },
    /// Take a disk out of the metadata quorum for good.
    RetireDisk {
        /// The broker that had it.
        broker: BrokerId,
        /// The disk.
        directory: String,
    },
    /// Forget a broker that is gone.
    Unregister(BrokerId),
}

impl Step {
    /// Whether it only lets others know whether a broker may be taken away.
    pub fn is_of_budget(&self) -> bool {
        matches!(self, Self::Budget(_))
    }

    /// Whether it only moves partitions: nothing that the spec asks for is out of place meanwhile.
    pub fn only_balances(&self) -> bool {
        matches!(self, Self::Ask(Request::Reassign(_) | Request::Shift { .. } | Request::Elect(_)))
    }
}
