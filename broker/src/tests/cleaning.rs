//! The log cleaner in a running broker, as clients see what it leaves.

use std::fs;
use std::time::Duration;

use ottla_core::controller::{ConfigChange, ConfigOp, IncrementalAlterConfigs, ResourceChanges};
use ottla_core::metadata::Resource;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, FetchLimits};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use ottla_records::{BatchBuilder, Compression, Limits, RecordReader, batches};

use super::raw::Raw;
use crate::testing::{TestBroker, TestCluster, eventually, eventually_some};

const TIMEOUT: Duration = Duration::from_secs(5);
/// The cleaner looks often.
const EAGER: (&str, &str) = ("log.cleaner.backoff.ms", "20");
/// Records whose timestamps differ lie in segments of their own, and one dirty segment is enough.
const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0")];

/// Produces one record, stamped a second later than the one before.
async fn put(client: &Client, topic: &str, n: i64, key: &str, value: &str) {
    let mut builder = BatchBuilder::new(Compression::Lz4);
    builder.append(1_700_000_000_000 + 1000 * n, Some(key.as_bytes()), Some(value.as_bytes()), &[]);
    let answer = client.produce(topic, 0, builder.build(0), -1, TIMEOUT).await.unwrap();
    assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, n), "no offset is given twice");
}

/// Offset, key and value of all that a consumer finds.
async fn all(client: &Client, topic: &str) -> Vec<(i64, String, String)> {
    let mut found = Vec::new();
    let mut offset = 0;
    loop {
        let limits = FetchLimits { min_bytes: 0, ..FetchLimits::default() };
        let fetched = client.fetch(topic, 0, offset, limits).await.unwrap();
        let bytes = fetched.records.and_then(|records| records.as_bytes().cloned()).unwrap_or_default();
        let before = offset;
        for batch in batches(&bytes).map(Result::unwrap) {
            let mut records = RecordReader::new(batch.bytes, Limits::default()).unwrap();
            while let Some(record) = records.next_record().unwrap() {
                let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
                found.push((record.offset, text(record.key), text(record.value)));
            }
            offset = batch.header.next_offset();
        }
        if offset == before {
            return found;
        }
    }
}

/// Thirty records of three keys, the last one in the active segment; what a clean leaves of them.
async fn thirty(client: &Client, topic: &str) -> Vec<(i64, String, String)> {
    for n in 0..30 {
        put(client, topic, n, &format!("key-{}", n % 3), &n.to_string()).await;
    }
    let entry = |n: i64| (n, format!("key-{}", n % 3), n.to_string());
    [26, 27, 28, 29].map(entry).to_vec()
}

async fn alter(broker: &TestBroker, resource: Resource, key: &str, value: &str) {
    let change = ConfigChange { key: key.into(), op: ConfigOp::Set, value: Some(value.into()) };
    let resources = vec![ResourceChanges { resource, changes: vec![change] }];
    let command = IncrementalAlterConfigs { resources, validate_only: false };
    broker.controller.submit(command).await.unwrap().remove(0).1.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_a_compacted_topic_finds_the_last_value_of_each_key_at_its_offset() {
    let broker = TestBroker::start_with(&[EAGER]).await;
    let client = broker.client().await;
    broker.create_topic("t", 1, &COMPACTED).await;
    let left = thirty(&client, "t").await;
    let cleaned = async || (all(&client, "t").await == left).then_some(());
    eventually_some("only the last values are left", cleaned).await;
    assert_eq!(client.list_offset("t", 0, -2).await.unwrap(), 0, "the log still begins at its first offset");
    assert_eq!(client.list_offset("t", 0, 1_700_000_000_000).await.unwrap(), 26);
    put(&client, "t", 30, "key-0", "30").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_and_follower_clean_on_their_own_and_a_new_replica_copies_what_is_left() {
    let mut cluster = TestCluster::start(3, &[EAGER]).await;
    cluster.create_topic("t", &[1, 2], &COMPACTED).await;
    let client = cluster.client(1).await;
    let left = thirty(&client, "t").await;
    for id in [1, 2] {
        let replica = cluster.replica(id, "t");
        eventually("the replica is cleaned", || replica.reader().segments() == 2).await;
        assert_eq!(replica.reader().log_end().0, 30);
    }
    assert_eq!(all(&client, "t").await, left);
    cluster.stop_broker(1).await;
    let client = cluster.client(2).await;
    let leads = async || client.list_offset("t", 0, -1).await.ok().filter(|end| *end == 30);
    eventually_some("the follower leads", leads).await;
    assert_eq!(all(&client, "t").await, left);
    for n in 30..33 {
        put(&client, "t", n, "key-0", &n.to_string()).await;
    }
    cluster.start_broker(1, &[]).await;
    eventually("it is back and has copied", || cluster.try_end(1, "t") == Some(33)).await;
    eventually("and cleaned", || cluster.replica(1, "t").reader().segments() == 2).await;
    assert_eq!(all(&client, "t").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_clean_fails_is_set_aside_and_told_of_while_others_go_on() {
    let broker = TestBroker::start_with(&[EAGER]).await;
    let client = broker.client().await;
    let never = [COMPACTED[0], COMPACTED[1], ("min.cleanable.dirty.ratio", "1")];
    broker.create_topic("bad", 1, &never).await;
    let before = thirty(&client, "bad").await;
    let data = broker.running.broker.replicas.directories()[0].path.join("bad-0");
    let segment = data.join(format!("{:020}.log", 7));
    let mut bytes = fs::read(&segment).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&segment, bytes).unwrap();
    alter(&broker, Resource::topic("bad"), "min.cleanable.dirty.ratio", "0").await;
    let metrics = &broker.running.broker.replicas.metrics().cleaner;
    eventually("it is told of", || metrics.uncleanable.get() == 1).await;
    broker.create_topic("good", 1, &COMPACTED).await;
    let left = thirty(&client, "good").await;
    let cleaned = async || (all(&client, "good").await == left).then_some(());
    eventually_some("another log is cleaned", cleaned).await;
    assert_eq!(metrics.uncleanable.get(), 1);
    assert_eq!(
        fs::read_dir(&data).unwrap().flatten().filter(|e| e.path().extension().is_some_and(|e| e == "log")).count(),
        30
    );
    assert_eq!(before.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_loaded_from_a_compacted_offsets_topic() {
    let properties = [EAGER, ("offsets.topic.num.partitions", "1"), ("offsets.topic.replication.factor", "1")];
    let mut cluster = TestCluster::start(1, &properties).await;
    cluster.create_topic("t", &[1], &[]).await;
    let commit = async |raw: &mut Raw, group: &str, offset: i64| {
        let partition =
            OffsetCommitRequestPartition { partition_index: 0, committed_offset: offset, ..Default::default() };
        let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        raw.call(&request, 8).await.topics[0].partitions[0].error_code
    };
    let mut raw = Raw::connect(cluster.broker(1).address()).await;
    super::groups::find_on(&mut raw, "g", 1).await;
    let committed = async || (commit(&mut raw, "g", 0).await == ErrorCode::NONE).then_some(());
    eventually_some("the coordinator is there", committed).await;
    for (key, value) in [COMPACTED[1], COMPACTED[2]] {
        alter(cluster.broker(1), Resource::topic("__consumer_offsets"), key, value).await;
    }
    for n in 1..=40 {
        for group in ["g", "h"] {
            assert_eq!(commit(&mut raw, group, n).await, ErrorCode::NONE);
        }
    }
    let replica = cluster.replica(1, "__consumer_offsets");
    eventually("it is cleaned", || replica.reader().segments() <= 3).await;
    drop(replica);
    cluster.stop_broker(1).await;
    cluster.start_broker(1, &[]).await;
    let mut raw = Raw::connect(cluster.broker(1).address()).await;
    for group in ["g", "h"] {
        super::groups::find_on(&mut raw, group, 1).await;
        let topics = Some(vec![OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0] }]);
        let request = OffsetFetchRequest { group_id: group.into(), topics, ..OffsetFetchRequest::default() };
        let found = eventually_some("the group is loaded", async || {
            let answer = raw.call(&request, 7).await;
            (answer.error_code == ErrorCode::NONE).then_some(answer)
        });
        assert_eq!(found.await.topics[0].partitions[0].committed_offset, 40, "{group}");
    }
}
