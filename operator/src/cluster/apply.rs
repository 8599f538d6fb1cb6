//! Does the steps of a plan, in order, and stops at the first that fails: the next pass sees what is left.

mod brokers;

use std::{fmt::Debug, sync::Arc};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::StatefulSet,
        core::v1::{PersistentVolumeClaim, Pod, Service},
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
};
use ottla_crds::KafkaCluster;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::info;

use super::{
    observe::Observed,
    plan::{Plan, Restart, Step, Why},
    scaling::Scaling,
};
use crate::{
    child::Child,
    context::Context,
    error::{Error, Refusal, Result},
    events::Note,
    kafka::{self, ClusterAdmin, ConfigChange, ConfigOf},
    names::{FIELD_MANAGER, RETIRED, SCALING},
};

/// Does `plan`.
pub async fn apply(plan: &Plan, observed: &Observed, context: &Context) -> Result<()> {
    for step in plan {
        match step {
            Step::Annotate { key, value } => annotate(key, Some(value), observed, context).await?,
            Step::Forget { key } => annotate(key, None, observed, context).await?,
            Step::DeleteClaim { name, uid } => delete::<PersistentVolumeClaim>(name, uid, observed, context).await?,
            Step::GrowClaim { name, uid, size } => grow_claim(name, uid, size, observed, context).await?,
            Step::KeepClaims { uid } => keep_claims(uid, observed, context).await?,
            Step::OrphanBrokers { uid, version } => orphan_brokers(uid, version.as_deref(), observed, context).await?,
            Step::Create(child) => create(child, observed, context).await?,
            Step::Apply(child) | Step::Budget(child) => apply_child(child, observed, context).await?,
            Step::DeleteService { name, uid } => delete::<Service>(name, uid, observed, context).await?,
            Step::ChangeConfig(changes) => change_config(changes, observed, context).await?,
            Step::Restart(due) => {
                if let Some(restart) = due.first() {
                    restart_broker(restart, observed, context).await?;
                }
            }
            Step::Scaling(scaling) => scale(scaling.as_ref(), observed, context).await?,
            Step::MarkClaim { claim, uid, disks } => mark_claim(claim, uid, disks, observed, context).await?,
            Step::Shrink(child, size) => shrink(child, *size, observed, context).await?,
            Step::Ask(request) => brokers::ask(request, observed, context).await?,
            Step::Wait(_) => {}
        }
    }
    Ok(())
}

/// Writes an annotation, or removes it without a value, only on the very version that the plan was made from, so that of
/// two operators one wins.
async fn annotate(key: &str, value: Option<&str>, observed: &Observed, context: &Context) -> Result<()> {
    let api: Api<KafkaCluster> = Api::namespaced(context.client.clone(), &observed.names.namespace);
    let patch = json!({ "metadata": {
        "annotations": { key: value },
        "resourceVersion": observed.cluster.resource_version(),
    }});
    let doing = format!("write the annotation {key} on the KafkaCluster");
    let name = &observed.names.cluster;
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_metadata(name, &params, &Patch::Merge(&patch)).await.map_err(Error::kubernetes(doing))?;
    info!(cluster = %name, namespace = %observed.names.namespace, key, value, "annotation written");
    Ok(())
}

/// Writes how the number of brokers changes, or that it does no longer, and tells of it.
async fn scale(scaling: Option<&Scaling>, observed: &Observed, context: &Context) -> Result<()> {
    let text = scaling.map(serde_json::to_string).transpose()?;
    annotate(SCALING, text.as_deref(), observed, context).await?;
    if let Some(note) = scaling_note(observed.scaling().as_ref(), scaling) {
        context.events.publish(&observed.cluster, note).await;
    }
    Ok(())
}

fn scaling_note(before: Option<&Scaling>, after: Option<&Scaling>) -> Option<Note> {
    let begun = |scaling: &Scaling| {
        let Scaling { from, to, .. } = scaling;
        Note::normal("ScaleBegun", "Scale", format!("the cluster is scaled from {from} to {to} brokers"))
    };
    match (before, after) {
        (None, Some(after)) => Some(begun(after)),
        (Some(before), Some(after)) if before.to != after.to => Some(begun(after)),
        (Some(before), None) => {
            let text = format!("the cluster has {} brokers, and partitions are spread over them", before.to);
            Some(Note::normal("ScaleFinished", "Scale", text))
        }
        _ => None,
    }
}

async fn mark_claim(claim: &str, uid: &str, disks: &str, observed: &Observed, context: &Context) -> Result<()> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &observed.names.namespace);
    let patch = json!({ "metadata": { "uid": uid, "annotations": { RETIRED: disks } } });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_metadata(claim, &params, &Patch::Merge(&patch)).await {
        // It is gone, and its disk with it. One that could not be marked must not have its disk retired: a conflict fails.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        other => other.map_err(Error::kubernetes(format!("mark claim {claim} as retired")))?,
    };
    info!(cluster = %observed.names.cluster, claim, disks, "claim marked as retired");
    Ok(())
}

fn api_of(child: &Child, observed: &Observed, context: &Context) -> Api<DynamicObject> {
    Api::namespaced_with(context.client.clone(), &observed.names.namespace, &child.resource)
}

async fn create(child: &Child, observed: &Observed, context: &Context) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(child.body.clone())?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let doing = format!("create {} {}", child.resource.kind, child.name);
    match api_of(child, observed, context).create(&params, &object).await {
        // Somebody was faster: the next pass sees whose it is.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(|_| ()).map_err(Error::kubernetes(doing)),
    }
}

async fn apply_child(child: &Child, observed: &Observed, context: &Context) -> Result<()> {
    let doing = format!("apply {} {}", child.resource.kind, child.name);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let api = api_of(child, observed, context);
    api.patch(&child.name, &params, &Patch::Apply(&child.body)).await.map_err(Error::kubernetes(doing))?;
    info!(cluster = %observed.names.cluster, kind = %child.resource.kind, name = %child.name, "applied");
    Ok(())
}

/// Lets pods go whose brokers hold nothing: asked once more at the last moment, and only of the very StatefulSet that the
/// plan was made from.
async fn shrink(child: &Child, size: i32, observed: &Observed, context: &Context) -> Result<()> {
    if let Some(broker) = brokers::first_in_use(size, observed, context).await? {
        info!(cluster = %observed.names.cluster, %broker, "the broker holds something again: its pod stays");
        return Ok(());
    }
    let mut child = child.clone();
    let stored = observed.children.of(&child).map(|stored| stored["metadata"]["resourceVersion"].clone());
    child.body["metadata"]["resourceVersion"] = stored.unwrap_or_default();
    apply_child(&child, observed, context).await
}

async fn change_config(changes: &[ConfigChange], observed: &Observed, context: &Context) -> Result<()> {
    let doing = "change the brokers' settings";
    let admin = admin(observed, context).map_err(Error::kafka(doing))?;
    admin.change_config(&ConfigOf::Cluster, changes).await.map_err(Error::kafka(doing))?;
    info!(cluster = %observed.names.cluster, ?changes, "settings changed");
    Ok(())
}

/// A client of the cluster, which at least one broker has to serve.
pub(super) fn admin(observed: &Observed, context: &Context) -> kafka::Result<Arc<dyn ClusterAdmin>> {
    let nobody = || kafka::Error::Unreachable("no broker is ready to be asked".to_owned());
    Ok(context.connector.connect(&observed.bootstrap().ok_or_else(nobody)?))
}

async fn restart_broker(restart: &Restart, observed: &Observed, context: &Context) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &observed.names.namespace);
    let preconditions = Preconditions { uid: Some(restart.uid.clone()), resource_version: None };
    // On a node that is gone nobody would say that the pod has ended.
    let grace_period_seconds = matches!(restart.why, Why::NodeGone | Why::Farewell).then_some(0);
    let params = DeleteParams { preconditions: Some(preconditions), grace_period_seconds, ..DeleteParams::default() };
    let doing = format!("delete pod {}", restart.pod);
    match api.delete(&restart.pod, &params).await {
        // It is gone, or another one by now: nothing is left to do.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(()),
        other => other.map_err(Error::kubernetes(doing))?,
    };
    let price = match restart.unavoidable {
        0 => String::new(),
        count => format!("; {count} partitions without a replica to spare are unavailable meanwhile"),
    };
    let note = match restart.why {
        Why::NewSpec => {
            Note::normal("BrokerRestarting", "Restart", format!("{} restarts for a new spec{price}", restart.pod))
        }
        Why::NewDisk => {
            Note::warning("BrokerReplacing", "Repair", format!("{} is given a new disk{price}", restart.pod))
        }
        Why::NodeGone => {
            Note::warning("BrokerReplacing", "Repair", format!("{} leaves its node, which is gone", restart.pod))
        }
        Why::Farewell => {
            let text = format!("{} is taken out of the books: its node, which is gone, cannot end it", restart.pod);
            Note::warning("BrokerLeaves", "Scale", text)
        }
    };
    context.events.publish(&observed.cluster, note).await;
    Ok(())
}

/// Deletes that very object. The disk of a claim goes once no pod uses it.
async fn delete<K>(name: &str, uid: &str, observed: &Observed, context: &Context) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &observed.names.namespace);
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let kind = K::kind(&());
    let doing = format!("delete {kind} {name}");
    match api.delete(name, &params).await {
        // It is gone, or another one by now: nothing is left to do.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => {
            other.map_err(Error::kubernetes(doing))?;
            info!(cluster = %observed.names.cluster, %kind, %name, %uid, "deleted");
            Ok(())
        }
    }
}

async fn grow_claim(name: &str, uid: &str, size: &str, observed: &Observed, context: &Context) -> Result<()> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &observed.names.namespace);
    let spec = json!({ "resources": { "requests": { "storage": size } } });
    let patch = json!({ "metadata": { "uid": uid }, "spec": spec });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch(name, &params, &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => {
            let message = format!(
                "claim {name} cannot grow to {size}: its storage class must have allowVolumeExpansion: true, and the \
                 quota must allow for it; or set the volume's size back. Kubernetes says: {}",
                status.message
            );
            Err(Error::Refused(Refusal::new("VolumeCannotGrow", message)))
        }
        other => {
            other.map_err(Error::kubernetes(format!("make claim {name} larger")))?;
            info!(cluster = %observed.names.cluster, claim = %name, %size, "claim made larger");
            Ok(())
        }
    }
}

async fn keep_claims(uid: &str, observed: &Observed, context: &Context) -> Result<()> {
    let api: Api<StatefulSet> = Api::namespaced(context.client.clone(), &observed.names.namespace);
    let policy = json!({ "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain" } });
    let patch = json!({ "metadata": { "uid": uid }, "spec": policy });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let doing = "have the StatefulSet's deletion leave the claims";
    api.patch(&observed.names.brokers(), &params, &Patch::Merge(&patch)).await.map_err(Error::kubernetes(doing))?;
    Ok(())
}

/// Deletes that very StatefulSet, as it was seen, without its pods, which the next one takes over.
async fn orphan_brokers(uid: &str, version: Option<&str>, observed: &Observed, context: &Context) -> Result<()> {
    let api: Api<StatefulSet> = Api::namespaced(context.client.clone(), &observed.names.namespace);
    let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: version.map(str::to_owned) });
    let params = DeleteParams { preconditions, ..DeleteParams::orphan() };
    match api.delete(&observed.names.brokers(), &params).await {
        // It is gone, or has changed by now: the next pass sees to it.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(|_| ()).map_err(Error::kubernetes("delete the StatefulSet without its pods")),
    }
}

#[cfg(test)]
mod tests;
