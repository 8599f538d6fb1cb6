//! Replicas that move: between the directories of a broker, and what a client sees of reassignments.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{ConfigChange, ConfigOp, IncrementalAlterConfigs, ResourceChanges};
use ottla_core::metadata::Resource;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, FetchLimits};
use ottla_protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use ottla_protocol::messages::alter_replica_log_dirs::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, DescribeLogDirsRequest,
    ListPartitionReassignmentsRequest,
};
use ottla_records::batches;

use super::produce_fetch::batch;
use crate::testing::{TestBroker, eventually};

const TIMEOUT: Duration = Duration::from_secs(5);
const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

async fn start(data: &Path) -> TestBroker {
    let dirs = format!("{},{}", data.join("a").display(), data.join("b").display());
    TestBroker::start_with(&[("log.dirs", &dirs)]).await
}

async fn move_to(client: &Client, dir: &Path, topic: &str) -> ErrorCode {
    let topics = vec![AlterReplicaLogDirTopic { name: topic.into(), partitions: vec![0] }];
    let dirs = vec![AlterReplicaLogDir { path: dir.display().to_string().into(), topics }];
    let answer = client.send_any(&AlterReplicaLogDirsRequest { dirs }).await.unwrap();
    answer.results[0].partitions[0].error_code
}

/// Directory, size, lag and whether it is a copy, of each place where topic `t` is.
async fn places(client: &Client) -> Vec<(PathBuf, i64, i64, bool)> {
    let answer = client.send_any(&DescribeLogDirsRequest { topics: None }).await.unwrap();
    let mut places = Vec::new();
    for dir in answer.results {
        for partition in dir.topics.into_iter().filter(|topic| &*topic.name == "t").flat_map(|topic| topic.partitions) {
            let path = PathBuf::from(dir.log_dir.to_string());
            places.push((path, partition.partition_size, partition.offset_lag, partition.is_future_key));
        }
    }
    places
}

async fn set_rate(broker: &TestBroker, rate: Option<&str>) {
    let op = if rate.is_some() { ConfigOp::Set } else { ConfigOp::Delete };
    let changes = vec![ConfigChange { key: RATE.to_owned(), op, value: rate.map(str::to_owned) }];
    let resources = vec![ResourceChanges { resource: Resource::broker("0".to_owned()), changes }];
    let answer = broker.controller.submit(IncrementalAlterConfigs { resources, validate_only: false }).await.unwrap();
    answer[0].1.as_ref().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_moves_to_another_directory_while_it_is_written_and_read() {
    let data = tempfile::tempdir().unwrap();
    let broker = start(data.path()).await;
    let client = broker.client().await;
    broker.create_topic("t", 1, &[("segment.bytes", "1048576")]).await;
    for _ in 0..8 {
        client.produce("t", 0, batch(&"x".repeat(500_000)), -1, TIMEOUT).await.unwrap();
    }
    let before = places(&client).await;
    let [(from, size, 0, false)] = &before[..] else { panic!("{before:?}") };
    let to = data.path().join(if from.ends_with("a") { "b" } else { "a" });

    // So slow that the copy can be seen: what is ahead passes, then the debt is waited off.
    set_rate(&broker, Some("200000")).await;
    assert_eq!(move_to(&client, &to, "t").await, ErrorCode::NONE);
    let during = places(&client).await;
    let future: Vec<_> = during.iter().filter(|place| place.3).collect();
    assert!(matches!(future[..], [(dir, _, lag, true)] if *dir == to && *lag > 0), "{during:?}");
    client.produce("t", 0, batch("meanwhile"), -1, TIMEOUT).await.unwrap();
    set_rate(&broker, None).await;

    let replicas = Arc::clone(&broker.running.broker.replicas);
    let mut written = 9;
    while !replicas.future_replicas().is_empty() {
        client.produce("t", 0, batch("more"), -1, TIMEOUT).await.unwrap();
        written += 1;
    }
    let after = places(&client).await;
    assert!(matches!(&after[..], [(dir, bytes, 0, false)] if *dir == to && bytes > size), "{after:?}");
    client.produce("t", 0, batch("last"), -1, TIMEOUT).await.unwrap();
    let mut offset = 0;
    while offset < written + 1 {
        let fetched = client.fetch("t", 0, offset, FetchLimits::default()).await.unwrap();
        let records = fetched.records.unwrap();
        for batch in batches(records.as_bytes().unwrap()) {
            let header = batch.unwrap().header;
            assert_eq!(header.base_offset, offset, "every record once, in order");
            offset = header.next_offset();
        }
    }
    let id = replicas.directories().iter().find(|one| one.path == to).unwrap().id;
    let registered = || {
        let image = broker.controller.image();
        image.topic("t").unwrap().partition(0).unwrap().replicas[0].directory
    };
    eventually("the controller knows the new directory", || registered() == id).await;
    eventually("the old log is gone", || {
        std::fs::read_dir(from).unwrap().flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with("t-0"))
    })
    .await;
    broker.running.leave().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_between_directories_is_refused_as_kafka_refuses_it_and_called_off() {
    let data = tempfile::tempdir().unwrap();
    let broker = start(data.path()).await;
    let client = broker.client().await;
    broker.create_topic("t", 1, &[]).await;
    client.produce("t", 0, batch(&"x".repeat(900_000)), -1, TIMEOUT).await.unwrap();
    client.produce("t", 0, batch(&"x".repeat(900_000)), -1, TIMEOUT).await.unwrap();
    let (a, b) = (data.path().join("a"), data.path().join("b"));
    let here = places(&client).await[0].0.clone();
    let there = if here == a { b } else { a };
    assert_eq!(move_to(&client, Path::new("/nowhere"), "t").await, ErrorCode::LOG_DIR_NOT_FOUND);
    assert_eq!(move_to(&client, &there, "unknown").await, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    set_rate(&broker, Some("1")).await;
    assert_eq!(move_to(&client, &there, "t").await, ErrorCode::NONE);
    assert_eq!(places(&client).await.len(), 2);
    assert_eq!(move_to(&client, &here, "t").await, ErrorCode::NONE);
    assert_eq!(places(&client).await.len(), 1);
    let replicas = Arc::clone(&broker.running.broker.replicas);
    let failed = replicas.directories().iter().find(|one| one.path == there).unwrap().id;
    replicas.fail_directory(failed, "the test says so");
    assert_eq!(move_to(&client, &there, "t").await, ErrorCode::KAFKA_STORAGE_ERROR);
    broker.running.leave().await.unwrap();
}

#[tokio::test]
async fn reassignments_are_answered_for_each_partition() {
    let broker = TestBroker::start().await;
    let client = broker.client().await;
    broker.create_topic("t", 2, &[]).await;
    let partition = |partition_index, replicas| ReassignablePartition { partition_index, replicas };
    let partitions = vec![partition(0, Some(vec![0])), partition(1, Some(vec![0, 7])), partition(5, None)];
    let topics = vec![
        ReassignableTopic { name: "t".into(), partitions },
        ReassignableTopic { name: "u".into(), partitions: vec![partition(0, None)] },
    ];
    let request = AlterPartitionReassignmentsRequest { topics, ..AlterPartitionReassignmentsRequest::default() };
    let answer = client.send_any(&request).await.unwrap();
    assert_eq!((answer.error_code, answer.error_message), (ErrorCode::NONE, None));
    let codes: Vec<Vec<_>> =
        answer.responses.iter().map(|topic| topic.partitions.iter().map(|p| p.error_code).collect()).collect();
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(codes, [vec![ErrorCode::NONE, ErrorCode::INVALID_REPLICA_ASSIGNMENT, unknown], vec![unknown]]);
    let listed =
        client.send_any(&ListPartitionReassignmentsRequest { topics: None, ..Default::default() }).await.unwrap();
    assert_eq!((listed.error_code, listed.topics), (ErrorCode::NONE, vec![]));
}
