//! Who votes on the cluster's metadata: the brokers with the lowest ordinals, as many as the spec asks for.
//!
//! One vote a pass. Votes are given before any is taken away; a broker that leaves keeps its vote until it is drained, so
//! that turning back costs nothing.

use ottla_core::ids::BrokerId;

use super::{
    super::{
        observe::{Controller, Observed},
        validate::ValidCluster,
    },
    Request, Step,
    scale::Scale,
};
use crate::kafka::VoterView;

/// The next vote to give or to take.
pub(super) fn next(cluster: &ValidCluster, observed: &Observed, scale: &Scale) -> Option<Step> {
    let controller = observed.controller()?;
    let is_wanted = |broker: BrokerId| broker.0 < cluster.controllers;
    let mut candidates: Vec<&VoterView> = controller.quorum.observers.iter().collect();
    candidates.sort_by_key(|one| one.broker);
    if let Some(next) = candidates.iter().find(|one| is_wanted(one.broker) && serves(controller, one.broker)) {
        return Some(Step::Ask(Request::AddVoter(next.broker)));
    }
    let votes = |id: i32| controller.quorum.voters.iter().any(|voter| voter.broker.0 == id);
    if !(0..cluster.controllers).all(votes) {
        return None;
    }
    let may_go = |voter: &&VoterView| {
        let is_drained = !scale.leaving.contains(&voter.broker) || observed.surely_empty.contains(&voter.broker);
        !is_wanted(voter.broker) && is_drained && keeps_majority(controller, voter)
    };
    let last = controller.quorum.voters.iter().filter(may_go).max_by_key(|voter| voter.broker)?;
    Some(Step::Ask(Request::RemoveVoter { broker: last.broker, directory: last.directory.clone() }))
}

fn serves(controller: &Controller, broker: BrokerId) -> bool {
    controller.brokers.iter().any(|one| one.id == broker && !one.fenced)
}

/// Whether most of the others serve.
fn keeps_majority(controller: &Controller, without: &VoterView) -> bool {
    let others: Vec<_> = controller.quorum.voters.iter().filter(|voter| *voter != without).collect();
    let serving = others.iter().filter(|voter| serves(controller, voter.broker)).count();
    2 * serving > others.len()
}
