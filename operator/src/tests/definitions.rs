//! What the API server refuses by our definitions, and the sentence a person reads.

use ottla_crds::{KafkaCluster, KafkaTopic};
use serde_json::json;

use super::support::Bench;

fn cluster(name: &str, spec: &str) -> serde_yaml::Value {
    serde_yaml::from_str(&format!(
        "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {{name: {name}}}\nspec: {{{spec}}}"
    ))
    .unwrap()
}

const STORAGE: &str = "storage: {volumes: [{name: data, size: 1Gi}]}";

#[tokio::test]
async fn impossible_clusters_are_refused_with_a_sentence() {
    let bench = Bench::new().await;
    for (name, spec, sentence) in [
        ("demo", format!("brokers: 3, controllers: 2, {STORAGE}"), "controllers must be odd"),
        ("demo", format!("brokers: 1, controllers: 3, {STORAGE}"), "controllers cannot be more than brokers"),
        ("demo", format!("brokers: 0, {STORAGE}"), "brokers"),
        (
            "demo",
            format!("brokers: 1, {STORAGE}, listeners: [{{name: a, port: 9092}}, {{name: b, port: 9092}}]"),
            "every listener needs a port of its own",
        ),
        ("demo", format!("brokers: 1, {STORAGE}, listeners: [{{name: a, port: 9404}}]"), "the brokers' own"),
        ("demo", format!("brokers: 1, {STORAGE}, listeners: [{{name: http, port: 9092}}]"), "belong to ports"),
        ("demo", "brokers: 1, storage: {volumes: [{name: data, size: much}]}".to_owned(), "such as 10Gi"),
        ("demo", "brokers: 1, storage: {volumes: [{name: data, size: '0'}]}".to_owned(), "above zero"),
        ("demo.dotted", format!("brokers: 1, {STORAGE}"), "starts with a letter"),
        ("a-name-that-is-longer-than-forty-characters", format!("brokers: 1, {STORAGE}"), "at most 40 characters"),
    ] {
        let refused = bench.post::<KafkaCluster>(cluster(name, &spec)).await.unwrap_err();
        assert!(refused.contains(sentence), "{spec}: {refused}");
    }
}

#[tokio::test]
async fn a_cluster_can_change_and_a_size_that_it_cannot_have_can_be_taken_back() {
    let bench = Bench::new().await;
    bench.post::<KafkaCluster>(cluster("demo", &format!("brokers: 1, {STORAGE}"))).await.unwrap();
    let resize = |size: &str| json!({"storage": {"volumes": [{"name": "data", "size": size}]}});
    bench.edit::<KafkaCluster>("demo", resize("2Pi")).await.unwrap();
    bench.edit::<KafkaCluster>("demo", resize("2Gi")).await.unwrap();
    bench.edit::<KafkaCluster>("demo", json!({"brokers": 3})).await.unwrap();
}

#[tokio::test]
async fn topics_keep_their_name_and_cluster_and_never_shrink() {
    let bench = Bench::new().await;
    let topic = |spec: &str| -> serde_yaml::Value {
        serde_yaml::from_str(&format!(
            "apiVersion: ottla.io/v1alpha1\nkind: KafkaTopic\nmetadata: {{name: orders}}\nspec: {{clusterRef: {{name: demo}}, {spec}}}"
        ))
        .unwrap()
    };
    for (spec, sentence) in [
        ("topicName: '..'", "cannot be named"),
        ("topicName: 'a b'", "topicName"),
        ("topicName: __consumer_offsets", "belongs to the brokers"),
        ("partitions: 0", "partitions"),
    ] {
        let refused = bench.post::<KafkaTopic>(topic(spec)).await.unwrap_err();
        assert!(refused.contains(sentence), "{spec}: {refused}");
    }
    bench.post::<KafkaTopic>(topic("partitions: 3")).await.unwrap();
    for (edit, sentence) in [
        (json!({"partitions": 2}), "partitions can only grow"),
        (json!({"topicName": "Orders"}), "topicName cannot change"),
        (json!({"clusterRef": {"name": "other"}}), "clusterRef cannot change"),
    ] {
        let refused = bench.edit::<KafkaTopic>("orders", edit.clone()).await.unwrap_err();
        assert!(refused.contains(sentence), "{edit}: {refused}");
    }
    bench.edit::<KafkaTopic>("orders", json!({"partitions": 4})).await.unwrap();
}
