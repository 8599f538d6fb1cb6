//! Events for what changed between two statuses: the things a person would want to know happened.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use ottla_crds::{
    KafkaClusterStatus,
    cluster::{BrokerState, BrokerStatus},
    conditions::{self, ConditionType},
};

use super::{loss::loss, observe::Observed, plan::repair::UNREPAIRABLE, pods};
use crate::{context::Context, events::Note};

/// Publishes what is new in `status` against the `old` one.
pub async fn report(observed: &Observed, old: &KafkaClusterStatus, status: &KafkaClusterStatus, context: &Context) {
    for note in notes(old, status, observed) {
        context.events.publish(&observed.cluster, note).await;
    }
}

fn notes(old: &KafkaClusterStatus, new: &KafkaClusterStatus, observed: &Observed) -> Vec<Note> {
    let broker_note = |broker: &BrokerStatus| broker_note(old, broker, observed);
    let mut notes: Vec<Note> = new.broker_states.iter().filter_map(broker_note).collect();
    if let Some(stalled) = became_true(old, new, ConditionType::Stalled) {
        notes.push(Note::warning("Stalled", "Validate", stalled.message.clone()));
    }
    if let Some(degraded) = became_unrepairable(old, new) {
        notes.push(Note::warning("NotRepaired", "Repair", degraded.message.clone()));
    }
    if let Some(ready) = became_true(old, new, ConditionType::Ready) {
        notes.push(Note::normal("ClusterReady", "Reconcile", ready.message.clone()));
    }
    notes
}

fn broker_note(old: &KafkaClusterStatus, broker: &BrokerStatus, observed: &Observed) -> Option<Note> {
    let before = old.broker_states.iter().find(|other| other.id == broker.id)?;
    let pod = &broker.pod;
    if before.lost_since.is_none() && broker.lost_since.is_some() {
        let cause = loss(broker.id, observed).map(|loss| format!(": {}", loss.cause)).unwrap_or_default();
        return Some(Note::warning("BrokerLost", "Observe", format!("{pod} is lost{cause}")));
    }
    match (before.state, broker.state) {
        (BrokerState::Ready, BrokerState::Restarting) => {
            // Somebody deleted the pod of one that stops in order: it is no alarm.
            let is_leaving = observed.pod_of(broker.id).is_some_and(pods::is_leaving);
            Some(match is_leaving {
                true => Note::normal("BrokerStopping", "Observe", format!("{pod} stops in order")),
                false => Note::warning("BrokerDown", "Observe", format!("{pod} no longer serves")),
            })
        }
        (BrokerState::Restarting | BrokerState::Lost, BrokerState::Ready) => {
            Some(Note::normal("BrokerBack", "Observe", format!("{pod} serves again")))
        }
        (BrokerState::Replacing, BrokerState::Ready) => {
            Some(Note::normal("BrokerReplaced", "Repair", format!("{pod} serves again, with all it should hold")))
        }
        _ => None,
    }
}

/// The condition `Degraded` if what is lost cannot be repaired now, for another reason than before.
fn became_unrepairable<'a>(old: &KafkaClusterStatus, new: &'a KafkaClusterStatus) -> Option<&'a Condition> {
    let now = conditions::find(&new.conditions, ConditionType::Degraded)?;
    let before = conditions::find(&old.conditions, ConditionType::Degraded);
    let needs_a_person = UNREPAIRABLE.contains(&now.reason.as_str());
    (needs_a_person && before.is_none_or(|before| before.reason != now.reason)).then_some(now)
}

/// The condition if it is true now and, with this message, was not before.
fn became_true<'a>(
    old: &KafkaClusterStatus,
    new: &'a KafkaClusterStatus,
    condition: ConditionType,
) -> Option<&'a Condition> {
    let now = conditions::find(&new.conditions, condition).filter(|entry| entry.status == "True")?;
    let before = conditions::find(&old.conditions, condition).filter(|entry| entry.status == "True");
    let is_new = match condition {
        ConditionType::Stalled => before.is_none_or(|before| before.message != now.message),
        _ => before.is_none(),
    };
    is_new.then_some(now)
}
