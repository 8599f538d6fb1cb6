//! A broker is lost and comes back, on its disk or on a new one.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use ottla_core::ids::BrokerId;
use ottla_crds::{
    KafkaCluster,
    cluster::BrokerState,
    conditions::{self, ConditionType},
};
use serde_json::json;

use super::support::{Bench, eventually, is_ready};
use crate::{
    kafka::{RestartVerdict, fake::harmless},
    names::REPAIR,
};

const CLAIM: &str = "data-demo-broker-2";

fn three(after: &str) -> String {
    format!(
        "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {{name: demo}}\nspec: {{brokers: 3, repair: \
         {{after: {after}}}, storage: {{volumes: [{{name: data, size: 1Gi}}]}}}}"
    )
}

async fn bench(after: &str) -> Bench {
    Bench::ready(3, &three(after)).await
}

async fn uid_of_claim(bench: &Bench) -> Option<String> {
    bench.api::<PersistentVolumeClaim>().get_opt(CLAIM).await.unwrap()?.uid()
}

async fn uid_of_pod(bench: &Bench, id: i32) -> Option<String> {
    bench.api::<Pod>().get_opt(&format!("demo-broker-{id}")).await.unwrap()?.uid()
}

/// Kubernetes finds that the volume of broker 2 is no more.
async fn lose_volume(bench: &Bench) {
    let lost = Patch::Merge(json!({"status": {"phase": "Lost"}}));
    bench.api::<PersistentVolumeClaim>().patch_status(CLAIM, &PatchParams::default(), &lost).await.unwrap();
}

/// The node of a broker falls silent.
async fn lose_node(bench: &Bench, id: i32) {
    bench.kafka.state().brokers[usize::try_from(id).unwrap()].fenced = true;
    let conditions = json!([{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]);
    let silent = Patch::Merge(json!({"status": {"conditions": conditions}}));
    let pod = format!("demo-broker-{id}");
    bench.api::<Pod>().patch_status(&pod, &PatchParams::default(), &silent).await.unwrap();
}

async fn heal_kafka(bench: &Bench) {
    bench.kafka.state().brokers.iter_mut().for_each(|broker| broker.fenced = false);
}

fn degraded(cluster: &KafkaCluster) -> String {
    let status = cluster.status.clone().unwrap_or_default();
    let found = conditions::find(&status.conditions, ConditionType::Degraded).cloned();
    found.filter(|found| found.status == "True").map(|found| found.reason).unwrap_or_default()
}

async fn until_told(bench: &Bench, reasons: &[&str]) {
    eventually("events", async || {
        let events = bench.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        let told: BTreeSet<_> = events.into_iter().filter_map(|event| event.reason).collect();
        let missing: Vec<_> = reasons.iter().filter(|reason| !told.contains(**reason)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {told:?}")) }
    })
    .await;
}

fn deletions(bench: &Bench) -> Vec<String> {
    let writes = bench.wiretap.take_writes();
    let deleted = writes.iter().filter_map(|write| write.strip_prefix("DELETE /api/v1/namespaces/default/"));
    deleted.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_broker_whose_volume_is_gone_gets_a_new_one_unattended() {
    let bench = bench("0s").await;
    let (claim, pod) = (uid_of_claim(&bench).await, uid_of_pod(&bench, 2).await);
    bench.wiretap.take_writes();
    lose_volume(&bench).await;
    let is_whole = |cluster: &KafkaCluster| is_ready(cluster) && !cluster.annotations().contains_key(REPAIR);
    eventually("a new claim and a new pod", async || {
        let (new_claim, new_pod) = (uid_of_claim(&bench).await, uid_of_pod(&bench, 2).await);
        let both = new_claim.is_some() && new_claim != claim && new_pod.is_some() && new_pod != pod;
        if both { Ok(()) } else { Err(format!("{new_claim:?} {new_pod:?}")) }
    })
    .await;
    bench.cluster("demo", is_whole).await;
    assert_eq!(deletions(&bench), [format!("persistentvolumeclaims/{CLAIM}"), "pods/demo-broker-2".to_owned()]);
    until_told(&bench, &["BrokerLost", "BrokerReplacing", "BrokerReplaced"]).await;
}

#[tokio::test]
async fn a_broker_whose_node_is_silent_leaves_it_and_keeps_a_volume_that_may_be_reached_elsewhere() {
    let bench = bench("0s").await;
    let (claim, pod) = (uid_of_claim(&bench).await, uid_of_pod(&bench, 2).await);
    bench.wiretap.take_writes();
    lose_node(&bench, 2).await;
    let is_replaced = |cluster: &KafkaCluster| {
        let states = cluster.status.clone().unwrap_or_default().broker_states;
        states.iter().any(|broker| broker.state == BrokerState::Replacing)
    };
    bench.cluster("demo", is_replaced).await;
    eventually("a new pod", async || {
        let new_pod = uid_of_pod(&bench, 2).await;
        if new_pod.is_some() && new_pod != pod { Ok(()) } else { Err(format!("{new_pod:?}")) }
    })
    .await;
    heal_kafka(&bench).await;
    bench.cluster("demo", is_ready).await;
    assert_eq!(uid_of_claim(&bench).await, claim);
    assert_eq!(deletions(&bench), ["pods/demo-broker-2"]);
}

#[tokio::test]
async fn several_brokers_lost_at_once_are_left_as_they_are_and_told() {
    let bench = bench("0s").await;
    bench.edit::<KafkaCluster>("demo", json!({"repair": {"mode": "Paused"}})).await.unwrap();
    lose_node(&bench, 1).await;
    bench.cluster("demo", |cluster| degraded(cluster) == "RepairPaused").await;
    lose_node(&bench, 2).await;
    bench.wiretap.take_writes();
    bench.edit::<KafkaCluster>("demo", json!({"repair": {"mode": "Automatic"}})).await.unwrap();
    bench.cluster("demo", |cluster| degraded(cluster) == "ClusterEvent").await;
    until_told(&bench, &["NotRepaired", "BrokerLost"]).await;
    assert_eq!(deletions(&bench), Vec::<String>::new());
    let cluster = bench.cluster("demo", |cluster| degraded(cluster) == "ClusterEvent").await;
    let states: Vec<_> = cluster.status.unwrap().broker_states.iter().map(|broker| broker.state).collect();
    assert_eq!(states, [BrokerState::Ready, BrokerState::Lost, BrokerState::Lost]);
}

#[tokio::test]
async fn the_time_a_broker_is_given_goes_on_over_the_operators_own_restarts() {
    let bench = Bench::new().await;
    bench.kafka.set_brokers(3);
    let (operator, stop) = bench.start_operator_until();
    bench.create(&three("2h")).await;
    bench.cluster("demo", is_ready).await;
    lose_volume(&bench).await;
    let is_noted = |cluster: &KafkaCluster| {
        cluster.status.as_ref().is_some_and(|status| status.broker_states[2].lost_since.is_some())
    };
    let cluster = bench.cluster("demo", is_noted).await;
    assert_eq!(degraded(&cluster), "BrokerLost");
    stop.cancel();
    operator.await.unwrap();

    // Three hours pass.
    let mut states = serde_json::to_value(cluster.status.unwrap().broker_states).unwrap();
    let since = k8s_openapi::jiff::Timestamp::now() - k8s_openapi::jiff::SignedDuration::from_hours(3);
    states[2]["lostSince"] = json!(since.to_string());
    let status = Patch::Merge(json!({"status": {"brokerStates": states}}));
    bench.api::<KafkaCluster>().patch_status("demo", &PatchParams::default(), &status).await.unwrap();
    let claim = uid_of_claim(&bench).await;
    bench.start_operator();
    eventually("a new claim", async || {
        let new_claim = uid_of_claim(&bench).await;
        if new_claim.is_some() && new_claim != claim { Ok(()) } else { Err(format!("{new_claim:?}")) }
    })
    .await;
    bench.cluster("demo", is_ready).await;
}

#[tokio::test]
async fn a_volume_with_the_only_copy_of_a_partition_is_not_given_up() {
    let bench = bench("0s").await;
    bench.kafka.state().restart.insert(BrokerId(2), RestartVerdict { unavoidable: 1, ..harmless() });
    bench.wiretap.take_writes();
    lose_volume(&bench).await;
    let is_held_up = |cluster: &KafkaCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        let ready = conditions::find(&status.conditions, ConditionType::Ready).cloned();
        ready.is_some_and(|ready| ready.message.contains("1 partitions have too few other in-sync replicas"))
    };
    bench.cluster("demo", is_held_up).await;
    assert_eq!(deletions(&bench), Vec::<String>::new());
    bench.kafka.state().restart.clear();
    let is_done = |cluster: &KafkaCluster| is_ready(cluster) && !cluster.annotations().contains_key(REPAIR);
    bench.cluster("demo", is_done).await;
}

/// From the loss to well after the broker is replaced, a pass has some thirty requests.
const REQUESTS: std::ops::Range<usize> = 1..90;
const STEP: usize = 11;

#[tokio::test]
async fn a_repair_goes_on_whichever_request_fails_and_hits_nothing_else() {
    let points: Vec<_> = REQUESTS.step_by(STEP).enumerate().collect();
    stream::iter(points)
        .for_each_concurrent(3, |(turn, at)| async move {
            let bench = bench("0s").await;
            let (claim, pod) = (uid_of_claim(&bench).await, uid_of_pod(&bench, 2).await);
            let others = (uid_of_pod(&bench, 0).await, uid_of_pod(&bench, 1).await);
            bench.wiretap.fail_later(at, turn % 2 == 0);
            bench.wiretap.take_writes();
            lose_volume(&bench).await;
            eventually("a new claim and a new pod", async || {
                let (new_claim, new_pod) = (uid_of_claim(&bench).await, uid_of_pod(&bench, 2).await);
                let both = new_claim.is_some() && new_claim != claim && new_pod.is_some() && new_pod != pod;
                if both { Ok(()) } else { Err(format!("failed at {at}: {new_claim:?} {new_pod:?}")) }
            })
            .await;
            let is_done = |cluster: &KafkaCluster| is_ready(cluster) && !cluster.annotations().contains_key(REPAIR);
            bench.cluster("demo", is_done).await;
            assert_eq!((uid_of_pod(&bench, 0).await, uid_of_pod(&bench, 1).await), others, "failed at {at}");
            let deleted: BTreeSet<_> = deletions(&bench).into_iter().collect();
            let meant = [format!("persistentvolumeclaims/{CLAIM}"), "pods/demo-broker-2".to_owned()];
            assert_eq!(deleted, BTreeSet::from(meant), "failed at {at}");
        })
        .await;
}
