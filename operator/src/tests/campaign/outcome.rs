//! What must be the same however often the operator died.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, ResourceExt, api::ListParams};
use ottla_crds::{KafkaCluster, KafkaTopic};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::super::support::Bench;
use crate::names::{APPLIED, CLUSTER_ID, REPAIR, SCALING, TEMPLATE};

/// Everything: the objects, what brokers hold, and which of the disks `founded` are still in use.
pub async fn outcome(bench: &Bench, founded: &BTreeSet<String>) -> Value {
    let claims = bench.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap();
    let claim = |claim: &PersistentVolumeClaim| {
        let size = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
        let is_first = founded.contains(&claim.uid().unwrap());
        (claim.name_any(), json!([size, is_first]))
    };
    let claims: BTreeMap<String, Value> = claims.iter().map(claim).collect();
    json!({ "claims": claims, "starts": starts(bench), "world": world(bench).await })
}

/// How often each broker was started.
fn starts(bench: &Bench) -> Vec<(i32, usize)> {
    bench.kafka.state().starts.iter().map(|(broker, starts)| (broker.0, *starts)).collect()
}

/// What a spec alone says, whatever came before it: the objects, and what brokers hold.
async fn world(bench: &Bench) -> Value {
    let objects = [
        stored::<StatefulSet>(bench).await,
        stored::<ConfigMap>(bench).await,
        stored::<Service>(bench).await,
        stored::<NetworkPolicy>(bench).await,
        stored::<PodDisruptionBudget>(bench).await,
    ];
    let topics: Vec<String> = bench
        .api::<KafkaTopic>()
        .list(&ListParams::default())
        .await
        .unwrap()
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let cluster = bench.api::<KafkaCluster>().get_opt("demo").await.unwrap();
    let annotations = cluster.map(|cluster| cluster.annotations().clone()).unwrap_or_default();
    let id = annotations.get(CLUSTER_ID).cloned().unwrap_or_default();
    let told = json!({
        "objects": objects,
        "resources": topics,
        "scaling": annotations.get(SCALING),
        "repair": annotations.get(REPAIR),
        "kafka": kafka(bench),
    });
    if id.is_empty() {
        return told;
    }
    serde_json::from_str(&told.to_string().replace(&id, "CLUSTER")).unwrap()
}

fn kafka(bench: &Bench) -> Value {
    let (replicas, leaders) = bench.kafka.spread();
    let ids: Vec<_> = bench.kafka.state().brokers.iter().map(|broker| broker.id).collect();
    let on_disks = |broker| {
        let places = bench.kafka.places_on(broker);
        let (least, most) = (places.iter().min(), places.iter().max());
        json!([least.zip(most).is_none_or(|(least, most)| most.0 - least.0 <= 1), places.iter().all(|one| one.1 == 0)])
    };
    let disks: Vec<_> = ids.into_iter().map(on_disks).collect();
    let state = bench.kafka.state();
    let brokers: Vec<_> = state
        .brokers
        .iter()
        .map(|broker| json!([broker.id.0, broker.cordoned, broker.fenced, broker.directories.len()]))
        .collect();
    let ids = |members: &[crate::kafka::VoterView]| {
        let mut ids: Vec<i32> = members.iter().map(|member| member.broker.0).collect();
        ids.sort_unstable();
        ids
    };
    let topic = |(name, (view, config)): (&String, &(crate::kafka::TopicView, _))| {
        let is_whole =
            view.partitions.iter().all(|one| one.in_sync.len() == one.replicas.len() && one.leader.is_some());
        json!([name, view.partitions.len(), view.replicas(), config, is_whole])
    };
    json!({
        "brokers": brokers,
        "disks": disks,
        "voters": ids(&state.quorum.voters),
        "observers": ids(&state.quorum.observers),
        // At rest, brokers may differ by as much as the planner lets be.
        "even": [replicas <= 2, leaders <= 2],
        "config": state.cluster_config,
        "topics": state.topics.iter().map(topic).collect::<Vec<_>>(),
    })
}

/// Each stored object of a kind, without what the API server or chance has drawn.
async fn stored<K>(bench: &Bench) -> Vec<Value>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    K: Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    let all = bench.api::<K>().list(&ListParams::default()).await.unwrap();
    all.iter().map(|object| plain(json!({"name": object.name_any(), "object": object}))).collect()
}

fn plain(mut value: Value) -> Value {
    let object = &mut value["object"];
    object["metadata"] = json!({ "labels": object["metadata"]["labels"] });
    object["status"] = Value::Null;
    if let Some(annotations) = object.pointer_mut("/spec/template/metadata/annotations").and_then(Value::as_object_mut)
    {
        annotations.retain(|key, _| key != TEMPLATE && key != APPLIED);
    }
    // Which disks were retired is a matter of names that are drawn.
    if let Some(files) = object.get_mut("data").and_then(Value::as_object_mut) {
        for file in files.values_mut() {
            let lines = file.as_str().unwrap_or_default().lines();
            let lines: Vec<_> = lines.filter(|line| !line.starts_with("ottla.retired.directories")).collect();
            *file = json!(lines.join("\n"));
        }
    }
    value
}
