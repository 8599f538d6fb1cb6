//! A cluster from its first object to its last.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Pod, Secret, Service},
};
use kube::{ResourceExt, api::DeleteParams};
use ottla_core::ids::BrokerId;
use ottla_crds::{
    KafkaCluster,
    cluster::BrokerState,
    conditions::{self, ConditionType},
};
use serde_json::json;

use super::support::{Bench, eventually, is_ready, is_topic_ready, stalled};
use crate::{
    kafka::{
        ConfigChange, ConfigOf, HarmedPartition, RestartVerdict,
        fake::{Call, harmless},
    },
    names::{CLUSTER_ID, TEMPLATE},
};

const QUICKSTART: &str = include_str!("../../../manifests/quickstart.yaml");
const SMALL: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 1, \
                     storage: {volumes: [{name: data, size: 1Gi}]}}";

fn topic(name: &str, partitions: i32, replicas: i32) -> String {
    format!(
        "apiVersion: ottla.io/v1alpha1\nkind: KafkaTopic\nmetadata: {{name: {name}}}\nspec: {{clusterRef: {{name: demo}}, \
         partitions: {partitions}, replicas: {replicas}}}"
    )
}

#[tokio::test]
async fn the_quick_start_becomes_ready() {
    let bench = Bench::new().await;
    bench.kafka.set_brokers(3);
    bench.start_operator();
    bench.create(QUICKSTART).await;
    let cluster = bench.cluster("demo", is_ready).await;
    for topic in ["orders", "flights", "logs"] {
        bench.topic(topic, is_topic_ready).await;
    }
    let status = cluster.status.unwrap();
    assert_eq!(status.listeners[0].bootstrap_servers, "10.0.0.1:9092,10.0.0.2:9092,10.0.0.3:9092");
    assert_eq!(status.cluster_id.as_ref(), cluster.metadata.annotations.unwrap().get(CLUSTER_ID));
    let state = bench.kafka.state();
    assert_eq!(state.topics.keys().collect::<Vec<_>>(), ["flights", "logs", "orders"]);
    assert_eq!(state.topics["flights"].0.partitions.len(), 6);
    assert_eq!(state.topics["flights"].1["retention.ms"], "604800000");
}

#[tokio::test]
async fn three_brokers_found_a_cluster_and_the_status_tells_of_each() {
    let bench = Bench::new().await;
    bench.kafka.set_brokers(3);
    bench.start_operator();
    bench.create(&SMALL.replace("brokers: 1", "brokers: 3")).await;
    let founders = bench.until::<ConfigMap>("demo-config", |_| true).await.data.unwrap();
    let voters: Vec<String> = (0..3).map(|id| format!("{id}@demo-broker-{id}.demo-brokers.default.svc:9093")).collect();
    let line = format!("controller.quorum.voters={}\n", voters.join(","));
    assert!(founders.values().all(|file| file.contains(&line)), "{founders:#?}");

    bench.create(&topic("orders", 6, 3)).await;
    bench.topic("orders", is_topic_ready).await;
    let is_told = |cluster: &KafkaCluster| {
        let partitions = cluster.status.as_ref().and_then(|status| status.partitions.as_ref());
        is_ready(cluster) && partitions.is_some_and(|partitions| partitions.total == 6)
    };
    let cluster = bench.cluster("demo", is_told).await;
    let status = cluster.status.clone().unwrap();
    assert_eq!((status.brokers, status.ready_brokers), (3, 3));
    let told = |broker: &ottla_crds::cluster::BrokerStatus| {
        (broker.id, broker.epoch, broker.leaders, broker.replicas, broker.disk_used_percent)
    };
    let expected = [(0, 100, 2, 6), (1, 101, 2, 6), (2, 102, 2, 6)]
        .map(|(id, epoch, leads, holds)| (id, Some(epoch), Some(leads), Some(holds), Some(25)));
    assert_eq!(status.broker_states.iter().map(told).collect::<Vec<_>>(), expected);

    let founded = |config: &ConfigMap| {
        let files = config.data.clone().unwrap();
        files.len() == 3 && files.values().all(|file| !file.contains("quorum.voters"))
    };
    bench.until::<ConfigMap>("demo-config", founded).await;
    let addresses = bench.cluster("demo", is_ready).await.status.unwrap().listeners;
    assert_eq!(addresses[0].bootstrap_servers, "demo-bootstrap.default.svc:9092");
}

#[tokio::test]
async fn a_broker_that_is_down_is_told_and_the_others_go_on() {
    let bench = Bench::new().await;
    bench.kafka.set_brokers(3);
    bench.start_operator();
    bench.create(&SMALL.replace("brokers: 1", "brokers: 3")).await;
    bench.create(&topic("orders", 1, 3)).await;
    bench.topic("orders", is_topic_ready).await;
    bench.cluster("demo", is_ready).await;
    {
        let mut state = bench.kafka.state();
        state.brokers[2].fenced = true;
        state.topics.get_mut("orders").unwrap().0.partitions[0].in_sync.pop();
    }
    // As a probe that fails would.
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let params = kube::api::PatchParams::default();
    bench.api::<Pod>().patch_status("demo-broker-2", &params, &kube::api::Patch::Merge(status)).await.unwrap();
    let is_degraded = |cluster: &KafkaCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        conditions::is_true(&status.conditions, ConditionType::Degraded) && status.ready_brokers == 2
    };
    let status = bench.cluster("demo", is_degraded).await.status.unwrap();
    assert!(conditions::is_true(&status.conditions, ConditionType::Available));
    assert!(!conditions::is_true(&status.conditions, ConditionType::Ready));
    assert_eq!(status.broker_states[2].state, BrokerState::Restarting);
    assert_eq!(status.partitions.unwrap().under_replicated, 1);
}

#[tokio::test]
async fn a_roll_waits_until_no_partition_would_be_harmed_and_takes_the_controller_last() {
    let bench = Bench::ready(3, &SMALL.replace("brokers: 1", "brokers: 3")).await;
    let before = bench.pod_uids(3).await;
    let harmed = HarmedPartition { topic: "orders".to_owned(), partition: 4, goes_offline: false };
    let verdict = RestartVerdict { allowed: false, harmed: vec![harmed], ..harmless() };
    bench.kafka.state().restart = (0..3).map(|id| (BrokerId(id), verdict.clone())).collect();
    bench.edit::<KafkaCluster>("demo", json!({"config": {"log.retention.hours": 2}})).await.unwrap();
    let is_waiting = |cluster: &KafkaCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        let ready = conditions::find(&status.conditions, ConditionType::Ready).cloned();
        ready.is_some_and(|ready| ready.message.contains("orders-4"))
    };
    bench.cluster("demo", is_waiting).await;
    assert_eq!(bench.pod_uids(3).await, before, "nobody was restarted");

    bench.kafka.state().restart.clear();
    eventually("a new pod for each broker", async || {
        let now = bench.pod_uids(3).await;
        let all_new = (0..3).all(|id| now[id].is_some() && now[id] != before[id]);
        if all_new { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    bench.cluster("demo", is_ready).await;
    let writes = bench.wiretap.take_writes();
    let deleted = writes.iter().filter_map(|write| write.strip_prefix("DELETE /api/v1/namespaces/default/pods/"));
    assert_eq!(deleted.collect::<Vec<_>>(), ["demo-broker-2", "demo-broker-1", "demo-broker-0"]);
}

#[tokio::test]
async fn a_spec_that_is_not_served_stalls_and_leaves_what_runs_alone() {
    let bench = Bench::new().await;
    bench.start_operator();
    bench.create(SMALL).await;
    bench.cluster("demo", is_ready).await;
    let before = bench.api::<StatefulSet>().get("demo-broker").await.unwrap();

    let tls = json!([{"name": "plain", "port": 9092, "tls": {}}]);
    bench.edit::<KafkaCluster>("demo", json!({"listeners": tls, "config": {"log.retention.hours": 2}})).await.unwrap();
    let is_stalled =
        |cluster: &KafkaCluster| cluster.status.as_ref().is_some_and(|status| stalled(&status.conditions).is_some());
    let cluster = bench.cluster("demo", is_stalled).await;
    let (reason, message) = stalled(&cluster.status.unwrap().conditions).unwrap();
    assert_eq!(reason, "NotServedYet");
    assert!(message.contains("remove tls"), "{message}");
    let after = bench.api::<StatefulSet>().get("demo-broker").await.unwrap();
    assert_eq!(after.metadata.generation, before.metadata.generation);

    let plain = json!([{"name": "plain", "port": 9092}]);
    bench.edit::<KafkaCluster>("demo", json!({"listeners": plain, "config": null})).await.unwrap();
    let cluster = bench.cluster("demo", is_ready).await;
    assert_eq!(stalled(&cluster.status.unwrap().conditions), None);
}

#[tokio::test]
async fn a_setting_read_at_start_restarts_the_broker_and_a_running_one_does_not() {
    let bench = Bench::new().await;
    bench.start_operator();
    bench.create(SMALL).await;
    bench.cluster("demo", is_ready).await;
    let before: Pod = bench.api::<Pod>().get("demo-broker-0").await.unwrap();

    bench.edit::<KafkaCluster>("demo", json!({"config": {"log.cleaner.threads": 2}})).await.unwrap();
    bench.cluster("demo", is_ready).await;
    let change = ConfigChange::Set("log.cleaner.threads".to_owned(), "2".to_owned());
    assert_eq!(bench.kafka.take_calls(), vec![Call::Config(ConfigOf::Cluster, vec![change])]);
    assert_eq!(bench.api::<Pod>().get("demo-broker-0").await.unwrap().uid(), before.uid());

    bench.edit::<KafkaCluster>("demo", json!({"config": {"log.retention.hours": 2}})).await.unwrap();
    let is_new = |pod: &Pod| pod.uid() != before.uid() && pod.annotations().contains_key(TEMPLATE);
    bench.until::<Pod>("demo-broker-0", is_new).await;
    bench.cluster("demo", is_ready).await;
    let config: ConfigMap = bench.api::<ConfigMap>().get("demo-config").await.unwrap();
    assert!(config.data.unwrap()["demo-broker-0.properties"].contains("log.retention.hours=2\n"));
}

#[tokio::test]
async fn what_somebody_changes_or_deletes_comes_back() {
    let bench = Bench::new().await;
    bench.start_operator();
    bench.create(SMALL).await;
    bench.cluster("demo", is_ready).await;
    let token = bench.api::<Secret>().get("demo-controller-token").await.unwrap().data;
    bench.api::<Service>().delete("demo-bootstrap", &DeleteParams::default()).await.unwrap();
    bench.until::<Service>("demo-bootstrap", |_| true).await;
    let patch = json!({"spec": {"publishNotReadyAddresses": false}});
    let params = kube::api::PatchParams::default();
    bench.api::<Service>().patch("demo-brokers", &params, &kube::api::Patch::Merge(patch)).await.unwrap();
    let is_mended =
        |service: &Service| service.spec.as_ref().is_some_and(|spec| spec.publish_not_ready_addresses == Some(true));
    bench.until::<Service>("demo-brokers", is_mended).await;
    assert_eq!(bench.api::<Secret>().get("demo-controller-token").await.unwrap().data, token);
}

#[tokio::test]
async fn a_deleted_cluster_leaves_its_claims_and_one_of_its_name_takes_its_identity() {
    let bench = Bench::new().await;
    bench.start_operator();
    bench.create(SMALL).await;
    let first = bench.cluster("demo", is_ready).await;
    bench.api::<KafkaCluster>().delete("demo", &DeleteParams::background()).await.unwrap();
    bench.gone::<KafkaCluster>("demo").await;
    bench.create(SMALL).await;
    let second = bench.cluster("demo", is_ready).await;
    assert_ne!(first.uid(), second.uid());
    assert_eq!(first.annotations()[CLUSTER_ID], second.annotations()[CLUSTER_ID]);

    bench.api::<KafkaCluster>().delete("demo", &DeleteParams::background()).await.unwrap();
    bench.gone::<StatefulSet>("demo-broker").await;
    bench.gone::<ConfigMap>("demo-config").await;
    bench.gone::<Secret>("demo-controller-token").await;
    bench.gone::<Service>("demo-brokers").await;
}

#[tokio::test]
async fn a_paused_cluster_is_left_alone() {
    let bench = Bench::new().await;
    bench.start_operator();
    bench.create(&SMALL.replace("brokers: 1", "brokers: 1, paused: true")).await;
    eventually("the condition Ready of a paused cluster", async || {
        let cluster = bench.api::<KafkaCluster>().get("demo").await.unwrap();
        let conditions = cluster.status.map(|status| status.conditions).unwrap_or_default();
        let ready = conditions.iter().find(|entry| entry.type_ == "Ready").map(|entry| entry.reason.clone());
        if ready.as_deref() == Some("Paused") { Ok(()) } else { Err(format!("{conditions:?}")) }
    })
    .await;
    assert!(bench.api::<StatefulSet>().get_opt("demo-broker").await.unwrap().is_none());
    bench.edit::<KafkaCluster>("demo", json!({"paused": false})).await.unwrap();
    bench.cluster("demo", is_ready).await;
}
