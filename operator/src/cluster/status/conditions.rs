//! The seven conditions of a cluster, each with its cause and what to do about it.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use ottla_core::ids::BrokerId;
use ottla_crds::{
    KafkaClusterStatus,
    cluster::{BrokerState, Mode},
    conditions::{ConditionType, Finding},
};

use super::{
    super::{
        observe::{Kafka, NoController, Observed},
        plan::repair::{Repair, Verdict, repair},
        pods, reach, remainder,
    },
    Outcome, partitions,
};
use crate::{balance::disks::under_way, cluster::validate::WAITING, kafka::BrokerView, quantity};

/// Why the cluster is not as the spec asks, if it is not.
struct Lack {
    reason: &'static str,
    message: String,
}

/// All conditions, from what was observed, how the pass went, and the rest of the status.
pub(super) fn findings(observed: &Observed, outcome: &Outcome, status: &KafkaClusterStatus) -> Vec<Finding> {
    let lack = lack(observed, outcome, status);
    vec![
        ready(outcome, lack.as_ref(), status),
        available(observed),
        progressing(outcome, lack.as_ref()),
        rebalancing(observed, outcome, status),
        degraded(observed, status),
        reconciling(outcome, lack.as_ref()),
        stalled(outcome),
    ]
}

fn lack(observed: &Observed, outcome: &Outcome, status: &KafkaClusterStatus) -> Option<Lack> {
    let lack = |reason, message: String| Some(Lack { reason, message });
    match outcome {
        Outcome::Refused(refusal) => return lack(refusal.reason, refusal.message.clone()),
        Outcome::Changing => {
            let applying = || "what the spec asks is being applied".to_owned();
            return match (told_of_repair(observed), roll(observed)) {
                (Some((reason, message)), _) => lack(reason, message),
                (None, Some(roll)) => lack("RollingRestart", roll),
                (None, None) => lack("ApplyingChanges", applying()),
            };
        }
        Outcome::HeldUp(why) => return lack(why.reason, why.message.clone()),
        Outcome::Paused | Outcome::Settled | Outcome::Balancing => {}
    }
    let wanted = observed.spec().brokers;
    if let Some((reason, message)) = told_of_repair(observed) {
        return lack(reason, message);
    }
    if let Some(roll) = roll(observed) {
        return lack("RollingRestart", roll);
    }
    if status.ready_brokers < wanted {
        let message = format!("{} of {wanted} brokers are ready{}", status.ready_brokers, troubles(observed));
        return lack("BrokersNotReady", message);
    }
    if let Some(volumes) = growing(observed) {
        return lack("VolumesGrowing", volumes);
    }
    match (&observed.kafka, &status.partitions) {
        (Kafka::NotAsked, _) => lack("BrokersNotReady", "no broker is ready to be asked".to_owned()),
        (Kafka::Failed(error), _) => {
            lack("BrokersUnreachable", format!("the operator cannot ask the brokers: {error}"))
        }
        (Kafka::Seen { controller: Err(NoController { error, .. }), .. }, _) => {
            lack("ControllerUnreachable", format!("the operator cannot ask the active controller: {error}"))
        }
        (Kafka::Seen { .. }, Some(partitions)) if partitions.offline > 0 => {
            lack("PartitionsOffline", format!("{} partitions have no leader", partitions.offline))
        }
        (Kafka::Seen { .. }, Some(partitions)) if partitions.under_replicated > 0 => {
            let message = format!("{} partitions wait for replicas to catch up", partitions.under_replicated);
            lack("UnderReplicated", message)
        }
        (Kafka::Seen { .. }, _) => unfinished(observed, status).or_else(|| unreachable(observed)),
    }
}

/// What is left of a change of the number of brokers.
fn unfinished(observed: &Observed, status: &KafkaClusterStatus) -> Option<Lack> {
    let (wanted, rebalance) = (observed.spec().brokers, &observed.spec().rebalance);
    let leaving: Vec<i32> = status.broker_states.iter().map(|broker| broker.id).filter(|id| *id >= wanted).collect();
    if !leaving.is_empty() {
        let left: Vec<String> = leaving.iter().map(|id| still_there(*id, observed)).collect();
        let (reason, why) = match rebalance.mode {
            Mode::Automatic => ("DrainingBrokers", ""),
            Mode::Paused => {
                ("RebalancePaused", ": spec.rebalance.mode is Paused, set it to Automatic to have them drained")
            }
        };
        return Some(Lack { reason, message: format!("{}{why}", left.join("; ")) });
    }
    observed.scaling().filter(|_| rebalance.mode == Mode::Automatic)?;
    let (least, most) = partitions::spread(observed)?;
    let message =
        format!("partitions are being spread over {wanted} brokers, which hold {least} to {most} replicas each");
    Some(Lack { reason: "RebalancingPartitions", message })
}

/// What is missing before clients outside reach every broker.
fn unreachable(observed: &Observed) -> Option<Lack> {
    reach::awaited(observed).map(|message| Lack { reason: "WaitingForAddress", message })
}

/// What keeps a broker that leaves.
fn still_there(id: i32, observed: &Observed) -> String {
    let Some(controller) = observed.controller() else {
        return format!("broker {id} is to leave");
    };
    let left = remainder::held(controller, BrokerId(id));
    let time = observed.left.get(&BrokerId(id)).and_then(|left| left.time);
    let time = time.map(|time| format!(" within {}", quantity::time(time))).unwrap_or_default();
    match left.replicas {
        0 => format!("broker {id} is empty and about to leave"),
        replicas => format!("broker {id} has {replicas} replicas ({}) to give away{time}", quantity::human(left.bytes)),
    }
}

/// Reason and message where a broker is lost or being replaced.
fn told_of_repair(observed: &Observed) -> Option<(&'static str, String)> {
    let Repair { broker, verdict } = repair(observed)?;
    Some(match verdict {
        Verdict::Wait { reason, message } => (reason, message),
        Verdict::Act(_) => ("ReplacingBroker", format!("broker {broker} is being replaced")),
    })
}

/// How far a rolling restart has come, if one is under way.
fn roll(observed: &Observed) -> Option<String> {
    let behind = pods::behind(&observed.pods, &observed.stateful_set()?);
    let (all, left) = (observed.pods.len(), behind.len());
    (left > 0).then(|| {
        let done = all - left;
        format!("{done} of {all} brokers have been restarted for the new spec{}", troubles(observed))
    })
}

/// The claims whose disks or file systems are still smaller than what they ask for, and what Kubernetes says of them.
fn growing(observed: &Observed) -> Option<String> {
    let told = |claim: &PersistentVolumeClaim| {
        let status = claim.status.as_ref().filter(|status| status.phase.as_deref() == Some("Bound"))?;
        let asked = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?;
        let has = status.capacity.as_ref()?.get("storage")?;
        if quantity::milli(&has.0)? >= quantity::milli(&asked.0)? {
            return None;
        }
        let said = status.conditions.iter().flatten().filter(|condition| condition.status == "True").map(|condition| {
            let message = condition.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            format!(" ({}{message})", condition.type_)
        });
        Some(format!("{} from {} to {}{}", claim.name_any(), has.0, asked.0, said.collect::<String>()))
    };
    let growing: Vec<String> = observed.claims.iter().filter_map(told).collect();
    (!growing.is_empty()).then(|| format!("volumes are growing: {}", growing.join(", ")))
}

/// What keeps brokers from serving, to be put behind a sentence.
fn troubles(observed: &Observed) -> String {
    let down = observed.pods.iter().filter(|pod: &&Pod| !pods::is_ready(pod));
    let troubles: Vec<String> = down.filter_map(pods::trouble).chain(unmade(observed)).collect();
    if troubles.is_empty() { String::new() } else { format!(": {}", troubles.join("; ")) }
}

/// The pods that are not there although their controller has seen what was asked of it, and who says why: a quota or a policy
/// of the namespace may forbid them.
fn unmade(observed: &Observed) -> Option<String> {
    let stateful_set = observed.stateful_set()?;
    if stateful_set.status.as_ref()?.observed_generation? < stateful_set.metadata.generation? {
        return None;
    }
    let wanted = 0..stateful_set.spec.replicas?;
    let missing: Vec<String> =
        wanted.filter(|id| observed.pod_of(*id).is_none()).map(|id| observed.names.pod(id)).collect();
    let brokers = observed.names.brokers();
    (!missing.is_empty()).then(|| {
        format!(
            "there is no pod {} yet; if none comes, kubectl describe statefulset {brokers} says why",
            missing.join(", ")
        )
    })
}

fn ready(outcome: &Outcome, lack: Option<&Lack>, status: &KafkaClusterStatus) -> Finding {
    if *outcome == Outcome::Paused {
        let message = "the operator leaves the cluster alone: set spec.paused to false to have it looked after again";
        let mut finding = Finding::new(ConditionType::Ready, false, "Paused", message);
        finding.status = None;
        return finding;
    }
    match lack {
        Some(lack) => Finding::new(ConditionType::Ready, false, lack.reason, lack.message.clone()),
        None => {
            let message = format!("all {} brokers serve as the spec asks", status.ready_brokers);
            Finding::new(ConditionType::Ready, true, "AllBrokersReady", message)
        }
    }
}

fn available(observed: &Observed) -> Finding {
    let finding = |status, reason, message: &str| Finding::new(ConditionType::Available, status, reason, message);
    match &observed.kafka {
        Kafka::NotAsked => finding(false, "NoBrokerReady", "no broker is ready to serve clients"),
        Kafka::Failed(error) => {
            let mut unknown = finding(false, "BrokersUnreachable", &format!("the brokers do not answer: {error}"));
            unknown.status = None;
            unknown
        }
        Kafka::Seen { controller, .. } => {
            let leaderless = match controller {
                Ok(controller) => controller.health.offline,
                Err(no_controller) => no_controller.leaderless,
            };
            if leaderless > 0 {
                return finding(false, "PartitionsOffline", &format!("{leaderless} partitions have no leader"));
            }
            finding(true, "Serving", "every partition has a leader")
        }
    }
}

fn rebalancing(observed: &Observed, outcome: &Outcome, status: &KafkaClusterStatus) -> Finding {
    let finding = |status, reason, message: &str| Finding::new(ConditionType::Rebalancing, status, reason, message);
    let is_paused = observed.spec().rebalance.mode == Mode::Paused;
    match &status.partitions {
        Some(counts) if counts.moving > 0 => {
            let bytes = quantity::human(u64::try_from(counts.bytes_to_move).unwrap_or(0));
            let message = format!("{} partitions are being moved, {bytes} are left to copy", counts.moving);
            finding(true, "RebalancingPartitions", &message)
        }
        Some(_) if is_paused => {
            let (least, most) = partitions::spread(observed).unwrap_or_default();
            let message = format!(
                "spec.rebalance.mode is Paused: partitions stay where they are, brokers hold {least} to {most} replicas each"
            );
            finding(false, "Paused", &message)
        }
        Some(_) if under_way(&observed.disks) > 0 => {
            let count = under_way(&observed.disks);
            let message = format!("{count} replicas are being moved between the disks of their brokers");
            finding(true, "RebalancingDisks", &message)
        }
        Some(_) if *outcome == Outcome::Balancing || observed.scaling().is_some() => {
            finding(true, "RebalancingPartitions", "partitions are being spread over the brokers")
        }
        Some(_) => finding(false, "Balanced", "no partition is being moved"),
        None => unasked(ConditionType::Rebalancing),
    }
}

/// What only the active controller could tell, and did not.
fn unasked(condition: ConditionType) -> Finding {
    let mut unknown = Finding::new(condition, false, "Unknown", "the active controller has not been asked");
    unknown.status = None;
    unknown
}

fn progressing(outcome: &Outcome, lack: Option<&Lack>) -> Finding {
    let finding = |status, reason, message: &str| Finding::new(ConditionType::Progressing, status, reason, message);
    match (outcome, lack) {
        (Outcome::Refused(refusal), _) => {
            finding(false, refusal.reason, "nothing is changed until the spec can be served")
        }
        (Outcome::Paused, _) => finding(false, "Paused", "nothing is changed while spec.paused is true"),
        (_, Some(lack)) => finding(true, lack.reason, &lack.message),
        (_, None) => finding(false, "AllBrokersReady", "nothing is left to change"),
    }
}

/// A cluster that never served is not degraded, nor is one because of brokers that never did: they are on their way.
fn degraded(observed: &Observed, status: &KafkaClusterStatus) -> Finding {
    let finding = |status, reason, message: &str| Finding::new(ConditionType::Degraded, status, reason, message);
    let served =
        observed.cluster.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(crate::names::FOUNDED));
    let wanted = status.broker_states.iter().filter(|broker| broker.id < observed.spec().brokers);
    let missing = wanted.filter(|broker| !matches!(broker.state, BrokerState::Ready | BrokerState::Starting)).count();
    if let Some((reason, message)) = told_of_repair(observed) {
        return finding(true, reason, &message);
    }
    if served && missing > 0 {
        return finding(true, "BrokersNotReady", &format!("{missing} brokers do not serve{}", troubles(observed)));
    }
    let failed = observed.registered().find_map(failed_directory);
    if let Some(failed) = failed {
        return finding(true, "DiskFailed", &failed);
    }
    match &status.partitions {
        Some(partitions) if partitions.under_min_isr > 0 => {
            let message = format!(
                "{} partitions have fewer in-sync replicas than min.insync.replicas: acks=all is refused there",
                partitions.under_min_isr
            );
            finding(true, "UnderMinIsr", &message)
        }
        Some(partitions) if partitions.under_replicated > 0 => {
            let message =
                format!("{} partitions have fewer in-sync replicas than replicas", partitions.under_replicated);
            finding(true, "UnderReplicated", &message)
        }
        None if served => unasked(ConditionType::Degraded),
        _ => finding(false, "AsExpected", "no redundancy is missing"),
    }
}

/// The first log directory of `broker` that does not work, and why.
fn failed_directory(broker: &BrokerView) -> Option<String> {
    let (directory, failure) = broker.directories.iter().find_map(|one| Some((&one.id, one.failure.as_ref()?)))?;
    Some(format!("log directory {directory} of broker {} does not work: {failure}", broker.id))
}

fn reconciling(outcome: &Outcome, lack: Option<&Lack>) -> Finding {
    let finding = |status, reason, message: &str| Finding::new(ConditionType::Reconciling, status, reason, message);
    match (outcome, lack) {
        (Outcome::Refused(refusal), _) if refusal.reason == WAITING => finding(true, refusal.reason, &refusal.message),
        (Outcome::Refused(refusal), _) => finding(false, refusal.reason, "waiting for a person to change the spec"),
        (Outcome::Paused, _) => finding(false, "Paused", "spec.paused is true"),
        (_, Some(lack)) => finding(true, lack.reason, &lack.message),
        (_, None) => finding(false, "Converged", "the cluster is as the spec asks"),
    }
}

fn stalled(outcome: &Outcome) -> Finding {
    match outcome {
        Outcome::Refused(refusal) if refusal.reason != WAITING => {
            Finding::new(ConditionType::Stalled, true, refusal.reason, refusal.message.clone())
        }
        _ => Finding::new(ConditionType::Stalled, false, "NotStalled", "the operator can go on"),
    }
}
