//! What is missing between the world and a valid spec. Pure: a converged cluster has an empty plan.
//!
//! One question a file. Each pass does a bounded part: at most one broker is disturbed.

mod balance;
mod copies;
mod disks;
mod farewell;
mod identity;
mod internal;
pub(super) mod repair;
mod restart;
mod scale;
mod step;
mod storage;
mod voters;

use k8s_openapi::api::core::v1::ConfigMap;
use ottla_crds::cluster::Mode;
use uuid::Uuid;

use super::{
    build,
    observe::{Kafka, Observed},
    pods, reach,
    validate::ValidCluster,
};
use crate::{
    error::Refusal,
    names::{CLUSTER_ID, FOUNDED},
    settings,
};

use repair::{Repair, Verdict};
use scale::Scale;

pub use restart::{Restart, Why};
pub use step::{Request, Step};

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
    let scale = scale::scale(cluster, observed).map_err(Error::Refused)?;
    if let Some(intent) = scale::intent(cluster, observed, &scale) {
        return Ok(vec![intent]);
    }
    let sized = ValidCluster { brokers: scale.size, controllers: voters(cluster, observed), ..cluster.clone() };
    let mut steps = objects(&sized, observed, &cluster_id, chance)?;
    if let Kafka::Seen { config, .. } = &observed.kafka {
        let changes = settings::changes(&cluster.settings.running, &managed(observed), config);
        if !changes.is_empty() {
            steps.push(Step::ChangeConfig(changes));
        }
        steps.extend(reach::news(observed).map(Step::Ask));
        steps.extend(internal::setting(cluster, observed));
        // Brokers that were wanted at first and never came up are not waited for.
        if !cluster.founded && observed.controller().is_some() && serves(cluster, observed) {
            steps.push(Step::Annotate { key: FOUNDED, value: "true".to_owned() });
        }
    }
    // Pods are replaced, and partitions moved, only once all objects are as they should be. The budget follows what is.
    if steps.iter().all(Step::is_of_budget) {
        let template = build::template(&sized, &cluster_id)?;
        steps.extend(disturb_one(cluster, observed, &scale, &template));
    }
    Ok(steps)
}

/// The objects that are missing, differ or are left over, and claims that are too small.
fn objects(sized: &ValidCluster, observed: &Observed, cluster_id: &str, chance: [Uuid; 2]) -> Result<Plan, Error> {
    let mut steps = Plan::new();
    let token = build::controller_token(sized, chance)?;
    if observed.children.of(&token).is_none() {
        steps.push(Step::Create(token));
    }
    steps.extend(storage::growing(sized, observed));
    for child in build::children(sized, cluster_id)? {
        match observed.children.of(&child) {
            Some(stored) if storage::has_to_be_made_anew(&child, stored) => {
                steps.extend(storage::making_anew(observed))
            }
            Some(stored) if child.is_in(stored) => {}
            Some(_) if child.resource.kind == "PodDisruptionBudget" => steps.push(Step::Budget(child)),
            Some(stored) if scale::shrinks(&child, stored, sized.brokers) => {
                steps.push(Step::Shrink(child, sized.brokers));
            }
            _ => steps.push(Step::Apply(child)),
        }
    }
    let left_over = reach::left_over(observed, sized.brokers);
    steps.extend(left_over.map(|(name, uid)| Step::DeleteService { name, uid }));
    Ok(steps)
}

/// The one thing that is done next to the running brokers.
fn disturb_one(cluster: &ValidCluster, observed: &Observed, scale: &Scale, template: &str) -> Plan {
    if let Some(Repair { verdict: Verdict::Act(steps), .. }) = repair::repair(observed) {
        return steps;
    }
    let due = restart::due(observed, template);
    let restart = |due| vec![Step::Restart(due)];
    // What does not serve is disturbed by nothing.
    if due.iter().any(|restart| restart.serving.is_none()) || (!cluster.founded && !due.is_empty()) {
        return restart(due);
    }
    if !cluster.founded {
        return Plan::new();
    }
    let mut steps = farewell::steps(observed, scale.size);
    steps.extend(scale::cordons(observed, scale));
    if steps.is_empty() {
        steps.extend(voters::next(cluster, observed, scale));
    }
    if !steps.is_empty() {
        return steps;
    }
    let balance = balance::next(cluster, observed, scale);
    let is_emptied = !scale.leaving.is_empty() && (balance.is_moving || !balance.steps.is_empty());
    let is_draining = is_emptied || scale::is_about_to_shrink(observed, scale);
    // Restarts wait until leaving brokers are empty and gone, because those need none any more; other moves wait for restarts.
    if !due.is_empty() && !is_draining {
        return restart(due);
    }
    if !balance.steps.is_empty() {
        return balance.steps;
    }
    if let Some(stuck) = balance.stuck.filter(|_| !balance.is_moving) {
        return vec![Step::Wait(stuck)];
    }
    let is_even = !balance.is_moving && cluster.rebalance.mode == Mode::Automatic;
    let is_rest = is_even && due.is_empty();
    match observed.scaling() {
        Some(_) if is_rest && scale::is_reached(cluster, observed, scale) => vec![Step::Scaling(None)],
        None if is_rest => disks::next(cluster, observed),
        _ => Plan::new(),
    }
}

/// Whom the files name as voters: once the cluster is founded those that are wanted, before that those that it was begun
/// with, since brokers that name different ones found nothing.
fn voters(cluster: &ValidCluster, observed: &Observed) -> i32 {
    if cluster.founded {
        return cluster.controllers;
    }
    let config: Option<ConfigMap> = observed.children.typed(&observed.names.config());
    let files = config.and_then(|config| config.data).unwrap_or_default();
    files.values().find_map(|file| build::properties::voters(file)).unwrap_or(cluster.controllers)
}

/// The settings that earlier specs asked for.
fn managed(observed: &Observed) -> Vec<String> {
    observed.cluster.status.as_ref().map(|status| status.managed_config.clone()).unwrap_or_default()
}

/// Whether every broker that is wanted is there and serves.
fn serves(cluster: &ValidCluster, observed: &Observed) -> bool {
    (0..cluster.brokers).all(|id| observed.pod_of(id).is_some_and(pods::is_ready))
}

#[cfg(test)]
mod scaling_tests;
#[cfg(test)]
mod tests;
