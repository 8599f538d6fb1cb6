//! A converged cluster is left in peace (O2): passes read, and write nothing to Kubernetes or to a broker, however long.

use std::{sync::Arc, time::Duration};

use kube::api::ListParams;
use ottla_core::ids::BrokerId;
use ottla_crds::{KafkaCluster, KafkaTopic};
use serde_json::json;
use tokio::time::sleep;

use super::support::{Bench, eventually, is_ready, is_topic_ready};
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
    eventually("a round of passes without a write", async || {
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
    eventually("a second without a request", async || {
        let before = bench.wiretap.requests();
        sleep(rest).await;
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

/// The quick start's cluster with brokers that live, and an operator that runs, once all is ready.
async fn living() -> Bench {
    let bench = Bench::living().await;
    bench.start_operator();
    bench.create(QUICKSTART).await;
    all_is_ready(&bench).await;
    bench
}

async fn all_is_ready(bench: &Bench) {
    bench.cluster("demo", is_ready).await;
    for topic in ["orders", "flights", "logs"] {
        bench.topic(topic, is_topic_ready).await;
    }
}

async fn change(bench: &Bench, spec: serde_json::Value) {
    bench.edit::<KafkaCluster>("demo", spec).await.unwrap();
    all_is_ready(bench).await;
}

/// Nothing is written in ten minutes, while the operator goes on looking. On a clock that is advanced.
async fn is_left_in_peace(bench: &Bench) {
    let writes = || (bench.wiretap.take_writes(), bench.kafka.take_calls());
    // What the last change brings about comes to its end first: every topic has its turn once a minute.
    sleep(2 * topic::LOOK_AGAIN).await;
    writes();
    let before = bench.wiretap.requests();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(writes(), (vec![], vec![]));
    assert!(bench.wiretap.requests() > before + 100, "it did not look");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_in_ten_minutes_to_a_cluster_with_topics() {
    is_left_in_peace(&living().await).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_in_ten_minutes_to_a_cluster_of_several_log_directories() {
    let bench = living().await;
    // Heavy enough for replicas to be moved to the disk that is added.
    bench.kafka.state().partition_bytes = 1 << 30;
    let volumes = json!([{"name": "data", "size": "1Gi"}, {"name": "more", "size": "1Gi"}]);
    change(&bench, json!({ "storage": { "volumes": volumes } })).await;
    is_left_in_peace(&bench).await;
    let on_disks = bench.kafka.places_on(BrokerId(0));
    assert!(on_disks.len() == 2 && on_disks.iter().all(|(here, coming)| *here > 0 && *coming == 0), "{on_disks:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_in_ten_minutes_to_a_cluster_that_is_reached_by_node_ports() {
    let bench = living().await;
    let out = json!([{"name": "plain", "port": 9092}, {"name": "out", "port": 9094, "type": "NodePort"}]);
    change(&bench, json!({ "listeners": out })).await;
    assert!(bench.kafka.state().brokers.iter().all(|broker| broker.advertised.starts_with("OUT://192.0.2.")));
    is_left_in_peace(&bench).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_in_ten_minutes_to_a_cluster_that_was_larger_meanwhile() {
    let bench = living().await;
    for brokers in [5, 3] {
        change(&bench, json!({ "brokers": brokers })).await;
        is_left_in_peace(&bench).await;
    }
    assert_eq!(bench.kafka.state().brokers.len(), 3);
    assert_eq!(bench.kafka.state().violations, Vec::<String>::new());
}
