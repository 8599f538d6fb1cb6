//! Replicas that move between the brokers of a cluster, under load.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, FetchLimits};
use ottla_protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use ottla_protocol::messages::{AlterPartitionReassignmentsRequest, ListPartitionReassignmentsRequest};
use ottla_records::{BatchBuilder, Compression, batches};
use ottla_tests::cluster::Cluster;

const TIMEOUT: Duration = Duration::from_secs(10);

fn batch(number: i64) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1_700_000_000_000 + number, None, Some(&number.to_be_bytes()), &[]);
    builder.build(0)
}

async fn reassign(client: &Client, target: Option<Vec<i32>>) -> ErrorCode {
    let partitions = vec![ReassignablePartition { partition_index: 0, replicas: target }];
    let topics = vec![ReassignableTopic { name: "t".into(), partitions }];
    let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
    let answer = client.send_any(&request).await.unwrap();
    assert_eq!(answer.error_code, ErrorCode::NONE, "{:?}", answer.error_message);
    answer.responses[0].partitions[0].error_code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_moves_to_other_brokers_while_it_is_written_and_loses_nothing() {
    let cluster = Cluster::start(4).await;
    let client = cluster.client().await;
    client.create_topic("t", 1, 2, &[]).await.unwrap();
    cluster.settled().await;
    let state = |id: usize| cluster.image(id).topic("t").unwrap().partition(0).unwrap().clone();
    let before: Vec<i32> = state(0).brokers().map(|id| id.0).collect();
    let target: Vec<i32> = (0..4).filter(|id| !before.contains(id)).collect();
    for number in 0..50 {
        let answer = client.produce("t", 0, batch(number), -1, TIMEOUT).await.unwrap();
        assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, number));
    }
    assert_eq!(reassign(&client, Some(target.clone())).await, ErrorCode::NONE);
    let mut written = 50;
    let begun = std::time::Instant::now();
    // A broker that has not heard of the move yet does not see one either.
    let has_moved = |id: usize| state(id).brokers().map(|id| id.0).eq(target.iter().copied());
    while !(has_moved(0) && has_moved(1)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not end: {:?}", state(0));
        let answer = client.produce("t", 0, batch(written), -1, TIMEOUT).await.unwrap();
        // One that the old leader took but could not ack any more is sent again, and both may stay.
        assert!(answer.error_code == ErrorCode::NONE && answer.base_offset >= written, "{answer:?}, not {written}");
        written = answer.base_offset + 1;
    }
    cluster.settled().await;
    let after = state(1);
    assert_eq!(after.brokers().map(|id| id.0).collect::<Vec<_>>(), target);
    assert!(after.isr.len() == 2 && target.contains(&after.leader.0), "{after:?}");
    let listed =
        client.send_any(&ListPartitionReassignmentsRequest { topics: None, ..Default::default() }).await.unwrap();
    assert_eq!((listed.error_code, listed.topics.len()), (ErrorCode::NONE, 0));
    let mut offset = 0;
    while offset < written {
        let fetched = client.fetch("t", 0, offset, FetchLimits::default()).await.unwrap();
        for batch in batches(fetched.records.unwrap().as_bytes().unwrap()) {
            let header = batch.unwrap().header;
            assert_eq!(header.base_offset, offset);
            offset = header.next_offset();
        }
    }
    for id in before {
        let folder = cluster.data(id as usize).join("t-0");
        cluster.until("the copies left behind are deleted", || !folder.exists()).await;
    }
    assert_eq!(reassign(&client, None).await, ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_to_a_broker_that_is_down_waits_is_cancelled_and_leaves_nothing_behind() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    client.create_topic("t", 1, 2, &[]).await.unwrap();
    cluster.settled().await;
    let before: Vec<i32> =
        cluster.image(0).topic("t").unwrap().partition(0).unwrap().brokers().map(|id| id.0).collect();
    let other = (0..3).find(|id| !before.contains(id)).unwrap();
    cluster.stop(other as usize).await;
    assert_eq!(reassign(&client, Some(vec![before[0], other])).await, ErrorCode::NONE);
    let asked =
        client.send_any(&ListPartitionReassignmentsRequest { topics: None, ..Default::default() }).await.unwrap();
    assert_eq!(asked.topics[0].partitions[0].adding_replicas, [other]);
    assert_eq!(reassign(&client, None).await, ErrorCode::NONE);
    cluster.start_broker(other as usize).await.unwrap();
    cluster.settled().await;
    let state = cluster.image(other as usize).topic("t").unwrap().partition(0).unwrap().clone();
    assert_eq!(state.brokers().map(|id| id.0).collect::<Vec<_>>(), before);
    assert!(!state.is_moving() && !cluster.data(other as usize).join("t-0").exists());
}
