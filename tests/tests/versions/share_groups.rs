//! Share groups (KIP-932): who is in them, and where they stand.

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::{
    AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequest,
    ShareGroupDescribeRequest, ShareGroupHeartbeatRequest, alter_share_group_offsets as alter,
    delete_share_group_offsets as delete, describe_share_group_offsets as describe,
};
use ottla_tests::cluster::DEADLINE;
use tokio::time::Instant;

use super::groups::new_group;
use super::world::{Scenario, Topic, World, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] = &[
    scenario!(ShareGroupHeartbeat, heartbeat),
    scenario!(ShareGroupDescribe, describe),
    scenario!(DescribeShareGroupOffsets, describe_offsets),
    scenario!(AlterShareGroupOffsets, alter_offsets),
    scenario!(DeleteShareGroupOffsets, delete_offsets),
];

fn next(group: &Str, member_epoch: i32) -> ShareGroupHeartbeatRequest {
    let (group_id, member_id) = (group.clone(), "own".into());
    ShareGroupHeartbeatRequest { group_id, member_id, member_epoch, ..Default::default() }
}

fn joining(group: &Str, topic: &Topic) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest { subscribed_topic_names: Some(vec![topic.name.clone()]), ..next(group, 0) }
}

/// Joins, and sends heartbeats until both partitions of the topic are assigned; gives the epoch.
async fn join(world: &mut World, group: &Str, topic: &Topic) -> i32 {
    let mut beat = world.call(&joining(group, topic), 1).await;
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert_eq!(beat.error_code, ErrorCode::NONE, "{beat:?}");
        let told = beat.assignment.iter().flat_map(|assignment| &assignment.topic_partitions).next();
        if told.is_some_and(|told| told.topic_id == topic.id && told.partitions == [0, 1]) {
            return beat.member_epoch;
        }
        assert!(Instant::now() < deadline, "nothing is assigned: {beat:?}");
        beat = world.call(&next(group, beat.member_epoch), 1).await;
    }
}

/// A group whose only member has left.
async fn left(world: &mut World, topic: &Topic) -> Str {
    let group = new_group(world).await;
    join(world, &group, topic).await;
    assert_eq!(world.call(&next(&group, -1), 1).await.error_code, ErrorCode::NONE);
    group
}

async fn heartbeat(world: &mut World, version: i16) {
    let (group, topic) = (new_group(world).await, world.topic(2).await);
    let joined = world.call(&joining(&group, &topic), version).await;
    assert_eq!((joined.error_code, joined.member_id.as_deref()), (ErrorCode::NONE, Some("own")));
    assert!(joined.heartbeat_interval_ms > 0 && joined.assignment.is_some(), "{joined:?}");
    let epoch = join(world, &group, &topic).await;
    let nothing_new = world.call(&next(&group, epoch), version).await;
    assert_eq!((nothing_new.member_epoch, nothing_new.assignment), (epoch, None));
    let stranger = ShareGroupHeartbeatRequest { member_id: "stranger".into(), ..next(&group, epoch) };
    let cases = [
        (next(&group, epoch + 1), ErrorCode::FENCED_MEMBER_EPOCH),
        (stranger, ErrorCode::UNKNOWN_MEMBER_ID),
        (next(&group, 0), ErrorCode::INVALID_REQUEST),
        (next(&Str::default(), epoch), ErrorCode::INVALID_REQUEST),
    ];
    for (request, code) in cases {
        assert_eq!(world.call(&request, version).await.error_code, code);
    }
    let left = world.call(&next(&group, -1), version).await;
    assert_eq!((left.error_code, left.member_epoch), (ErrorCode::NONE, -1));
    assert_eq!(world.call(&next(&group, epoch), version).await.error_code, ErrorCode::UNKNOWN_MEMBER_ID);
}

async fn describe(world: &mut World, version: i16) {
    let (group, topic) = (new_group(world).await, world.topic(2).await);
    let epoch = join(world, &group, &topic).await;
    let group_ids = vec![group.clone(), world.name("nobody")];
    let request = ShareGroupDescribeRequest { group_ids, include_authorized_operations: true };
    let answer = world.call(&request, version).await;
    let [shown, none] = &answer.groups[..] else { panic!("{answer:?}") };
    assert_eq!((shown.error_code, &*shown.group_state, &*shown.assignor_name), (ErrorCode::NONE, "Stable", "simple"));
    assert_eq!((shown.group_epoch, shown.assignment_epoch), (epoch, epoch));
    assert_ne!(shown.authorized_operations, i32::MIN);
    let [member] = &shown.members[..] else { panic!("{shown:?}") };
    assert_eq!((&*member.member_id, member.member_epoch), ("own", epoch));
    assert_eq!(member.subscribed_topic_names, std::slice::from_ref(&topic.name));
    let [told] = &member.assignment.topic_partitions[..] else { panic!("{member:?}") };
    assert_eq!((told.topic_id, &told.topic_name, &told.partitions[..]), (topic.id, &topic.name, &[0, 1][..]));
    assert_eq!(none.error_code, ErrorCode::GROUP_ID_NOT_FOUND);
}

/// Where the group stands in the partitions asked for, or in all.
async fn offsets(
    world: &mut World,
    group: &Str,
    topics: Option<Vec<describe::RequestTopic>>,
    version: i16,
) -> Vec<describe::ResponseTopic> {
    let groups = vec![describe::RequestGroup { group_id: group.clone(), topics }];
    let mut answer = world.call(&DescribeShareGroupOffsetsRequest { groups }, version).await;
    let told = answer.groups.pop().unwrap();
    assert_eq!((told.error_code, &told.group_id), (ErrorCode::NONE, group));
    told.topics
}

fn starting_at(group: &Str, topic: &Topic, offset: i64) -> AlterShareGroupOffsetsRequest {
    let partitions = [0, 9].map(|partition_index| alter::RequestPartition { partition_index, start_offset: offset });
    let of_topic = |topic_name: Str| alter::RequestTopic { topic_name, partitions: partitions.to_vec() };
    let topics = vec![of_topic(topic.name.clone()), of_topic("nobody-made-it".into())];
    AlterShareGroupOffsetsRequest { group_id: group.clone(), topics }
}

async fn describe_offsets(world: &mut World, version: i16) {
    let topic = world.topic(2).await;
    let group = left(world, &topic).await;
    world.call(&starting_at(&group, &topic, 0), 0).await;
    let asked = |partitions: &[i32]| {
        Some(vec![describe::RequestTopic { topic_name: topic.name.clone(), partitions: partitions.to_vec() }])
    };
    for (topics, indexes) in [(asked(&[0, 9]), [0, 9]), (None, [0, 1])] {
        let told = offsets(world, &group, topics, version).await;
        let [told] = &told[..] else { panic!("{told:?}") };
        assert_eq!((&told.topic_name, told.topic_id), (&topic.name, topic.id));
        let found: Vec<(i32, i64)> = told.partitions.iter().map(|p| (p.partition_index, p.start_offset)).collect();
        assert_eq!(found, [(indexes[0], 0), (indexes[1], -1)], "only the first has a beginning");
        assert!(told.partitions.iter().all(|p| p.error_code == ErrorCode::NONE), "{told:?}");
    }
    let nobody = world.name("nobody");
    assert_eq!(offsets(world, &nobody, None, version).await, []);
}

async fn alter_offsets(world: &mut World, version: i16) {
    let topic = world.topic(2).await;
    let group = new_group(world).await;
    join(world, &group, &topic).await;
    let busy = world.call(&starting_at(&group, &topic, 5), version).await;
    assert_eq!(busy.error_code, ErrorCode::NON_EMPTY_GROUP);
    world.call(&next(&group, -1), 1).await;
    let answer = world.call(&starting_at(&group, &topic, 5), version).await;
    let [known, unknown] = &answer.responses[..] else { panic!("{answer:?}") };
    let codes = |told: &alter::ResponseTopic| told.partitions.iter().map(|p| p.error_code).collect::<Vec<_>>();
    assert_eq!((answer.error_code, known.topic_id), (ErrorCode::NONE, topic.id));
    assert_eq!(codes(known), [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
    assert_eq!(codes(unknown), [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION; 2]);
    let told = offsets(world, &group, None, 1).await;
    assert_eq!(told[0].partitions[0].start_offset, 5);
}

async fn delete_offsets(world: &mut World, version: i16) {
    let topic = world.topic(2).await;
    let group = left(world, &topic).await;
    let names = [topic.name.clone(), "nobody-made-it".into()];
    let topics = names.into_iter().map(|topic_name| delete::RequestTopic { topic_name }).collect();
    let request = DeleteShareGroupOffsetsRequest { group_id: group.clone(), topics };
    let answer = world.call(&request, version).await;
    let codes: Vec<ErrorCode> = answer.responses.iter().map(|told| told.error_code).collect();
    assert_eq!(
        (answer.error_code, &codes[..]),
        (ErrorCode::NONE, &[ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION][..])
    );
    assert_eq!(offsets(world, &group, None, 1).await, []);
    let again = world.call(&request, version).await;
    assert_eq!(again.responses[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let nobody = DeleteShareGroupOffsetsRequest { group_id: world.name("nobody"), ..request };
    assert_eq!(world.call(&nobody, version).await.error_code, ErrorCode::GROUP_ID_NOT_FOUND);
}
