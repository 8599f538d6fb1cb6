//! What a pass over a topic found, as status. Written only if it differs.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use ottla_core::ids::TopicId;
use ottla_crds::{
    KafkaTopic, KafkaTopicStatus,
    cluster::Mode,
    conditions::{self, ConditionType, Finding},
};
use serde_json::json;

use super::observe::{Cluster, Observed};
use crate::{
    context::Context,
    error::{Error, Refusal, Result},
    events::Note,
    identifier,
    kafka::TopicView,
    names::FIELD_MANAGER,
};

/// The reason of a topic that waits for another number of replicas.
const CHANGING_REPLICAS: &str = "ChangingReplicas";

/// How a pass went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The spec cannot be served until a person changes something.
    Refused(Refusal),
    /// The operator was asked to leave the topic alone.
    Paused,
    /// The cluster, or an earlier owner of the topic, has to come or go first.
    Waiting,
    /// Something is being changed.
    Changing,
    /// Nothing was left to change.
    Settled,
}

impl Outcome {
    /// The name it is counted under.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "stalled",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Changing => "changed",
            Self::Settled => "settled",
        }
    }
}

/// A topic's id as status shows it and Kafka's tools print it.
pub fn id_text(id: TopicId) -> String {
    identifier::text(id.0)
}

/// The status that `outcome` and what was observed make at `now`.
pub fn assess(observed: &Observed, outcome: &Outcome, now: Timestamp) -> KafkaTopicStatus {
    let old = observed.topic.status.clone().unwrap_or_default();
    let generation = observed.topic.metadata.generation;
    let mut status = KafkaTopicStatus {
        observed_generation: generation,
        managed_config: managed_config(observed, outcome, &old),
        ..old
    };
    match outcome {
        Outcome::Changing | Outcome::Settled => status.topic_name = Some(observed.topic_name()),
        // What was refused before it was made is not this object's to delete.
        Outcome::Refused(_) if status.topic_id.is_none() => status.topic_name = None,
        Outcome::Refused(_) | Outcome::Paused | Outcome::Waiting => {}
    }
    // What was last seen of its health would look like what is.
    (status.under_replicated, status.moving) = (None, None);
    if let Some((view, _)) = observed.found().filter(|_| status.topic_name.is_some()) {
        describe(&mut status, view);
    }
    let findings = findings(observed, outcome);
    for finding in findings {
        conditions::set(&mut status.conditions, finding, generation, now);
    }
    status
}

fn describe(status: &mut KafkaTopicStatus, view: &TopicView) {
    let count = |number: usize| i32::try_from(number).ok();
    status.topic_id = Some(id_text(view.id));
    status.partitions = count(view.partitions.len());
    status.replicas = count(view.replicas());
    status.under_replicated = count(view.under_replicated());
    status.moving = count(view.moving());
}

/// While changes are under way, keys of the old and of the new spec are both the operator's to reset.
fn managed_config(observed: &Observed, outcome: &Outcome, old: &KafkaTopicStatus) -> Vec<String> {
    let mut keys = match outcome {
        Outcome::Refused(_) | Outcome::Paused | Outcome::Waiting => return old.managed_config.clone(),
        Outcome::Changing => old.managed_config.clone(),
        Outcome::Settled => Vec::new(),
    };
    keys.extend(observed.topic.spec.config.keys().cloned());
    keys.sort();
    keys.dedup();
    keys
}

fn findings(observed: &Observed, outcome: &Outcome) -> [Finding; 3] {
    use ConditionType::{Ready, Reconciling, Stalled};
    let not_stalled = || Finding::new(Stalled, false, "NotStalled", "the operator can go on");
    match outcome {
        Outcome::Refused(refusal) => [
            Finding::new(Ready, false, refusal.reason, refusal.message.clone()),
            Finding::new(Reconciling, false, refusal.reason, "waiting for a person to change the spec"),
            Finding::new(Stalled, true, refusal.reason, refusal.message.clone()),
        ],
        Outcome::Paused => {
            let message = "the operator leaves the topic alone: set spec.paused to false to have it looked after again";
            let mut ready = Finding::new(Ready, false, "Paused", message);
            ready.status = None;
            [ready, Finding::new(Reconciling, false, "Paused", "spec.paused is true"), not_stalled()]
        }
        Outcome::Waiting | Outcome::Changing | Outcome::Settled => match lack(observed, outcome) {
            Some((reason, message)) => [
                Finding::new(Ready, false, reason, message.clone()),
                Finding::new(Reconciling, true, reason, message),
                not_stalled(),
            ],
            None => [
                Finding::new(Ready, true, "TopicReady", "the topic is as the spec asks"),
                Finding::new(Reconciling, false, "Converged", "the topic is as the spec asks"),
                not_stalled(),
            ],
        },
    }
}

/// Why the topic is not as the spec asks, if it is not.
fn lack(observed: &Observed, outcome: &Outcome) -> Option<(&'static str, String)> {
    let cluster = &observed.topic.spec.cluster_ref.name;
    match (&observed.cluster, outcome) {
        (Cluster::Missing, _) => Some((
            "ClusterNotFound",
            format!(
                "there is no KafkaCluster {cluster} in namespace {}: create it, or correct spec.clusterRef",
                observed.namespace
            ),
        )),
        (Cluster::Leaving, _) => Some(("ClusterDeleting", format!("KafkaCluster {cluster} is being deleted"))),
        (Cluster::NotReady, _) => {
            Some(("ClusterNotReady", format!("waiting until the brokers of KafkaCluster {cluster} serve")))
        }
        (Cluster::Failed(error), _) => {
            Some(("ClusterUnreachable", format!("the brokers of KafkaCluster {cluster} cannot be asked: {error}")))
        }
        (Cluster::Seen { .. }, Outcome::Waiting) => {
            Some(("WaitingForDeletion", "waiting until the KafkaTopic that owned this topic is gone".to_owned()))
        }
        (Cluster::Seen { .. }, Outcome::Changing) => {
            Some(("ApplyingChanges", "what the spec asks is being applied".to_owned()))
        }
        (Cluster::Seen { found: None, .. }, _) => Some(("TopicMissing", "the topic does not exist yet".to_owned())),
        (Cluster::Seen { found: Some((view, _)), .. }, _) => {
            if let Some(message) = changing_replicas(observed, view) {
                return Some((CHANGING_REPLICAS, message));
            }
            let offline = view.partitions.iter().filter(|partition| partition.leader.is_none()).count();
            if offline > 0 {
                return Some(("PartitionsOffline", format!("{offline} partitions have no leader")));
            }
            let under = view.under_replicated();
            (under > 0).then(|| ("UnderReplicated", format!("{under} partitions wait for replicas to catch up")))
        }
    }
}

/// How far the topic is on its way to another number of replicas, if it is.
fn changing_replicas(observed: &Observed, view: &TopicView) -> Option<String> {
    let (wanted, ground) = observed.other_replicas()?;
    let (done, all) = (view.with_replicas(wanted), view.partitions.len());
    let what_else = match (ground.moves, view.moving()) {
        (Mode::Paused, _) => format!(
            ": set spec.rebalance.mode of KafkaCluster {} to Automatic to have the others changed",
            observed.topic.spec.cluster_ref.name
        ),
        (Mode::Automatic, 0) => String::new(),
        (Mode::Automatic, moving) => format!(", {moving} are being moved"),
    };
    Some(format!("{done} of {all} partitions have {wanted} replicas{what_else}"))
}

/// Writes the status if it differs from the stored one, and takes over what is stored now; says whether it did.
pub async fn write(observed: &mut Observed, status: &KafkaTopicStatus, context: &Context) -> Result<bool> {
    if observed.topic.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let name = observed.topic.name_any();
    let api: Api<KafkaTopic> = Api::namespaced(context.client.clone(), &observed.namespace);
    let patch = json!({
        "apiVersion": "ottla.io/v1alpha1",
        "kind": "KafkaTopic",
        "metadata": { "name": name, "uid": observed.uid },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let doing = "write the status of the KafkaTopic";
    let stored = api.patch_status(&name, &params, &Patch::Apply(&patch)).await.map_err(Error::kubernetes(doing))?;
    // The steps that follow have to name this version, not the one before.
    observed.topic.metadata.resource_version = stored.metadata.resource_version;
    observed.topic.status = Some(status.clone());
    Ok(true)
}

/// Publishes what is new in `status` against the `old` one.
pub async fn report(observed: &Observed, old: &KafkaTopicStatus, status: &KafkaTopicStatus, context: &Context) {
    for note in notes(observed, old, status) {
        context.events.publish(&observed.topic, note).await;
    }
}

fn notes(observed: &Observed, old: &KafkaTopicStatus, new: &KafkaTopicStatus) -> Vec<Note> {
    let stalled = |status: &KafkaTopicStatus| is_so(status, ConditionType::Stalled).map(|entry| entry.message.clone());
    let now = stalled(new).filter(|now| stalled(old).as_ref() != Some(now));
    let mut notes: Vec<Note> = now.map(|now| Note::warning("Stalled", "Validate", now)).into_iter().collect();
    let changing = |status: &KafkaTopicStatus| {
        is_so(status, ConditionType::Reconciling).is_some_and(|entry| entry.reason == CHANGING_REPLICAS)
    };
    let replicas = observed.topic.spec.replicas.unwrap_or_default();
    let told = |reason, text: &str| Note::normal(reason, "Reassign", format!("topic {} {text}", observed.topic_name()));
    if changing(new) && !changing(old) {
        notes.push(told("ReplicasChanging", &format!("is given {replicas} replicas")));
    }
    if changing(old) && is_so(new, ConditionType::Ready).is_some() {
        notes.push(told("ReplicasChanged", &format!("has {replicas} replicas now")));
    }
    notes
}

/// The condition if it is true.
fn is_so(status: &KafkaTopicStatus, condition: ConditionType) -> Option<&Condition> {
    conditions::find(&status.conditions, condition).filter(|entry| entry.status == "True")
}
