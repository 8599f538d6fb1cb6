//! Whether a broker that is lost is given back to the cluster, and by which steps.
//!
//! One at a time, once it has been lost for as long as the spec says, and only while all others serve and no partition
//! has fewer in-sync replicas than it needs without it. What is begun is written on the KafkaCluster first, by the uids
//! of the pod and of the claims that go: a pass that was cut off anywhere goes on from there, and nothing made since is
//! ever hit. The new pod gets new claims from the StatefulSet; the broker fills its disk from the others and takes over
//! the vote of its old disk by itself.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Pod, jiff::SignedDuration};
use kube::ResourceExt;
use ottla_core::ids::BrokerId;
use ottla_crds::cluster::Mode;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        loss::{Loss, losses},
        observe::Observed,
        pods,
    },
    Restart, Step, Why,
};
use crate::{
    kafka::{BrokerView, PartitionPlacement},
    names::{FOUNDED, REPAIR},
};

const CLUSTER_EVENT: &str = "ClusterEvent";
const REPLACING: &str = "ReplacingBroker";
const PAUSED: &str = "RepairPaused";
const BLOCKED: &str = "RepairBlocked";
/// The reasons why a lost broker is not replaced that do not go by themselves.
pub const UNREPAIRABLE: [&str; 3] = [CLUSTER_EVENT, PAUSED, BLOCKED];

/// What becomes of a lost broker in this pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Repair {
    /// Which broker; the first of them if there are several.
    pub broker: i32,
    /// What is done about it.
    pub verdict: Verdict,
}

/// What is done about a lost broker.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// These steps.
    Act(Vec<Step>),
    /// Nothing for now.
    Wait {
        /// CamelCase: what is waited for.
        reason: &'static str,
        /// What is so, and what a person can do.
        message: String,
    },
}

/// A repair that was begun: which pod and which claims of the broker go, by uid. It stands on the KafkaCluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The broker.
    pub broker: i32,
    /// The pod that goes.
    pub pod: String,
    /// The claims that go, by name.
    pub claims: BTreeMap<String, String>,
}

/// The repair that was begun and is not done.
pub fn begun(observed: &Observed) -> Option<Begun> {
    serde_json::from_str(observed.cluster.annotations().get(REPAIR)?).ok()
}

/// What to do about brokers that are wanted and lost or being replaced; `None` if there are none.
pub fn repair(observed: &Observed) -> Option<Repair> {
    if !observed.cluster.annotations().contains_key(FOUNDED) {
        return None;
    }
    // Without the controller nobody knows who is lost, and without the StatefulSet who is wanted.
    observed.controller()?;
    observed.stateful_set()?;
    // One that leaves needs no new disk.
    let wanted = observed.spec().brokers;
    let lost: Vec<(i32, Loss)> = losses(observed).into_iter().filter(|(id, _)| *id < wanted).collect();
    let begun = begun(observed);
    let broker = begun.as_ref().map(|begun| begun.broker).or_else(|| lost.first().map(|(id, _)| *id))?;
    let loss = lost.iter().find(|(id, _)| *id == broker).map(|(_, loss)| loss);
    let verdict = match begun {
        Some(begun) if loss.is_none() && is_over(&begun, observed) => Verdict::Act(vec![Step::Forget { key: REPAIR }]),
        _ if lost.iter().any(|(id, _)| *id != broker) => several(&lost),
        Some(begun) => go_on(&begun, loss, observed),
        None => loss.map(|loss| begin(broker, loss, observed))?,
    };
    Some(Repair { broker, verdict })
}

fn wait(reason: &'static str, message: String) -> Verdict {
    Verdict::Wait { reason, message }
}

fn several(lost: &[(i32, Loss)]) -> Verdict {
    let each: Vec<String> = lost.iter().map(|(id, loss)| format!("broker {id} ({})", loss.cause)).collect();
    let message = format!(
        "several brokers are lost at once: {}. Nothing is replaced, since that would cost data: bring their nodes or disks \
         back, or delete the claims of those that are gone for good, one broker after another",
        each.join(", ")
    );
    wait(CLUSTER_EVENT, message)
}

fn begin(broker: i32, loss: &Loss, observed: &Observed) -> Verdict {
    let lost = format!("broker {broker} is lost: {}", loss.cause);
    if observed.spec().repair.mode == Mode::Paused {
        let message = format!("{lost}. spec.repair.mode is Paused: set it to Automatic to have the broker replaced");
        return wait(PAUSED, message);
    }
    if let Some(obstacle) = obstacle(broker, observed) {
        return wait(BLOCKED, format!("{lost}. It is not replaced, because {obstacle}"));
    }
    let left = time_left(broker, observed);
    if left > SignedDuration::ZERO {
        let message = format!("{lost}. It is replaced in {} s unless it comes back", left.as_secs().max(1));
        return wait("BrokerLost", message);
    }
    note_begun(broker, loss, observed).unwrap_or_else(|| wait("BrokerLost", lost))
}

/// Writes down what goes, before anything does.
fn note_begun(broker: i32, loss: &Loss, observed: &Observed) -> Option<Verdict> {
    let uid = |name: &String| Some((name.clone(), observed.claim(name)?.uid()?));
    let claims = loss.claims.iter().filter_map(uid).collect();
    let begun = Begun { broker, pod: observed.pod_of(broker)?.uid()?, claims };
    let value = serde_json::to_string(&begun).ok()?;
    Some(Verdict::Act(vec![Step::Annotate { key: REPAIR, value }]))
}

fn go_on(begun: &Begun, loss: Option<&Loss>, observed: &Observed) -> Verdict {
    let broker = begun.broker;
    let pod = observed.pod_of(broker);
    let old_pod = pod.filter(|pod| pod.uid().as_ref() == Some(&begun.pod));
    let kept = kept_claims(begun, observed);
    if kept.is_empty() && old_pod.is_none() {
        // A new pod may find that its volumes went with the node of the old one.
        return match loss {
            Some(loss) if may_act(broker, observed) => again(begun, loss, observed),
            _ => wait(REPLACING, filling(broker, observed)),
        };
    }
    if loss.is_none() && (begun.claims.is_empty() || !kept.is_empty()) {
        // Its disk is still there, and nothing says any more that it cannot have it back.
        return wait(REPLACING, format!("broker {broker} is no longer lost and may come back on its disk"));
    }
    if let Some(obstacle) = obstacle(broker, observed) {
        let message = format!("the replacement of broker {broker} waits, because {obstacle}");
        return wait(BLOCKED, message);
    }
    if observed.spec().repair.mode == Mode::Paused {
        return wait(PAUSED, format!("the replacement of broker {broker} waits: spec.repair.mode is Paused"));
    }
    let mut steps: Vec<Step> = kept;
    let is_stuck = loss.is_some_and(Loss::leaves_pod_stuck);
    let leaves_by_itself = |pod: &&Pod| pods::is_leaving(pod) && !is_stuck;
    if let Some(old) = old_pod.filter(|pod| !leaves_by_itself(pod)) {
        let is_alive = observed.controller().is_some_and(|controller| {
            controller.brokers.iter().any(|registered| registered.id == BrokerId(broker) && !registered.fenced)
        });
        let serving = Some(BrokerId(broker)).filter(|_| is_alive || pods::is_ready(old));
        let why = if is_stuck { Why::NodeGone } else { Why::NewDisk };
        let restart = Restart { pod: old.name_any(), uid: begun.pod.clone(), serving, unavoidable: 0, why };
        steps.push(Step::Restart(vec![restart]));
    }
    if steps.is_empty() { wait(REPLACING, filling(broker, observed)) } else { Verdict::Act(steps) }
}

/// The claims that were to go and are still wanted by nobody but this repair.
fn kept_claims(begun: &Begun, observed: &Observed) -> Vec<Step> {
    let is_kept = |(name, uid): &(&String, &String)| {
        let stored = observed.claim(name).filter(|claim| claim.uid().as_ref() == Some(*uid));
        stored.is_some_and(|claim| claim.metadata.deletion_timestamp.is_none())
    };
    let kept = begun.claims.iter().filter(is_kept);
    kept.map(|(name, uid)| Step::DeleteClaim { name: name.clone(), uid: uid.clone() }).collect()
}

/// What a new pod has lost in its turn is noted as well. It was lost for long enough already.
fn again(begun: &Begun, loss: &Loss, observed: &Observed) -> Verdict {
    let broker = begun.broker;
    note_begun(broker, loss, observed).unwrap_or_else(|| wait(REPLACING, filling(broker, observed)))
}

fn may_act(broker: i32, observed: &Observed) -> bool {
    observed.spec().repair.mode == Mode::Automatic && obstacle(broker, observed).is_none()
}

/// How far the new broker has come, as far as it is known.
fn filling(broker: i32, observed: &Observed) -> String {
    let is_of = |partition: &&PartitionPlacement| partition.involves(BrokerId(broker));
    let held: Vec<_> = observed.placements().flat_map(|topic| &topic.partitions).filter(is_of).collect();
    let left = held.iter().filter(|partition| !partition.in_sync.contains(&BrokerId(broker))).count();
    let trouble = observed.pod_of(broker).filter(|pod| !pods::is_ready(pod)).and_then(pods::trouble);
    let trouble = trouble.map(|trouble| format!(": {trouble}")).unwrap_or_default();
    let all = held.len();
    format!("broker {broker} is being replaced, and {left} of its {all} replicas are still to be filled{trouble}")
}

/// Whether the broker serves again with all it should hold, on its old disks or on new ones, or is wanted no more.
fn is_over(begun: &Begun, observed: &Observed) -> bool {
    let id = begun.broker;
    if id >= observed.spec().brokers || !observed.broker_ids().any(|made| made == id) {
        return true;
    }
    let Some(controller) = observed.controller() else { return false };
    let serves = controller.brokers.iter().any(|broker| broker.id == BrokerId(id) && is_well(broker));
    let is_ready = observed.pod_of(id).is_some_and(pods::is_ready);
    let claims_are_whole = begun
        .claims
        .keys()
        .all(|name| observed.claim(name).is_some_and(|claim| claim.metadata.deletion_timestamp.is_none()));
    serves && is_ready && claims_are_whole && controller.health.under_replicated == 0
}

fn is_well(broker: &BrokerView) -> bool {
    !broker.fenced && broker.directories.iter().all(|directory| directory.failure.is_none())
}

/// What forbids to replace `broker` now: the rest of the cluster is not well, or needs what the broker holds.
fn obstacle(broker: i32, observed: &Observed) -> Option<String> {
    let controller = observed.controller()?;
    for id in observed.broker_ids().filter(|id| *id != broker) {
        let is_ready = observed.pod_of(id).is_some_and(pods::is_ready);
        let registered = controller.brokers.iter().find(|registered| registered.id == BrokerId(id));
        if !is_ready || !registered.is_some_and(is_well) {
            return Some(format!("broker {id} is not well either"));
        }
    }
    let health = &controller.health;
    if health.offline > 0 {
        let named = only_copies(broker, observed);
        let named = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
        return Some(format!(
            "{} partitions{named} have no other copy that holds all their records: bring the disk back, or delete the \
             topics",
            health.offline
        ));
    }
    let short = health.under_min_isr;
    (short > 0).then(|| format!("{short} partitions have fewer in-sync replicas than min.insync.replicas without it"))
}

/// The first partitions without a leader that the broker holds.
fn only_copies(broker: i32, observed: &Observed) -> Vec<String> {
    const NAMED: usize = 3;
    let partitions =
        observed.placements().flat_map(|topic| topic.partitions.iter().map(move |one| (&topic.topic, one)));
    let lacking =
        partitions.filter(|(_, partition)| partition.leader.is_none() && partition.involves(BrokerId(broker)));
    lacking.take(NAMED).map(|(topic, partition)| format!("{topic}-{}", partition.index)).collect()
}

/// How long the broker has to be lost still.
fn time_left(broker: i32, observed: &Observed) -> SignedDuration {
    let after = SignedDuration::from_secs(seconds(&observed.spec().repair.after));
    let states = observed.cluster.status.iter().flat_map(|status| &status.broker_states);
    let since = states.filter(|state| state.id == broker).find_map(|state| state.lost_since.as_ref());
    // A loss that is first seen now counts from now.
    let lost_for = since.map_or(SignedDuration::ZERO, |since| observed.now.duration_since(since.0));
    after.saturating_sub(lost_for)
}

/// `1h30m` in seconds. The API server has checked the form; what is too large for a number is for ever.
fn seconds(text: &str) -> i64 {
    let (mut total, mut number) = (0_i64, 0_i64);
    for character in text.chars() {
        let factor = match character {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            digit => {
                let digit = digit.to_digit(10).map_or(0, i64::from);
                number = number.saturating_mul(10).saturating_add(digit);
                continue;
            }
        };
        total = total.saturating_add(number.saturating_mul(factor));
        number = 0;
    }
    total
}

#[cfg(test)]
mod tests;
