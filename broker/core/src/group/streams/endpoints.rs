//! Which partitions are at which endpoint, for queries of the states of an application.

use std::collections::{BTreeMap, BTreeSet};

use super::group::Group;
use super::member::Member;
use super::request::EndpointPartitions;
use super::tasks::Tasks;
use crate::metadata::Topics;

/// The endpoints of the members that have one, that of `last` at the end.
pub(crate) fn endpoints(group: &Group, last: &str, topics: &Topics) -> Vec<EndpointPartitions> {
    let others = group.members().filter(|(id, _)| ***id != *last).map(|(_, member)| member);
    others.chain(group.member(last)).filter_map(|member| of_member(group, member, topics)).collect()
}

fn of_member(group: &Group, member: &Member, topics: &Topics) -> Option<EndpointPartitions> {
    let assigned = &member.current.assigned;
    Some(EndpointPartitions {
        endpoint: member.profile.user_endpoint.clone()?,
        active: partitions(group, &assigned.active, topics),
        standby: partitions(group, &assigned.standby, topics),
    })
}

/// The partitions that the tasks read.
fn partitions(group: &Group, tasks: &Tasks, topics: &Topics) -> Vec<(String, Vec<i32>)> {
    let mut all: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    let subtopologies = group.topology.iter().flat_map(|topology| &topology.subtopologies);
    for subtopology in subtopologies {
        let Some((_, of_tasks)) = tasks.subtopologies().find(|(id, _)| **id == subtopology.id) else { continue };
        for name in subtopology.source_names() {
            let Some(topic) = topics.by_name(name) else { continue };
            let existing = of_tasks.iter().copied().filter(|index| topic.partition(*index).is_some());
            all.entry(name).or_default().extend(existing);
        }
    }
    all.into_iter().map(|(name, partitions)| (name.to_owned(), partitions.into_iter().collect())).collect()
}
