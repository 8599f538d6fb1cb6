//! ShareGroupDescribe (KIP-932).

use super::assignor;
use super::group::Group;
use super::member::Member;
use super::request::{DescribedShareGroup, DescribedShareMember};
use crate::group::consumer::describe::named;
use crate::metadata::Topics;

/// The group as it is shown.
pub(crate) fn describe(group: &Group, topics: &Topics) -> DescribedShareGroup {
    DescribedShareGroup {
        state: group.state(),
        epoch: group.epoch,
        assignment_epoch: group.assigned.epoch,
        assignor: assignor::NAME,
        members: group.members().map(|(id, member)| described(id, member, topics)).collect(),
    }
}

fn described(id: &str, member: &Member, topics: &Topics) -> DescribedShareMember {
    let profile = &member.profile;
    DescribedShareMember {
        member_id: id.to_owned(),
        rack_id: profile.rack_id.clone(),
        epoch: member.current.epoch,
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        topics: profile.topics.iter().cloned().collect(),
        assignment: named(&member.current.assigned, topics),
    }
}
