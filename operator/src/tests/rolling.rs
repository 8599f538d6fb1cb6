//! Rolling changes: one broker after another, and what stops a roll.

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use ottla_core::ids::BrokerId;
use ottla_crds::{
    KafkaCluster,
    cluster::BrokerState,
    conditions::{self, ConditionType},
};
use serde_json::json;

use super::support::{Bench, eventually, is_ready};
use crate::kafka::{RestartVerdict, fake::harmless};

const THREE: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 3, \
                     storage: {volumes: [{name: data, size: 1Gi}]}}";

/// Reason and message of a condition.
fn told(cluster: &KafkaCluster, condition: ConditionType) -> (String, String) {
    let status = cluster.status.clone().unwrap_or_default();
    let found = conditions::find(&status.conditions, condition).cloned();
    found.map(|found| (found.reason, found.message)).unwrap_or_default()
}

/// The brokers whose pods were deleted since this was asked last, in order.
fn restarted(bench: &Bench) -> Vec<String> {
    let writes = bench.wiretap.take_writes();
    let deleted = writes.iter().filter_map(|write| write.strip_prefix("DELETE /api/v1/namespaces/default/pods/"));
    deleted.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_broken_template_stops_at_the_first_broker_says_why_and_a_good_spec_recovers() {
    let bench = Bench::ready(3, THREE).await;
    let before = bench.pod_uids(3).await;
    bench.wiretap.take_writes();
    bench.edit::<KafkaCluster>("demo", json!({"image": "broken"})).await.unwrap();
    let says_why = |cluster: &KafkaCluster| {
        let (reason, message) = told(cluster, ConditionType::Progressing);
        reason == "RollingRestart" && message.contains("does not start: ImagePullBackOff (no such image)")
    };
    let cluster = bench.cluster("demo", says_why).await;
    let (_, message) = told(&cluster, ConditionType::Progressing);
    assert!(message.starts_with("1 of 3 brokers have been restarted for the new spec: demo-broker-2"), "{message}");
    assert_eq!(told(&cluster, ConditionType::Ready).0, "RollingRestart");
    let (reason, message) = told(&cluster, ConditionType::Degraded);
    assert!(reason == "BrokersNotReady" && message.contains("ImagePullBackOff"), "{reason} {message}");
    assert_eq!(cluster.status.unwrap().broker_states[2].state, BrokerState::Restarting);
    let now = bench.pod_uids(3).await;
    assert_eq!((&now[..2], restarted(&bench)), (&before[..2], vec!["demo-broker-2".to_owned()]));

    bench.edit::<KafkaCluster>("demo", json!({"image": "good"})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    assert_eq!(restarted(&bench), ["demo-broker-2", "demo-broker-1", "demo-broker-0"], "the broken one goes first");
}

#[tokio::test]
async fn a_broken_template_that_is_taken_back_restarts_only_the_broken_broker() {
    let bench = Bench::ready(3, THREE).await;
    bench.edit::<KafkaCluster>("demo", json!({"resources": {"limits": {"memory": "1Gi"}}})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    assert_eq!(restarted(&bench).len(), 3);
    let before = bench.pod_uids(3).await;
    bench.edit::<KafkaCluster>("demo", json!({"image": "broken"})).await.unwrap();
    bench.cluster("demo", |cluster| told(cluster, ConditionType::Ready).1.contains("ImagePullBackOff")).await;
    bench.edit::<KafkaCluster>("demo", json!({"image": null})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    assert_eq!(bench.pod_uids(3).await[..2], before[..2]);
}

#[tokio::test]
async fn the_broker_that_the_others_wait_for_goes_first_and_the_price_of_a_restart_is_told() {
    let bench = Bench::ready(3, THREE).await;
    {
        let waits = RestartVerdict { catching_up: 3, ..harmless() };
        let mut state = bench.kafka.state();
        state.restart.extend([1, 2].map(|id| (BrokerId(id), waits.clone())));
        state.restart.insert(BrokerId(0), RestartVerdict { unavoidable: 4, ..harmless() });
    }
    bench.wiretap.take_writes();
    bench.edit::<KafkaCluster>("demo", json!({"podTemplate": {"labels": {"tier": "gold"}}})).await.unwrap();
    let waits = |cluster: &KafkaCluster| {
        told(cluster, ConditionType::Ready)
            == (
                "WaitingForReplicas".to_owned(),
                "demo-broker-2 cannot be restarted yet: 3 partitions wait for another broker to catch up".to_owned(),
            )
    };
    bench.cluster("demo", waits).await;
    assert_eq!(restarted(&bench), ["demo-broker-0"]);
    eventually("the event with the price", async || {
        let events = bench.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        let notes: Vec<_> = events.into_iter().filter_map(|event| event.message).collect();
        let price = "demo-broker-0 restarts for a new spec; 4 partitions without a replica to spare are unavailable";
        if notes.iter().any(|note| note.contains(price)) { Ok(()) } else { Err(format!("{notes:?}")) }
    })
    .await;
    bench.kafka.state().restart.clear();
    bench.cluster("demo", is_ready).await;
    assert_eq!(restarted(&bench), ["demo-broker-2", "demo-broker-1"]);
}
