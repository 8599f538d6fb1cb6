//! Several brokers over TCP: followers catch up, leaders change, in-sync sets shrink and grow.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_core::{BrokerId, LeaderEpoch, Offset};
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, FetchLimits};
use ottla_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use ottla_protocol::messages::offset_fetch::OffsetFetchRequestTopic;
use ottla_protocol::messages::{FetchRequest, FindCoordinatorRequest, OffsetCommitRequest, OffsetFetchRequest};

use super::produce_fetch::{batch, fetch, produce};
use super::raw::Raw;
use crate::testing::{TestCluster, eventually, eventually_some};

const TIMEOUT: Duration = Duration::from_secs(5);

fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn large(n: usize) -> Bytes {
    batch(&format!("{n}").repeat(5_000))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_catch_up_byte_for_byte_and_learn_the_watermark() {
    let cluster = TestCluster::start(3, &[]).await;
    for durability in ["fsync", "replicated"] {
        let configs = [("ottla.durability", durability), ("min.insync.replicas", "3")];
        cluster.create_topic(durability, &[1, 2, 3], &configs).await;
        let client = cluster.client(1).await;
        for n in 0..50 {
            let answer = client.produce(durability, 0, large(n), -1, TIMEOUT).await.unwrap();
            assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, n as i64));
        }
        for id in [2, 3] {
            let replica = cluster.replica(id, durability);
            assert_eq!(replica.reader().log_end(), Offset(50), "acked means on every in-sync replica");
            assert_eq!(cluster.segment(id, durability), cluster.segment(1, durability));
            eventually("the follower learns the watermark", || replica.high_watermark() == Offset(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acked_or_shown_before_every_member_has_flushed_it() {
    let cluster = TestCluster::start(2, &[]).await;
    cluster.create_topic("t", &[1, 2], &[]).await;
    let client = cluster.client(1).await;
    client.produce("t", 0, batch("first"), -1, TIMEOUT).await.unwrap();

    let follower = &cluster.broker(2).running.broker.replicas;
    follower.pause_flushers(true);
    let mut raw = Raw::connect(cluster.broker(1).address()).await;
    raw.send(&produce("t", -1, batch("second")), 9).await;
    eventually("the follower has it in its log", || cluster.replica(2, "t").reader().log_end() == Offset(2)).await;
    eventually("the leader has flushed it", || cluster.replica(1, "t").reader().flushed() == Offset(2)).await;
    assert_eq!(cluster.replica(1, "t").high_watermark(), Offset(1));
    follower.pause_flushers(false);
    let (_, answer) = raw.answer::<ottla_protocol::messages::ProduceRequest>(9).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    assert_eq!(cluster.replica(2, "t").reader().flushed(), Offset(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_comes_right_after_the_flush_and_not_at_the_end_of_a_long_poll() {
    let cluster = TestCluster::start(3, &[]).await;
    cluster.create_topic("t", &[1, 2, 3], &[]).await;
    let client = cluster.client(1).await;
    client.produce("t", 0, batch("warm"), -1, TIMEOUT).await.unwrap();
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..50 {
        let begin = Instant::now();
        client.produce("t", 0, batch("v"), -1, TIMEOUT).await.unwrap();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    assert!(times[25] < Duration::from_millis(100), "half a long poll or more: {times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tail_of_a_deposed_leader_that_was_not_committed_is_cut() {
    let mut cluster = TestCluster::start(3, &[]).await;
    cluster.create_topic("t", &[1, 2], &[("min.insync.replicas", "2")]).await;
    cluster.client(1).await.produce("t", 0, batch("both have it"), -1, TIMEOUT).await.unwrap();
    cluster.stop_broker(2).await;
    let is_alone = || cluster.replica(1, "t").isr_state().is_some_and(|(isr, ..)| isr == 1);
    eventually("the leader is alone in the in-sync set", is_alone).await;
    let lonely = cluster.client(1).await.produce("t", 0, batch("the leader alone"), 1, TIMEOUT).await.unwrap();
    assert_eq!((lonely.error_code, lonely.base_offset), (ErrorCode::NONE, 1));
    let refused = produce("t", -1, batch("too few"));
    let refused = Raw::connect(cluster.broker(1).address()).await.call(&refused, 9).await;
    let code = refused.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::NOT_ENOUGH_REPLICAS);
    assert_eq!(cluster.replica(1, "t").high_watermark(), Offset(1));
    cluster.stop_broker(1).await;

    cluster.start_broker(2, &[]).await;
    eventually("the other is elected from the eligible replicas", || cluster.state("t").leader == BrokerId(2)).await;
    let other = cluster.client(2).await.produce("t", 0, batch("the other leader"), 1, TIMEOUT).await.unwrap();
    assert_eq!(other.base_offset, 1);
    cluster.start_broker(1, &[]).await;
    eventually("both are in sync", || cluster.state("t").isr.len() == 2).await;
    let client = cluster.client(2).await;
    client.produce("t", 0, batch("both again"), -1, TIMEOUT).await.unwrap();
    assert_eq!(cluster.segment(1, "t"), cluster.segment(2, "t"));
    assert_eq!(cluster.replica(1, "t").reader().log_end(), Offset(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_has_stopped_fetching_leaves_the_isr_and_comes_back() {
    let mut cluster = TestCluster::start(2, &[("replica.lag.time.max.ms", "300")]).await;
    cluster.create_topic("t", &[1, 2], &[]).await;
    let client = cluster.client(1).await;
    client.produce("t", 0, batch("first"), -1, TIMEOUT).await.unwrap();
    cluster.halt_broker(2).await;
    let begin = Instant::now();
    client.produce("t", 0, batch("second"), -1, TIMEOUT).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(250), "it was waited for");
    assert_eq!(cluster.state("t").isr, brokers(&[1]));
    cluster.fence_halted(2).await;
    cluster.start_broker(2, &[]).await;
    eventually("it is in sync again", || cluster.state("t").isr == brokers(&[1, 2])).await;
    assert_eq!(cluster.segment(2, "t"), cluster.segment(1, "t"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_fenced_and_goes_on_comes_back_to_partitions_that_are_idle() {
    let cluster = TestCluster::start(2, &[]).await;
    cluster.create_topic("t", &[1, 2], &[]).await;
    cluster.client(1).await.produce("t", 0, batch("v"), -1, TIMEOUT).await.unwrap();
    eventually("it has nothing new to tell", || cluster.replica(2, "t").high_watermark() == Offset(1)).await;
    for _ in 0..3 {
        let before = cluster.state("t").partition_epoch;
        cluster.fence(2).await;
        eventually("it is in sync again", || {
            let state = cluster.state("t");
            state.partition_epoch > before && state.isr == brokers(&[1, 2])
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_produce_fails_at_once_when_leadership_moves() {
    let cluster = TestCluster::start(2, &[]).await;
    cluster.create_topic("t", &[1, 2], &[]).await;
    cluster.client(1).await.produce("t", 0, batch("first"), -1, TIMEOUT).await.unwrap();
    cluster.broker(2).running.broker.replicas.pause_flushers(true);
    let mut raw = Raw::connect(cluster.broker(1).address()).await;
    raw.send(&produce("t", -1, batch("second")), 9).await;
    eventually("it is appended", || cluster.replica(1, "t").reader().log_end() == Offset(2)).await;
    cluster.fence(1).await;
    let late = Raw::connect(cluster.broker(1).address()).await.call(&produce("t", 1, batch("late")), 9).await;
    assert_eq!(late.responses[0].partition_responses[0].error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let (_, answer) = raw.answer::<ottla_protocol::messages::ProduceRequest>(9).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    cluster.broker(2).running.broker.replicas.pause_flushers(false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_far_behind_the_leaders_start_begins_anew_there() {
    let mut cluster = TestCluster::start(2, &[]).await;
    cluster.create_topic("t", &[1, 2], &[]).await;
    cluster.client(1).await.produce("t", 0, batch("first"), -1, TIMEOUT).await.unwrap();
    cluster.stop_broker(2).await;
    for n in 0..20 {
        cluster.client(1).await.produce("t", 0, large(n), -1, TIMEOUT).await.unwrap();
    }
    assert_eq!(cluster.replica(1, "t").delete_records(Offset(15)).unwrap(), Offset(15));
    cluster.start_broker(2, &[]).await;
    eventually("it is in sync again", || cluster.state("t").isr == brokers(&[1, 2])).await;
    let replica = cluster.replica(2, "t");
    assert_eq!((replica.reader().log_start(), replica.reader().log_end()), (Offset(15), Offset(21)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_serves_at_once_and_keeps_what_was_acked() {
    let mut cluster = TestCluster::start(3, &[]).await;
    cluster.create_topic("t", &[1, 2, 3], &[("min.insync.replicas", "2")]).await;
    let client = cluster.client(2).await;
    for n in 0..20 {
        client.produce("t", 0, large(n), -1, TIMEOUT).await.unwrap();
    }
    cluster.stop_broker(1).await;
    let begin = Instant::now();
    let answer = client.produce("t", 0, batch("after"), -1, TIMEOUT).await.unwrap();
    assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, 20));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(client.list_offset("t", 0, -1).await.unwrap(), 21);
    let read = client.fetch("t", 0, 0, FetchLimits::default()).await.unwrap();
    assert_eq!(read.high_watermark, 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_may_read_from_a_follower_below_its_watermark() {
    let cluster = TestCluster::start(2, &[]).await;
    cluster.create_topic("t", &[1, 2], &[]).await;
    cluster.client(1).await.produce("t", 0, batch("v"), -1, TIMEOUT).await.unwrap();
    let mut raw = Raw::connect(cluster.broker(2).address()).await;
    let answer = raw.call(&fetch("t", 0, 1_000, 1), 11).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.high_watermark), (ErrorCode::NONE, 1));
    assert_eq!(partition.records.as_ref().unwrap().len(), batch("v").len());
    let too_old = raw.call(&fetch("t", 0, 0, 1), 10).await;
    assert_eq!(too_old.responses[0].partitions[0].error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_is_sent_to_the_replica_in_its_rack() {
    let selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let mut cluster = TestCluster::start(0, &[("replica.selector.class", selector)]).await;
    for (id, rack) in [(1, "a"), (2, "b"), (3, "c")] {
        cluster.start_broker(id, &[("broker.rack", rack)]).await;
    }
    cluster.create_topic("t", &[1, 2], &[]).await;
    cluster.client(1).await.produce("t", 0, batch("v"), -1, TIMEOUT).await.unwrap();
    let mut raw = Raw::connect(cluster.broker(1).address()).await;
    for (rack, preferred, bytes) in [("a", -1, batch("v").len()), ("b", 2, 0), ("c", -1, batch("v").len())] {
        let request = FetchRequest { rack_id: rack.into(), ..fetch("t", 0, 5_000, 1) };
        let answer = raw.call(&request, 12).await;
        let partition = &answer.responses[0].partitions[0];
        assert_eq!((partition.error_code, partition.preferred_read_replica), (ErrorCode::NONE, preferred), "{rack}");
        assert_eq!(partition.records.as_ref().unwrap().len(), bytes, "{rack}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_offsets_outlive_their_coordinator() {
    let factor = [("offsets.topic.replication.factor", "3"), ("offsets.topic.num.partitions", "2")];
    let mut cluster = TestCluster::start(3, &factor).await;
    cluster.create_topic("t", &[3, 2], &[]).await;
    let client = cluster.client(2).await;
    for offset in 1..=20 {
        let answer = client.send_to_coordinator("g", &commit("g", offset)).await.unwrap();
        assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::NONE);
    }
    let coordinator = find_coordinator(&client, "g").await;
    let (survivor, _) = [(2, 3), (3, 2)].into_iter().find(|(id, _)| *id != coordinator).unwrap();
    let client = cluster.client(survivor).await;
    cluster.stop_broker(coordinator).await;
    let begin = Instant::now();
    let request = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0] }]),
        ..OffsetFetchRequest::default()
    };
    let found = eventually_some("the group has a coordinator", async || {
        let other = find_coordinator(&client, "g").await;
        // The survivor may not have heard yet that the old one is gone, or may know of none.
        if other == coordinator || other < 0 {
            return None;
        }
        let mut raw = Raw::connect(cluster.broker(other).address()).await;
        let answer = raw.call(&request, 5).await;
        answer.error_code.is_none().then(|| answer.topics[0].partitions[0].committed_offset)
    })
    .await;
    assert_eq!(found, 20);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

fn commit(group: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    }
}

async fn find_coordinator(client: &Client, group: &str) -> i32 {
    let request = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() };
    client.send_any(&request).await.unwrap().coordinators[0].node_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_a_replica_is_refused_as_a_follower() {
    let cluster = TestCluster::start(2, &[]).await;
    cluster.create_topic("t", &[1], &[]).await;
    let mut raw = Raw::connect(cluster.broker(1).address()).await;
    let mut request = fetch("t", 0, 0, 0);
    request.replica_id = 2;
    let answer = raw.call(&request, 12).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let epoch = cluster.replica(1, "t").leader_epoch().unwrap();
    request.topics[0].partitions[0].current_leader_epoch = epoch.0;
    let answer = raw.call(&request, 12).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, ErrorCode::UNKNOWN_LEADER_EPOCH);
    request.topics[0].partitions[0].current_leader_epoch = LeaderEpoch(epoch.0 + 1).0;
    let answer = raw.call(&request, 12).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, ErrorCode::UNKNOWN_LEADER_EPOCH);
}
