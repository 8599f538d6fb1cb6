//! The KafkaCluster controller: observe → validate → plan → apply → status, one file each.
//!
//! Level-triggered: a pass never asks what happened, only what is. It may be cut off anywhere and run again.

mod apply;
mod build;
mod disks;
mod disruption;
mod loss;
mod nodes;
mod observe;
mod plan;
mod pods;
mod reach;
mod remainder;
mod report;
mod retired;
mod scaling;
mod spare;
mod status;
#[cfg(test)]
mod testing;
mod validate;

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use ottla_crds::{
    KafkaCluster,
    conditions::{self, ConditionType},
};
use uuid::Uuid;

use crate::{backoff::spread, balance::disks::under_way, config::Pace, context::Context, error::Result};
use observe::{Kafka, Observed};
use plan::{Plan, Step};
use status::Outcome;

pub use pods::addresses;
#[cfg(test)]
pub use pods::mounted_claims;

/// How soon one is looked at that was just changed.
const LOOK_NOW: Duration = Duration::from_millis(50);

/// One pass over one cluster.
pub async fn reconcile(cluster: Arc<KafkaCluster>, context: Arc<Context>) -> Result<Action> {
    let Some(mut observed) = observe::observe(&cluster, &context).await? else {
        return Ok(Action::await_change());
    };
    if observed.cluster.metadata.deletion_timestamp.is_some() {
        // The children carry an owner reference: Kubernetes deletes them.
        return Ok(Action::await_change());
    }
    let outcome = match decide(&observed, &context) {
        _ if observed.spec().paused => Outcome::Paused,
        Ok(plan) if plan.is_empty() => Outcome::Settled,
        Ok(plan) => carry_out(plan, &mut observed, &context).await?,
        Err(plan::Error::Refused(refusal)) => Outcome::Refused(refusal),
        Err(plan::Error::Json(error)) => return Err(error.into()),
    };
    let is_news = note(&mut observed, &outcome, &context).await?;
    context.metrics.ended("KafkaCluster", &observed.cluster, outcome.name());
    let next = next_look(&observed, &outcome, context.config.pace);
    // What changed by itself, such as the number of topics, may go on to do so.
    let next = if is_news { next.min(context.config.pace.soon) } else { next };
    Ok(Action::requeue(spread(next)))
}

fn decide(observed: &Observed, context: &Context) -> Result<Plan, plan::Error> {
    let valid = validate::validate(observed, &context.config).map_err(plan::Error::Refused)?;
    plan::plan(&valid, observed, [Uuid::new_v4(), Uuid::new_v4()])
}

/// Does the plan, after saying so: `Ready` is false before anything changes.
async fn carry_out(plan: Plan, observed: &mut Observed, context: &Context) -> Result<Outcome> {
    // Told first, whatever comes of the rest; the cluster is as ready as it was.
    let (budget, plan): (Plan, Plan) = plan.into_iter().partition(Step::is_of_budget);
    apply::apply(&budget, observed, context).await?;
    if plan.is_empty() {
        return Ok(Outcome::Settled);
    }
    let plan = match spare::choose(plan, observed, context).await? {
        Ok(plan) => plan,
        Err(why) => return Ok(Outcome::HeldUp(why)),
    };
    let outcome = if plan.iter().all(Step::only_balances) { Outcome::Balancing } else { Outcome::Changing };
    if outcome == Outcome::Changing && !was_refused(observed) {
        note(observed, &outcome, context).await?;
    }
    match apply::apply(&plan, observed, context).await {
        Ok(()) => Ok(outcome),
        Err(error) => match error.refusal() {
            Some(refusal) => Ok(Outcome::Refused(refusal)),
            None => Err(error),
        },
    }
}

/// Whether this very spec was refused before: trying it again is not worth a word until it goes through.
fn was_refused(observed: &Observed) -> bool {
    observed.cluster.status.as_ref().is_some_and(|status| {
        status.observed_generation == observed.cluster.metadata.generation
            && conditions::is_true(&status.conditions, ConditionType::Stalled)
    })
}

/// Writes and reports what this pass found, if that differs from what is written; says whether it did.
async fn note(observed: &mut Observed, outcome: &Outcome, context: &Context) -> Result<bool> {
    let status = status::assess(observed, outcome, Timestamp::now());
    let old = observed.cluster.status.clone().unwrap_or_default();
    let is_news = status::write(observed, &status, context).await?;
    if is_news {
        report::report(observed, &old, &status, context).await;
    }
    Ok(is_news)
}

fn is_ready(observed: &Observed) -> bool {
    let status = observed.cluster.status.as_ref();
    status.is_some_and(|status| conditions::is_true(&status.conditions, ConditionType::Ready))
}

fn next_look(observed: &Observed, outcome: &Outcome, pace: Pace) -> Duration {
    let is_moving =
        observed.controller().is_some_and(|controller| controller.health.moving > 0) || under_way(&observed.disks) > 0;
    match (outcome, &observed.kafka) {
        (Outcome::Changing, _) => LOOK_NOW,
        (Outcome::HeldUp(_) | Outcome::Balancing, _) => pace.soon,
        (Outcome::Refused(refusal), _) if refusal.reason == validate::WAITING => pace.soon,
        (Outcome::Settled, Kafka::Failed(_)) => pace.soon,
        // No watch tells that replicas have caught up or been moved, that a disk has grown, or that a lost broker had its
        // time.
        (Outcome::Settled, _) if is_moving || !is_ready(observed) => pace.soon,
        (Outcome::Refused(_) | Outcome::Paused | Outcome::Settled, _) => pace.again,
    }
}
