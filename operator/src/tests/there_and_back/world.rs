//! What a journey leaves, without what has a history by right: names that are drawn, times, versions, and the disks that
//! were retired.

use std::fmt::Debug;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, ResourceExt, api::ListParams};
use ottla_crds::{KafkaCluster, KafkaTopic};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::super::support::Bench;
use crate::names::{APPLIED, Names, RETIRED};

/// All that a person, a node or a client could see, by kind and name.
pub async fn look(bench: &Bench) -> Value {
    let brokers = bench.api::<KafkaCluster>().get("demo").await.unwrap().spec.brokers;
    json!({
        "clusters": list::<KafkaCluster>(bench).await,
        "topics": list::<KafkaTopic>(bench).await,
        "statefulsets": list::<StatefulSet>(bench).await,
        "pods": list::<Pod>(bench).await,
        "claims": without_leftovers(list::<PersistentVolumeClaim>(bench).await, brokers),
        "configmaps": list::<ConfigMap>(bench).await,
        "secrets": list::<Secret>(bench).await,
        "services": list::<Service>(bench).await,
        "serviceaccounts": list::<ServiceAccount>(bench).await,
        "networkpolicies": list::<NetworkPolicy>(bench).await,
        "budgets": list::<PodDisruptionBudget>(bench).await,
        "kafka": kafka(bench),
    })
}

/// The objects of a kind by name.
async fn list<K>(bench: &Bench) -> Value
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    K: Serialize + DeserializeOwned + Clone + Debug,
{
    let all = bench.api::<K>().list(&ListParams::default()).await.unwrap();
    all.iter().map(|object| (object.name_any(), timeless(serde_json::to_value(object).unwrap()))).collect()
}

/// Claims of brokers that left are kept, or not, as the spec of that time said.
fn without_leftovers(mut claims: Value, brokers: i32) -> Value {
    let names = Names::new("demo", super::super::support::NAMESPACE);
    let wanted: Vec<String> = (0..brokers).map(|id| names.pod(id)).collect();
    claims.as_object_mut().unwrap().retain(|name, _| wanted.iter().any(|pod| name.ends_with(&format!("-{pod}"))));
    claims
}

/// The object without what tells when, or how often, it was made and changed.
fn timeless(mut object: Value) -> Value {
    let metadata = object["metadata"].clone();
    let mut annotations = metadata["annotations"].clone();
    for drawn in [APPLIED, RETIRED] {
        annotations.as_object_mut().and_then(|all| all.remove(drawn));
    }
    let owner = |owner: &Value| json!([owner["kind"], owner["name"], owner["controller"], owner["blockOwnerDeletion"]]);
    object["metadata"] = json!({
        "labels": metadata["labels"], "annotations": annotations, "finalizers": metadata["finalizers"],
        // No owners and an empty list of them are the same to a real API server, which leaves the list out.
        "owners": metadata["ownerReferences"].as_array().into_iter().flatten().map(owner).collect::<Vec<_>>(),
    });
    if object["data"].is_object() && object["type"].is_string() {
        object["data"] = json!("drawn");
    }
    for file in object["data"].as_object_mut().into_iter().flatten().map(|(_, file)| file) {
        // Which disks were retired.
        let lines = file.as_str().unwrap().lines().filter(|line| !line.starts_with("ottla.retired.directories"));
        *file = lines.collect::<Vec<_>>().into();
    }
    forget(&mut object["spec"], &["clusterIP", "clusterIPs", "volumeName"]);
    // Of a StatefulSet whose pods are replaced by somebody else, the current revision is the first one for ever.
    forget(&mut object["status"], &["observedGeneration", "topicId", "currentRevision", "currentReplicas"]);
    let status = &mut object["status"];
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        forget(condition, &["lastTransitionTime", "observedGeneration"]);
    }
    for broker in status["brokerStates"].as_array_mut().into_iter().flatten() {
        forget(broker, &["epoch", "leaders", "replicas"]);
    }
    object
}

/// Takes `fields` away.
fn forget(object: &mut Value, fields: &[&str]) {
    if let Some(all) = object.as_object_mut() {
        all.retain(|key, _| !fields.contains(&key.as_str()));
    }
}

/// What the brokers hold.
fn kafka(bench: &Bench) -> Value {
    let state = bench.kafka.state();
    let mut voters: Vec<_> = state.quorum.voters.iter().map(|voter| voter.broker.0).collect();
    let mut observers: Vec<_> = state.quorum.observers.iter().map(|member| member.broker.0).collect();
    voters.sort_unstable();
    observers.sort_unstable();
    let brokers: Vec<_> =
        state.brokers.iter().map(|broker| json!([broker.id.0, broker.cordoned, broker.fenced])).collect();
    let topics = state.topics.iter().map(|(name, (view, config))| {
        let replicas: Vec<_> = view.partitions.iter().map(|partition| partition.replicas.len()).collect();
        (name.clone(), json!([config, replicas]))
    });
    json!({
        "brokers": brokers, "voters": voters, "observers": observers, "settings": state.cluster_config,
        "topics": topics.collect::<serde_json::Map<_, _>>(), "violations": state.violations,
    })
}
