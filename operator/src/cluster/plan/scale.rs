//! How many pods there are to be now, and which brokers leave.
//!
//! More brokers come at once. Fewer: those with the highest ordinals leave, and a pod goes only when its broker was seen
//! to hold nothing for a while and has no vote. What still stands is read from the objects and from the brokers, not
//! remembered, so that a StatefulSet that somebody else shrinks grows again until its brokers are drained.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use ottla_core::{controller::internal_topics::is_internal, ids::BrokerId};
use serde_json::Value;

use super::{
    super::{observe::Observed, scaling::Scaling, validate::ValidCluster},
    Request, Step,
    copies::Copies,
};
use crate::{
    child::Child,
    error::Refusal,
    kafka::{PartitionPlacement, TopicPlacement},
    quantity,
};

/// How many topics a refusal names.
const NAMED: usize = 5;

/// Where the number of brokers goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// Pods there are to be.
    pub size: i32,
    /// Brokers that are to give away all they hold.
    pub leaving: BTreeSet<BrokerId>,
}

/// Where `cluster` goes from what is observed.
pub(super) fn scale(cluster: &ValidCluster, observed: &Observed) -> Result<Scale, Refusal> {
    let standing = standing(observed).unwrap_or(cluster.brokers);
    let registered = observed.registered().map(|broker| broker.id.0).filter(|id| *id >= cluster.brokers);
    let leaving: BTreeSet<BrokerId> = (cluster.brokers..standing).chain(registered).map(BrokerId).collect();
    if !leaving.is_empty() {
        enough_brokers(cluster, observed)?;
        enough_space(cluster, observed)?;
    }
    let mut size = standing.max(cluster.brokers);
    while size > cluster.brokers && may_go(BrokerId(size - 1), observed) {
        size -= 1;
    }
    Ok(Scale { size, leaving })
}

/// How many pods the cluster has by what was made for it, and must keep for what its brokers hold; `None` before
/// anything was made.
fn standing(observed: &Observed) -> Option<i32> {
    let made = match observed.stateful_set() {
        Some(stateful_set) => stateful_set.spec.replicas,
        // Somebody deleted it: the files tell for how many brokers it was.
        None => {
            let config: Option<ConfigMap> = observed.children.typed(&observed.names.config());
            config.and_then(|config| i32::try_from(config.data?.len()).ok())
        }
    };
    let holding =
        observed.registered().map(|broker| broker.id).filter(|id| !observed.is_empty(*id)).map(|id| id.0 + 1).max();
    made.max(holding)
}

/// Whether the pod of `broker` is not needed any more.
fn may_go(broker: BrokerId, observed: &Observed) -> bool {
    let Some(controller) = observed.controller() else {
        return false;
    };
    observed.surely_empty.contains(&broker) && !controller.quorum.voters.iter().any(|voter| voter.broker == broker)
}

/// Refuses so few brokers that copies of one partition, as many as are asked for, would have to share one.
fn enough_brokers(cluster: &ValidCluster, observed: &Observed) -> Result<(), Refusal> {
    let topics = observed.controller().into_iter().flat_map(|controller| &controller.placements);
    let wanted = Copies::of(cluster, observed);
    let copies = |topic: &TopicPlacement| {
        let copies = |partition: &PartitionPlacement| wanted.wanted(&topic.topic, partition.target.len());
        topic.partitions.iter().map(copies).max().unwrap_or(0)
    };
    let too_many: Vec<(&str, usize)> = topics
        .filter(|topic| !is_internal(&topic.topic))
        .map(|topic| (topic.topic.as_str(), copies(topic)))
        .filter(|(_, copies)| i32::try_from(*copies).is_ok_and(|copies| copies > cluster.brokers))
        .collect();
    let Some(most) = too_many.iter().map(|(_, copies)| *copies).max() else {
        return Ok(());
    };
    let mut names: Vec<String> =
        too_many.iter().take(NAMED).map(|(topic, copies)| format!("{topic} ({copies} replicas)")).collect();
    if too_many.len() > NAMED {
        names.push(format!("and {} more", too_many.len() - NAMED));
    }
    let message = format!(
        "{} brokers are too few for {}: set spec.brokers to {most} or more, or give these topics fewer replicas, by \
         spec.replicas of their KafkaTopics or by kafka-reassign-partitions",
        cluster.brokers,
        names.join(", ")
    );
    Err(Refusal::new("TooFewBrokers", message))
}

/// Refuses so few brokers that their disks could not take what the others hold.
fn enough_space(cluster: &ValidCluster, observed: &Observed) -> Result<(), Refusal> {
    let Some(controller) = observed.controller() else {
        return Ok(());
    };
    let partitions = controller.placements.iter().flat_map(|topic| &topic.partitions);
    let bytes = partitions.map(|partition| {
        let leaving = partition.target.iter().filter(|broker| broker.0 >= cluster.brokers).count();
        partition.bytes.unwrap_or(0).saturating_mul(leaving as u64)
    });
    let bytes = bytes.fold(0, u64::saturating_add);
    let staying = controller.brokers.iter().filter(|broker| broker.id.0 < cluster.brokers);
    let spaces: Vec<_> = staying.flat_map(|broker| &broker.directories).map(|directory| directory.space).collect();
    // Where a broker does not tell, nothing can be said.
    let Some(free) =
        spaces.into_iter().map(|space| Some(space?.1)).try_fold(0, |sum: u64, free| Some(sum.saturating_add(free?)))
    else {
        return Ok(());
    };
    // Some stays free, for what is produced meanwhile.
    if bytes <= free - free / 10 {
        return Ok(());
    }
    let (needed, free) = (quantity::human(bytes), quantity::human(free));
    let message = format!(
        "brokers that leave hold {needed}, and only {free} are free on the disks of the others: raise spec.brokers, grow \
         spec.storage.volumes, or delete records first"
    );
    Err(Refusal::new("TooLittleSpace", message))
}

/// Whether applying `wanted`, should it be the StatefulSet, would take pods away from the `stored` one.
pub(super) fn shrinks(wanted: &Child, stored: &Value, size: i32) -> bool {
    let has = stored["spec"]["replicas"].as_i64().unwrap_or(0);
    wanted.resource.kind == "StatefulSet" && has > i64::from(size)
}

/// Whether a broker that leaves holds nothing, and only has to be looked at for a while longer before it goes.
pub(super) fn is_about_to_shrink(observed: &Observed, scale: &Scale) -> bool {
    scale.leaving.iter().any(|broker| observed.is_empty(*broker) && !observed.surely_empty.contains(broker))
}

/// What has to be written on the KafkaCluster before anything is done about its size.
pub(super) fn intent(cluster: &ValidCluster, observed: &Observed, scale: &Scale) -> Option<Step> {
    let recorded = observed.scaling();
    let standing = standing(observed)?;
    if recorded.is_none() && standing == cluster.brokers && scale.leaving.is_empty() {
        return None;
    }
    // Who leaves is decided with the brokers' word only.
    if observed.controller().is_none() && standing > cluster.brokers {
        return None;
    }
    let before = recorded.clone().unwrap_or(Scaling { from: standing, to: cluster.brokers, cordoned: BTreeSet::new() });
    let leaves = |id: i32| scale.leaving.contains(&BrokerId(id));
    let is_cordoned = |id: &i32| observed.registered().any(|broker| broker.id.0 == *id && broker.cordoned);
    // What was cordoned stays on record until the controller says that it is so no longer.
    let is_known = observed.controller().is_some();
    let ours = before.cordoned.iter().copied().filter(|id| !is_known || leaves(*id) || is_cordoned(id));
    let new = observed.registered().filter(|broker| leaves(broker.id.0) && !broker.cordoned).map(|broker| broker.id.0);
    let after = Scaling { from: before.from, to: cluster.brokers, cordoned: ours.chain(new).collect() };
    (recorded.as_ref() != Some(&after)).then_some(Step::Scaling(Some(after)))
}

/// Brokers to be given nothing more because they leave, and those that stay after all.
pub(super) fn cordons(observed: &Observed, scale: &Scale) -> Vec<Step> {
    let ours = observed.scaling().map(|scaling| scaling.cordoned).unwrap_or_default();
    let ours = observed.registered().filter(|broker| ours.contains(&broker.id.0));
    ours.map(|broker| (broker.id, broker.cordoned, scale.leaving.contains(&broker.id)))
        .filter(|(_, is_cordoned, leaves)| is_cordoned != leaves)
        .map(|(broker, _, leaves)| Step::Ask(Request::Cordon { broker, cordoned: leaves }))
        .collect()
}

/// Whether every broker that is wanted serves, and no other one is left.
pub(super) fn is_reached(cluster: &ValidCluster, observed: &Observed, scale: &Scale) -> bool {
    let Some(controller) = observed.controller() else {
        return false;
    };
    let serving = controller.brokers.iter().filter(|broker| !broker.fenced).count();
    let members = controller.quorum.voters.iter().chain(&controller.quorum.observers);
    let is_wanted = |pod: &Pod| observed.names.broker_of(&pod.name_any()).is_none_or(|id| id < cluster.brokers);
    scale.size == cluster.brokers
        && scale.leaving.is_empty()
        && usize::try_from(cluster.brokers) == Ok(serving)
        && observed.pods.iter().all(is_wanted)
        && members.map(|member| member.broker.0).all(|id| id < cluster.brokers)
}
