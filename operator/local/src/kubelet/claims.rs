//! PersistentVolumeClaims: each is bound at once to a folder of its own, which lives until the claim and every pod that uses it are gone.
//!
//! The folder's name carries the claim's uid, so a claim made again under the same name starts empty, as a new disk would.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Keeps a claim from going while a pod uses it; Kubernetes' own name for that.
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Why a claim could not be bound or released.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or was not there.
    #[error("the API server refused")]
    Api(#[from] kube::Error),
    /// The folder could not be made or removed.
    #[error("{path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The folder of `claim` below `root`.
pub fn folder(root: &Path, claim: &PersistentVolumeClaim) -> PathBuf {
    let (namespace, uid) = (claim.namespace().unwrap_or_default(), claim.uid().unwrap_or_default());
    root.join(format!("{namespace}_{}_{uid}", claim.name_any()))
}

/// Whether `claim` has its folder.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"))
}

struct Context {
    client: Client,
    root: PathBuf,
}

/// Binds and releases claims until `shutdown`, their folders being below `root`.
pub async fn run(client: Client, root: PathBuf, shutdown: CancellationToken) {
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client.clone());
    let context = Arc::new(Context { client, root });
    Controller::new(claims, watcher::Config::default())
        .watches(pods, watcher::Config::default(), |pod| used_by(&pod))
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile, |claim, error, _| on_error(&claim, error), context)
        .for_each(|_| std::future::ready(()))
        .await;
}

fn on_error(claim: &PersistentVolumeClaim, error: &Error) -> Action {
    warn!(claim = claim.name_any(), error = error as &dyn std::error::Error, "claim not settled, trying again");
    Action::requeue(Duration::from_secs(1))
}

/// The claims that `pod` mounts.
fn used_by(pod: &Pod) -> Vec<ObjectRef<PersistentVolumeClaim>> {
    let namespace = pod.namespace().unwrap_or_default();
    claim_names(pod).map(|name| ObjectRef::new(name).within(&namespace)).collect()
}

fn claim_names(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref()).map(|claim| claim.claim_name.as_str())
}

async fn reconcile(claim: Arc<PersistentVolumeClaim>, context: Arc<Context>) -> Result<Action, Error> {
    if claim.metadata.deletion_timestamp.is_some() {
        release(&claim, &context).await?;
    } else if !is_settled(&claim) {
        bind(&claim, &context).await?;
    }
    Ok(Action::await_change())
}

/// Bound, and with the capacity now asked for.
fn is_settled(claim: &PersistentVolumeClaim) -> bool {
    let asked = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    let has = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
    is_bound(claim) && asked == has && claim.finalizers().iter().any(|finalizer| finalizer == PROTECTION)
}

async fn bind(claim: &PersistentVolumeClaim, context: &Context) -> Result<(), Error> {
    let path = folder(&context.root, claim);
    tokio::fs::create_dir_all(&path).await.map_err(|source| Error::Folder { path: path.clone(), source })?;
    let volume = volume_of(claim, &path);
    let volumes: Api<PersistentVolume> = Api::all(context.client.clone());
    match volumes.create(&PostParams::default(), &volume).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        other => {
            other?;
        }
    }
    // A status is never taken over from a creation.
    let bound = Patch::Merge(json!({"status": {"phase": "Bound"}}));
    volumes.patch_status(&volume.name_any(), &PatchParams::default(), &bound).await?;
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(context.client.clone(), &claim.namespace().unwrap_or_default());
    let mut finalizers = claim.finalizers().to_vec();
    if !finalizers.iter().any(|finalizer| finalizer == PROTECTION) {
        finalizers.push(PROTECTION.to_owned());
    }
    let patch =
        json!({"metadata": {"uid": claim.uid(), "finalizers": finalizers}, "spec": {"volumeName": volume.name_any()}});
    claims.patch(&claim.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    let spec = claim.spec.clone().unwrap_or_default();
    let capacity = spec.resources.and_then(|resources| resources.requests);
    let status = json!({"status": {"phase": "Bound", "accessModes": spec.access_modes, "capacity": capacity}});
    claims.patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

/// What `kubectl get pv` shows of the folder.
fn volume_of(claim: &PersistentVolumeClaim, path: &Path) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let volume = json!({
        "metadata": {"name": volume_name(claim)},
        "spec": {
            "capacity": spec.resources.and_then(|resources| resources.requests),
            "accessModes": spec.access_modes,
            "storageClassName": spec.storage_class_name,
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": path},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": claim.uid(),
                "namespace": claim.namespace(), "name": claim.name_any(),
            },
        },
    });
    serde_json::from_value(volume).expect("the object above has the shape of a PersistentVolume")
}

fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.uid().unwrap_or_default())
}

async fn release(claim: &PersistentVolumeClaim, context: &Context) -> Result<(), Error> {
    let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    let in_use = pods.list(&ListParams::default()).await?.iter().any(|pod| claim_names(pod).any(|used| used == name));
    if in_use || !claim.finalizers().iter().any(|finalizer| finalizer == PROTECTION) {
        return Ok(());
    }
    let path = folder(&context.root, claim);
    match tokio::fs::remove_dir_all(&path).await {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Error::Folder { path, source }),
        _ => {}
    }
    let volumes: Api<PersistentVolume> = Api::all(context.client.clone());
    ignore_missing(volumes.delete(&volume_name(claim), &DeleteParams::default()).await)?;
    let rest: Vec<_> = claim.finalizers().iter().filter(|finalizer| *finalizer != PROTECTION).collect();
    let patch = Patch::Merge(json!({"metadata": {"uid": claim.uid(), "finalizers": rest}}));
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &namespace);
    ignore_missing(claims.patch(&name, &PatchParams::default(), &patch).await)?;
    Ok(())
}

fn ignore_missing<T>(result: kube::Result<T>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}
