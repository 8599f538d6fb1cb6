//! The number of brokers changes: out, in, back again, and what keeps it from doing so.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod},
};
use kube::{ResourceExt, api::ListParams};
use ottla_core::ids::BrokerId;
use ottla_crds::{
    KafkaCluster,
    cluster::BrokerState,
    conditions::{self, ConditionType},
};
use serde_json::json;

use super::{
    support::{Bench, eventually, is_ready, stalled},
    watching::Watching,
};
use crate::{
    kafka::{DirectoryView, fake::Call},
    names::{RETIRED, SCALING},
};

const THREE: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 3, \
                     storage: {volumes: [{name: data, size: 1Gi}]}}";

/// A cluster of so many brokers that serves, with topics of three copies, two and one that are spread.
async fn cluster_of(brokers: i32) -> Bench {
    let bench = Bench::living().await;
    bench.start_operator();
    bench.create(&THREE.replace("brokers: 3", &format!("brokers: {brokers}"))).await;
    bench.cluster("demo", is_ready).await;
    bench.kafka.make_topic("orders", 6, brokers.min(3));
    bench.kafka.make_topic("flights", 6, brokers.min(2));
    bench.kafka.make_topic("logs", 3, 1);
    let is_even = |cluster: &KafkaCluster| {
        let partitions = cluster.status.as_ref().and_then(|status| status.partitions.as_ref());
        is_ready(cluster) && partitions.is_some_and(|partitions| partitions.total >= 15)
    };
    bench.cluster("demo", is_even).await;
    bench
}

async fn scale(bench: &Bench, brokers: i32) {
    bench.edit::<KafkaCluster>("demo", json!({ "brokers": brokers })).await.unwrap();
}

fn voters(bench: &Bench) -> Vec<i32> {
    let mut voters: Vec<_> = bench.kafka.state().quorum.voters.iter().map(|voter| voter.broker.0).collect();
    voters.sort_unstable();
    voters
}

fn brokers(bench: &Bench) -> Vec<i32> {
    bench.kafka.state().brokers.iter().map(|broker| broker.id.0).collect()
}

/// Reasons of the events so far.
async fn events(bench: &Bench) -> Vec<String> {
    let events = bench.api::<Event>().list(&ListParams::default()).await.unwrap();
    events.items.into_iter().filter_map(|event| event.reason).collect()
}

fn no_violations(bench: &Bench) {
    assert_eq!(bench.kafka.state().violations, Vec::<String>::new());
}

#[tokio::test]
async fn more_brokers_get_their_share_and_the_status_tells_of_it() {
    let bench = cluster_of(3).await;
    let mut demo = Watching::begin(bench.api(), "demo").await;
    scale(&bench, 5).await;
    let is_moving = |cluster: &KafkaCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        conditions::is_true(&status.conditions, ConditionType::Rebalancing)
            && !conditions::is_true(&status.conditions, ConditionType::Ready)
            && status.partitions.is_some_and(|partitions| partitions.moving > 0 && partitions.bytes_to_move > 0)
    };
    demo.until(is_moving).await;
    let cluster = demo.until(is_ready).await;
    assert_eq!((brokers(&bench), voters(&bench)), (vec![0, 1, 2, 3, 4], vec![0, 1, 2]));
    let (replicas, leaders) = bench.kafka.spread();
    assert!(replicas <= 1 && leaders <= 1, "{replicas} {leaders}");
    let status = cluster.status.clone().unwrap();
    assert_eq!((status.brokers, status.ready_brokers), (5, 5));
    assert!(status.broker_states.iter().all(|broker| broker.state == BrokerState::Ready));
    assert!(!conditions::is_true(&status.conditions, ConditionType::Rebalancing));
    assert_eq!(cluster.annotations().get(SCALING), None);
    let events = events(&bench).await;
    assert!(["ScaleBegun", "ScaleFinished"].iter().all(|one| events.iter().any(|event| event == one)), "{events:?}");
    no_violations(&bench);
}

#[tokio::test]
async fn fewer_brokers_are_emptied_before_they_go_and_are_forgotten_after() {
    let bench = cluster_of(5).await;
    bench.kafka.take_calls();
    let mut demo = Watching::begin(bench.api(), "demo").await;
    scale(&bench, 3).await;
    let is_draining = |cluster: &KafkaCluster| {
        let states = cluster.status.clone().unwrap_or_default().broker_states;
        states.iter().filter(|broker| broker.state == BrokerState::Draining).count() == 2
    };
    demo.until(is_draining).await;
    let cluster = demo.until(is_ready).await;
    assert_eq!((brokers(&bench), voters(&bench)), (vec![0, 1, 2], vec![0, 1, 2]));
    assert_eq!(bench.kafka.state().quorum.observers, vec![]);
    assert_eq!(cluster.status.unwrap().broker_states.len(), 3);
    for id in 3..5 {
        let claim: PersistentVolumeClaim =
            bench.api().get(&format!("data-demo-broker-{id}")).await.expect("kept by default");
        let disk = format!("{}-0", claim.uid().unwrap());
        assert_eq!(claim.annotations().get(RETIRED), Some(&disk));
    }
    let calls = bench.kafka.take_calls();
    let at = |wanted: &dyn Fn(&Call) -> bool| calls.iter().position(wanted).unwrap();
    let (cordoned, moved) =
        (at(&|call| *call == Call::Cordon(BrokerId(4), true)), at(&|call| matches!(call, Call::Reassign(_))));
    let (retired, forgotten) = (
        at(&|call| matches!(call, Call::RetireDisk(BrokerId(4), _))),
        at(&|call| *call == Call::Unregister(BrokerId(4))),
    );
    assert!(cordoned < moved && moved < retired && retired < forgotten, "{calls:#?}");
    no_violations(&bench);
}

#[tokio::test]
async fn brokers_that_come_back_on_kept_claims_begin_with_empty_disks() {
    let bench = cluster_of(5).await;
    let disk =
        |id: i32| bench.kafka.state().brokers.iter().find(|one| one.id.0 == id).unwrap().directories[0].id.clone();
    let before = [disk(3), disk(4)];
    for _ in 0..2 {
        scale(&bench, 3).await;
        bench.cluster("demo", is_ready).await;
        scale(&bench, 5).await;
        bench.cluster("demo", is_ready).await;
    }
    assert_eq!(brokers(&bench), [0, 1, 2, 3, 4]);
    for (id, before) in (3..5).zip(&before) {
        let claim: PersistentVolumeClaim = bench.api().get(&format!("data-demo-broker-{id}")).await.unwrap();
        let uid = claim.uid().unwrap();
        assert_eq!((before, disk(id)), (&format!("{uid}-0"), format!("{uid}-2")));
        assert_eq!(claim.annotations()[RETIRED], format!("{uid}-0,{uid}-1"));
    }
    assert!(bench.kafka.spread().0 <= 1);
    no_violations(&bench);
}

#[tokio::test]
async fn claims_of_brokers_that_left_are_deleted_where_the_spec_says_so() {
    let bench = cluster_of(4).await;
    bench.edit::<KafkaCluster>("demo", json!({"storage": {"retain": "Never"}})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    scale(&bench, 3).await;
    bench.gone::<PersistentVolumeClaim>("data-demo-broker-3").await;
    bench.cluster("demo", is_ready).await;
    scale(&bench, 4).await;
    bench.cluster("demo", is_ready).await;
    assert_eq!(brokers(&bench), [0, 1, 2, 3]);
    no_violations(&bench);
}

#[tokio::test]
async fn too_few_brokers_for_a_topic_are_refused_by_its_name_and_nothing_is_touched() {
    let bench = cluster_of(3).await;
    let before = bench.api::<StatefulSet>().get("demo-broker").await.unwrap();
    bench.kafka.take_calls();
    scale(&bench, 2).await;
    let is_stalled =
        |cluster: &KafkaCluster| cluster.status.as_ref().is_some_and(|status| stalled(&status.conditions).is_some());
    let cluster = bench.cluster("demo", is_stalled).await;
    let (reason, message) = stalled(&cluster.status.clone().unwrap().conditions).unwrap();
    assert_eq!(reason, "TooFewBrokers");
    assert!(message.contains("orders (3 replicas)") && message.contains("set spec.brokers to 3"), "{message}");
    assert!(!message.contains("flights"), "{message}");
    assert_eq!(cluster.annotations().get(SCALING), None);
    assert_eq!(bench.kafka.take_calls(), vec![]);
    let after = bench.api::<StatefulSet>().get("demo-broker").await.unwrap();
    assert_eq!(after.metadata.generation, before.metadata.generation);
    scale(&bench, 3).await;
    let cluster = bench.cluster("demo", is_ready).await;
    assert_eq!(stalled(&cluster.status.unwrap().conditions), None);
}

#[tokio::test]
async fn raised_again_midway_it_turns_back_and_everybody_gets_partitions_again() {
    let bench = cluster_of(5).await;
    // So slow that there is a midway.
    bench.edit::<KafkaCluster>("demo", json!({"rebalance": {"maxConcurrentMoves": 1}})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    let person = BrokerId(1);
    bench.kafka.state().brokers[1].cordoned = true;
    scale(&bench, 3).await;
    let is_midway = || bench.kafka.state().calls.iter().filter(|call| matches!(call, Call::Reassign(_))).count() >= 2;
    eventually("a few moves", async || if is_midway() { Ok(()) } else { Err(String::new()) }).await;
    scale(&bench, 5).await;
    let cluster = bench.cluster("demo", is_ready).await;
    assert_eq!(brokers(&bench), [0, 1, 2, 3, 4]);
    assert_eq!(cluster.annotations().get(SCALING), None);
    let cordoned: Vec<_> = bench.kafka.state().brokers.iter().filter(|one| one.cordoned).map(|one| one.id).collect();
    assert_eq!(cordoned, [person], "what a person cordoned stays so");
    assert!(!bench.kafka.take_calls().iter().any(|call| matches!(call, Call::Unregister(_))));
    no_violations(&bench);
}

#[tokio::test]
async fn paused_midway_nothing_more_is_done_and_resumed_with_another_number_it_goes_there() {
    let bench = cluster_of(5).await;
    bench.edit::<KafkaCluster>("demo", json!({"rebalance": {"maxConcurrentMoves": 1}})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    scale(&bench, 3).await;
    let has_begun = || bench.kafka.state().calls.iter().any(|call| matches!(call, Call::Reassign(_)));
    eventually("a move", async || if has_begun() { Ok(()) } else { Err(String::new()) }).await;
    bench.edit::<KafkaCluster>("demo", json!({"paused": true})).await.unwrap();
    let is_paused = |cluster: &KafkaCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        let ready = conditions::find(&status.conditions, ConditionType::Ready);
        ready.is_some_and(|ready| ready.reason == "Paused" && ready.observed_generation == cluster.metadata.generation)
    };
    bench.cluster("demo", is_paused).await;
    bench.kafka.take_calls();
    scale(&bench, 4).await;
    bench.cluster("demo", is_paused).await;
    assert_eq!(bench.kafka.take_calls(), vec![]);

    bench.edit::<KafkaCluster>("demo", json!({"paused": false})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    assert_eq!(brokers(&bench), [0, 1, 2, 3]);
    assert!(bench.kafka.state().brokers.iter().all(|broker| !broker.cordoned));
    assert!(bench.kafka.spread().0 <= 1);
    no_violations(&bench);
}

#[tokio::test]
async fn nothing_moves_while_rebalancing_is_paused_and_the_status_says_so() {
    let bench = cluster_of(3).await;
    bench.edit::<KafkaCluster>("demo", json!({"rebalance": {"mode": "Paused"}})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    bench.kafka.take_calls();
    scale(&bench, 4).await;
    let cluster = bench.cluster("demo", is_ready).await;
    let status = cluster.status.unwrap();
    let rebalancing = conditions::find(&status.conditions, ConditionType::Rebalancing).unwrap();
    assert_eq!((rebalancing.status.as_str(), rebalancing.reason.as_str()), ("False", "Paused"));
    assert!(rebalancing.message.contains("brokers hold 0 to 11 replicas"), "{}", rebalancing.message);

    assert_eq!(bench.kafka.take_calls(), vec![]);

    bench.kafka.make_topic("late", 4, 1);
    scale(&bench, 3).await;
    let waits = |cluster: &KafkaCluster| {
        let conditions = cluster.status.clone().unwrap_or_default().conditions;
        conditions::find(&conditions, ConditionType::Ready).is_some_and(|ready| ready.reason == "RebalancePaused")
    };
    bench.cluster("demo", waits).await;
    assert_eq!(bench.kafka.take_calls(), vec![Call::Cordon(BrokerId(3), true)]);
    bench.edit::<KafkaCluster>("demo", json!({"rebalance": {"mode": "Automatic"}})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    assert_eq!(brokers(&bench), [0, 1, 2]);
    no_violations(&bench);
}

#[tokio::test]
async fn voters_follow_the_number_of_controllers_one_at_a_time() {
    let bench = cluster_of(1).await;
    assert_eq!(voters(&bench), [0]);
    bench.kafka.make_topic("__consumer_offsets", 5, 1);
    bench.kafka.make_topic("__transaction_state", 5, 1);
    scale(&bench, 5).await;
    bench.cluster("demo", is_ready).await;
    assert_eq!(voters(&bench), [0, 1, 2]);
    for topic in ["__consumer_offsets", "__transaction_state"] {
        let copies = bench.kafka.state().topics[topic].0.replicas();
        assert_eq!(copies, 3, "internal topics grow with the cluster");
    }
    let config = bench.kafka.state().topics["__transaction_state"].1.clone();
    assert_eq!(config.get("min.insync.replicas").map(String::as_str), Some("2"));
    bench.edit::<KafkaCluster>("demo", json!({"controllers": 5})).await.unwrap();
    eventually("five voters", async || match voters(&bench).len() {
        5 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    bench.edit::<KafkaCluster>("demo", json!({"controllers": 3, "brokers": 4})).await.unwrap();
    bench.cluster("demo", |cluster| is_ready(cluster) && voters(&bench).len() == 3).await;
    assert_eq!((brokers(&bench), voters(&bench)), (vec![0, 1, 2, 3], vec![0, 1, 2]));
    no_violations(&bench);
}

#[tokio::test]
async fn a_stateful_set_that_somebody_shrinks_grows_again_until_its_brokers_are_empty() {
    let bench = cluster_of(5).await;
    let patch = kube::api::Patch::Merge(json!({"spec": {"replicas": 3}}));
    bench.api::<StatefulSet>().patch("demo-broker", &kube::api::PatchParams::default(), &patch).await.unwrap();
    let has_five = |set: &StatefulSet| set.spec.replicas == Some(5);
    bench.until::<StatefulSet>("demo-broker", has_five).await;
    bench.until::<Pod>("demo-broker-4", |pod| pod.metadata.deletion_timestamp.is_none()).await;
    bench.cluster("demo", is_ready).await;
    assert_eq!(brokers(&bench), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_broker_that_never_came_up_can_be_taken_away_again() {
    let bench = cluster_of(3).await;
    // It comes back on a disk that nobody marked: it is sent away for good.
    let disk = DirectoryView { id: "lost".to_owned(), failure: None, space: None };
    scale(&bench, 4).await;
    bench.cluster("demo", is_ready).await;
    scale(&bench, 3).await;
    bench.cluster("demo", is_ready).await;
    let unmark = kube::api::Patch::Merge(json!({"metadata": {"annotations": {RETIRED: disk.id}}}));
    let params = kube::api::PatchParams::default();
    bench.api::<PersistentVolumeClaim>().patch("data-demo-broker-3", &params, &unmark).await.unwrap();
    scale(&bench, 4).await;
    let says_why = |cluster: &KafkaCluster| {
        let conditions = cluster.status.clone().unwrap_or_default().conditions;
        let ready = conditions::find(&conditions, ConditionType::Ready).cloned();
        ready.is_some_and(|ready| ready.message.contains("exit code 3"))
    };
    bench.cluster("demo", says_why).await;
    scale(&bench, 3).await;
    bench.cluster("demo", is_ready).await;
    bench.gone::<Pod>("demo-broker-3").await;
    let config: ConfigMap = bench.api::<ConfigMap>().get("demo-config").await.unwrap();
    assert_eq!(config.data.unwrap().len(), 3);
    no_violations(&bench);
}
