//! The KafkaTopic controller: observe → validate → plan → apply → status, one file each.
//!
//! What the spec does not mention is left alone. Nothing is deleted that this object did not make or take over, and a
//! topic that another KafkaTopic also claims is never deleted.

mod apply;
mod cached;
mod claim;
mod index;
mod live;
mod observe;
mod plan;
mod status;
mod validate;
mod watched;

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};
use ottla_crds::conditions::{self, ConditionType};

use crate::{backoff::spread, context::Context, error::Result};
pub use cached::CachedTopic;
pub use live::Live;
use observe::Observed;
use plan::Plan;
use status::Outcome;
pub use watched::Topics;

/// In how much time all topics have a turn to be looked at without a reason.
pub const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How soon one is looked at whose cluster does not answer.
const LOOK_SOON: Duration = Duration::from_secs(5);
/// How soon one is looked at that has just been found to lack something, such as a leader.
const LOOK_FIRST: Duration = Duration::from_millis(500);
/// How soon one is looked at that was just changed.
const LOOK_NOW: Duration = Duration::from_millis(20);

/// One pass over one topic.
pub async fn reconcile(topic: Arc<CachedTopic>, context: Arc<Context>) -> Result<Action> {
    let Some(mut observed) = observe::observe(&topic, &context).await? else {
        return Ok(Action::await_change());
    };
    let outcome = if observed.is_leaving() {
        context.wishes.note(&observed.namespace, &observed.topic.name_any(), None);
        match plan::farewell(&observed) {
            plan::Farewell::Done => return Ok(Action::await_change()),
            plan::Farewell::Wait => Outcome::Waiting,
            plan::Farewell::Plan(plan) => {
                apply::apply(&plan, &observed, &context).await?;
                return Ok(Action::await_change());
            }
        }
    } else {
        advance(&mut observed, &context).await?
    };
    note(&mut observed, &outcome, &context).await?;
    context.wishes.note(&observed.namespace, &observed.topic.name_any(), plan::wish(&observed, &outcome));
    context.metrics.ended("KafkaTopic", &observed.topic, outcome.name());
    let next = next_look(&observed, &outcome, Timestamp::now());
    Ok(next.map_or_else(Action::await_change, |wait| Action::requeue(spread(wait))))
}

/// How long the topic is left; `None` leaves it until it has its turn. What it lacks comes by itself and no watch tells when, so
/// it is looked at again after as long as it has lacked it.
fn next_look(observed: &Observed, outcome: &Outcome, now: Timestamp) -> Option<Duration> {
    match outcome {
        Outcome::Changing => Some(LOOK_NOW),
        Outcome::Waiting => Some(LOOK_SOON),
        Outcome::Settled => {
            let conditions = observed.topic.status.as_ref().map_or(&[][..], |status| status.conditions.as_slice());
            let ready = conditions::find(conditions, ConditionType::Ready).filter(|ready| ready.status != "True");
            let lacking = ready.map(|ready| now.duration_since(ready.last_transition_time.0));
            let wait = lacking.map(|time| Duration::try_from(time).unwrap_or_default().max(LOOK_FIRST));
            wait.filter(|wait| *wait < LOOK_AGAIN)
        }
        Outcome::Refused(_) | Outcome::Paused => None,
    }
}

async fn advance(observed: &mut Observed, context: &Context) -> Result<Outcome> {
    if observed.topic.spec.paused {
        return Ok(Outcome::Paused);
    }
    let plan = match validate::validate(observed) {
        Ok(valid) => plan::plan(&valid, observed),
        Err(validate::NotNow::Refused(refusal)) => return Ok(Outcome::Refused(refusal)),
        Err(validate::NotNow::Waiting) => return Ok(Outcome::Waiting),
    };
    if plan.is_empty() {
        return Ok(Outcome::Settled);
    }
    carry_out(&plan, observed, context).await
}

/// Does the plan, after saying so: `Ready` is false, and the topic is claimed, before anything changes.
async fn carry_out(plan: &Plan, observed: &mut Observed, context: &Context) -> Result<Outcome> {
    if !was_refused(observed) {
        note(observed, &Outcome::Changing, context).await?;
    }
    match apply::apply(plan, observed, context).await {
        Ok(()) => Ok(Outcome::Changing),
        Err(error) => match error.refusal() {
            Some(refusal) => Ok(Outcome::Refused(refusal)),
            None => Err(error),
        },
    }
}

/// Whether this very spec was refused before: trying it again is not worth a word until it goes through.
fn was_refused(observed: &Observed) -> bool {
    observed.topic.status.as_ref().is_some_and(|status| {
        status.observed_generation == observed.topic.metadata.generation
            && conditions::is_true(&status.conditions, ConditionType::Stalled)
    })
}

/// Writes and reports what this pass found, if that differs from what is written.
async fn note(observed: &mut Observed, outcome: &Outcome, context: &Context) -> Result<()> {
    let status = status::assess(observed, outcome, Timestamp::now());
    let old = observed.topic.status.clone().unwrap_or_default();
    if status::write(observed, &status, context).await? {
        status::report(observed, &old, &status, context).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
