//! Topics from their first object to their last.

use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams},
};
use ottla_crds::{KafkaCluster, KafkaTopic};
use serde_json::json;

use super::support::{Bench, eventually, is_ready, is_topic_ready, stalled};
use crate::{names::TOPIC_FINALIZER, topic::reconcile};

const CLUSTER: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 1, \
                       storage: {volumes: [{name: data, size: 1Gi}]}}";

fn topic(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: ottla.io/v1alpha1\nkind: KafkaTopic\nmetadata: {{name: {name}}}\nspec: {{clusterRef: {{name: demo}}, {spec}}}"
    )
}

fn refused(topic: &KafkaTopic) -> Option<(String, String)> {
    topic.status.as_ref().and_then(|status| stalled(&status.conditions))
}

async fn bench() -> Bench {
    let bench = Bench::new().await;
    bench.start_operator();
    bench.create(CLUSTER).await;
    bench.cluster("demo", is_ready).await;
    bench
}

#[tokio::test]
async fn a_topic_is_made_grown_configured_and_deleted() {
    let bench = bench().await;
    bench.create(&topic("orders", "partitions: 2, config: {retention.ms: 1000}")).await;
    bench.topic("orders", is_topic_ready).await;
    bench.edit::<KafkaTopic>("orders", json!({"partitions": 5, "config": {"retention.ms": null}})).await.unwrap();
    let is_grown = |topic: &KafkaTopic| is_topic_ready(topic) && topic.status.as_ref().unwrap().partitions == Some(5);
    bench.topic("orders", is_grown).await;
    assert_eq!(bench.kafka.state().topics["orders"].1.len(), 0, "the setting went back to its default");
    bench.api::<KafkaTopic>().delete("orders", &DeleteParams::default()).await.unwrap();
    bench.gone::<KafkaTopic>("orders").await;
    assert!(bench.kafka.state().topics.is_empty());
}

#[tokio::test]
async fn passes_at_the_same_time_read_once_what_they_have_in_common() {
    const TOPICS: usize = 60;
    let bench = Bench::new().await;
    let (operator, stop) = bench.start_operator_until();
    bench.create(CLUSTER).await;
    bench.cluster("demo", is_ready).await;
    stop.cancel();
    operator.await.unwrap();
    for number in 0..TOPICS {
        bench.create(&topic(&format!("t-{number}"), "partitions: 1")).await;
    }
    let topics = bench.api::<KafkaTopic>().list(&ListParams::default()).await.unwrap();
    let (context, before) = (bench.context(), bench.wiretap.requests());
    let passes = topics.into_iter().map(|topic| reconcile(Arc::new(topic.into()), context.clone()));
    for pass in join_all(passes).await {
        pass.unwrap();
    }
    // Of each its read, its status, its finalizer and its event; of all of them the cluster, its pods and the other topics.
    let in_common = bench.wiretap.requests() - before - 4 * TOPICS;
    assert!((3..12).contains(&in_common), "{in_common} more requests for {TOPICS} topics");
    assert_eq!(bench.kafka.state().topics.len(), TOPICS);
}

#[tokio::test]
async fn an_existing_topic_is_taken_over_and_kept_if_so_asked() {
    let bench = bench().await;
    bench.kafka.given_topic("Web_Clicks", 7, &[("segment.bytes", "1")]);
    let spec = "topicName: Web_Clicks, config: {retention.ms: 5}, deletionPolicy: Retain";
    bench.create(&topic("clicks", spec)).await;
    let taken = bench.topic("clicks", is_topic_ready).await;
    assert_eq!(taken.status.unwrap().partitions, Some(7));
    assert_eq!(bench.kafka.state().topics["Web_Clicks"].1["segment.bytes"], "1", "what is not mentioned stays");
    bench.api::<KafkaTopic>().delete("clicks", &DeleteParams::default()).await.unwrap();
    bench.gone::<KafkaTopic>("clicks").await;
    assert!(bench.kafka.state().topics.contains_key("Web_Clicks"));
}

#[tokio::test]
async fn a_refused_object_goes_without_taking_the_topic_along() {
    let bench = bench().await;
    bench.kafka.given_topic("orders", 5, &[]);
    bench.create(&topic("orders", "partitions: 2")).await;
    let stalled = bench.topic("orders", |topic| refused(topic).is_some()).await;
    let (reason, message) = refused(&stalled).unwrap();
    assert_eq!(reason, "PartitionsCannotShrink", "{message}");
    bench.api::<KafkaTopic>().delete("orders", &DeleteParams::default()).await.unwrap();
    bench.gone::<KafkaTopic>("orders").await;
    assert!(bench.kafka.state().topics.contains_key("orders"));
}

#[tokio::test]
async fn what_the_broker_refuses_stalls_with_its_words_and_a_better_spec_recovers() {
    let bench = bench().await;
    bench.create(&topic("orders", "replicas: 2")).await;
    let stalled = bench.topic("orders", |topic| refused(topic).is_some()).await;
    let (reason, message) = refused(&stalled).unwrap();
    assert_eq!(reason, "RefusedByBroker");
    assert!(message.contains("Unable to replicate the partition 2 time(s)"), "{message}");
    bench.edit::<KafkaTopic>("orders", json!({"replicas": 1})).await.unwrap();
    bench.topic("orders", is_topic_ready).await;
}

#[tokio::test]
async fn a_second_owner_stalls_and_takes_over_when_the_first_goes() {
    let bench = bench().await;
    bench.create(&topic("first", "topicName: shared")).await;
    let first = bench.topic("first", is_topic_ready).await;
    // Creation times have whole seconds: the second one must be younger for sure.
    let born = first.creation_timestamp().unwrap().0;
    eventually("the next second", async || {
        let now = Timestamp::now();
        if now.as_second() > born.as_second() { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    bench.create(&topic("second", "topicName: shared")).await;
    let second = bench.topic("second", |topic| refused(topic).is_some()).await;
    assert_eq!(refused(&second).unwrap().0, "TopicConflict");
    let id = bench.kafka.state().topics["shared"].0.id;

    bench.api::<KafkaTopic>().delete("first", &DeleteParams::default()).await.unwrap();
    bench.gone::<KafkaTopic>("first").await;
    assert_eq!(bench.kafka.state().topics["shared"].0.id, id, "no record is lost in the hand-over");
    bench.topic("second", is_topic_ready).await;
}

#[tokio::test]
async fn a_topic_without_a_cluster_waits_and_can_be_deleted() {
    let bench = Bench::new().await;
    bench.start_operator();
    bench.create(&topic("orders", "partitions: 1")).await;
    let waiting = |topic: &KafkaTopic| {
        let conditions = topic.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
        conditions.iter().any(|entry| entry.type_ == "Ready" && entry.reason == "ClusterNotFound")
    };
    bench.topic("orders", waiting).await;
    bench.create(CLUSTER).await;
    let topic = bench.topic("orders", is_topic_ready).await;
    assert!(topic.finalizers().contains(&TOPIC_FINALIZER.to_owned()));

    bench.api::<KafkaCluster>().delete("demo", &DeleteParams::background()).await.unwrap();
    bench.gone::<KafkaCluster>("demo").await;
    bench.api::<KafkaTopic>().delete("orders", &DeleteParams::default()).await.unwrap();
    bench.gone::<KafkaTopic>("orders").await;
}
