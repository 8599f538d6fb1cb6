//! StreamsGroupDescribe (KIP-1071).

use super::group::Group;
use super::member::Member;
use super::request::{DescribedStreamsGroup, DescribedStreamsMember};

/// The group as it is shown.
pub(crate) fn describe(group: &Group) -> DescribedStreamsGroup {
    let ready = group.configured.as_ref().filter(|configured| configured.is_ready());
    let topology = ready.map(|configured| &configured.topology).or(group.topology.as_ref());
    let mut topology = topology.cloned().unwrap_or_default();
    for subtopology in &mut topology.subtopologies {
        subtopology.source_topics.sort();
        subtopology.repartition_sink_topics.sort();
        subtopology.repartition_source_topics.sort_by(|one, other| one.name.cmp(&other.name));
        subtopology.changelog_topics.sort_by(|one, other| one.name.cmp(&other.name));
    }
    DescribedStreamsGroup {
        state: group.state(),
        epoch: group.epoch.epoch,
        assignment_epoch: group.assigned.epoch,
        topology,
        members: group.members().map(|(id, member)| described(id, member)).collect(),
    }
}

fn described(id: &str, member: &Member) -> DescribedStreamsMember {
    let profile = &member.profile;
    DescribedStreamsMember {
        member_id: id.to_owned(),
        epoch: member.current.epoch,
        instance_id: profile.instance_id.clone(),
        rack_id: profile.rack_id.clone(),
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        topology_epoch: profile.topology_epoch,
        process_id: profile.process_id.clone(),
        user_endpoint: profile.user_endpoint.clone(),
        client_tags: profile.client_tags.clone(),
        assignment: member.current.assigned.clone(),
        target: member.target.clone(),
    }
}
