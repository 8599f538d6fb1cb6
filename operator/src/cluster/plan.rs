//! What is missing between the world and a valid spec. Pure: a converged cluster has an empty plan.
//!
//! One question a file. Each pass does a bounded part: at most one broker is disturbed.

mod identity;
pub(super) mod repair;
mod restart;
mod storage;

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

use repair::{Repair, Verdict};

pub use restart::{Restart, Why};

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
    /// Remove an annotation of the KafkaCluster: what it says is done.
    Forget {
        /// The annotation.
        key: &'static str,
    },
    /// Give up a claim, and the disk with it, once its pod is gone.
    DeleteClaim {
        /// Its name.
        name: String,
        /// That claim and no later one of its name.
        uid: String,
    },
    /// Make a claim larger, and its disk with it.
    GrowClaim {
        /// Its name.
        name: String,
        /// That claim and no later one of its name.
        uid: String,
        /// How large.
        size: String,
    },
    /// Delete the StatefulSet and leave its pods to the next one.
    OrphanBrokers {
        /// That StatefulSet and no later one.
        uid: String,
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
    steps.extend(storage::growing(cluster, observed));
    for child in build::children(cluster, &cluster_id)? {
        match observed.children.of(&child) {
            Some(stored) if storage::has_to_be_made_anew(&child, stored) => steps.extend(orphaning(observed)),
            Some(stored) if child.is_in(stored) => {}
            _ => steps.push(Step::Apply(child)),
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
        steps = disturb_one(cluster, &cluster_id, observed)?;
    }
    Ok(steps)
}

/// What disturbs a broker: it is lost and replaced, or due for a restart.
fn disturb_one(cluster: &ValidCluster, cluster_id: &str, observed: &Observed) -> Result<Plan, Error> {
    if let Some(Repair { verdict: Verdict::Act(steps), .. }) = repair::repair(observed) {
        return Ok(steps);
    }
    let due = restart::due(observed, &build::template(cluster, cluster_id)?);
    Ok((!due.is_empty()).then_some(Step::Restart(due)).into_iter().collect())
}

/// Deletes the StatefulSet and leaves its pods.
fn orphaning(observed: &Observed) -> Option<Step> {
    Some(Step::OrphanBrokers { uid: observed.stateful_set()?.uid()? })
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
