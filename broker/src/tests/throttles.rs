//! Throttled replication (KIP-73): a copy that catches up is held back on either side, and gets there.

use std::time::{Duration, Instant};

use ottla_core::BrokerId;
use ottla_core::controller::{
    AlterPartitionReassignments, ConfigChange, ConfigOp, IncrementalAlterConfigs, Reassignment, ResourceChanges,
};
use ottla_core::metadata::Resource;

use super::produce_fetch::batch;
use crate::testing::{TestBroker, TestCluster, eventually};

const RATE: u64 = 1_000_000;

async fn set_rate(broker: &TestBroker, key: &str) {
    let change = ConfigChange { key: key.into(), op: ConfigOp::Set, value: Some(RATE.to_string()) };
    let resources = vec![ResourceChanges { resource: Resource::every_broker(), changes: vec![change] }];
    let command = IncrementalAlterConfigs { resources, validate_only: false };
    broker.controller.submit(command).await.unwrap().remove(0).1.unwrap();
}

/// Has broker 2 copy 2 MB of `topic` from broker 1, throttled on one side or none; how long that takes.
async fn copy(cluster: &TestCluster, topic: &str, side: Option<&str>) -> Duration {
    let throttled = side.map(|side| format!("{side}.replication.throttled.replicas"));
    let rate = side.map(|side| format!("{side}.replication.throttled.rate"));
    let configs: Vec<_> = throttled.iter().map(|key| (key.as_str(), "*")).collect();
    copy_at(cluster, topic, &configs, rate.as_deref()).await
}

/// Has broker 2 copy 2 MB of a topic with these `configs` from broker 1, at [`RATE`] under the key `rate`.
async fn copy_at(cluster: &TestCluster, topic: &str, configs: &[(&str, &str)], rate: Option<&str>) -> Duration {
    cluster.create_topic(topic, &[1], configs).await;
    let client = cluster.client(1).await;
    for _ in 0..40 {
        let records = batch(&"x".repeat(50_000));
        client.produce(topic, 0, records, -1, Duration::from_secs(5)).await.unwrap();
    }
    if let Some(rate) = rate {
        // Only now: what a throttle lets pass gathers from the moment it is set.
        set_rate(cluster.broker(1), rate).await;
    }
    let begin = Instant::now();
    let target = Some(vec![BrokerId(1), BrokerId(2)]);
    let reassignments = vec![Reassignment { topic: topic.into(), partition: 0, target }];
    let command = AlterPartitionReassignments { reassignments, allow_replication_factor_change: true };
    cluster.broker(1).controller.submit(command).await.unwrap().remove(0).unwrap();
    eventually("the copy is in sync", || cluster.state(topic).isr.len() == 2).await;
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_catches_up_no_faster_than_either_side_lets_it() {
    let cluster = TestCluster::start(2, &[]).await;
    for side in ["leader", "follower"] {
        let taken = copy(&cluster, side, Some(side)).await;
        // A fetch brings a half of it; the second one waits until the first is worked off.
        assert!(taken > Duration::from_millis(900), "{side}: {taken:?}");
        let free = copy(&cluster, &format!("beside.{side}"), None).await;
        assert!(free < taken, "what is not throttled takes {free:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rate_holds_back_all_that_moves_without_any_lists() {
    let cluster = TestCluster::start(2, &[]).await;
    let taken = copy_at(&cluster, "t", &[], Some("ottla.move.max.bytes.per.second")).await;
    assert!(taken > Duration::from_millis(900), "{taken:?}");
}
