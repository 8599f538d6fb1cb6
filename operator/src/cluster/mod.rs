//! The KafkaCluster controller: observe → validate → plan → apply → status, one file each.
//!
//! Level-triggered: a pass never asks what happened, only what is. It may be cut off anywhere and run again.

mod apply;
mod build;
mod loss;
mod nodes;
mod observe;
mod plan;
mod pods;
mod report;
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

use crate::{backoff::spread, context::Context, error::Result};
use observe::{Kafka, Observed};
use plan::Plan;
use status::Outcome;

pub use pods::addresses;

/// How long a settled cluster is left before it is looked at without a reason.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How soon one is looked at that waits for something no watch tells.
const LOOK_SOON: Duration = Duration::from_secs(2);
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
    note(&mut observed, &outcome, &context).await?;
    context.metrics.ended("KafkaCluster", &observed.cluster, outcome.name());
    Ok(Action::requeue(spread(next_look(&observed, &outcome))))
}

fn decide(observed: &Observed, context: &Context) -> Result<Plan, plan::Error> {
    let valid = validate::validate(observed, &context.config).map_err(plan::Error::Refused)?;
    plan::plan(&valid, observed, [Uuid::new_v4(), Uuid::new_v4()])
}

/// Does the plan, after saying so: `Ready` is false before anything changes.
async fn carry_out(plan: Plan, observed: &mut Observed, context: &Context) -> Result<Outcome> {
    let plan = match spare::choose(plan, observed, context).await? {
        Ok(plan) => plan,
        Err(reason) => return Ok(Outcome::HeldUp(reason)),
    };
    if !was_refused(observed) {
        note(observed, &Outcome::Changing, context).await?;
    }
    match apply::apply(&plan, observed, context).await {
        Ok(()) => Ok(Outcome::Changing),
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

/// Writes and reports what this pass found, if that differs from what is written.
async fn note(observed: &mut Observed, outcome: &Outcome, context: &Context) -> Result<()> {
    let status = status::assess(observed, outcome, Timestamp::now());
    let old = observed.cluster.status.clone().unwrap_or_default();
    if status::write(observed, &status, context).await? {
        report::report(observed, &old, &status, context).await;
    }
    Ok(())
}

fn is_ready(observed: &Observed) -> bool {
    let status = observed.cluster.status.as_ref();
    status.is_some_and(|status| conditions::is_true(&status.conditions, ConditionType::Ready))
}

fn next_look(observed: &Observed, outcome: &Outcome) -> Duration {
    match (outcome, &observed.kafka) {
        (Outcome::Changing, _) => LOOK_NOW,
        (Outcome::HeldUp(_), _) => LOOK_SOON,
        (Outcome::Refused(refusal), _) if refusal.reason == validate::WAITING => LOOK_SOON,
        (Outcome::Settled, Kafka::Failed(_)) => LOOK_SOON,
        // No watch tells that replicas have caught up, that a disk has grown, or that a lost broker had its time.
        (Outcome::Settled, _) if !is_ready(observed) => LOOK_SOON,
        (Outcome::Refused(_) | Outcome::Paused | Outcome::Settled, _) => LOOK_AGAIN,
    }
}
