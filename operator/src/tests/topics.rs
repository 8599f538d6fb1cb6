//! Topics from their first object to their last.

use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::{api::core::v1::Event, jiff::Timestamp};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams},
};
use ottla_crds::{
    KafkaCluster, KafkaTopic,
    conditions::{self, ConditionType},
};
use serde_json::json;

use super::support::{Bench, eventually, is_ready, is_topic_ready, stalled};
use crate::{kafka::fake::Call, names::TOPIC_FINALIZER, topic::reconcile};

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

/// A cluster of so many brokers, and the topic `orders` of four partitions with so many replicas.
async fn bench_with(brokers: i32, replicas: i32) -> Bench {
    let bench = Bench::living().await;
    bench.start_operator();
    bench.create(&CLUSTER.replace("brokers: 1", &format!("brokers: {brokers}"))).await;
    bench.cluster("demo", is_ready).await;
    bench.create(&topic("orders", &format!("partitions: 4, replicas: {replicas}"))).await;
    bench.topic("orders", is_topic_ready).await;
    bench.kafka.take_calls();
    bench
}

async fn ask_for(bench: &Bench, replicas: i32) {
    bench.edit::<KafkaTopic>("orders", json!({ "replicas": replicas })).await.unwrap();
}

/// How many replicas the partitions of `orders` have on the brokers.
fn replicas(bench: &Bench) -> Vec<usize> {
    bench.kafka.state().topics["orders"].0.partitions.iter().map(|partition| partition.replicas.len()).collect()
}

/// Whether the topic says that its replicas are being changed, and how far that is.
fn is_changing(topic: &KafkaTopic, message: &str) -> bool {
    let status = topic.status.clone().unwrap_or_default();
    let reconciling = conditions::find(&status.conditions, ConditionType::Reconciling);
    reconciling.is_some_and(|entry| entry.reason == "ChangingReplicas" && entry.message.contains(message))
}

fn reassigned(bench: &Bench) -> usize {
    bench.kafka.state().calls.iter().filter(|call| matches!(call, Call::Reassign(_))).count()
}

#[tokio::test]
async fn replicas_change_by_moves_that_the_status_tells_of_and_can_change_again_midway() {
    let bench = bench_with(3, 1).await;
    bench.kafka.state().looks_of_a_move = u64::MAX;
    ask_for(&bench, 3).await;
    let is_midway = |topic: &KafkaTopic| {
        let status = topic.status.clone().unwrap_or_default();
        is_changing(topic, "0 of 4 partitions have 3 replicas, 4 are being moved")
            && (status.replicas, status.moving) == (Some(1), Some(4))
            && !conditions::is_true(&status.conditions, ConditionType::Ready)
    };
    bench.topic("orders", is_midway).await;
    ask_for(&bench, 2).await;
    bench.topic("orders", |topic| is_changing(topic, "0 of 4 partitions have 2 replicas, 4 are being moved")).await;
    eventually("moves to two", async || match replicas(&bench)[..] {
        [2, 2, 2, 2] => Ok(()),
        ref other => Err(format!("{other:?}")),
    })
    .await;
    ask_for(&bench, 1).await;
    bench.topic("orders", is_topic_ready).await;
    assert_eq!((replicas(&bench), bench.kafka.state().moves.len()), (vec![1; 4], 0), "all is called off");

    bench.kafka.state().looks_of_a_move = 2;
    for wanted in [3, 2] {
        ask_for(&bench, wanted).await;
        let topic = bench.topic("orders", is_topic_ready).await;
        let status = topic.status.unwrap();
        assert_eq!((status.replicas, status.moving, status.under_replicated), (Some(wanted), Some(0), Some(0)));
        assert_eq!(replicas(&bench), vec![usize::try_from(wanted).unwrap(); 4]);
    }
    let events = bench.api::<Event>().list(&ListParams::default()).await.unwrap().items;
    for told in ["ReplicasChanging", "ReplicasChanged"] {
        assert!(events.iter().any(|event| event.reason.as_deref() == Some(told)), "{events:#?}");
    }
    assert_eq!(bench.kafka.state().violations, Vec::<String>::new());
}

#[tokio::test]
async fn more_replicas_than_brokers_are_refused_and_nothing_is_touched() {
    let bench = bench_with(2, 1).await;
    ask_for(&bench, 3).await;
    let stalled = bench.topic("orders", |topic| refused(topic).is_some()).await;
    let (reason, message) = refused(&stalled).unwrap();
    assert_eq!(reason, "TooFewBrokers");
    assert!(message.contains("set spec.replicas to 2 or less"), "{message}");
    bench.edit::<KafkaCluster>("demo", json!({"brokers": 3})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    bench.topic("orders", is_topic_ready).await;
    assert_eq!(replicas(&bench), [3; 4], "with a broker more it can be");
}

#[tokio::test]
async fn a_cluster_shrinks_once_its_topics_ask_for_fewer_replicas() {
    let bench = bench_with(3, 3).await;
    bench.edit::<KafkaCluster>("demo", json!({"brokers": 2})).await.unwrap();
    let is_stalled =
        |cluster: &KafkaCluster| cluster.status.as_ref().is_some_and(|status| stalled(&status.conditions).is_some());
    bench.cluster("demo", is_stalled).await;
    assert_eq!(reassigned(&bench), 0);
    ask_for(&bench, 2).await;
    bench.cluster("demo", is_ready).await;
    bench.topic("orders", is_topic_ready).await;
    assert_eq!((replicas(&bench), bench.kafka.state().brokers.len()), (vec![2; 4], 2));
    assert_eq!(bench.kafka.state().violations, Vec::<String>::new());
}

#[tokio::test]
async fn replicas_that_somebody_else_changes_come_back_and_those_of_a_paused_topic_do_not() {
    let bench = bench_with(3, 2).await;
    bench.edit::<KafkaTopic>("orders", json!({"paused": true, "replicas": 3})).await.unwrap();
    let is_paused = |topic: &KafkaTopic| {
        let conditions = topic.status.clone().unwrap_or_default().conditions;
        conditions::find(&conditions, ConditionType::Ready).is_some_and(|ready| ready.reason == "Paused")
    };
    bench.topic("orders", is_paused).await;
    bench.edit::<KafkaCluster>("demo", json!({"rebalance": {"maxConcurrentMoves": 1}})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    assert_eq!((reassigned(&bench), replicas(&bench)), (0, vec![2; 4]));
    bench.edit::<KafkaTopic>("orders", json!({"paused": false})).await.unwrap();
    bench.topic("orders", is_topic_ready).await;
    assert_eq!(replicas(&bench), [3; 4]);
    let calls = bench.kafka.take_calls();
    let largest = calls.iter().map(|call| if let Call::Reassign(moves) = call { moves.len() } else { 0 }).max();
    assert_eq!(largest, Some(1), "no more at once than the cluster's spec allows");
}
