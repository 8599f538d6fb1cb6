//! Clients outside reach every broker, and who empties a node takes one broker at a time.

use std::time::Duration;

use k8s_openapi::api::{
    core::v1::{Pod, Service},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, ResourceExt,
    api::{EvictParams, ListParams, Patch, PatchParams},
};
use ottla_core::ids::BrokerId;
use ottla_crds::{
    KafkaCluster,
    conditions::{self, ConditionType},
};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::support::{Bench, eventually, is_ready};
use crate::kafka::{RestartVerdict, fake::harmless};

const THREE: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 3, \
                     storage: {volumes: [{name: data, size: 1Gi}]}}";

const OUTSIDE: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 1, \
                       storage: {volumes: [{name: data, size: 1Gi}]}, listeners: [{name: plain, port: 9092}, \
                       {name: out, port: 9094, type: TYPE}]}";

/// Gives every pod the address of a node, as a kubelet does.
fn give_nodes(bench: &Bench) -> DropGuard {
    let (pods, end) = (bench.api::<Pod>(), CancellationToken::new());
    let ended = end.clone();
    tokio::spawn(async move {
        while !ended.is_cancelled() {
            for pod in pods.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default() {
                let Some(status) = pod.status.as_ref().filter(|status| status.host_ip.is_none()) else { continue };
                if status.pod_ip.is_some() {
                    let host = json!({"status": {"hostIP": format!("192.0.2.{}", ordinal(&pod))}});
                    let _ = pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(host)).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    end.drop_guard()
}

fn ordinal(pod: &Pod) -> String {
    pod.name_any().rsplit('-').next().unwrap().to_owned()
}

fn told(bench: &Bench) -> Vec<String> {
    bench.kafka.state().brokers.iter().map(|broker| broker.advertised.clone()).collect()
}

fn ready_message(cluster: &KafkaCluster) -> (String, String) {
    let status = cluster.status.clone().unwrap_or_default();
    let found = conditions::find(&status.conditions, ConditionType::Ready).cloned();
    found.map(|found| (found.reason, found.message)).unwrap_or_default()
}

async fn node_port(bench: &Bench, service: &str) -> i32 {
    let service = bench.api::<Service>().get(service).await.unwrap();
    service.spec.unwrap().ports.unwrap()[0].node_port.unwrap()
}

/// What the status says clients of the listener `out` start from.
fn servers(cluster: &KafkaCluster) -> Option<String> {
    let status = cluster.status.as_ref()?;
    status.listeners.iter().find(|listener| listener.name == "out").map(|listener| listener.bootstrap_servers.clone())
}

#[tokio::test]
async fn a_listener_on_node_ports_comes_with_its_services_and_goes_with_them() {
    let bench = Bench::ready(3, THREE).await;
    let _nodes = give_nodes(&bench);
    let two = json!([{"name": "plain", "port": 9092}, {"name": "out", "port": 9094, "type": "NodePort"}]);
    bench.edit::<KafkaCluster>("demo", json!({ "listeners": two })).await.unwrap();
    let cluster = bench.cluster("demo", is_ready).await;
    let mut expected = Vec::new();
    for id in 0..3 {
        expected.push(format!("OUT://192.0.2.{id}:{}", node_port(&bench, &format!("demo-broker-{id}-out")).await));
    }
    assert_eq!(told(&bench), expected);
    let bootstrap = node_port(&bench, "demo-bootstrap-out").await;
    let all: Vec<String> = (0..3).map(|id| format!("192.0.2.{id}:{bootstrap}")).collect();
    assert_eq!(servers(&cluster), Some(all.join(",")));
    let inside = bench.api::<Service>().get("demo-bootstrap").await.unwrap().spec.unwrap().ports.unwrap();
    assert_eq!(inside.into_iter().map(|port| port.port).collect::<Vec<_>>(), [9092]);

    let before = bench.pod_uids(3).await;
    let one = json!([{"name": "plain", "port": 9092}]);
    bench.edit::<KafkaCluster>("demo", json!({ "listeners": one })).await.unwrap();
    bench.gone::<Service>("demo-broker-2-out").await;
    bench.gone::<Service>("demo-bootstrap-out").await;
    let cluster = bench.cluster("demo", is_ready).await;
    assert_eq!((told(&bench), servers(&cluster)), (vec![String::new(); 3], None));
    assert_ne!(bench.pod_uids(3).await, before, "brokers stop listening with a restart");
}

#[tokio::test]
async fn a_pod_on_another_node_is_told_of_without_a_restart() {
    let bench = Bench::new().await;
    let nodes = give_nodes(&bench);
    bench.start_operator();
    bench.create(&OUTSIDE.replace("TYPE", "NodePort")).await;
    bench.cluster("demo", is_ready).await;
    drop(nodes);
    let port = node_port(&bench, "demo-broker-0-out").await;
    assert_eq!(told(&bench), [format!("OUT://192.0.2.0:{port}")]);
    let before = bench.pod_uids(1).await;
    let moved = json!({"status": {"hostIP": "192.0.2.8"}});
    let pods = bench.api::<Pod>();
    pods.patch_status("demo-broker-0", &PatchParams::default(), &Patch::Merge(moved)).await.unwrap();
    let expected = format!("OUT://192.0.2.8:{port}");
    eventually("the other address", async || {
        let told = told(&bench);
        if told == [expected.clone()] { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
    bench.cluster("demo", is_ready).await;
    assert_eq!(bench.pod_uids(1).await, before);
}

#[tokio::test]
async fn a_load_balancer_that_has_still_to_come_is_waited_for_and_said_while_the_rest_serves() {
    let bench = Bench::new().await;
    bench.start_operator();
    bench.create(&OUTSIDE.replace("TYPE", "LoadBalancer")).await;
    let waits = |cluster: &KafkaCluster| ready_message(cluster).0 == "WaitingForAddress";
    let cluster = bench.cluster("demo", waits).await;
    let (_, message) = ready_message(&cluster);
    assert!(message.contains("Service demo-broker-0-out has no load balancer yet"), "{message}");
    let status = cluster.status.unwrap();
    assert!(conditions::is_true(&status.conditions, ConditionType::Available));
    assert!(!conditions::is_true(&status.conditions, ConditionType::Degraded));
    let services: Api<Service> = bench.api();
    for (name, ip) in [("demo-broker-0-out", "203.0.113.1"), ("demo-bootstrap-out", "203.0.113.2")] {
        let made = json!({"status": {"loadBalancer": {"ingress": [{ "ip": ip }]}}});
        services.patch_status(name, &PatchParams::default(), &Patch::Merge(made)).await.unwrap();
    }
    let cluster = bench.cluster("demo", is_ready).await;
    assert_eq!(servers(&cluster).as_deref(), Some("203.0.113.2:9094"));
    assert_eq!(told(&bench), ["OUT://203.0.113.1:9094"]);

    let made_anew = json!({"status": {"loadBalancer": {"ingress": [{"hostname": "b0.example"}]}}});
    services.patch_status("demo-broker-0-out", &PatchParams::default(), &Patch::Merge(made_anew)).await.unwrap();
    eventually("the other address", async || {
        let told = told(&bench);
        if told == ["OUT://b0.example:9094"] { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_service_of_somebody_else_in_the_way_of_a_listener_is_left_alone_and_named() {
    let bench = Bench::ready(1, &THREE.replace("brokers: 3", "brokers: 1")).await;
    let foreign = json!({"metadata": {"name": "demo-broker-0-out"}, "spec": {"ports": [{"port": 80}]}});
    let services: Api<Service> = bench.api();
    services.create(&Default::default(), &serde_json::from_value(foreign).unwrap()).await.unwrap();
    let two = json!([{"name": "plain", "port": 9092}, {"name": "out", "port": 9094, "type": "NodePort"}]);
    bench.edit::<KafkaCluster>("demo", json!({ "listeners": two })).await.unwrap();
    let cluster = bench.cluster("demo", |cluster| ready_message(cluster).0 == "NameConflict").await;
    assert!(ready_message(&cluster).1.contains("Service demo-broker-0-out"));
    assert_eq!(services.get("demo-broker-0-out").await.unwrap().spec.unwrap().type_.as_deref(), Some("ClusterIP"));
}

/// Whether the API lets the pod of the broker be evicted; else the status that it answers with.
async fn evict(bench: &Bench, broker: i32) -> Result<(), u16> {
    match bench.api::<Pod>().evict(&format!("demo-broker-{broker}"), &EvictParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.code),
        Err(error) => panic!("{error}"),
    }
}

/// The budget once it allows so many evictions, as its controller has found.
async fn allowed(bench: &Bench, disruptions: i32) {
    bench
        .until::<PodDisruptionBudget>("demo-broker", |budget| {
            let status = budget.status.clone().unwrap_or_default();
            status.observed_generation == budget.metadata.generation && status.disruptions_allowed == Some(disruptions)
        })
        .await;
}

#[tokio::test]
async fn a_broker_is_evicted_only_while_the_others_can_spare_it() {
    let bench = Bench::ready(3, THREE).await;
    let end = CancellationToken::new();
    let _guard = end.clone().drop_guard();
    tokio::spawn(ottla_local::disruption::run(bench.client.clone(), end));
    allowed(&bench, 1).await;

    // Broker 1 does not serve: it alone may be taken away.
    let ready = |is_ready: bool| {
        let status = if is_ready { "True" } else { "False" };
        Patch::Merge(json!({"status": {"conditions": [{"type": "Ready", "status": status}]}}))
    };
    let pods = bench.api::<Pod>();
    pods.patch_status("demo-broker-1", &PatchParams::default(), &ready(false)).await.unwrap();
    allowed(&bench, 0).await;
    assert_eq!(evict(&bench, 0).await, Err(429));
    pods.patch_status("demo-broker-1", &PatchParams::default(), &ready(true)).await.unwrap();
    allowed(&bench, 1).await;

    // All serve, and broker 2 holds what another one has still to copy: Kubernetes would not know.
    bench.kafka.state().restart.insert(BrokerId(2), RestartVerdict { allowed: false, ..harmless() });
    bench.edit::<KafkaCluster>("demo", json!({"rebalance": {"maxConcurrentMoves": 9}})).await.unwrap();
    allowed(&bench, 0).await;
    assert_eq!(evict(&bench, 0).await, Err(429));
    bench.kafka.state().restart.clear();
    bench.edit::<KafkaCluster>("demo", json!({"rebalance": {"maxConcurrentMoves": 10}})).await.unwrap();
    allowed(&bench, 1).await;
    let before = bench.pod_uids(3).await;
    assert_eq!(evict(&bench, 0).await, Ok(()));
    eventually("another pod", async || {
        let now = bench.pod_uids(3).await;
        if now[0].is_some() && now[0] != before[0] { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    // Kubernetes may take the new pod for the evicted one, which has its name, and allow no other eviction for two minutes.
    bench.cluster("demo", is_ready).await;
}
