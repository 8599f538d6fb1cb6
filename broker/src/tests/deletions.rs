//! DeleteRecords where there are followers: it is answered once their logs begin there too.

use std::net::SocketAddr;
use std::time::Duration;

use ottla_core::Offset;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::DeleteRecordsRequest;
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};

use super::produce_fetch::batch;
use super::raw::Raw;
use crate::testing::TestCluster;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A topic of ten records whose replicas are these.
async fn filled(cluster: &TestCluster, replicas: &[i32]) {
    cluster.create_topic("t", replicas, &[]).await;
    let client = cluster.client(replicas[0]).await;
    for _ in 0..10 {
        client.produce("t", 0, batch("v"), -1, TIMEOUT).await.unwrap();
    }
}

async fn delete(leader: SocketAddr, offset: i64, timeout_ms: i32) -> (i64, ErrorCode) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
    let answer = Raw::connect(leader).await.call(&DeleteRecordsRequest { topics, timeout_ms }, 2).await;
    let partition = &answer.topics[0].partitions[0];
    (partition.low_watermark, partition.error_code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_as_deleted_is_deleted_on_every_live_replica() {
    let cluster = TestCluster::start(3, &[]).await;
    filled(&cluster, &[1, 2, 3]).await;
    for offset in [4, 4, 7] {
        assert_eq!(delete(cluster.broker(1).address(), offset, 30_000).await, (offset, ErrorCode::NONE));
        for id in 1..=3 {
            assert_eq!(cluster.replica(id, "t").reader().log_start(), Offset(offset), "on broker {id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_not_heard_is_waited_for_until_the_time_out_or_its_fence() {
    let mut cluster = TestCluster::start(2, &[]).await;
    filled(&cluster, &[1, 2]).await;
    cluster.halt_broker(2).await;
    let leader = cluster.broker(1).address();
    assert_eq!(delete(leader, 4, 100).await, (0, ErrorCode::REQUEST_TIMED_OUT));
    assert_eq!(cluster.replica(1, "t").reader().log_start(), Offset(4), "here it is done all the same");
    let waiting = tokio::spawn(delete(leader, 5, 30_000));
    cluster.fence_halted(2).await;
    assert_eq!(waiting.await.unwrap(), (5, ErrorCode::NONE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leads_no_more_does_not_know_what_is_deleted_elsewhere() {
    let mut cluster = TestCluster::start(3, &[]).await;
    filled(&cluster, &[1, 2, 3]).await;
    cluster.halt_broker(2).await;
    let waiting = tokio::spawn(delete(cluster.broker(1).address(), 4, 30_000));
    crate::testing::eventually("it is deleted here", || cluster.replica(1, "t").reader().log_start() == Offset(4))
        .await;
    cluster.fence(1).await;
    assert_eq!(waiting.await.unwrap(), (-1, ErrorCode::NOT_LEADER_OR_FOLLOWER));
}
