//! Groups of the consumer protocol (KIP-848).

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};

use super::groups::new_group;
use super::world::{Scenario, Topic, World, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] =
    &[scenario!(ConsumerGroupHeartbeat, heartbeat), scenario!(ConsumerGroupDescribe, describe)];

fn joining(group: &Str, member_id: Str, topic: &Topic) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.clone(),
        member_id,
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(vec![topic.name.clone()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    }
}

/// Joins at version 1, as `member`.
pub async fn join(world: &mut World, group: &Str, member: &str, topic: &Topic) -> ConsumerGroupHeartbeatResponse {
    let joined = world.call(&joining(group, member.into(), topic), 1).await;
    assert_eq!(joined.error_code, ErrorCode::NONE);
    joined
}

fn next(group: &Str, member_id: &Str, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
    let (group_id, member_id) = (group.clone(), member_id.clone());
    ConsumerGroupHeartbeatRequest { group_id, member_id, member_epoch, ..Default::default() }
}

/// The partitions of the one topic that is assigned.
fn assigned(answer: &ConsumerGroupHeartbeatResponse, topic: &Topic) -> Vec<i32> {
    let [told] = &answer.assignment.as_ref().unwrap().topic_partitions[..] else { panic!("{answer:?}") };
    assert_eq!(told.topic_id, topic.id);
    told.partitions.clone()
}

async fn heartbeat(world: &mut World, version: i16) {
    let (group, topic) = (new_group(world).await, world.topic(2).await);
    // From version 1 on members make their ids themselves (KIP-1082).
    let nameless = world.call(&joining(&group, Str::default(), &topic), version).await;
    let joined = if version >= 1 {
        assert_eq!(nameless.error_code, ErrorCode::INVALID_REQUEST);
        let joined = world.call(&joining(&group, "own".into(), &topic), version).await;
        assert_eq!(joined.member_id.as_deref(), Some("own"));
        joined
    } else {
        nameless
    };
    assert_eq!((joined.error_code, assigned(&joined, &topic)), (ErrorCode::NONE, vec![0, 1]));
    let member_id = joined.member_id.clone().unwrap();
    assert!(!member_id.is_empty() && joined.heartbeat_interval_ms > 0, "{joined:?}");
    let nothing_new = world.call(&next(&group, &member_id, joined.member_epoch), version).await;
    assert_eq!((nothing_new.member_epoch, nothing_new.assignment), (joined.member_epoch, None));
    let cases = [
        (next(&group, &member_id, joined.member_epoch + 1), ErrorCode::FENCED_MEMBER_EPOCH),
        (next(&group, &"stranger".into(), joined.member_epoch), ErrorCode::UNKNOWN_MEMBER_ID),
        (joining(&Str::default(), "own".into(), &topic), ErrorCode::INVALID_REQUEST),
    ];
    for (request, code) in cases {
        assert_eq!(world.call(&request, version).await.error_code, code);
    }
    if version >= 1 {
        let mut pattern = joining(&group, "second".into(), &topic);
        (pattern.subscribed_topic_names, pattern.subscribed_topic_regex) = (None, Some("(".into()));
        assert_eq!(world.call(&pattern, version).await.error_code, ErrorCode::INVALID_REGULAR_EXPRESSION);
    }
    let left = world.call(&next(&group, &member_id, -1), version).await;
    assert_eq!((left.error_code, left.member_epoch), (ErrorCode::NONE, -1));
    let gone = world.call(&next(&group, &member_id, joined.member_epoch), version).await;
    assert_eq!(gone.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    if version >= 1 {
        subscribe_by_pattern(world, version, &topic).await;
    }
}

async fn subscribe_by_pattern(world: &mut World, version: i16, topic: &Topic) {
    let group = new_group(world).await;
    let mut joining = joining(&group, "own".into(), topic);
    // Names of other topics go on after this one's.
    let pattern = topic.name.replace("topic", "t.p[a-z]*");
    (joining.subscribed_topic_names, joining.subscribed_topic_regex) = (None, Some(pattern.into()));
    let joined = world.call(&joining, version).await;
    assert_eq!((joined.error_code, assigned(&joined, topic)), (ErrorCode::NONE, vec![0, 1]));
}

async fn describe(world: &mut World, version: i16) {
    let (group, topic) = (new_group(world).await, world.topic(2).await);
    let joined = join(world, &group, "own", &topic).await;
    let groups = vec![group.clone(), world.name("nobody")];
    let request = ConsumerGroupDescribeRequest { group_ids: groups, include_authorized_operations: true };
    let answer = world.call(&request, version).await;
    let [shown, none] = &answer.groups[..] else { panic!("{answer:?}") };
    assert_eq!((shown.error_code, &*shown.group_state, &*shown.assignor_name), (ErrorCode::NONE, "Stable", "uniform"));
    assert_eq!((shown.group_epoch, shown.assignment_epoch), (joined.member_epoch, joined.member_epoch));
    assert_ne!(shown.authorized_operations, i32::MIN);
    let [member] = &shown.members[..] else { panic!("{shown:?}") };
    assert_eq!((&*member.member_id, member.member_epoch), ("own", joined.member_epoch));
    assert_eq!(member.subscribed_topic_names, std::slice::from_ref(&topic.name));
    for assignment in [&member.assignment, &member.target_assignment] {
        let [told] = &assignment.topic_partitions[..] else { panic!("{assignment:?}") };
        assert_eq!((told.topic_id, &told.topic_name, &told.partitions[..]), (topic.id, &topic.name, &[0, 1][..]));
    }
    assert_eq!(member.member_type, if version >= 1 { 1 } else { -1 });
    assert_eq!(none.error_code, ErrorCode::GROUP_ID_NOT_FOUND);
}
