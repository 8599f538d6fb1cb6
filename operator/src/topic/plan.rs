//! What is missing between a topic and its valid spec, and how an object takes its leave. Pure.

use kube::{Resource, ResourceExt};
use ottla_core::ids::TopicId;
use ottla_crds::DeletionPolicy;

use super::{
    observe::{Cluster, Observed},
    status::Outcome,
    validate::ValidTopic,
};
use crate::{
    kafka::{ConfigChange, NewTopic},
    names::TOPIC_FINALIZER,
    settings,
    wishes::Wish,
};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hold the object back on deletion, from before the topic is made.
    Hold,
    /// Make the topic.
    Create(NewTopic),
    /// Give it so many partitions.
    Grow(i32),
    /// Change its settings.
    ChangeConfig(Vec<ConfigChange>),
    /// Delete the topic and its records.
    Delete(TopicId),
    /// Let the object go.
    Release,
}

/// The steps of this pass, in order.
pub type Plan = Vec<Step>;

/// What to do about an object that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Nothing is left to do.
    Done,
    /// Whether the topic is there cannot be known now.
    Wait,
    /// These steps.
    Plan(Plan),
}

/// What to do for `topic`.
pub fn plan(topic: &ValidTopic, observed: &Observed) -> Plan {
    let mut steps = Plan::new();
    if !is_held(observed) {
        steps.push(Step::Hold);
    }
    let Some((view, current)) = observed.found() else {
        steps.push(Step::Create(NewTopic {
            name: topic.name.as_str().to_owned(),
            partitions: topic.partitions,
            replicas: topic.replicas,
            config: topic.config.clone(),
        }));
        return steps;
    };
    if let Some(wanted) =
        topic.partitions.filter(|wanted| usize::try_from(*wanted).is_ok_and(|n| n > view.partitions.len()))
    {
        steps.push(Step::Grow(wanted));
    }
    let changes = settings::changes(&topic.config, &observed.managed(), current);
    if !changes.is_empty() {
        steps.push(Step::ChangeConfig(changes));
    }
    steps
}

/// What the cluster's passes are to do for a topic whose pass came to `outcome`: they alone move partitions, so that all moves
/// are bounded together and none is in the way of another.
pub fn wish(observed: &Observed, outcome: &Outcome) -> Option<Wish> {
    if !matches!(outcome, Outcome::Changing | Outcome::Settled) {
        return None;
    }
    let (replicas, _) = observed.other_replicas()?;
    Some(Wish {
        cluster: observed.topic.spec.cluster_ref.name.clone(),
        topic: observed.topic_name(),
        replicas: usize::try_from(replicas).ok()?,
    })
}

/// How an object that is being deleted takes its leave: the topic goes with it only if it is this object's to delete.
pub fn farewell(observed: &Observed) -> Farewell {
    if !is_held(observed) {
        return Farewell::Done;
    }
    let release = Farewell::Plan(vec![Step::Release]);
    let spec = &observed.topic.spec;
    if spec.deletion_policy == DeletionPolicy::Retain
        || spec.paused
        || !is_claimed(observed)
        || is_wanted_by_others(observed)
    {
        return release;
    }
    match &observed.cluster {
        Cluster::Missing | Cluster::Leaving => release,
        Cluster::NotReady | Cluster::Failed(_) => Farewell::Wait,
        Cluster::Seen { found: None, .. } => release,
        Cluster::Seen { found: Some((view, _)), .. } if is_ours(observed, view.id) => {
            Farewell::Plan(vec![Step::Delete(view.id), Step::Release])
        }
        // Somebody deleted our topic and made another one under its name.
        Cluster::Seen { .. } => release,
    }
}

fn is_held(observed: &Observed) -> bool {
    observed.topic.finalizers().iter().any(|finalizer| finalizer == TOPIC_FINALIZER)
}

/// Whether this object ever went so far as to make or take over the topic; one that was refused did not.
fn is_claimed(observed: &Observed) -> bool {
    observed.topic.status.as_ref().is_some_and(|status| status.topic_name.is_some())
}

fn is_ours(observed: &Observed, id: TopicId) -> bool {
    let recorded = observed.topic.status.as_ref().and_then(|status| status.topic_id.as_ref());
    recorded.is_none_or(|recorded| *recorded == super::status::id_text(id))
}

/// Whether another KafkaTopic speaks for the topic, or asks that it be kept.
fn is_wanted_by_others(observed: &Observed) -> bool {
    observed
        .rivals
        .iter()
        .any(|rival| rival.meta().deletion_timestamp.is_none() || rival.deletion_policy() == DeletionPolicy::Retain)
}
