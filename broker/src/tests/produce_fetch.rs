use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::FetchLimits;
use ottla_protocol::codec::Records;
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use ottla_protocol::messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use ottla_records::{BatchBuilder, Compression, batches};

use super::raw::Raw;
use crate::testing::TestBroker;

const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn batch(value: &str) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1_700_000_000_000, Some(b"key"), Some(value.as_bytes()), &[]);
    builder.build(0)
}

pub(super) fn produce(topic: &str, acks: i16, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData { index: 0, records: Some(Records::Bytes(batch)) };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    ProduceRequest { acks, timeout_ms: 5000, topic_data: vec![topic], ..Default::default() }
}

pub(super) fn fetch(topic: &str, offset: i64, max_wait_ms: i32, min_bytes: i32) -> FetchRequest {
    let partition = FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..FetchTopic::default() };
    FetchRequest { max_wait_ms, min_bytes, topics: vec![topic], ..FetchRequest::default() }
}

fn appended(response: &ProduceResponse) -> (ErrorCode, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

fn offsets(response: &FetchResponse) -> Vec<i64> {
    let Some(topic) = response.responses.first() else { return Vec::new() };
    let bytes = topic.partitions[0].records.as_ref().and_then(|r| r.as_bytes().cloned()).unwrap_or_default();
    batches(&bytes).map(|batch| batch.unwrap().header.base_offset).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_produced_is_fetched_in_both_durabilities_and_with_every_acks() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    for durability in ["fsync", "replicated"] {
        broker.create_topic(durability, 1, &[("ottla.durability", durability)]).await;
        for (offset, acks) in [1, -1, 0].into_iter().enumerate() {
            let answer = client.produce(durability, 0, batch("v"), acks, TIMEOUT).await.unwrap();
            assert_eq!(answer.error_code, ErrorCode::NONE);
            assert!(acks == 0 || answer.base_offset == offset as i64);
        }
        let limits = FetchLimits { min_bytes: 3 * batch("v").len() as i32, ..FetchLimits::default() };
        let fetched = client.fetch(durability, 0, 0, limits).await.unwrap();
        assert_eq!(fetched.high_watermark, 3);
        let records = fetched.records.unwrap();
        assert_eq!(records.len(), 3 * batch("v").len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_batch_comes_back_byte_for_byte_by_sendfile() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    broker.create_topic("large", 1, &[]).await;
    let sent = batch(&"x".repeat(900_000));
    client.produce("large", 0, sent.clone(), -1, TIMEOUT).await.unwrap();
    let fetched = client.fetch("large", 0, 0, FetchLimits::default()).await.unwrap();
    let records = fetched.records.unwrap();
    // The leader epoch is the broker's to set; it lies before the checksum.
    assert_eq!(records.as_bytes().unwrap()[16..], sent[16..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_order() {
    let broker = TestBroker::start().await;
    broker.create_topic("order", 1, &[]).await;
    let mut raw = Raw::connect(broker.address()).await;
    let mut sent = Vec::new();
    for n in 0..200 {
        sent.push(raw.send(&produce("order", -1, batch(&n.to_string())), 9).await);
    }
    for (n, id) in sent.into_iter().enumerate() {
        let (answered, response) = raw.answer::<ProduceRequest>(9).await;
        assert_eq!((answered, appended(&response)), (id, (ErrorCode::NONE, n as i64)));
    }
    let response = raw.call(&fetch("order", 0, 1000, 1), 12).await;
    assert_eq!(offsets(&response), (0..200).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_ends_with_the_append_and_not_before() {
    let broker = TestBroker::start().await;
    for durability in ["fsync", "replicated"] {
        broker.create_topic(durability, 1, &[("ottla.durability", durability)]).await;
        let mut consumer = Raw::connect(broker.address()).await;
        let mut producer = Raw::connect(broker.address()).await;
        let begun = Instant::now();
        consumer.send(&fetch(durability, 0, 9000, 1), 12).await;
        let quiet = tokio::time::timeout(Duration::from_millis(50), consumer.stream.readable()).await;
        assert!(quiet.is_err(), "answered before there was anything");
        producer.call(&produce(durability, 1, batch("v")), 9).await;
        let (_, response) = consumer.answer::<FetchRequest>(12).await;
        assert_eq!(offsets(&response), [0]);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_waits_for_min_bytes_and_gives_up_at_its_deadline() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let mut consumer = Raw::connect(broker.address()).await;
    let mut producer = Raw::connect(broker.address()).await;
    let size = batch("v").len() as i32;
    consumer.send(&fetch("t", 0, 9000, 2 * size), 12).await;
    producer.call(&produce("t", -1, batch("v")), 9).await;
    let quiet = tokio::time::timeout(Duration::from_millis(50), consumer.stream.readable()).await;
    assert!(quiet.is_err(), "answered with too little");
    producer.call(&produce("t", -1, batch("v")), 9).await;
    let (_, response) = consumer.answer::<FetchRequest>(12).await;
    assert_eq!(offsets(&response), [0, 1]);

    let begun = Instant::now();
    let response = consumer.call(&fetch("t", 2, 100, 1), 12).await;
    assert_eq!(offsets(&response), [0i64; 0]);
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_tells_only_what_is_new() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let mut raw = Raw::connect(broker.address()).await;
    let first = FetchRequest { session_epoch: 0, ..fetch("t", 0, 0, 0) };
    let opened = raw.call(&first, 12).await;
    assert!(opened.session_id > 0);
    assert_eq!(opened.responses.len(), 1);
    let next = |session_epoch| FetchRequest {
        session_id: opened.session_id,
        session_epoch,
        min_bytes: 0,
        ..FetchRequest::default()
    };
    let nothing = raw.call(&next(1), 12).await;
    assert_eq!((nothing.session_id, nothing.responses.len()), (opened.session_id, 0));
    raw.call(&produce("t", -1, batch("v")), 9).await;
    assert_eq!(offsets(&raw.call(&next(2), 12).await), [0]);
    assert_eq!(raw.call(&next(7), 12).await.error_code, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_produce_without_acks_closes_the_connection() {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    raw.send(&produce("nope", 0, batch("v")), 9).await;
    assert_eq!(raw.frame().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acked_is_there_after_a_clean_stop_and_offsets_are_found_by_time() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    broker.create_topic("t", 1, &[]).await;
    for n in 0..10i64 {
        let mut builder = BatchBuilder::new(Compression::Lz4);
        for m in 0..10 {
            builder.append(1_700_000_000_000 + n * 1000 + m * 10, Some(b"k"), Some(b"v"), &[]);
        }
        client.produce("t", 0, builder.build(0), -1, TIMEOUT).await.unwrap();
    }
    assert_eq!(client.list_offset("t", 0, 1_700_000_003_045).await.unwrap(), 35);
    assert_eq!(client.list_offset("t", 0, 1_800_000_000_000).await.unwrap(), -1);
    assert_eq!(client.list_offset("t", 0, -1).await.unwrap(), 100);
    assert_eq!(client.list_offset("t", 0, -2).await.unwrap(), 0);
    assert_eq!(client.list_offset("t", 0, -3).await.unwrap(), 99);
    broker.running.leave().await.unwrap();
}
