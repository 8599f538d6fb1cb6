//! The API fails any one request, done or not (fault 21 and 22 of the matrix): the cluster comes to match its spec all
//! the same, with one identity.

use std::ops::Range;

use futures::{StreamExt, stream};
use kube::ResourceExt;

use super::support::{Bench, is_ready, is_topic_ready};
use crate::names::CLUSTER_ID;

const CLUSTER: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 1, \
                       storage: {volumes: [{name: data, size: 1Gi}]}}";
const TOPIC: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaTopic\nmetadata: {name: orders}\nspec: {clusterRef: \
                     {name: demo}, partitions: 2}";

/// From the first list to well after the cluster is ready.
const REQUESTS: Range<usize> = 1..60;
const AT_ONCE: usize = 6;
/// Each of the two tests takes every third request, not the same ones: all of them would take minutes.
const STEP: usize = 3;

async fn converges_when(fail_at: usize, does_it: bool) {
    let bench = Bench::failing(fail_at, does_it).await;
    bench.create(CLUSTER).await;
    bench.create(TOPIC).await;
    bench.start_operator();
    let cluster = bench.cluster("demo", is_ready).await;
    bench.topic("orders", is_topic_ready).await;
    let status = cluster.status.clone().unwrap();
    assert_eq!(Some(&cluster.annotations()[CLUSTER_ID]), status.cluster_id.as_ref(), "failed at {fail_at}");
    assert_eq!(bench.kafka.state().topics["orders"].0.partitions.len(), 2);
}

#[tokio::test]
async fn a_request_that_fails_before_it_is_done_is_made_up_for() {
    let requests = REQUESTS.step_by(STEP);
    stream::iter(requests).for_each_concurrent(AT_ONCE, |fail_at| converges_when(fail_at, false)).await;
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_made_up_for() {
    let requests = REQUESTS.skip(1).step_by(STEP);
    stream::iter(requests).for_each_concurrent(AT_ONCE, |fail_at| converges_when(fail_at, true)).await;
}
