//! Does the steps of a plan, in order, and stops at the first that fails: the next pass sees what is left.

use std::sync::Arc;

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use ottla_crds::KafkaTopic;
use serde_json::json;
use tracing::info;

use super::{
    observe::{Cluster, Observed},
    plan::{Plan, Step},
};
use crate::{
    context::Context,
    error::{Error, Result},
    events::Note,
    kafka::{self, Bootstrap, ClusterAdmin, ConfigChange, ConfigOf, NewTopic},
    names::{FIELD_MANAGER, TOPIC_FINALIZER},
};

/// Does `plan`.
pub async fn apply(plan: &Plan, observed: &Observed, context: &Context) -> Result<()> {
    for step in plan {
        match step {
            Step::Hold => set_held(true, observed, context).await?,
            Step::Release => set_held(false, observed, context).await?,
            Step::Create(topic) => create(topic, observed, context).await?,
            Step::Grow(total) => grow(*total, observed, context).await?,
            Step::ChangeConfig(changes) => change_config(changes, observed, context).await?,
            Step::Delete(id) => {
                let name = observed.topic_name();
                let doing = format!("delete topic {name}");
                admin(observed, context).delete_topic(*id, &name).await.map_err(Error::kafka(doing))?;
                let text = format!("topic {name} and its records are deleted");
                tell(observed, context, Note::normal("TopicDeleted", "Delete", text)).await;
            }
        }
    }
    Ok(())
}

fn admin(observed: &Observed, context: &Context) -> Arc<dyn ClusterAdmin> {
    let addresses: &[String] = match &observed.cluster {
        Cluster::Seen { addresses, .. } => addresses,
        _ => &[],
    };
    context.connector.connect(&Bootstrap::of_brokers(addresses.to_vec()))
}

async fn tell(observed: &Observed, context: &Context, note: Note) {
    let name = observed.topic_name();
    info!(topic = %name, namespace = %observed.namespace, reason = note.reason, "{}", note.text);
    context.events.publish(&observed.topic, note).await;
}

/// Adds or removes the finalizer on the very version that the plan was made from.
async fn set_held(held: bool, observed: &Observed, context: &Context) -> Result<()> {
    let others = observed.topic.finalizers().iter().filter(|finalizer| *finalizer != TOPIC_FINALIZER).cloned();
    let finalizers: Vec<String> = others.chain(held.then(|| TOPIC_FINALIZER.to_owned())).collect();
    let patch = json!({ "metadata": {
        "finalizers": finalizers,
        "uid": observed.uid,
        "resourceVersion": observed.topic.resource_version(),
    }});
    let api: Api<KafkaTopic> = Api::namespaced(context.client.clone(), &observed.namespace);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let doing = "write the finalizer of the KafkaTopic";
    match api.patch_metadata(&observed.topic.name_any(), &params, &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(|_| ()).map_err(Error::kubernetes(doing)),
    }
}

async fn create(topic: &NewTopic, observed: &Observed, context: &Context) -> Result<()> {
    match admin(observed, context).create_topic(topic).await {
        Ok(()) => {
            let text = format!("topic {} is created", topic.name);
            tell(observed, context, Note::normal("TopicCreated", "Create", text)).await;
            Ok(())
        }
        // Made by somebody else, or by an earlier try whose answer was lost: the next pass compares it.
        Err(kafka::Error::Refused { code, .. }) if code == "TOPIC_ALREADY_EXISTS" => Ok(()),
        Err(error) => Err(Error::kafka(format!("create topic {}", topic.name))(error)),
    }
}

async fn grow(total: i32, observed: &Observed, context: &Context) -> Result<()> {
    let name = observed.topic_name();
    let doing = format!("grow topic {name} to {total} partitions");
    admin(observed, context).grow_topic(&name, total).await.map_err(Error::kafka(doing))?;
    let text = format!("topic {name} has {total} partitions now");
    tell(observed, context, Note::normal("PartitionsAdded", "Grow", text)).await;
    Ok(())
}

async fn change_config(changes: &[ConfigChange], observed: &Observed, context: &Context) -> Result<()> {
    let name = observed.topic_name();
    let doing = format!("change the settings of topic {name}");
    let of = ConfigOf::Topic(name.clone());
    admin(observed, context).change_config(&of, changes).await.map_err(Error::kafka(doing))?;
    let keys: Vec<&str> = changes
        .iter()
        .map(|change| match change {
            ConfigChange::Set(key, _) | ConfigChange::Reset(key) => key.as_str(),
        })
        .collect();
    let text = format!("topic {name} has new settings: {}", keys.join(", "));
    tell(observed, context, Note::normal("ConfigChanged", "Configure", text)).await;
    Ok(())
}
