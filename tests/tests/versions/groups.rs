//! Groups of the classic protocol: how they are found, form, go on, are shown and dissolve.

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::find_coordinator::Coordinator;
use ottla_protocol::messages::join_group::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group::MemberIdentity;
use ottla_protocol::messages::sync_group::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, SyncGroupRequest, SyncGroupResponse,
};

use super::offsets::commit_alone;
use super::world::{Scenario, World, eventually, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] = &[
    scenario!(FindCoordinator, find_coordinator),
    scenario!(JoinGroup, join_group),
    scenario!(SyncGroup, sync_group),
    scenario!(Heartbeat, heartbeat),
    scenario!(LeaveGroup, leave_group),
    scenario!(DescribeGroups, describe_groups),
    scenario!(ListGroups, list_groups),
    scenario!(DeleteGroups, delete_groups),
];

const METADATA: &[u8] = b"what it wants";
const ASSIGNMENT: &[u8] = b"what it gets";
/// The id of one that is no member.
const STRANGER: &str = "stranger";

/// A group whose coordinator is ready.
pub async fn new_group(world: &mut World) -> Str {
    let group = world.name("group");
    let request = FindCoordinatorRequest { coordinator_keys: vec![group.clone()], ..Default::default() };
    let is_found = async || (world.call(&request, 6).await.coordinators[0].error_code == ErrorCode::NONE).then_some(());
    eventually("the group has a coordinator", is_found).await;
    let is_loading = [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS];
    let beat = beat_of(&group, STRANGER, 1);
    let is_ready = async || (!is_loading.contains(&world.call(&beat, 4).await.error_code)).then_some(());
    eventually("the coordinator has read its log", is_ready).await;
    group
}

async fn find_coordinator(world: &mut World, version: i16) {
    let address = world.cluster.address(0);
    let (host, port) = address.rsplit_once(':').unwrap();
    let expected = (ErrorCode::NONE, 0, host.to_owned(), port.parse::<i32>().unwrap());
    let place = |c: &Coordinator| (c.error_code, c.node_id, c.host.to_string(), c.port);
    // Groups, and since version 1 transactional ids.
    for key_type in 0..=i8::from(version >= 1) {
        let keys = vec![world.name("one"), world.name("two")];
        if version >= 4 {
            let request = FindCoordinatorRequest { key_type, coordinator_keys: keys.clone(), ..Default::default() };
            let answer = world.call(&request, version).await.coordinators;
            assert_eq!(answer.iter().map(|one| one.key.clone()).collect::<Vec<_>>(), keys);
            assert!(answer.iter().all(|one| place(one) == expected), "{answer:?}");
        } else {
            let request = FindCoordinatorRequest { key: keys[0].clone(), key_type, ..Default::default() };
            let answer = world.call(&request, version).await;
            assert_eq!((answer.error_code, answer.node_id, answer.host.to_string(), answer.port), expected);
        }
    }
}

fn join_of(group: &Str, member_id: Str, instance_id: Option<Str>) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.clone(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id,
        group_instance_id: instance_id,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::from_static(METADATA) }],
        ..Default::default()
    }
}

fn sync_of(group: &Str, joined: &JoinGroupResponse) -> SyncGroupRequest {
    let assignment =
        SyncGroupRequestAssignment { member_id: joined.member_id.clone(), assignment: Bytes::from_static(ASSIGNMENT) };
    SyncGroupRequest {
        group_id: group.clone(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![assignment],
        ..Default::default()
    }
}

fn beat_of(group: &Str, member_id: &str, generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest { group_id: group.clone(), generation_id, member_id: member_id.into(), ..Default::default() }
}

/// Joins at `version` as the only member.
async fn join(world: &mut World, version: i16, group: &Str, instance_id: Option<Str>) -> JoinGroupResponse {
    let request = join_of(group, Str::default(), instance_id.clone());
    let first = world.call(&request, version).await;
    if version < 4 || instance_id.is_some() {
        return first;
    }
    // It is to join under an id that is known (KIP-394).
    assert_eq!((first.error_code, first.generation_id), (ErrorCode::MEMBER_ID_REQUIRED, -1));
    world.call(&join_of(group, first.member_id, None), version).await
}

/// The only member of a group that is stable.
pub async fn member(world: &mut World, group: &Str, instance_id: Option<Str>) -> JoinGroupResponse {
    let joined = join(world, 5, group, instance_id).await;
    assert_eq!(joined.error_code, ErrorCode::NONE);
    assert_eq!(world.call(&sync_of(group, &joined), 3).await.error_code, ErrorCode::NONE);
    joined
}

async fn join_group(world: &mut World, version: i16) {
    let group = new_group(world).await;
    let joined = join(world, version, &group, None).await;
    assert_eq!((joined.error_code, joined.generation_id), (ErrorCode::NONE, 1));
    assert_eq!((&joined.leader, joined.protocol_name.as_deref()), (&joined.member_id, Some("range")));
    assert_eq!(joined.protocol_type.as_deref(), (version >= 7).then_some("consumer"));
    let members: Vec<_> = joined.members.iter().map(|one| (&one.member_id, &one.metadata[..])).collect();
    assert_eq!(members, [(&joined.member_id, METADATA)]);
    let mut other = join_of(&group, Str::default(), None);
    other.protocol_type = "connect".into();
    let refused = world.call(&other, version).await;
    assert_eq!((refused.error_code, refused.generation_id), (ErrorCode::INCONSISTENT_GROUP_PROTOCOL, -1));
    assert_eq!(refused.protocol_name.is_none(), version >= 7);
    let stranger = world.call(&join_of(&group, STRANGER.into(), None), version).await;
    assert_eq!(stranger.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    if version >= 5 {
        join_as_static_member(world, version).await;
    }
}

/// The next incarnation of a static member takes its place without a rebalance, and the last one is fenced (KIP-345).
async fn join_as_static_member(world: &mut World, version: i16) {
    let group = new_group(world).await;
    let instance_id: Str = "instance".into();
    let first = member(world, &group, Some(instance_id.clone())).await;
    let second = join(world, version, &group, Some(instance_id.clone())).await;
    assert_eq!((second.error_code, second.generation_id), (ErrorCode::NONE, first.generation_id));
    assert_ne!(second.member_id, first.member_id);
    // The leader is to leave the assignment as it is, which only version 9 can say (KIP-814).
    assert_eq!(second.skip_assignment, version >= 9);
    let mut beat = beat_of(&group, &first.member_id, first.generation_id);
    beat.group_instance_id = Some(instance_id);
    assert_eq!(world.call(&beat, 4).await.error_code, ErrorCode::FENCED_INSTANCE_ID);
}

async fn sync_group(world: &mut World, version: i16) {
    let group = new_group(world).await;
    let joined = join(world, 9, &group, None).await;
    let mut outdated = sync_of(&group, &joined);
    outdated.generation_id += 1;
    assert_eq!(world.call(&outdated, version).await.error_code, ErrorCode::ILLEGAL_GENERATION);
    let mut stranger = sync_of(&group, &joined);
    stranger.member_id = STRANGER.into();
    assert_eq!(world.call(&stranger, version).await.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    if version >= 5 {
        let mut other = sync_of(&group, &joined);
        other.protocol_name = Some("roundrobin".into());
        assert_eq!(world.call(&other, version).await.error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    }
    // The leader assigns; who asks again is told the same.
    for _ in 0..2 {
        let SyncGroupResponse { error_code, assignment, protocol_name, .. } =
            world.call(&sync_of(&group, &joined), version).await;
        assert_eq!((error_code, &assignment[..]), (ErrorCode::NONE, ASSIGNMENT));
        assert_eq!(protocol_name.as_deref(), (version >= 5).then_some("range"));
    }
}

async fn heartbeat(world: &mut World, version: i16) {
    let group = new_group(world).await;
    let joined = member(world, &group, Some("instance".into())).await;
    let beat = |member_id: &str, generation_id| beat_of(&group, member_id, generation_id);
    let good = beat(&joined.member_id, joined.generation_id);
    let cases = [
        (good.clone(), ErrorCode::NONE),
        (beat(&joined.member_id, joined.generation_id + 1), ErrorCode::ILLEGAL_GENERATION),
        (beat(STRANGER, joined.generation_id), ErrorCode::UNKNOWN_MEMBER_ID),
    ];
    for (request, code) in cases {
        assert_eq!(world.call(&request, version).await.error_code, code);
    }
    if version >= 3 {
        let fenced =
            HeartbeatRequest { group_instance_id: Some("instance".into()), member_id: STRANGER.into(), ..good };
        assert_eq!(world.call(&fenced, version).await.error_code, ErrorCode::FENCED_INSTANCE_ID);
    }
}

async fn leave_group(world: &mut World, version: i16) {
    let group = new_group(world).await;
    let joined = member(world, &group, Some("instance".into())).await;
    let group_id = group.clone();
    if version < 3 {
        let leave = |member_id| LeaveGroupRequest { group_id: group_id.clone(), member_id, ..Default::default() };
        assert_eq!(world.call(&leave(STRANGER.into()), version).await.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
        assert_eq!(world.call(&leave(joined.member_id.clone()), version).await.error_code, ErrorCode::NONE);
    } else {
        let stranger = MemberIdentity { member_id: STRANGER.into(), ..Default::default() };
        // An administrator knows the instance alone.
        let known = MemberIdentity { group_instance_id: Some("instance".into()), ..Default::default() };
        let request = LeaveGroupRequest { group_id, members: vec![stranger, known], ..Default::default() };
        let answer = world.call(&request, version).await;
        let codes: Vec<ErrorCode> = answer.members.iter().map(|one| one.error_code).collect();
        assert_eq!((answer.error_code, codes), (ErrorCode::NONE, vec![ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::NONE]));
    }
    let beat = beat_of(&group, &joined.member_id, joined.generation_id);
    assert_eq!(world.call(&beat, 4).await.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

async fn describe_groups(world: &mut World, version: i16) {
    let (group, nobody) = (new_group(world).await, world.name("nobody"));
    let joined = member(world, &group, Some("instance".into())).await;
    let include_authorized_operations = version >= 3;
    let request = DescribeGroupsRequest { groups: vec![group.clone(), nobody], include_authorized_operations };
    let answer = world.call(&request, version).await;
    let [shown, none] = &answer.groups[..] else { panic!("{answer:?}") };
    assert_eq!((shown.error_code, &*shown.group_id, &*shown.group_state), (ErrorCode::NONE, &*group, "Stable"));
    assert_eq!((&*shown.protocol_type, &*shown.protocol_data), ("consumer", "range"));
    let [shown_member] = &shown.members[..] else { panic!("{shown:?}") };
    assert_eq!((&shown_member.member_id, &*shown_member.client_id), (&joined.member_id, "versions"));
    assert_eq!((&shown_member.member_metadata[..], &shown_member.member_assignment[..]), (METADATA, ASSIGNMENT));
    assert_eq!(shown_member.group_instance_id.as_deref(), (version >= 4).then_some("instance"));
    assert_eq!(shown.authorized_operations != i32::MIN, version >= 3);
    // A group that is not there was described as dead until version 6 (KIP-1043).
    let code = if version >= 6 { ErrorCode::GROUP_ID_NOT_FOUND } else { ErrorCode::NONE };
    assert_eq!((none.error_code, &*none.group_state, none.error_message.is_some()), (code, "Dead", version >= 6));
}

async fn list_groups(world: &mut World, version: i16) {
    let (full, empty) = (new_group(world).await, new_group(world).await);
    member(world, &full, None).await;
    commit_alone(world, &empty, 7).await;
    let listed = world.call(&ListGroupsRequest::default(), version).await;
    assert_eq!(listed.error_code, ErrorCode::NONE);
    for (group, protocol_type, state) in [(&full, "consumer", "Stable"), (&empty, "", "Empty")] {
        let shown = listed.groups.iter().find(|one| one.group_id == *group).unwrap();
        assert_eq!(&*shown.protocol_type, protocol_type);
        assert_eq!(&*shown.group_state, if version >= 4 { state } else { "" });
        assert_eq!(&*shown.group_type, if version >= 5 { "classic" } else { "" });
    }
    if version >= 4 {
        let filtered = ListGroupsRequest { states_filter: vec!["Empty".into()], ..Default::default() };
        let listed: Vec<Str> =
            world.call(&filtered, version).await.groups.into_iter().map(|one| one.group_id).collect();
        assert!(listed.contains(&empty) && !listed.contains(&full), "{listed:?}");
    }
    if version >= 5 {
        let filtered = ListGroupsRequest { types_filter: vec!["consumer".into()], ..Default::default() };
        assert_eq!(world.call(&filtered, version).await.groups, []);
    }
}

async fn delete_groups(world: &mut World, version: i16) {
    let (full, empty, nobody) = (new_group(world).await, new_group(world).await, world.name("nobody"));
    member(world, &full, None).await;
    commit_alone(world, &empty, 7).await;
    let request = DeleteGroupsRequest { groups_names: vec![full.clone(), empty.clone(), nobody.clone()] };
    let mut results: Vec<(Str, ErrorCode)> =
        world.call(&request, version).await.results.into_iter().map(|one| (one.group_id, one.error_code)).collect();
    results.sort_by_key(|(group, _)| [&full, &empty, &nobody].iter().position(|one| *one == group));
    let codes = [ErrorCode::NON_EMPTY_GROUP, ErrorCode::NONE, ErrorCode::GROUP_ID_NOT_FOUND];
    assert_eq!(results, [full.clone(), empty.clone(), nobody].into_iter().zip(codes).collect::<Vec<_>>());
    let left: Vec<Str> =
        world.call(&ListGroupsRequest::default(), 5).await.groups.into_iter().map(|one| one.group_id).collect();
    assert!(left.contains(&full) && !left.contains(&empty), "{left:?}");
}
