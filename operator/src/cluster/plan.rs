//! What is missing between the world and a valid spec. Pure: a converged cluster has an empty plan.
//!
//! One question a file. Each pass does a bounded part: at most one broker is disturbed.

mod identity;
mod restart;

use kube::ResourceExt;
use uuid::Uuid;

use super::{
    build,
    observe::{Kafka, Observed},
    pods,
    validate::ValidCluster,
};
use crate::{
    child::Child,
    error::Refusal,
    kafka::ConfigChange,
    names::{CLUSTER_ID, FOUNDED},
    settings,
};

pub use restart::Restart;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write an annotation on the KafkaCluster before anything rests on it.
    Annotate {
        /// The annotation.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// Make a child that is never changed.
    Create(Child),
    /// Make a child as it should be.
    Apply(Child),
    /// Change settings that need no restart.
    ChangeConfig(Vec<ConfigChange>),
    /// Let the first of these brokers that can be spared start again from what is wanted now. Never empty.
    Restart(Vec<Restart>),
}

/// The steps of this pass, in order.
pub type Plan = Vec<Step>;

/// Why no plan can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A person has to change something first.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// A child could not be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// What to do for `cluster`. `chance` is what random names are made of, should one be needed.
///
/// # Errors
/// Refuses if the disks say that the cluster is not the one it was.
pub fn plan(cluster: &ValidCluster, observed: &Observed, chance: [Uuid; 2]) -> Result<Plan, Error> {
    let [fresh_id, _] = chance;
    let cluster_id = match identity::identity(observed, fresh_id).map_err(Error::Refused)? {
        identity::Identity::Recorded(id) => id,
        identity::Identity::ToRecord(id) => return Ok(vec![Step::Annotate { key: CLUSTER_ID, value: id }]),
    };
    let mut steps = Plan::new();
    let token = build::controller_token(cluster, chance)?;
    if observed.children.of(&token).is_none() {
        steps.push(Step::Create(token));
    }
    for child in build::children(cluster, &cluster_id)? {
        if !observed.children.of(&child).is_some_and(|stored| child.is_in(stored)) {
            steps.push(Step::Apply(child));
        }
    }
    if let Kafka::Seen { config, .. } = &observed.kafka {
        let changes = settings::changes(&cluster.settings.running, &managed(observed), config);
        if !changes.is_empty() {
            steps.push(Step::ChangeConfig(changes));
        }
        if !cluster.founded && serves(cluster, observed) {
            steps.push(Step::Annotate { key: FOUNDED, value: "true".to_owned() });
        }
    }
    // Pods are replaced only once the StatefulSet would make the new ones as they should be.
    if steps.is_empty() {
        let template = build::template(cluster, &cluster_id)?;
        let due = restart::due(observed, &template);
        steps.extend((!due.is_empty()).then_some(Step::Restart(due)));
    }
    Ok(steps)
}

/// The settings that earlier specs asked for.
fn managed(observed: &Observed) -> Vec<String> {
    observed.cluster.status.as_ref().map(|status| status.managed_config.clone()).unwrap_or_default()
}

/// Whether every broker of the cluster is there and serves.
fn serves(cluster: &ValidCluster, observed: &Observed) -> bool {
    let ready = observed.pods.iter().filter(|pod| pods::is_ready(pod)).map(|pod| pod.name_any());
    ready.filter_map(|name| cluster.names.broker_of(&name)).count() >= usize::try_from(cluster.brokers).unwrap_or(0)
}

#[cfg(test)]
mod tests;
