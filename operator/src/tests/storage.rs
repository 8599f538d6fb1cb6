//! Disks grow and get others beside them while the brokers run.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use ottla_core::ids::BrokerId;
use ottla_crds::{
    KafkaCluster,
    conditions::{self, ConditionType},
};
use serde_json::json;

use super::support::{Bench, eventually, is_ready, stalled};
use crate::kafka::fake::Call;

const TWO: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 2, \
                   storage: {volumes: [{name: data, size: 1Gi}]}}";

/// What each claim asks for.
async fn asked(bench: &Bench) -> BTreeMap<String, String> {
    let claims = bench.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap();
    let asked = |claim: PersistentVolumeClaim| {
        let requests = claim.spec.clone().unwrap().resources.unwrap().requests.unwrap();
        (claim.name_any(), requests["storage"].0.clone())
    };
    claims.into_iter().map(asked).collect()
}

fn sizes(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, size)| ((*name).to_owned(), (*size).to_owned())).collect()
}

async fn resize(bench: &Bench, volumes: serde_json::Value) {
    bench.edit::<KafkaCluster>("demo", json!({"storage": {"volumes": volumes}})).await.unwrap();
}

/// What the StatefulSet makes new claims of.
async fn template(bench: &Bench) -> Vec<(String, String)> {
    let set = bench.api::<StatefulSet>().get("demo-broker").await.unwrap();
    let of = |claim: PersistentVolumeClaim| {
        let requests = claim.spec.clone().unwrap().resources.unwrap().requests.unwrap();
        (claim.name_any(), requests["storage"].0.clone())
    };
    set.spec.volume_claim_templates.unwrap_or_default().into_iter().map(of).collect()
}

#[tokio::test]
async fn volumes_grow_without_a_restart() {
    let bench = Bench::ready(2, TWO).await;
    let before = bench.pod_uids(2).await;
    resize(&bench, json!([{"name": "data", "size": "3Gi"}])).await;
    bench.cluster("demo", is_ready).await;
    assert_eq!(asked(&bench).await, sizes(&[("data-demo-broker-0", "3Gi"), ("data-demo-broker-1", "3Gi")]));
    assert_eq!(template(&bench).await, [("data".to_owned(), "3Gi".to_owned())]);
    assert_eq!(bench.pod_uids(2).await, before, "nobody was restarted");
    eventually("pods that the new set has taken over", async || {
        let set = bench.api::<StatefulSet>().get("demo-broker").await.unwrap();
        let pods = bench.api::<Pod>().list(&ListParams::default()).await.unwrap();
        let owned = |pod: &Pod| pod.owner_references().iter().any(|owner| Some(&owner.uid) == set.uid().as_ref());
        if pods.iter().all(owned) { Ok(()) } else { Err(format!("{pods:#?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_volume_is_added_broker_by_broker() {
    let bench = Bench::ready(2, TWO).await;
    let before = bench.pod_uids(2).await;
    resize(&bench, json!([{"name": "data", "size": "1Gi"}, {"name": "more", "size": "2Gi"}])).await;
    bench.cluster("demo", is_ready).await;
    let all = [
        ("data-demo-broker-0", "1Gi"),
        ("data-demo-broker-1", "1Gi"),
        ("more-demo-broker-0", "2Gi"),
        ("more-demo-broker-1", "2Gi"),
    ];
    assert_eq!(asked(&bench).await, sizes(&all));
    assert!(bench.pod_uids(2).await.iter().all(|uid| !before.contains(uid)), "each was restarted with its new disk");
}

/// How many replicas lie on each disk of a broker, none of them under way.
fn on_disks(bench: &Bench, broker: i32) -> Vec<usize> {
    let places = bench.kafka.places_on(BrokerId(broker));
    places.iter().map(|(present, future)| if *future == 0 { *present } else { usize::MAX }).collect()
}

#[tokio::test]
async fn replicas_go_to_an_added_volume_until_it_has_its_share() {
    let bench = Bench::living().await;
    bench.start_operator();
    bench.create(TWO).await;
    bench.cluster("demo", is_ready).await;
    bench.kafka.make_topic("orders", 8, 2);
    bench.kafka.state().partition_bytes = 1 << 30;
    assert_eq!(on_disks(&bench, 0), [8]);
    // So slow that it can be seen.
    bench.kafka.state().looks_of_a_move = 10;
    resize(&bench, json!([{"name": "data", "size": "9Gi"}, {"name": "more", "size": "9Gi"}])).await;
    let is_told = |cluster: &KafkaCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        let found = conditions::find(&status.conditions, ConditionType::Rebalancing).cloned();
        found.is_some_and(|found| found.status == "True" && found.reason == "RebalancingDisks") && is_ready(cluster)
    };
    bench.cluster("demo", is_told).await;
    eventually("even disks", async || {
        let (first, second) = (on_disks(&bench, 0), on_disks(&bench, 1));
        if first == [4, 4] && second == [4, 4] { Ok(()) } else { Err(format!("{first:?} {second:?}")) }
    })
    .await;
    let is_over = |cluster: &KafkaCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        is_ready(cluster) && !conditions::is_true(&status.conditions, ConditionType::Rebalancing)
    };
    bench.cluster("demo", is_over).await;
    let shifts: Vec<_> = bench.kafka.take_calls().into_iter().filter(|call| matches!(call, Call::Shift(..))).collect();
    assert!(shifts.len() == 8, "one replica at a time on each broker, and none in vain: {shifts:?}");
    assert_eq!(bench.kafka.state().violations, Vec::<String>::new());
}

#[tokio::test]
async fn a_claim_that_somebody_made_larger_is_left_so() {
    let bench = Bench::ready(2, TWO).await;
    let larger = Patch::Merge(json!({"spec": {"resources": {"requests": {"storage": "9Gi"}}}}));
    let claims = bench.api::<PersistentVolumeClaim>();
    claims.patch("data-demo-broker-1", &PatchParams::default(), &larger).await.unwrap();
    resize(&bench, json!([{"name": "data", "size": "2Gi"}])).await;
    bench.cluster("demo", is_ready).await;
    assert_eq!(asked(&bench).await, sizes(&[("data-demo-broker-0", "2Gi"), ("data-demo-broker-1", "9Gi")]));
}

#[tokio::test]
async fn a_disk_that_would_shrink_stalls_with_the_way_out() {
    let bench = Bench::ready(2, TWO).await;
    resize(&bench, json!([{"name": "data", "size": "512Mi"}])).await;
    let is_stalled =
        |cluster: &KafkaCluster| cluster.status.as_ref().is_some_and(|status| stalled(&status.conditions).is_some());
    let cluster = bench.cluster("demo", is_stalled).await;
    let (reason, message) = stalled(&cluster.status.unwrap().conditions).unwrap();
    assert_eq!(reason, "InvalidSpec");
    assert!(message.contains("set its size back to 1Gi"), "{message}");
    assert_eq!(asked(&bench).await, sizes(&[("data-demo-broker-0", "1Gi"), ("data-demo-broker-1", "1Gi")]));
    resize(&bench, json!([{"name": "data", "size": "1Gi"}])).await;
    bench.cluster("demo", is_ready).await;
}

#[tokio::test]
async fn a_set_is_made_anew_whichever_request_fails_and_no_broker_stops() {
    let points: Vec<_> = (1..60).step_by(9).enumerate().collect();
    stream::iter(points)
        .for_each_concurrent(3, |(turn, at)| async move {
            let bench = Bench::ready(2, TWO).await;
            let before = bench.pod_uids(2).await;
            bench.wiretap.fail_later(at, turn % 2 == 0);
            resize(&bench, json!([{"name": "data", "size": "3Gi"}])).await;
            bench.cluster("demo", is_ready).await;
            assert_eq!(asked(&bench).await, sizes(&[("data-demo-broker-0", "3Gi"), ("data-demo-broker-1", "3Gi")]));
            assert_eq!(template(&bench).await, [("data".to_owned(), "3Gi".to_owned())], "failed at {at}");
            assert_eq!(bench.pod_uids(2).await, before, "failed at {at}");
        })
        .await;
}
