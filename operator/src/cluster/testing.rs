//! Fixtures from YAML, through the real steps.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod},
    jiff::Timestamp,
};
use ottla_core::ids::BrokerId;
use ottla_crds::KafkaCluster;
use serde_json::json;

use super::{
    build,
    nodes::Nodes,
    observe::{Children, Controller, Kafka, NoController, Observed},
    validate::{ValidCluster, validate},
};
use crate::{
    child::Child,
    config::OperatorConfig,
    error::Refusal,
    kafka::{self, PartitionHealth, QuorumView, VoterView, fake},
    names::{CLUSTER_ID, Names, TEMPLATE},
    wishes::AskedReplicas,
};

/// The id of every cluster here.
pub const ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// The operator's own configuration here.
pub fn operator() -> OperatorConfig {
    OperatorConfig { broker_image: "registry.example/ottla-broker:test".to_owned(), ..OperatorConfig::default() }
}

/// A cluster `demo` with the given spec, of which nothing exists yet but its id.
pub fn observed(spec: &str) -> Observed {
    let mut cluster: KafkaCluster = serde_yaml::from_str(&format!(
        "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {{name: demo, namespace: prod, uid: uid-1, \
         generation: 1, resourceVersion: '7'}}\nspec:\n{}",
        spec.lines().map(|line| format!("  {line}\n")).collect::<String>()
    ))
    .unwrap();
    cluster.metadata.annotations = Some([(CLUSTER_ID.to_owned(), ID.to_owned())].into());
    Observed {
        cluster,
        names: Names::new("demo", "prod"),
        uid: "uid-1".to_owned(),
        children: Children::default(),
        pods: Vec::new(),
        claims: Vec::new(),
        kafka: Kafka::NotAsked,
        disks: Vec::new(),
        nodes: Nodes::default(),
        now: Timestamp::UNIX_EPOCH,
        surely_empty: BTreeSet::new(),
        left: BTreeMap::new(),
        asked_replicas: AskedReplicas::new(),
        unsparable: BTreeSet::new(),
    }
}

/// The smallest spec.
pub const SMALL: &str = "brokers: 1\nstorage: {volumes: [{name: data, size: 1Gi}]}";

/// A spec of so many brokers.
pub fn of_brokers(count: i32) -> String {
    SMALL.replace("brokers: 1", &format!("brokers: {count}"))
}

/// What validation makes of it.
pub fn valid(observed: &Observed) -> Result<ValidCluster, Refusal> {
    validate(observed, &operator())
}

/// The same cluster once all its children are as they should be, its pods serve and its brokers answer.
pub fn settled(spec: &str) -> Observed {
    let mut observed = observed(spec);
    let annotations = observed.cluster.metadata.annotations.get_or_insert_default();
    annotations.insert(crate::names::FOUNDED.to_owned(), "true".to_owned());
    let cluster = ValidCluster { bears_disruption: true, ..valid(&observed).unwrap() };
    let token = build::controller_token(&cluster, [uuid::Uuid::nil(); 2]).unwrap();
    for child in build::children(&cluster, ID).unwrap().into_iter().chain([token]) {
        store(&mut observed, &child);
    }
    let template = build::template(&cluster, ID).unwrap();
    observed.pods = (0..cluster.brokers).map(|id| pod(id, &template, true)).collect();
    observed.kafka = Kafka::Seen {
        config: cluster.settings.running.clone(),
        controller: Ok(Controller {
            brokers: (0..cluster.brokers).map(fake::broker).collect(),
            health: PartitionHealth::default(),
            placements: Vec::new(),
            quorum: QuorumView {
                voters: (0..cluster.controllers).map(voter).collect(),
                observers: (cluster.controllers..cluster.brokers).map(voter).collect(),
            },
        }),
    };
    observed
}

/// What brokers say while the controller is being elected.
pub fn no_controller() -> NoController {
    NoController { error: kafka::Error::Unreachable("elected just now".to_owned()), leaderless: 0 }
}

/// The disk of a broker, as the quorum knows it.
fn voter(id: i32) -> VoterView {
    VoterView { broker: BrokerId(id), directory: format!("disk-{id}") }
}

/// Puts a child where a later pass finds it.
pub fn store(observed: &mut Observed, child: &Child) {
    observed.children.insert(&child.resource.kind, &child.name, child.body.clone());
}

/// The pod of a broker, made from the template with that fingerprint.
pub fn pod(id: i32, template: &str, is_ready: bool) -> Pod {
    let status = if is_ready { "True" } else { "False" };
    serde_json::from_value(json!({
        "metadata": { "name": format!("demo-broker-{id}"), "uid": format!("pod-{id}"), "annotations": { TEMPLATE: template } },
        "spec": {
            "containers": [{ "name": "broker", "volumeMounts": [
                { "name": "config", "mountPath": "/config" }, { "name": "data", "mountPath": "/data" },
            ] }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": format!("data-demo-broker-{id}") } }],
        },
        "status": { "podIP": format!("10.0.0.{id}"), "conditions": [{ "type": "Ready", "status": status }] },
    }))
    .unwrap()
}

/// The claims of the first `count` brokers, bound.
pub fn claims(count: i32) -> Vec<PersistentVolumeClaim> {
    let claim = |id: i32| {
        let metadata = json!({
            "name": format!("data-demo-broker-{id}"), "uid": format!("claim-{id}"), "annotations": { CLUSTER_ID: ID },
        });
        let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
        let status = json!({ "phase": "Bound", "capacity": { "storage": "1Gi" } });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec, "status": status })).unwrap()
    };
    (0..count).map(claim).collect()
}
