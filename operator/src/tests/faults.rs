//! The API fails any one request, done or not (fault 21 and 22 of the matrix): the cluster comes to match its spec all
//! the same, with one identity.

use kube::ResourceExt;

use super::support::{Bench, is_ready, is_topic_ready};
use crate::names::CLUSTER_ID;

const CLUSTER: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 1, \
                       storage: {volumes: [{name: data, size: 1Gi}]}}";
const TOPIC: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaTopic\nmetadata: {name: orders}\nspec: {clusterRef: \
                     {name: demo}, partitions: 2}";

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
    for fail_at in 1..60 {
        converges_when(fail_at, false).await;
    }
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_made_up_for() {
    for fail_at in 1..60 {
        converges_when(fail_at, true).await;
    }
}
