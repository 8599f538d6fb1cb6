//! The StatefulSet controller: pods with stable names and claims of their own.
//!
//! Each pass looks at everything and does what is missing. Both pod management policies, OnDelete, and RollingUpdate one pod at a time;
//! a pod is always made from the newest template, so a `partition` holds back only the deletion of pods above, and that is said
//! in an event.

mod build;
mod plan;
mod revision;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::controller::{self, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::recorder::{Kind, Recorder};
use plan::Action;

pub use build::{POD_INDEX_LABEL, POD_NAME_LABEL, REVISION_LABEL};

/// Why a pass ended early. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The world could not be looked at.
    #[error("cannot list {0}")]
    Observe(&'static str, #[source] kube::Error),
    /// An action was refused.
    #[error("cannot {verb} {name}")]
    Act {
        /// What was to be done.
        verb: &'static str,
        /// To what.
        name: String,
        /// The refusal.
        source: kube::Error,
    },
}

/// The controller's name in events and among the managers of fields.
const NAME: &str = "statefulset-controller";

fn manager() -> Option<String> {
    Some(NAME.to_owned())
}

struct Context {
    client: Client,
    recorder: Recorder,
}

/// Runs the controller until `shutdown`.
pub async fn run(client: Client, shutdown: CancellationToken) {
    let sets: Api<StatefulSet> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client.clone());
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let context = Arc::new(Context { recorder: Recorder::start(client.clone(), NAME), client });
    let controller = Controller::new(sets, watcher::Config::default());
    let (all_sets, sets_of_pods) = (controller.store(), controller.store());
    controller
        .owns(pods.clone(), watcher::Config::default())
        // A pod that lost its set is found by its name and labels.
        .watches(pods, watcher::Config::default(), move |pod| {
            let of_pod = |set: &&Arc<StatefulSet>| set.namespace() == pod.namespace() && build::is_adoptable(set, &pod);
            sets_of_pods.state().iter().filter(of_pod).map(|set| ObjectRef::from_obj(&**set)).collect::<Vec<_>>()
        })
        // Claims need not be owned, so they are found by their names.
        .watches(claims, watcher::Config::default(), move |claim| {
            let of_claim = |set: &&Arc<StatefulSet>| {
                set.namespace() == claim.namespace() && build::claim_ordinal(set, &claim.name_any()).is_some()
            };
            all_sets.state().iter().filter(of_claim).map(|set| ObjectRef::from_obj(&**set)).collect::<Vec<_>>()
        })
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile, |set, error, _| on_error(&set, error), context)
        .for_each(|_| std::future::ready(()))
        .await;
}

fn on_error(set: &StatefulSet, error: &Error) -> controller::Action {
    warn!(set = set.name_any(), error = error as &dyn std::error::Error, "statefulset not settled, trying again");
    controller::Action::requeue(Duration::from_secs(1))
}

async fn reconcile(set: Arc<StatefulSet>, context: Arc<Context>) -> Result<controller::Action, Error> {
    let namespace = set.namespace().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &namespace);
    let present = pods.list(&ListParams::default()).await.map_err(|source| Error::Observe("pods", source))?.items;
    let uid = set.uid().unwrap_or_default();
    let controlled =
        |pod: &Pod| pod.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.uid == uid);
    let (mut ours, others): (Vec<Pod>, Vec<Pod>) = present.into_iter().partition(controlled);
    let (orphans, others): (Vec<Pod>, Vec<Pod>) = others.into_iter().partition(|pod| build::is_adoptable(&set, pod));
    if !orphans.is_empty() {
        if !is_current(&set, &context.client, &namespace).await? {
            return Ok(controller::Action::await_change());
        }
        for orphan in orphans {
            ours.push(adopt(&set, &orphan, &pods).await?);
        }
    }
    let present = claims.list(&ListParams::default()).await;
    let present = present.map_err(|source| Error::Observe("persistentvolumeclaims", source))?.items;
    let now = Timestamp::now();
    let plan = plan::plan(&set, &ours, &present, now);
    warn_of_partition(&set, &context.recorder);
    write_status(&set, &plan, &context.client).await?;
    if set.metadata.deletion_timestamp.is_some() {
        // What goes gets no more pods, and no claims that would go with it.
        return Ok(controller::Action::await_change());
    }
    for action in plan.actions {
        act(&set, action, &pods, &claims, &others, &context.recorder).await?;
    }
    Ok(plan.next_available.map_or_else(controller::Action::await_change, |at| {
        let wait = at.duration_since(now).unsigned_abs();
        controller::Action::requeue(wait)
    }))
}

/// Whether the set is still there as it was seen. Pods without an owner may be those that its own deletion has just set
/// free: taken back, they would go with it.
async fn is_current(set: &StatefulSet, client: &Client, namespace: &str) -> Result<bool, Error> {
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let current = sets.get_opt(&set.name_any()).await.map_err(|source| Error::Observe("statefulsets", source))?;
    Ok(current.is_some_and(|current| current.uid() == set.uid() && current.metadata.deletion_timestamp.is_none()))
}

/// Makes `orphan`, of a set that was deleted without its pods, one of `set`'s.
async fn adopt(set: &StatefulSet, orphan: &Pod, pods: &Api<Pod>) -> Result<Pod, Error> {
    let name = orphan.name_any();
    let mut owners = orphan.owner_references().to_vec();
    owners.extend(set.controller_owner_ref(&()));
    let patch = Patch::Merge(json!({"metadata": {"uid": orphan.uid(), "ownerReferences": owners}}));
    let parameters = PatchParams { field_manager: manager(), ..PatchParams::default() };
    pods.patch(&name, &parameters, &patch).await.map_err(|source| Error::Act { verb: "adopt Pod", name, source })
}

async fn act(
    set: &StatefulSet,
    action: Action,
    pods: &Api<Pod>,
    claims: &Api<PersistentVolumeClaim>,
    others: &[Pod],
    recorder: &Recorder,
) -> Result<(), Error> {
    let parameters = PostParams { field_manager: manager(), ..PostParams::default() };
    let (verb, name, done) = match action {
        Action::CreateClaim(claim) => {
            ("create Claim", claim.name_any(), claims.create(&parameters, &claim).await.map(drop))
        }
        Action::CreatePod(pod) => {
            let name = pod.name_any();
            if others.iter().any(|other| other.name_any() == name) {
                let message = format!("create Pod {name} failed: a pod of that name belongs to someone else");
                recorder.record(set.object_ref(&()), Kind::Warning, "FailedCreate", message);
                return Ok(());
            }
            ("create Pod", name, pods.create(&parameters, &pod).await.map(drop))
        }
        Action::DeletePod { name, uid } => {
            let preconditions = Some(Preconditions { uid: Some(uid), resource_version: None });
            let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
            let done = pods.delete(&name, &parameters).await.map(drop);
            ("delete Pod", name, done)
        }
        Action::OwnClaim { name, owners } => {
            let patch = Patch::Merge(json!({"metadata": {"ownerReferences": owners}}));
            let done = claims
                .patch(&name, &PatchParams { field_manager: manager(), ..PatchParams::default() }, &patch)
                .await
                .map(drop);
            return settled(done).map_err(|source| Error::Act { verb: "own Claim", name, source });
        }
    };
    let success = if verb.starts_with("create") { "SuccessfulCreate" } else { "SuccessfulDelete" };
    match settled(done) {
        Ok(()) => {
            let message = format!("{verb} {name} in StatefulSet {} successful", set.name_any());
            recorder.record(set.object_ref(&()), Kind::Normal, success, message);
            Ok(())
        }
        Err(source) => {
            let failure = if success == "SuccessfulCreate" { "FailedCreate" } else { "FailedDelete" };
            recorder.record(set.object_ref(&()), Kind::Warning, failure, format!("{verb} {name} failed: {source}"));
            Err(Error::Act { verb, name, source })
        }
    }
}

/// What is there, or gone, already is as it should be: the watch will say so in a moment.
fn settled(done: kube::Result<()>) -> kube::Result<()> {
    match done {
        Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => Ok(()),
        other => other,
    }
}

async fn write_status(set: &StatefulSet, plan: &plan::Plan, client: &Client) -> Result<(), Error> {
    if set.status.as_ref() == Some(&plan.status) {
        return Ok(());
    }
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &set.namespace().unwrap_or_default());
    let patch = Patch::Merge(json!({"status": plan.status}));
    let done = sets
        .patch_status(&set.name_any(), &PatchParams { field_manager: manager(), ..PatchParams::default() }, &patch)
        .await
        .map(drop);
    settled(done).map_err(|source| Error::Act { verb: "write status of", name: set.name_any(), source })
}

fn warn_of_partition(set: &StatefulSet, recorder: &Recorder) {
    let rolling = set.spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    if rolling.and_then(|rolling| rolling.partition).is_some_and(|partition| partition > 0) {
        let message = "pods below updateStrategy.rollingUpdate.partition are not deleted, but if they go for another reason they are \
                       made from the newest template here";
        recorder.record(set.object_ref(&()), Kind::Warning, "PartitionNotKept", message);
    }
}
