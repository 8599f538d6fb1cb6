//! ConsumerGroupDescribe (KIP-848).

use super::Partitions;
use super::config::ConsumerConfig;
use super::group::Group;
use super::member::Member;
use super::request::{DescribedConsumer, DescribedConsumerGroup, NamedPartitions};
use crate::metadata::Topics;

/// The group as it is shown.
pub(crate) fn describe(group: &Group, config: &ConsumerConfig, topics: &Topics) -> DescribedConsumerGroup {
    DescribedConsumerGroup {
        state: group.state(),
        epoch: group.epoch,
        assignment_epoch: group.assigned.epoch,
        assignor: group.preferred_assignor().unwrap_or_else(|| config.default_assignor()).name(),
        members: group.members().map(|(id, member)| described(id, member, topics)).collect(),
    }
}

fn described(id: &str, member: &Member, topics: &Topics) -> DescribedConsumer {
    let profile = &member.profile;
    DescribedConsumer {
        member_id: id.to_owned(),
        instance_id: profile.instance_id.clone(),
        rack_id: profile.rack_id.clone(),
        epoch: member.current.epoch,
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        topics: profile.topics.iter().cloned().collect(),
        regex: profile.regex.clone(),
        assignment: named(&member.current.assigned, topics),
        target: named(&member.target, topics),
        is_classic: member.is_classic(),
    }
}

/// Topics that are gone have no name, and are left out.
pub(in crate::group) fn named(partitions: &Partitions, topics: &Topics) -> NamedPartitions {
    let topic =
        |(id, set): (_, &std::collections::BTreeSet<i32>)| Some((id, topics.by_id(id)?.name.clone(), set.clone()));
    partitions.topics().filter_map(topic).collect()
}
