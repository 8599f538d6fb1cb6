//! AlterPartition: the leader of a partition proposes another ISR, or says that it has recovered (KIP-497, KIP-704,
//! KIP-903).

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::partition_change::Proposal;
use super::sweep::TopicRules;
use super::{Context, Decision, Error};
use crate::metadata::{LeaderRecovery, Partition, PartitionChange, Record, Topic};
use crate::mutant::{self, Mutant};
use crate::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch, TopicId};

/// A member of a proposed ISR, in the uptime in which the leader saw it catch up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsrMember {
    /// The broker.
    pub broker: BrokerId,
    /// Its uptime; [`BrokerEpoch::NONE`] when the leader does not know.
    pub epoch: BrokerEpoch,
}

/// What a leader wants of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsrProposal {
    /// The topic.
    pub topic: TopicId,
    /// Index.
    pub partition: i32,
    /// The epoch in which the leader leads.
    pub leader_epoch: LeaderEpoch,
    /// The state that the leader proposes to change.
    pub partition_epoch: PartitionEpoch,
    /// The wanted ISR.
    pub isr: Vec<IsrMember>,
    /// The wanted recovery state.
    pub recovery: LeaderRecovery,
    /// Every member of the wanted ISR has flushed everything committed, and nothing is committed any more that it has
    /// not: see [`Partition::unflushed`].
    #[serde(default)]
    pub flushed: bool,
}

/// A broker proposes ISRs of partitions that it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterPartition {
    /// The leader.
    pub broker: BrokerId,
    /// Its uptime.
    pub broker_epoch: BrokerEpoch,
    /// What it wants; each partition at most once.
    pub proposals: Vec<IsrProposal>,
}

/// Why a proposal is refused; the leader has to wait for, or get, a newer image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum PartitionFault {
    /// UNKNOWN_TOPIC_ID.
    #[error("the topic is unknown")]
    UnknownTopic,
    /// UNKNOWN_TOPIC_OR_PARTITION.
    #[error("the partition is unknown")]
    UnknownPartition,
    /// NOT_CONTROLLER: the leader knows a newer state than this controller.
    #[error("the controller is behind the leader")]
    ControllerBehind,
    /// FENCED_LEADER_EPOCH: it leads no longer, or in another epoch.
    #[error("the leader epoch is over")]
    FencedLeaderEpoch,
    /// INVALID_UPDATE_VERSION: it proposes to change a state that has changed.
    #[error("the partition has changed since")]
    StalePartitionEpoch,
    /// INVALID_REQUEST: not among the replicas, without the leader, or recovering with followers.
    #[error("the proposal contradicts itself")]
    InvalidRequest,
    /// INELIGIBLE_REPLICA: a member is fenced, leaving, in another uptime than the leader saw, or in no directory that
    /// its broker has.
    #[error("broker {0} may not be in the ISR")]
    IneligibleReplica(BrokerId),
}

/// The partition as it is now, after an accepted proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlteredPartition {
    /// The topic.
    pub topic: TopicId,
    /// Index.
    pub partition: i32,
    /// Its state, or why it is as it was.
    pub result: Result<Partition, PartitionFault>,
}

operation!(AlterPartition => Vec<AlteredPartition>, alter_partition);

fn alter_partition(operation: AlterPartition, context: &Context<'_>) -> Result<Decision<Vec<AlteredPartition>>, Error> {
    let leader = context.registered(operation.broker, operation.broker_epoch)?.id;
    let (mut records, mut response) = (Vec::new(), Vec::new());
    for proposal in operation.proposals {
        let result = alter(&proposal, leader, context, &mut records);
        response.push(AlteredPartition { topic: proposal.topic, partition: proposal.partition, result });
    }
    Ok(Decision { records, response })
}

fn alter(
    wanted: &IsrProposal,
    leader: BrokerId,
    context: &Context<'_>,
    records: &mut Vec<Record>,
) -> Result<Partition, PartitionFault> {
    let topic = context.image.topics().by_id(wanted.topic).ok_or(PartitionFault::UnknownTopic)?;
    let before = topic.partition(wanted.partition).ok_or(PartitionFault::UnknownPartition)?;
    let checked = check(wanted, before, leader, context);
    let after = match checked {
        Ok(()) => resolve(wanted, before, topic, context),
        Err(PartitionFault::IneligibleReplica(_)) => refused_for_good(before),
        Err(fault) => return Err(fault),
    };
    if after != **before {
        records.push(Record::PartitionChanged {
            topic: wanted.topic,
            partition: wanted.partition,
            change: PartitionChange::between(before, &after),
        });
    }
    checked.map(|()| after)
}

/// The leader stops counting a member that was refused, while a copy of its proposal may still be on its way: it must
/// not find the member eligible when it comes. The epoch makes it stale.
fn refused_for_good(before: &Partition) -> Partition {
    Partition { partition_epoch: before.partition_epoch.next(), ..before.clone() }
}

fn resolve(wanted: &IsrProposal, before: &Partition, topic: &Topic, context: &Context<'_>) -> Partition {
    let mut proposal = Proposal::unchanged(before);
    proposal.isr = wanted.isr.iter().map(|member| member.broker).collect();
    proposal.recovery = wanted.recovery;
    let rules = TopicRules::of(context.image, context.settings, topic);
    // Below the minimum there may be eligible replicas besides, and the leader cannot speak for them.
    if wanted.flushed && proposal.isr.len() >= before.effective_min_isr(rules.min_isr()) {
        proposal.unflushed = false;
    }
    rules.resolve(proposal).unwrap_or_else(|| before.clone())
}

fn check(
    wanted: &IsrProposal,
    before: &Partition,
    leader: BrokerId,
    context: &Context<'_>,
) -> Result<(), PartitionFault> {
    if wanted.leader_epoch > before.leader_epoch || wanted.partition_epoch > before.partition_epoch {
        return Err(PartitionFault::ControllerBehind);
    }
    if wanted.leader_epoch < before.leader_epoch || before.leader != leader {
        return Err(PartitionFault::FencedLeaderEpoch);
    }
    if wanted.partition_epoch < before.partition_epoch {
        return Err(PartitionFault::StalePartitionEpoch);
    }
    let is_replica = |member: &IsrMember| before.replica_on(member.broker).is_some();
    let has_leader = wanted.isr.iter().any(|member| member.broker == leader);
    let recovers_alone = wanted.recovery == LeaderRecovery::Recovered || wanted.isr.len() == 1;
    let never_back = before.recovery == LeaderRecovery::Recovering || wanted.recovery == LeaderRecovery::Recovered;
    let twice = (1..wanted.isr.len()).any(|i| wanted.isr[..i].iter().any(|one| one.broker == wanted.isr[i].broker));
    if !wanted.isr.iter().all(is_replica) || !has_leader || !recovers_alone || !never_back || twice {
        return Err(PartitionFault::InvalidRequest);
    }
    let ineligible = wanted.isr.iter().find(|member| {
        let broker = context.image.broker(member.broker);
        let unknown = member.epoch == BrokerEpoch::NONE || mutant::is(Mutant::NoBrokerEpoch);
        let same_uptime = |epoch| unknown || member.epoch == epoch;
        let online = || before.replica_on(member.broker).is_some_and(|replica| context.image.is_online(replica));
        !(broker.is_some_and(|broker| broker.is_active() && same_uptime(broker.epoch)) && online())
    });
    ineligible.map_or(Ok(()), |member| Err(PartitionFault::IneligibleReplica(member.broker)))
}
