//! Deployments and their ReplicaSets: what is installed as a Deployment runs, is rolled over, and says so.
//!
//! Each pass looks at everything and does what is missing. A rollout that gets stuck is never given up
//! (`progressDeadlineSeconds`), and there is no history to go back to but the old ReplicaSets themselves.

mod replicas;
mod rollout;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The controllers' name among the managers of fields.
const MANAGER: &str = "deployment-controller";
/// Before a pass that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Runs the controllers of Deployments and of ReplicaSets until `shutdown`.
pub async fn run(client: Client, shutdown: CancellationToken) {
    let context = Arc::new(client.clone());
    let deployments: Api<Deployment> = Api::all(client.clone());
    let sets: Api<ReplicaSet> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client);
    let rollouts = Controller::new(deployments, watcher::Config::default())
        .owns(sets.clone(), watcher::Config::default())
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
        .run(roll, on_error, context.clone())
        .for_each(|_| std::future::ready(()));
    let replicas = Controller::new(sets, watcher::Config::default())
        .owns(pods, watcher::Config::default())
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(replicate, on_error, context)
        .for_each(|_| std::future::ready(()));
    tokio::join!(rollouts, replicas);
}

fn on_error<K: Resource<DynamicType = ()>>(object: Arc<K>, error: &kube::Error, _: Arc<Client>) -> Action {
    let kind = K::kind(&());
    warn!(%kind, name = object.name_any(), error = error as &dyn std::error::Error, "not settled, trying again");
    Action::requeue(RETRY)
}

async fn roll(deployment: Arc<Deployment>, client: Arc<Client>) -> kube::Result<Action> {
    let sets = controlled::<ReplicaSet>(&client, &*deployment).await?;
    let plan = rollout::plan(&deployment, &sets, Timestamp::now());
    if deployment.status.as_ref() != Some(&plan.status) {
        write_status(&client, &*deployment, json!(plan.status)).await?;
    }
    let api: Api<ReplicaSet> = Api::namespaced((*client).clone(), &deployment.namespace().unwrap_or_default());
    for action in plan.actions {
        settled(match action {
            rollout::Action::Create(set) => api.create(&creating(), &set).await.map(drop),
            rollout::Action::Scale { name, replicas } => {
                let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
                api.patch(&name, &patching(), &patch).await.map(drop)
            }
            rollout::Action::Delete { name } => api.delete(&name, &DeleteParams::default()).await.map(drop),
        })?;
    }
    Ok(Action::await_change())
}

async fn replicate(set: Arc<ReplicaSet>, client: Arc<Client>) -> kube::Result<Action> {
    let pods = controlled::<Pod>(&client, &*set).await?;
    let now = Timestamp::now();
    let plan = replicas::plan(&set, &pods, now);
    if set.status.as_ref() != Some(&plan.status) {
        write_status(&client, &*set, json!(plan.status)).await?;
    }
    let api: Api<Pod> = Api::namespaced((*client).clone(), &set.namespace().unwrap_or_default());
    for pod in plan.create {
        api.create(&creating(), &pod).await?;
    }
    for (name, uid) in plan.delete {
        let preconditions = Some(Preconditions { uid: Some(uid), resource_version: None });
        settled(api.delete(&name, &DeleteParams { preconditions, ..DeleteParams::default() }).await.map(drop))?;
    }
    Ok(plan
        .next_available
        .map_or_else(Action::await_change, |at| Action::requeue(at.duration_since(now).unsigned_abs())))
}

/// The objects of a kind that `owner` controls.
async fn controlled<K>(client: &Client, owner: &impl Resource<DynamicType = ()>) -> kube::Result<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &owner.namespace().unwrap_or_default());
    let uid = owner.uid().unwrap_or_default();
    let mut found = api.list(&ListParams::default()).await?.items;
    found.retain(|object| {
        object.owner_references().iter().any(|reference| reference.controller == Some(true) && reference.uid == uid)
    });
    Ok(found)
}

async fn write_status<K>(client: &Client, object: &K, status: Value) -> kube::Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    // Counts of nothing are left out of the status, and a merge would keep what they were.
    let counts = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"];
    let mut whole: serde_json::Map<String, Value> =
        counts.iter().map(|count| ((*count).to_owned(), Value::Null)).collect();
    whole.extend(status.as_object().cloned().unwrap_or_default());
    let patch = Patch::Merge(json!({"status": whole}));
    settled(api.patch_status(&object.name_any(), &patching(), &patch).await.map(drop))
}

fn creating() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn patching() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// What is there, or gone, already is as it should be: the watch will say so in a moment.
fn settled(done: kube::Result<()>) -> kube::Result<()> {
    match done {
        Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => Ok(()),
        other => other,
    }
}
