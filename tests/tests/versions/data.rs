//! Records: written, read, found by offset, time and epoch, deleted.

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Records;
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::describe_producers::TopicRequest;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic};
use ottla_protocol::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use ottla_protocol::messages::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use ottla_protocol::messages::{
    DeleteRecordsRequest, DescribeProducersRequest, FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
    ProduceRequest,
};
use ottla_records::{BatchBuilder, Compression, ProducerStamp};

use super::world::{FIRST_TIMESTAMP, Scenario, Topic, World, batch, batch_of, scenario, values};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] = &[
    scenario!(Produce, produce),
    scenario!(Fetch, fetch),
    scenario!(ListOffsets, list_offsets),
    scenario!(OffsetForLeaderEpoch, offset_for_leader_epoch),
    scenario!(DeleteRecords, delete_records),
    scenario!(DescribeProducers, describe_producers),
];

/// The first version of Produce and of Fetch that names topics by their ids.
const BY_ID: i16 = 13;

pub fn produce_request(topic: &Topic, batch: bytes::Bytes) -> ProduceRequest {
    let data = PartitionProduceData { index: 0, records: Some(Records::Bytes(batch)) };
    let topic = TopicProduceData { name: topic.name.clone(), topic_id: topic.id, partition_data: vec![data] };
    ProduceRequest { acks: -1, timeout_ms: 5000, topic_data: vec![topic], ..Default::default() }
}

async fn write(world: &mut World, version: i16, topic: &Topic, batch: bytes::Bytes) -> PartitionProduceResponse {
    let mut answer = world.call(&produce_request(topic, batch), version).await.responses.remove(0);
    if version >= BY_ID {
        assert_eq!(answer.topic_id, topic.id);
    } else {
        assert_eq!(answer.name, topic.name);
    }
    answer.partition_responses.remove(0)
}

async fn produce(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    if version < 3 {
        // Told to clients, and refused as by Kafka (KAFKA-18659).
        assert!(world.is_refused(&produce_request(&topic, batch(&["old"])), version).await);
        assert_eq!(world.end(&topic).await, 0);
        return;
    }
    for (offset, values) in [(0, ["a", "b"]), (2, ["c", "d"])] {
        let answer = write(world, version, &topic, batch(&values)).await;
        assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, offset));
        assert_eq!(answer.log_start_offset, if version >= 5 { 0 } else { -1 });
        assert_eq!(answer.log_append_time_ms, -1, "the producer's time counts");
    }
    let mut damaged = batch(&["damaged"]).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(write(world, version, &topic, damaged.into()).await.error_code, ErrorCode::CORRUPT_MESSAGE);
    assert_eq!(world.read(&topic).await, ["a", "b", "c", "d"]);
    let unknown = write(world, version, &Topic::unknown(), batch(&["lost"])).await;
    let code = if version >= BY_ID { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
    assert_eq!((unknown.error_code, unknown.base_offset), (code, -1));
}

fn fetch_request(topic: &Topic, partition: FetchPartition) -> FetchRequest {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..partition };
    let topic = FetchTopic { topic: topic.name.clone(), topic_id: topic.id, partitions: vec![partition] };
    FetchRequest { topics: vec![topic], ..Default::default() }
}

async fn fetch(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    world.write(&topic, &["a"]).await;
    world.write(&topic, &["b"]).await;
    let from = |fetch_offset| FetchPartition { fetch_offset, ..Default::default() };
    let answer = world.call(&fetch_request(&topic, from(1)), version).await;
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let data = &answer.responses[0].partitions[0];
    assert_eq!(values(data.records.as_ref()), [(1, "b".to_owned())]);
    assert_eq!((data.high_watermark, data.last_stable_offset), (2, 2));
    assert_eq!(data.log_start_offset, if version >= 5 { 0 } else { -1 });

    let beyond = world.call(&fetch_request(&topic, from(9)), version).await;
    assert_eq!(beyond.responses[0].partitions[0].error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    let unknown = world.call(&fetch_request(&Topic::unknown(), from(0)), version).await;
    let code = if version >= BY_ID { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
    assert_eq!(unknown.responses[0].partitions[0].error_code, code);
    if version >= 7 {
        incremental(world, version, &topic).await;
    }
    if version >= 9 {
        let later = FetchPartition { current_leader_epoch: topic.epoch + 1, ..from(0) };
        let refused = world.call(&fetch_request(&topic, later), version).await;
        assert_eq!(refused.responses[0].partitions[0].error_code, ErrorCode::UNKNOWN_LEADER_EPOCH);
    }
    if version >= 12 {
        // A log that has come to an epoch that never was is not this one (KIP-595).
        let other = FetchPartition { last_fetched_epoch: topic.epoch + 1, ..from(2) };
        let parted = world.call(&fetch_request(&topic, other), version).await;
        assert_eq!(parted.responses[0].partitions[0].error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
        let same = FetchPartition { last_fetched_epoch: topic.epoch, ..from(1) };
        let data = world.call(&fetch_request(&topic, same), version).await.responses.remove(0).partitions.remove(0);
        assert_eq!((data.error_code, data.diverging_epoch.end_offset), (ErrorCode::NONE, -1));
        assert_eq!(values(data.records.as_ref())[0], (1, "b".to_owned()));
    }
}

/// A session (KIP-227): what has not changed is not told again.
async fn incremental(world: &mut World, version: i16, topic: &Topic) {
    let first = FetchPartition { fetch_offset: 2, ..Default::default() };
    let full = FetchRequest { session_epoch: 0, ..fetch_request(topic, first) };
    let begun = world.call(&full, version).await;
    assert!(begun.session_id != 0 && begun.responses[0].partitions[0].error_code == ErrorCode::NONE);
    let next = |session_epoch| FetchRequest { session_id: begun.session_id, session_epoch, ..Default::default() };
    let nothing = world.call(&next(1), version).await;
    assert_eq!(
        (nothing.error_code, nothing.session_id, nothing.responses.len()),
        (ErrorCode::NONE, begun.session_id, 0)
    );
    world.write(topic, &["c"]).await;
    let news = world.call(&next(2), version).await;
    assert_eq!(values(news.responses[0].partitions[0].records.as_ref()), [(2, "c".to_owned())]);
    assert_eq!(world.call(&next(9), version).await.error_code, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
}

async fn offset_of(
    world: &mut World,
    version: i16,
    topic: &Topic,
    timestamp: i64,
    current_leader_epoch: i32,
) -> ListOffsetsPartitionResponse {
    let partition = ListOffsetsPartition { partition_index: 0, current_leader_epoch, timestamp };
    let topics = vec![ListOffsetsTopic { name: topic.name.clone(), partitions: vec![partition] }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    world.call(&request, version).await.topics.remove(0).partitions.remove(0)
}

async fn list_offsets(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    world.write(&topic, &["a", "b", "c"]).await;
    let (second, last) = (FIRST_TIMESTAMP + 1000, FIRST_TIMESTAMP + 2000);
    // What is asked for, since which version, and the offset and timestamp of the answer.
    let cases = [
        (-1, 1, (3, -1)),
        (-2, 1, (0, -1)),
        (second, 1, (1, second)),
        (second - 1, 1, (1, second)),
        (last + 1, 1, (-1, -1)),
        (-3, 7, (2, last)),
        (-4, 8, (0, -1)),
        // Nothing is tiered.
        (-5, 9, (-1, -1)),
        (-6, 11, (-1, -1)),
    ];
    for (timestamp, since, found) in cases {
        let answer = offset_of(world, version, &topic, timestamp, -1).await;
        if version < since {
            assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_VERSION, "{timestamp}");
            continue;
        }
        assert_eq!((answer.error_code, (answer.offset, answer.timestamp)), (ErrorCode::NONE, found), "{timestamp}");
        let epoch = if version >= 4 && found.0 >= 0 { topic.epoch } else { -1 };
        assert_eq!(answer.leader_epoch, epoch, "{timestamp}");
    }
    if version >= 4 {
        let refused = offset_of(world, version, &topic, -1, topic.epoch + 1).await;
        assert_eq!(refused.error_code, ErrorCode::UNKNOWN_LEADER_EPOCH);
    }
    let unknown = offset_of(world, version, &Topic::unknown(), -1, -1).await;
    assert_eq!((unknown.error_code, unknown.offset), (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1));
}

async fn offset_for_leader_epoch(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    world.write(&topic, &["a", "b", "c"]).await;
    let cases = [
        (topic.epoch, topic.epoch, (ErrorCode::NONE, topic.epoch, 3)),
        (topic.epoch, topic.epoch + 5, (ErrorCode::NONE, -1, -1)),
        (topic.epoch + 1, topic.epoch, (ErrorCode::UNKNOWN_LEADER_EPOCH, -1, -1)),
    ];
    for (current_leader_epoch, leader_epoch, expected) in cases {
        let partition = OffsetForLeaderPartition { partition: 0, current_leader_epoch, leader_epoch };
        let topics = vec![OffsetForLeaderTopic { topic: topic.name.clone(), partitions: vec![partition] }];
        let request = OffsetForLeaderEpochRequest { topics, ..Default::default() };
        let answer = &world.call(&request, version).await.topics[0].partitions[0];
        assert_eq!((answer.error_code, answer.leader_epoch, answer.end_offset), expected);
    }
}

async fn delete_records(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    for value in ["a", "b", "c"] {
        world.write(&topic, &[value]).await;
    }
    let mut delete = async |offset| {
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
        let topics = vec![DeleteRecordsTopic { name: topic.name.clone(), partitions }];
        let answer = world.call(&DeleteRecordsRequest { topics, timeout_ms: 5000 }, version).await;
        (answer.topics[0].partitions[0].error_code, answer.topics[0].partitions[0].low_watermark)
    };
    assert_eq!(delete(9).await, (ErrorCode::OFFSET_OUT_OF_RANGE, -1));
    assert_eq!(delete(2).await, (ErrorCode::NONE, 2));
    assert_eq!(delete(1).await, (ErrorCode::NONE, 2), "what is gone stays gone");
    // The end, whatever it is.
    assert_eq!(delete(-1).await, (ErrorCode::NONE, 3));
    assert_eq!((world.first_offset(&topic).await, world.end(&topic).await), (3, 3));
}

async fn describe_producers(world: &mut World, version: i16) {
    let topic = world.topic(1).await;
    let stamp = ProducerStamp { id: 4711, epoch: 3, base_sequence: 0 };
    let batch = batch_of(BatchBuilder::new(Compression::None).with_producer(stamp), &["a", "b"]);
    assert_eq!(write(world, 9, &topic, batch).await.error_code, ErrorCode::NONE);
    let asked = TopicRequest { name: topic.name.clone(), partition_indexes: vec![0, 7] };
    let answer = world.call(&DescribeProducersRequest { topics: vec![asked] }, version).await;
    let [known, unknown] = &answer.topics[0].partitions[..] else { panic!("{answer:?}") };
    let [producer] = &known.active_producers[..] else { panic!("{known:?}") };
    assert_eq!((producer.producer_id, producer.producer_epoch, producer.last_sequence), (4711, 3, 1));
    assert_eq!((producer.last_timestamp, producer.current_txn_start_offset), (FIRST_TIMESTAMP + 1000, -1));
    assert_eq!(unknown.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}
