//! Events for what changed between two statuses: the things a person would want to know happened.

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Condition};
use kube::ResourceExt;
use ottla_crds::{
    KafkaClusterStatus,
    cluster::{BrokerState, BrokerStatus},
    conditions::{self, ConditionType},
};

use super::{observe::Observed, pods};
use crate::{context::Context, events::Note};

/// Publishes what is new in `status` against the `old` one.
pub async fn report(observed: &Observed, old: &KafkaClusterStatus, status: &KafkaClusterStatus, context: &Context) {
    for note in notes(old, status, &observed.pods) {
        context.events.publish(&observed.cluster, note).await;
    }
}

fn notes(old: &KafkaClusterStatus, new: &KafkaClusterStatus, pods: &[Pod]) -> Vec<Note> {
    let mut notes: Vec<Note> = new.broker_states.iter().filter_map(|broker| broker_note(old, broker, pods)).collect();
    if let Some(stalled) = became_true(old, new, ConditionType::Stalled) {
        notes.push(Note::warning("Stalled", "Validate", stalled.message.clone()));
    }
    if let Some(ready) = became_true(old, new, ConditionType::Ready) {
        notes.push(Note::normal("ClusterReady", "Reconcile", ready.message.clone()));
    }
    notes
}

fn broker_note(old: &KafkaClusterStatus, broker: &BrokerStatus, pods: &[Pod]) -> Option<Note> {
    let before = old.broker_states.iter().find(|other| other.id == broker.id)?.state;
    match (before, broker.state) {
        (BrokerState::Ready, BrokerState::Restarting) => {
            // Somebody deleted the pod of one that stops in order: it is no alarm.
            let pod = pods.iter().find(|pod| pod.name_any() == broker.pod);
            Some(match pod.is_some_and(pods::is_leaving) {
                true => Note::normal("BrokerStopping", "Observe", format!("{} stops in order", broker.pod)),
                false => Note::warning("BrokerDown", "Observe", format!("{} no longer serves", broker.pod)),
            })
        }
        (BrokerState::Restarting, BrokerState::Ready) => {
            Some(Note::normal("BrokerBack", "Observe", format!("{} serves again", broker.pod)))
        }
        _ => None,
    }
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
