//! The state of share groups, as group coordinators and leaders of partitions ask for it (KIP-932).

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::{
    DeleteShareGroupStateRequest, FindCoordinatorRequest, InitializeShareGroupStateRequest, ReadShareGroupStateRequest,
    ReadShareGroupStateSummaryRequest, WriteShareGroupStateRequest, delete_share_group_state as delete,
    initialize_share_group_state as initialize, read_share_group_state as read,
    read_share_group_state_summary as summary, write_share_group_state as write,
};
use ottla_storage::id_text;

use super::world::{Scenario, Topic, World, eventually, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] = &[
    scenario!(InitializeShareGroupState, initialize_state),
    scenario!(ReadShareGroupState, read_state),
    scenario!(WriteShareGroupState, write_state),
    scenario!(DeleteShareGroupState, delete_state),
    scenario!(ReadShareGroupStateSummary, summarize),
];

const NONE: ErrorCode = ErrorCode::NONE;

/// A topic of one partition, and a group that may be begun: its coordinator has been found.
pub async fn new_group(world: &mut World) -> (Str, Topic) {
    let (group, topic) = (world.name("group"), world.topic(1).await);
    let key: Str = format!("{group}:{}:0", id_text(topic.id)).into();
    let request = FindCoordinatorRequest { key_type: 2, coordinator_keys: vec![key], ..Default::default() };
    let found = world.call(&request, 6).await.coordinators.remove(0);
    assert_eq!((found.error_code, found.node_id), (NONE, 0));
    (group, topic)
}

pub async fn begin(
    world: &mut World,
    version: i16,
    of: &(Str, Topic),
    state_epoch: i32,
    start_offset: i64,
) -> ErrorCode {
    let partition = |partition| initialize::PartitionData { partition, state_epoch, start_offset };
    let topics =
        vec![initialize::InitializeStateData { topic_id: of.1.id, partitions: vec![partition(0), partition(1)] }];
    let request = InitializeShareGroupStateRequest { group_id: of.0.clone(), topics };
    let result = world.call(&request, version).await.results.remove(0);
    assert_eq!(result.topic_id, of.1.id);
    let [known, unknown] = &result.partitions[..] else { panic!("{result:?}") };
    assert_eq!((unknown.partition, unknown.error_code), (1, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    known.error_code
}

/// Begins once the coordinator serves.
async fn begun(world: &mut World) -> (Str, Topic) {
    let of = new_group(world).await;
    assert_eq!(begin(world, 0, &of, 1, 5).await, NONE);
    of
}

async fn state(world: &mut World, version: i16, of: &(Str, Topic), leader_epoch: i32) -> read::PartitionResult {
    let partitions = vec![read::PartitionData { partition: 0, leader_epoch }];
    let topics = vec![read::ReadStateData { topic_id: of.1.id, partitions }];
    let request = ReadShareGroupStateRequest { group_id: of.0.clone(), topics };
    world.call(&request, version).await.results.remove(0).partitions.remove(0)
}

async fn stored(world: &mut World, version: i16, of: &(Str, Topic), epochs: (i32, i32), last: i64) -> ErrorCode {
    let batch = write::StateBatch { first_offset: 5, last_offset: last, delivery_state: 2, delivery_count: 1 };
    let partition = write::PartitionData {
        partition: 0,
        state_epoch: epochs.0,
        leader_epoch: epochs.1,
        start_offset: 5,
        delivery_complete_count: if version >= 1 { 3 } else { -1 },
        state_batches: vec![batch],
    };
    let topics = vec![write::WriteStateData { topic_id: of.1.id, partitions: vec![partition] }];
    let request = WriteShareGroupStateRequest { group_id: of.0.clone(), topics };
    world.call(&request, version).await.results.remove(0).partitions.remove(0).error_code
}

pub async fn summary_of(world: &mut World, version: i16, of: &(Str, Topic)) -> summary::PartitionResult {
    let partitions = vec![summary::PartitionData { partition: 0, leader_epoch: -1 }];
    let topics = vec![summary::ReadStateSummaryData { topic_id: of.1.id, partitions }];
    let request = ReadShareGroupStateSummaryRequest { group_id: of.0.clone(), topics };
    world.call(&request, version).await.results.remove(0).partitions.remove(0)
}

async fn initialize_state(world: &mut World, version: i16) {
    let of = new_group(world).await;
    assert_eq!(begin(world, version, &of, 3, 7).await, NONE);
    let begun = state(world, 0, &of, -1).await;
    assert_eq!((begun.error_code, begun.state_epoch, begun.start_offset), (NONE, 3, 7));
    assert_eq!(begin(world, version, &of, 2, 0).await, ErrorCode::FENCED_STATE_EPOCH);
}

async fn read_state(world: &mut World, version: i16) {
    let of = new_group(world).await;
    let unknown = state(world, version, &of, 0).await;
    assert_eq!(unknown.error_code, ErrorCode::INVALID_REQUEST);
    assert_eq!(begin(world, 0, &of, 1, 5).await, NONE);
    assert_eq!(stored(world, 1, &of, (1, 0), 7).await, NONE);
    let found = state(world, version, &of, 4).await;
    let batch = read::StateBatch { first_offset: 5, last_offset: 7, delivery_state: 2, delivery_count: 1 };
    assert_eq!((found.error_code, found.start_offset, &found.state_batches[..]), (NONE, 5, &[batch][..]));
    assert_eq!(state(world, version, &of, 3).await.error_code, ErrorCode::FENCED_LEADER_EPOCH);
}

async fn write_state(world: &mut World, version: i16) {
    let of = begun(world).await;
    assert_eq!(state(world, 0, &of, 2).await.error_code, NONE);
    assert_eq!(stored(world, version, &of, (1, 2), 9).await, NONE);
    assert_eq!(stored(world, version, &of, (1, 1), 9).await, ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(stored(world, version, &of, (0, 2), 9).await, ErrorCode::FENCED_STATE_EPOCH);
    assert_eq!(stored(world, version, &of, (1, 2), 4).await, ErrorCode::INVALID_REQUEST, "ends before it begins");
    let told = summary_of(world, 1, &of).await.delivery_complete_count;
    assert_eq!(told, if version >= 1 { 3 } else { -1 });
}

async fn delete_state(world: &mut World, version: i16) {
    let of = begun(world).await;
    let partitions = vec![delete::PartitionData { partition: 0 }];
    let topics = vec![delete::DeleteStateData { topic_id: of.1.id, partitions }];
    let request = DeleteShareGroupStateRequest { group_id: of.0.clone(), topics };
    for _ in 0..2 {
        let deleted = world.call(&request, version).await.results.remove(0).partitions.remove(0);
        assert_eq!((deleted.partition, deleted.error_code), (0, NONE));
    }
    assert_eq!(state(world, 0, &of, 0).await.error_code, ErrorCode::INVALID_REQUEST);
}

async fn summarize(world: &mut World, version: i16) {
    let of = new_group(world).await;
    let nothing = eventually("the coordinator serves", async || {
        Some(summary_of(world, version, &of).await).filter(|answer| answer.error_code == NONE)
    });
    assert_eq!(nothing.await.start_offset, -1);
    assert_eq!(begin(world, 0, &of, 1, 5).await, NONE);
    assert_eq!(stored(world, 1, &of, (1, 0), 7).await, NONE);
    let told = summary_of(world, version, &of).await;
    assert_eq!((told.state_epoch, told.leader_epoch, told.start_offset), (1, 0, 5));
    assert_eq!(told.delivery_complete_count, if version >= 1 { 3 } else { -1 });
}
