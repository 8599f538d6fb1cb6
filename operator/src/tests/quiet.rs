//! A converged cluster is left in peace (O2): passes read, and write nothing to Kubernetes or to a broker.

use std::{sync::Arc, time::Duration};

use kube::api::ListParams;
use ottla_core::ids::BrokerId;
use ottla_crds::{KafkaCluster, KafkaTopic};

use super::support::{Bench, is_ready, is_topic_ready};
use crate::{
    cluster,
    context::Context,
    kafka::{ClusterAdmin, Reassignment},
    topic,
};

const QUICKSTART: &str = include_str!("../../../manifests/quickstart.yaml");

async fn converged() -> Bench {
    let bench = Bench::new().await;
    bench.kafka.set_brokers(3);
    bench.start_operator();
    bench.create(QUICKSTART).await;
    bench.cluster("demo", |cluster| is_ready(cluster) && knows_all_topics(cluster)).await;
    for topic in ["orders", "flights", "logs"] {
        bench.topic(topic, is_topic_ready).await;
    }
    bench
}

fn knows_all_topics(cluster: &KafkaCluster) -> bool {
    let partitions = cluster.status.as_ref().and_then(|status| status.partitions.clone());
    partitions.is_some_and(|partitions| partitions.total == 10)
}

/// A pass over each object.
async fn pass_over_all(bench: &Bench, context: &Arc<Context>) {
    for cluster in bench.api::<KafkaCluster>().list(&ListParams::default()).await.unwrap() {
        cluster::reconcile(Arc::new(cluster), context.clone()).await.unwrap();
    }
    for topic in bench.api::<KafkaTopic>().list(&ListParams::default()).await.unwrap() {
        topic::reconcile(Arc::new(topic.into()), context.clone()).await.unwrap();
    }
}

/// Passes until one writes nothing and `is_there`; those that follow write nothing either.
async fn comes_to_rest(bench: &Bench, context: &Arc<Context>, is_there: impl Fn(&KafkaCluster) -> bool) {
    super::support::eventually("a round of passes without a write", async || {
        pass_over_all(bench, context).await;
        let is_there = is_there(&bench.api::<KafkaCluster>().get("demo").await.unwrap());
        let writes = bench.wiretap.take_writes();
        if is_there && writes.is_empty() { Ok(()) } else { Err(format!("{writes:?}")) }
    })
    .await;
    bench.kafka.take_calls();
    for _ in 0..20 {
        pass_over_all(bench, context).await;
    }
    assert_eq!(bench.wiretap.take_writes(), Vec::<String>::new());
    assert_eq!(bench.kafka.take_calls(), vec![]);
}

#[tokio::test]
async fn passes_over_a_converged_cluster_write_nothing() {
    let bench = Bench::new().await;
    bench.kafka.set_brokers(3);
    bench.create(QUICKSTART).await;
    comes_to_rest(&bench, &bench.context(), is_ready).await;
}

#[tokio::test]
async fn passes_while_a_partition_is_on_its_way_write_nothing() {
    let bench = Bench::new().await;
    bench.kafka.set_brokers(3);
    bench.create(QUICKSTART).await;
    let context = bench.context();
    comes_to_rest(&bench, &context, is_ready).await;
    bench.kafka.state().looks_of_a_move = u64::MAX;
    bench.kafka.make_topic("late", 1, 1);
    let replicas = Some(vec![BrokerId(1)]);
    let away = Reassignment { topic: "late".to_owned(), partition: 0, replicas };
    assert_eq!(bench.kafka.reassign(&[away]).await, Ok(vec![]));
    let is_moving = |cluster: &KafkaCluster| {
        let partitions = cluster.status.as_ref().and_then(|status| status.partitions.clone());
        partitions.is_some_and(|partitions| (partitions.moving, partitions.bytes_to_move) == (1, 1_000_000))
    };
    comes_to_rest(&bench, &context, is_moving).await;
}

#[tokio::test]
async fn a_running_operator_comes_to_rest() {
    let bench = converged().await;
    // Passes that the last writes caused may still be under way: a second without any request is rest.
    let rest = Duration::from_secs(1);
    super::support::eventually("a second without a request", async || {
        let before = bench.wiretap.requests();
        tokio::time::sleep(rest).await;
        let asked = bench.wiretap.requests() - before;
        if asked == 0 { Ok(()) } else { Err(format!("{asked} requests: {:?}", bench.wiretap.take_writes())) }
    })
    .await;
}

#[tokio::test]
async fn the_quick_start_costs_a_bounded_number_of_writes() {
    let bench = converged().await;
    let writes = bench.wiretap.take_writes();
    // 8 children, 2 annotations, 3 finalizers, events, and a few statuses each.
    assert!(writes.len() <= 50, "{}: {writes:#?}", writes.len());
}
