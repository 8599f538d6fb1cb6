//! What a person does, and what befalls a cluster, step by step.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use ottla_crds::{KafkaCluster, KafkaTopic};
use serde_json::{Value, json};

use super::super::support::Bench;

/// A course of events.
pub struct Scenario {
    /// Its name, for the report.
    pub name: &'static str,
    /// The objects at first.
    pub objects: &'static str,
    /// Topics that are there from the time the cluster serves: name, partitions, replicas.
    pub topics: &'static [(&'static str, i32, i32)],
    /// What happens then. Without any, the operator dies while the cluster is founded.
    pub steps: &'static [Step],
}

/// One thing that happens. What follows does so once it has come about.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The KafkaCluster's spec is changed.
    Edit(&'static str),
    /// The same, and what follows happens after so many writes of the operator.
    Begin(&'static str, usize),
    /// Objects are made.
    Create(&'static str),
    /// A KafkaTopic's spec is changed.
    EditTopic(&'static str, &'static str),
    /// A KafkaTopic is deleted.
    DeleteTopic(&'static str),
    /// The KafkaCluster is deleted.
    DeleteCluster,
    /// A topic with so many partitions on broker 0 alone appears.
    Crowd(&'static str, i32),
    /// Every partition comes to weigh so many bytes.
    Fill(u64),
    /// Somebody deletes the pod of a broker.
    DeletePod(i32),
    /// Kubernetes finds that the volume of a broker is no more.
    LoseVolume(i32),
    /// The node of a broker falls silent.
    LoseNode(i32),
}

impl Step {
    /// Has it happen.
    pub async fn happen(self, bench: &Bench) {
        match self {
            Self::Edit(spec) | Self::Begin(spec, _) => {
                bench.edit::<KafkaCluster>("demo", yaml(spec)).await.unwrap();
            }
            Self::Create(objects) => bench.create(objects).await,
            Self::EditTopic(name, spec) => bench.edit::<KafkaTopic>(name, yaml(spec)).await.unwrap(),
            Self::DeleteTopic(name) => {
                bench.api::<KafkaTopic>().delete(name, &DeleteParams::default()).await.unwrap();
            }
            Self::DeleteCluster => {
                bench.api::<KafkaCluster>().delete("demo", &DeleteParams::background()).await.unwrap();
            }
            Self::Crowd(topic, partitions) => drop(bench.kafka.given_topic(topic, partitions, &[])),
            Self::Fill(bytes) => bench.kafka.state().partition_bytes = bytes,
            Self::DeletePod(broker) => {
                bench.api::<Pod>().delete(&pod(broker), &DeleteParams::default()).await.unwrap();
            }
            Self::LoseVolume(broker) => {
                let lost = Patch::Merge(json!({"status": {"phase": "Lost"}}));
                let claim = format!("data-{}", pod(broker));
                let claims = bench.api::<PersistentVolumeClaim>();
                claims.patch_status(&claim, &PatchParams::default(), &lost).await.unwrap();
            }
            Self::LoseNode(broker) => lose_node(broker, bench).await,
        }
    }
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn pod(broker: i32) -> String {
    format!("demo-broker-{broker}")
}

/// As the node controller tells it, and as the brokers' controller notices it.
async fn lose_node(broker: i32, bench: &Bench) {
    let pods = bench.api::<Pod>();
    let uid = pods.get(&pod(broker)).await.unwrap().uid().unwrap();
    bench.kafka.state().silent.insert(uid);
    bench.kafka.stop_broker(broker, false);
    let conditions = json!([{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]);
    let silent = Patch::Merge(json!({"status": {"conditions": conditions}}));
    pods.patch_status(&pod(broker), &PatchParams::default(), &silent).await.unwrap();
}
