//! Plays what happens, pass by pass of an operator and of those after it.

use std::{fmt::Debug, sync::Arc, time::Duration};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Pod, Service},
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{Resource, api::ListParams};
use ottla_crds::{KafkaCluster, KafkaTopic};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    super::{
        mortal::Mortal,
        support::{Bench, is_ready, is_topic_ready},
    },
    outcome::outcome,
    scenario::{Scenario, Step},
};
use crate::{cluster, context::Context, topic};

/// How many passes a step may take.
const PASSES: usize = 4000;
/// For a node to start and stop brokers between two passes.
const BREATH: Duration = Duration::from_millis(2);

/// What has come of each step of a scenario, with the first what came of the founding, whatever befell the operator.
pub async fn play(scenario: &Scenario, mortal: &Arc<Mortal>) -> Vec<Value> {
    let bench = Bench::living().await;
    let mut operator = Operator::new(&bench, mortal);
    if scenario.steps.is_empty() {
        mortal.begin();
    }
    bench.create(scenario.objects).await;
    operator.settle(&bench, "the founding").await;
    for (name, partitions, copies) in scenario.topics {
        bench.kafka.make_safe_topic(name, *partitions, *copies);
    }
    operator.settle(&bench, "topics").await;
    let founded = bench.kafka.state().disks.keys().cloned().collect();
    let mut outcomes = vec![outcome(&bench, &founded).await];
    if !scenario.steps.is_empty() {
        mortal.begin();
    }
    for step in scenario.steps {
        step.happen(&bench).await;
        if let Step::Begin(_, writes) = step {
            operator.work(&bench, *writes).await;
            continue;
        }
        operator.settle(&bench, &format!("{step:?}")).await;
        outcomes.push(outcome(&bench, &founded).await);
    }
    assert_eq!(bench.kafka.state().violations, Vec::<String>::new(), "{}", scenario.name);
    outcomes
}

/// Passes of an operator, and of the one after it.
struct Operator {
    mortal: Arc<Mortal>,
    context: Arc<Context>,
    passes: JoinSet<bool>,
}

impl Operator {
    /// One that has done nothing yet.
    fn new(bench: &Bench, mortal: &Arc<Mortal>) -> Self {
        Self { mortal: mortal.clone(), context: bench.mortal_context(mortal), passes: JoinSet::new() }
    }

    /// Passes until everything is as it should be and two rounds of passes write nothing.
    async fn settle(&mut self, bench: &Bench, what: &str) {
        let mut quiet = 0;
        for _ in 0..PASSES {
            let before = self.mortal.writes();
            let went_well = self.pass(bench).await;
            let is_rest = went_well && self.mortal.writes() == before && is_settled(bench).await;
            quiet = if is_rest { quiet + 1 } else { 0 };
            if quiet == 2 {
                if !self.mortal.release() {
                    return;
                }
                quiet = 0;
            }
            tokio::time::sleep(BREATH).await;
        }
        let clusters = bench.api::<KafkaCluster>().list(&ListParams::default()).await.unwrap().items;
        let effects = self.mortal.effects();
        panic!("{what} never came about after {effects:?}: {clusters:#?} {:#?}", bench.kafka.state());
    }

    /// Passes until there were so many writes, or there is nothing left to do.
    async fn work(&mut self, bench: &Bench, writes: usize) {
        let until = self.mortal.writes() + writes;
        let mut quiet = 0;
        while self.mortal.writes() < until && quiet < 10 {
            let before = self.mortal.writes();
            self.pass(bench).await;
            quiet = if self.mortal.writes() == before { quiet + 1 } else { 0 };
            tokio::time::sleep(BREATH).await;
        }
    }

    /// A pass over every object; whether all went well. What failed is tried by the next. At its death another operator
    /// takes over.
    async fn pass(&mut self, bench: &Bench) -> bool {
        let mut went_well = true;
        for found in bench.api::<KafkaCluster>().list(&ListParams::default()).await.unwrap() {
            let context = self.context.clone();
            went_well &=
                self.live(bench, async move { cluster::reconcile(Arc::new(found), context).await.is_ok() }).await;
        }
        for found in bench.api::<KafkaTopic>().list(&ListParams::default()).await.unwrap() {
            let context = self.context.clone();
            let pass = async move { topic::reconcile(Arc::new(found.into()), context).await.is_ok() };
            went_well &= self.live(bench, pass).await;
        }
        went_well
    }

    async fn live(&mut self, bench: &Bench, pass: impl Future<Output = bool> + Send + 'static) -> bool {
        self.passes.spawn(pass);
        tokio::select! {
            done = self.passes.join_next() => done.is_some_and(|done| done.unwrap()),
            () = self.mortal.died() => {
                // Of one that dies while a write is on its way, only that write is left.
                if !self.mortal.holds_a_write() {
                    self.passes.shutdown().await;
                }
                self.context = bench.mortal_context(&self.mortal);
                false
            }
        }
    }
}

/// Whether every object is ready, none is on its way out, no partition moves or lacks a copy, and no replica goes to
/// another disk. Where there is no cluster nothing of it may be left but claims.
pub async fn is_settled(bench: &Bench) -> bool {
    let clusters = bench.api::<KafkaCluster>().list(&ListParams::default()).await.unwrap().items;
    let topics = bench.api::<KafkaTopic>().list(&ListParams::default()).await.unwrap().items;
    if clusters.is_empty() {
        return topics.is_empty() && is_gone(bench).await;
    }
    let are_ready = clusters.iter().all(|one| is_ready(one) && one.metadata.deletion_timestamp.is_none())
        && topics.iter().all(|one| is_topic_ready(one) && one.metadata.deletion_timestamp.is_none());
    let state = bench.kafka.state();
    let is_shifting = state.places.values().any(|one| one.going.is_some());
    are_ready && state.moves.is_empty() && state.lagging.is_empty() && !is_shifting
}

/// Whether no child of a cluster is left, and no broker runs.
async fn is_gone(bench: &Bench) -> bool {
    async fn none<K>(bench: &Bench) -> bool
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
    {
        bench.api::<K>().list(&ListParams::default()).await.unwrap().items.is_empty()
    }
    none::<StatefulSet>(bench).await
        && none::<Pod>(bench).await
        && none::<ConfigMap>(bench).await
        && none::<Service>(bench).await
        && none::<PodDisruptionBudget>(bench).await
        && bench.kafka.state().brokers.iter().all(|broker| broker.fenced)
}
