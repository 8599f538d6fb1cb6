//! Offsets that groups commit, are told, and have deleted.

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use ottla_protocol::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest};

use super::consumer_groups::join;
use super::groups::{member, new_group};
use super::world::{Scenario, Topic, World, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] = &[
    scenario!(OffsetCommit, offset_commit),
    scenario!(OffsetFetch, offset_fetch),
    scenario!(OffsetDelete, offset_delete),
];

/// The first version of OffsetCommit and of OffsetFetch that names topics by their ids (KIP-848).
const BY_ID: i16 = 10;

/// What is told of a partition: error, offset, leader epoch, metadata.
type Told = (ErrorCode, i64, i32, Option<String>);

fn told_of(code: ErrorCode, offset: i64, leader_epoch: i32, metadata: Option<Str>) -> Told {
    (code, offset, leader_epoch, metadata.map(|text| text.to_string()))
}

fn none() -> Told {
    (ErrorCode::NONE, -1, -1, Some(String::new()))
}

fn commit_of(group: &Str, topic: &Topic, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_leader_epoch: 3,
        committed_metadata: Some("note".into()),
    };
    let topic = OffsetCommitRequestTopic { name: topic.name.clone(), topic_id: topic.id, partitions: vec![partition] };
    OffsetCommitRequest { group_id: group.clone(), topics: vec![topic], ..Default::default() }
}

async fn commit(world: &mut World, version: i16, request: &OffsetCommitRequest) -> ErrorCode {
    world.call(request, version).await.topics[0].partitions[0].error_code
}

/// Commits an offset of a topic of its own in a group without members.
pub async fn commit_alone(world: &mut World, group: &Str, offset: i64) -> Topic {
    let topic = world.topic(2).await;
    assert_eq!(commit(world, 9, &commit_of(group, &topic, offset)).await, ErrorCode::NONE);
    topic
}

/// What the group is told of both partitions of the topic, at `version`.
pub async fn told(world: &mut World, version: i16, group: &Str, topic: &Topic, require_stable: bool) -> Vec<Told> {
    if version < 8 {
        let asked = OffsetFetchRequestTopic { name: topic.name.clone(), partition_indexes: vec![0, 1] };
        let request = OffsetFetchRequest {
            group_id: group.clone(),
            topics: Some(vec![asked]),
            require_stable: require_stable && version >= 7,
            ..Default::default()
        };
        let answer = world.call(&request, version).await;
        assert_eq!(answer.error_code, ErrorCode::NONE);
        let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        let told = partitions.map(|p| told_of(p.error_code, p.committed_offset, p.committed_leader_epoch, p.metadata));
        return told.collect();
    }
    let partition_indexes = vec![0, 1];
    let asked = OffsetFetchRequestTopics { name: topic.name.clone(), topic_id: topic.id, partition_indexes };
    let asked = OffsetFetchRequestGroup { group_id: group.clone(), topics: Some(vec![asked]), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![asked], require_stable, ..Default::default() };
    let answer = world.call(&request, version).await.groups.remove(0);
    assert_eq!((answer.error_code, &answer.group_id), (ErrorCode::NONE, group));
    let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|p| told_of(p.error_code, p.committed_offset, p.committed_leader_epoch, p.metadata)).collect()
}

async fn offset_commit(world: &mut World, version: i16) {
    let (group, topic) = (new_group(world).await, world.topic(2).await);
    assert_eq!(commit(world, version, &commit_of(&group, &topic, 7)).await, ErrorCode::NONE);
    // The leader epoch came with version 6 (KIP-320).
    let epoch = if version >= 6 { 3 } else { -1 };
    let committed = (ErrorCode::NONE, 7, epoch, Some("note".to_owned()));
    assert_eq!(told(world, 9, &group, &topic, true).await, [committed.clone(), none()]);
    let unknown = if version >= BY_ID { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
    assert_eq!(commit(world, version, &commit_of(&group, &Topic::unknown(), 7)).await, unknown);

    let joined = member(world, &group, Some("instance".into())).await;
    let as_member = |offset, member_id: &Str, generation| OffsetCommitRequest {
        member_id: member_id.clone(),
        generation_id_or_member_epoch: generation,
        ..commit_of(&group, &topic, offset)
    };
    let cases = [
        (as_member(8, &"stranger".into(), joined.generation_id), ErrorCode::UNKNOWN_MEMBER_ID),
        (as_member(8, &joined.member_id, joined.generation_id + 1), ErrorCode::ILLEGAL_GENERATION),
        (commit_of(&group, &topic, 8), ErrorCode::UNKNOWN_MEMBER_ID),
    ];
    for (request, code) in cases {
        assert_eq!(commit(world, version, &request).await, code);
    }
    assert_eq!(told(world, 9, &group, &topic, true).await[0], committed, "what was refused is not stored");
    if version >= 7 {
        let mut fenced = as_member(8, &"stranger".into(), joined.generation_id);
        fenced.group_instance_id = Some("instance".into());
        assert_eq!(commit(world, version, &fenced).await, ErrorCode::FENCED_INSTANCE_ID);
    }
    let good = as_member(9, &joined.member_id, joined.generation_id);
    assert_eq!(commit(world, version, &good).await, ErrorCode::NONE);
    assert_eq!(told(world, 9, &group, &topic, true).await[0].1, 9);
}

async fn offset_fetch(world: &mut World, version: i16) {
    let group = new_group(world).await;
    let topic = commit_alone(world, &group, 7).await;
    let epoch = if version >= 5 { 3 } else { -1 };
    let committed = (ErrorCode::NONE, 7, epoch, Some("note".to_owned()));
    assert_eq!(told(world, version, &group, &topic, true).await, [committed, none()]);
    if version >= BY_ID {
        let [first, second] = &told(world, version, &group, &Topic::unknown(), true).await[..] else { panic!() };
        assert_eq!((first.0, second.0), (ErrorCode::UNKNOWN_TOPIC_ID, ErrorCode::UNKNOWN_TOPIC_ID));
    }
    if version >= 2 {
        all_offsets(world, version, &group, &topic).await;
    }
    if version >= 9 {
        as_members(world, version).await;
    }
}

/// Who says that it is a member has to be one, in its epoch (KIP-848).
async fn as_members(world: &mut World, version: i16) {
    let (group, topic) = (new_group(world).await, world.topic(2).await);
    let joined = join(world, &group, "own", &topic).await;
    let cases = [
        ("own", joined.member_epoch, ErrorCode::NONE),
        ("own", joined.member_epoch - 1, ErrorCode::STALE_MEMBER_EPOCH),
        ("stranger", joined.member_epoch, ErrorCode::UNKNOWN_MEMBER_ID),
    ];
    for (member, member_epoch, code) in cases {
        let (group_id, member_id) = (group.clone(), Some(member.into()));
        let asked = OffsetFetchRequestGroup { group_id, member_id, member_epoch, topics: None };
        let answer = world.call(&OffsetFetchRequest { groups: vec![asked], ..Default::default() }, version).await;
        assert_eq!(answer.groups[0].error_code, code, "{member} {member_epoch}");
    }
}

/// Who names no topics is told of all that have an offset.
async fn all_offsets(world: &mut World, version: i16, group: &Str, topic: &Topic) {
    if version < 8 {
        let request = OffsetFetchRequest { group_id: group.clone(), topics: None, ..Default::default() };
        let answer = world.call(&request, version).await;
        let [told] = &answer.topics[..] else { panic!("{answer:?}") };
        assert_eq!((&told.name, told.partitions.len(), told.partitions[0].committed_offset), (&topic.name, 1, 7));
        return;
    }
    let asked = OffsetFetchRequestGroup { group_id: group.clone(), topics: None, ..Default::default() };
    let nobody = OffsetFetchRequestGroup { group_id: "nobody".into(), topics: None, ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![asked, nobody], ..Default::default() };
    let answer = world.call(&request, version).await;
    let [of_group, of_nobody] = &answer.groups[..] else { panic!("{answer:?}") };
    let [told] = &of_group.topics[..] else { panic!("{answer:?}") };
    assert!(if version >= BY_ID { told.topic_id == topic.id } else { told.name == topic.name }, "{told:?}");
    assert_eq!((told.partitions.len(), told.partitions[0].committed_offset), (1, 7));
    assert_eq!((of_nobody.error_code, of_nobody.topics.len()), (ErrorCode::NONE, 0));
}

async fn offset_delete(world: &mut World, version: i16) {
    let group = new_group(world).await;
    let topic = commit_alone(world, &group, 7).await;
    let partitions = |indexes: &[i32]| {
        indexes.iter().map(|index| OffsetDeleteRequestPartition { partition_index: *index }).collect::<Vec<_>>()
    };
    let asked = OffsetDeleteRequestTopic { name: topic.name.clone(), partitions: partitions(&[0, 9]) };
    let answer = world.call(&OffsetDeleteRequest { group_id: group.clone(), topics: vec![asked] }, version).await;
    let codes: Vec<ErrorCode> = answer.topics[0].partitions.iter().map(|one| one.error_code).collect();
    assert_eq!(answer.error_code, ErrorCode::NONE);
    assert_eq!(codes, [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
    assert_eq!(told(world, 9, &group, &topic, true).await[0], none());
    let asked = OffsetDeleteRequestTopic { name: topic.name, partitions: partitions(&[0]) };
    let request = OffsetDeleteRequest { group_id: world.name("nobody"), topics: vec![asked] };
    assert_eq!(world.call(&request, version).await.error_code, ErrorCode::GROUP_ID_NOT_FOUND);
}
