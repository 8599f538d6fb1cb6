//! The operator dies at every one of its writes, one run each, and another takes over: the world comes out the same
//! (invariants O1 to O6, fault 21 of the matrix).
//!
//! A scenario is what a person does, step by step, and what must be so after each step. `OTTLA_CAMPAIGN=all` tries every
//! write; without it a few are tried, not the same ones each time the scenario grows. A new scenario needs a
//! [`Scenario`] and a test that hands it to [`run`].

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::ConfigMap};
use kube::{ResourceExt, api::ListParams};
use ottla_crds::KafkaCluster;
use serde_json::{Value, json};

use super::{
    mortal::{Death, Mortal},
    support::{Bench, is_ready},
};
use crate::{cluster, names::SCALING};

/// How many passes a step may take.
const PASSES: usize = 4000;
/// Without `OTTLA_CAMPAIGN=all`, about so many writes are tried, spread over all of them.
const SAMPLES: usize = 5;

/// What a person does.
pub struct Scenario {
    /// Its name, for the report.
    pub name: &'static str,
    /// The objects at first.
    pub objects: &'static str,
    /// Topics that are there from the time the cluster serves: name, partitions, replicas.
    pub topics: &'static [(&'static str, i32, i32)],
    /// Changes of the KafkaCluster's spec, one after the other, each once the one before has come about.
    pub edits: &'static [&'static str],
}

/// Plays `scenario` undisturbed, then once for each death at a write, and compares.
pub async fn run(scenario: &Scenario) {
    let mortal = Mortal::new(Death::Never);
    let expected = play(scenario, &mortal).await;
    let writes = mortal.writes();
    let every = std::env::var("OTTLA_CAMPAIGN").is_ok_and(|which| which == "all");
    let step = if every { 1 } else { writes.div_ceil(SAMPLES) };
    let mut tried = 0;
    for number in (1..=writes).step_by(step) {
        for death in [Death::Before(number), Death::After(number)] {
            let mortal = Mortal::new(death);
            let found = play(scenario, &mortal).await;
            assert!(mortal.has_died(), "{}: it never came to {death:?}", scenario.name);
            assert_eq!(found, expected, "{}: {death:?} comes out otherwise", scenario.name);
            tried += 1;
        }
    }
    println!("{}: {writes} writes, {tried} deaths tried, no violation", scenario.name);
}

/// The end of a scenario in which the operator dies as `mortal` says.
async fn play(scenario: &Scenario, mortal: &Arc<Mortal>) -> Value {
    let bench = Bench::living().await;
    bench.create(scenario.objects).await;
    let mut operator = Operator::new(&bench, mortal);
    operator.work_until(&bench, "the cluster serves", is_ready).await;
    for (name, partitions, replicas) in scenario.topics {
        bench.kafka.make_topic(name, *partitions, *replicas);
    }
    for edit in scenario.edits {
        let spec: Value = serde_yaml::from_str(edit).unwrap();
        bench.edit::<KafkaCluster>("demo", spec).await.unwrap();
        operator.work_until(&bench, edit, is_ready).await;
    }
    operator.work_until(&bench, "nothing is left to do", |_| true).await;
    let violations = bench.kafka.state().violations.clone();
    assert_eq!(violations, Vec::<String>::new(), "{}", scenario.name);
    outcome(&bench).await
}

/// Passes of an operator, and of the one after it.
struct Operator {
    mortal: Arc<Mortal>,
    context: Arc<crate::context::Context>,
}

impl Operator {
    fn new(bench: &Bench, mortal: &Arc<Mortal>) -> Self {
        Self { mortal: mortal.clone(), context: bench.mortal_context(mortal) }
    }

    /// Passes until `condition` holds and two passes in a row write nothing.
    async fn work_until(&mut self, bench: &Bench, what: &str, condition: impl Fn(&KafkaCluster) -> bool) {
        let mut quiet = 0;
        for _ in 0..PASSES {
            let before = self.mortal.writes();
            let moving = bench.kafka.state().moves.len();
            self.pass(bench).await;
            let holds = condition(&bench.api::<KafkaCluster>().get("demo").await.unwrap());
            quiet = if holds && moving == 0 && self.mortal.writes() == before { quiet + 1 } else { 0 };
            if quiet == 2 {
                return;
            }
            // For the node to start and stop brokers.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let cluster = bench.api::<KafkaCluster>().get("demo").await.unwrap();
        panic!("{what} never came: {cluster:#?} {:#?}", bench.kafka.state());
    }

    /// One pass over every cluster; what fails is tried by the next. At its death another operator takes over.
    async fn pass(&mut self, bench: &Bench) {
        let clusters = bench.api::<KafkaCluster>().list(&ListParams::default()).await.unwrap();
        for found in clusters {
            let pass = cluster::reconcile(Arc::new(found), self.context.clone());
            tokio::select! {
                _ = pass => {}
                () = self.mortal.died() => self.context = bench.mortal_context(&self.mortal),
            }
        }
    }
}

/// What must be the same however often the operator died.
async fn outcome(bench: &Bench) -> Value {
    let stateful_set = bench.api::<StatefulSet>().get("demo-broker").await.unwrap();
    let config = bench.api::<ConfigMap>().get("demo-config").await.unwrap();
    let cluster = bench.api::<KafkaCluster>().get("demo").await.unwrap();
    let id = cluster.annotations()[crate::names::CLUSTER_ID].clone();
    let files: Vec<String> =
        config.data.unwrap().values().map(|file| without_disks(&file.replace(&id, "CLUSTER"))).collect();
    let (replicas, leaders) = bench.kafka.spread();
    let state = bench.kafka.state();
    let brokers: Vec<_> =
        state.brokers.iter().map(|broker| json!([broker.id.0, broker.cordoned, broker.fenced])).collect();
    let mut voters: Vec<_> = state.quorum.voters.iter().map(|voter| voter.broker.0).collect();
    let mut observers: Vec<_> = state.quorum.observers.iter().map(|member| member.broker.0).collect();
    voters.sort_unstable();
    observers.sort_unstable();
    json!({
        "replicas": stateful_set.spec.replicas,
        "files": files,
        "scaling": cluster.annotations().get(SCALING),
        "brokers": brokers,
        "voters": voters,
        "observers": observers,
        "even": [replicas <= 1, leaders <= 1],
        "moves": state.moves.len(),
    })
}

/// Which disks were retired is a matter of names that are drawn.
fn without_disks(file: &str) -> String {
    file.lines().filter(|line| !line.starts_with("ottla.retired.directories")).collect::<Vec<_>>().join("\n")
}

const THREE: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 3, \
                     storage: {volumes: [{name: data, size: 1Gi}]}}";

#[tokio::test]
async fn scaling_out_and_in_and_out_again_survives_a_death_at_any_write() {
    run(&Scenario {
        name: "3→5→3→5",
        objects: THREE,
        topics: &[("orders", 6, 3), ("flights", 4, 2), ("logs", 2, 1)],
        edits: &["{brokers: 5}", "{brokers: 3}", "{brokers: 5}"],
    })
    .await;
}
