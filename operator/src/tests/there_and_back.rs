//! From any valid spec to any other and back: the world comes out as a fresh install of the first would be.
//!
//! Specs are drawn from a seed ([`specs`]). Some seeds are tried each time, `OTTLA_CAMPAIGN=all` tries many, `OTTLA_SEED=n`
//! that one. What differs, and may not, is named by its path; what has a history by right is left out ([`world`]).

mod specs;
mod world;

use std::sync::Arc;

use kube::{
    Resource,
    api::{ListParams, PostParams},
};
use ottla_crds::{KafkaCluster, KafkaTopic};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::support::{Bench, bind_claims, eventually, is_ready, is_topic_ready};
use crate::{cluster, context::Context, names::CLUSTER_ID, topic};
pub use specs::{Journey, Stage, draw};
pub use world::look;

/// How many rounds of passes a spec may take.
const ROUNDS: usize = 4000;
/// Seeds that are tried each time, and with `OTTLA_CAMPAIGN=all`.
const FEW: u64 = 3;
const MANY: u64 = 200;

/// A Kubernetes and the passes of an operator in it, which are made one by one.
pub struct Play {
    /// The Kubernetes.
    pub bench: Bench,
    context: Arc<Context>,
}

impl Play {
    /// With the objects of `stage`, and all they ask for.
    pub async fn of(stage: &Stage) -> Self {
        let bench = Bench::living().await;
        let context = bench.context();
        let play = Self { bench, context };
        create(&play.bench, stage).await;
        play.come_to_rest(stage).await;
        play
    }

    /// Gives both objects the specs of `stage`, and waits for all that these ask for.
    async fn go_to(&self, stage: &Stage) {
        replace(&self.bench, stage).await;
        self.come_to_rest(stage).await;
    }

    /// Passes until all is ready and two rounds in a row write nothing.
    async fn come_to_rest(&self, stage: &Stage) {
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            let moving = self.bench.kafka.state().moves.len();
            self.pass_over_all().await;
            let wrote = !self.bench.wiretap.take_writes().is_empty() || !self.bench.kafka.take_calls().is_empty();
            quiet = if !wrote && moving == 0 && self.is_ready().await { quiet + 1 } else { 0 };
            if quiet == 2 {
                return;
            }
            // For the node and the StatefulSet controller.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let (cluster, topic) = self.objects().await;
        panic!("{stage:#?} never came about: {cluster:#?} {topic:#?} {:#?}", self.bench.kafka.state());
    }

    /// A pass over each object; one that fails, for a conflict, is made again by the next round.
    async fn pass_over_all(&self) {
        bind_claims(&self.bench.client).await;
        for cluster in self.bench.api::<KafkaCluster>().list(&ListParams::default()).await.unwrap() {
            let _ = cluster::reconcile(Arc::new(cluster), self.context.clone()).await;
        }
        for topic in self.bench.api::<KafkaTopic>().list(&ListParams::default()).await.unwrap() {
            let _ = topic::reconcile(Arc::new(topic.into()), self.context.clone()).await;
        }
    }

    async fn objects(&self) -> (KafkaCluster, KafkaTopic) {
        let cluster = self.bench.api::<KafkaCluster>().get("demo").await.unwrap();
        (cluster, self.bench.api::<KafkaTopic>().get("orders").await.unwrap())
    }

    async fn is_ready(&self) -> bool {
        let (cluster, topic) = self.objects().await;
        is_ready(&cluster) && is_topic_ready(&topic)
    }
}

/// Makes both objects of `stage`.
pub async fn create(bench: &Bench, stage: &Stage) {
    // Every world has the same id, so that nothing that is made of it differs.
    let metadata = json!({"name": "demo", "annotations": {CLUSTER_ID: "MkU3OEVBNTcwNTJENDM2Qg"}});
    create_one::<KafkaCluster>(bench, metadata, &stage.cluster).await;
    create_one::<KafkaTopic>(bench, json!({"name": "orders"}), &stage.topic).await;
}

async fn create_one<K>(bench: &Bench, metadata: Value, spec: &Value)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    K: DeserializeOwned + serde::Serialize + Clone + std::fmt::Debug,
{
    let object = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata, "spec": spec,
    });
    let object: K = serde_json::from_value(object).unwrap();
    bench.api::<K>().create(&PostParams::default(), &object).await.unwrap();
}

/// Gives both objects the specs of `stage`; what these do not say is gone.
pub async fn replace(bench: &Bench, stage: &Stage) {
    let (clusters, topics) = (bench.api::<KafkaCluster>(), bench.api::<KafkaTopic>());
    eventually("an edit without a conflict", async || {
        let mut cluster = clusters.get("demo").await.unwrap();
        cluster.spec = serde_json::from_value(stage.cluster.clone()).unwrap();
        clusters.replace("demo", &PostParams::default(), &cluster).await.map_err(|error| error.to_string())
    })
    .await;
    eventually("an edit without a conflict", async || {
        let mut topic = topics.get("orders").await.unwrap();
        topic.spec = serde_json::from_value(stage.topic.clone()).unwrap();
        topics.replace("orders", &PostParams::default(), &topic).await.map_err(|error| error.to_string())
    })
    .await;
}

/// Where `left` and `right` differ, by path.
pub fn differences(path: &str, left: &Value, right: &Value) -> Vec<String> {
    match (left, right) {
        _ if left == right => Vec::new(),
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            let below = |key: &String| differences(&format!("{path}/{key}"), &left[key], &right[key]);
            keys.into_iter().flat_map(below).collect()
        }
        _ => vec![format!("{path}: {left} instead of {right}")],
    }
}

/// There and back by the specs of `seed`, and what differs from a fresh install then.
async fn there_and_back(seed: u64) -> (Journey, Vec<String>) {
    let journey = draw(seed);
    let play = Play::of(&journey.first).await;
    play.go_to(&journey.second).await;
    play.go_to(&journey.back).await;
    let fresh = Play::of(&journey.back).await;
    let (found, expected) = (look(&play.bench).await, look(&fresh.bench).await);
    (journey, differences("", &found, &expected))
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_another_meanwhile_is_as_a_fresh_one() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let every = std::env::var("OTTLA_CAMPAIGN").is_ok_and(|which| which == "all");
    let seeds = match number("OTTLA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..if every { MANY } else { FEW },
    };
    let tried = seeds.end - seeds.start;
    for seed in seeds {
        println!("OTTLA_SEED={seed}");
        let (journey, differences) = there_and_back(seed).await;
        assert_eq!(differences, Vec::<String>::new(), "OTTLA_SEED={seed}: {journey:#?}");
    }
    println!("{tried} ways there and back, each ends as a fresh install");
}

#[test]
fn a_difference_is_named_by_its_path() {
    let (left, right) = (json!({"a": {"b": [1], "c": 2}, "d": 3}), json!({"a": {"b": [2], "c": 2}}));
    assert_eq!(differences("", &left, &right), ["/a/b: [1] instead of [2]", "/d: 3 instead of null"]);
}
