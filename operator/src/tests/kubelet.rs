//! Stands in for nodes on which brokers run: a pod's process is a broker of the fake cluster, its disks the pod's claims.

use std::{collections::BTreeMap, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::support::{NAMESPACE, bind_claims};
use crate::{cluster::mounted_claims, kafka::fake::FakeCluster, names::Names};

/// How often it looks without a reason, for what no watch tells.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long it takes to do anything about what it is told.
const REACTION: Duration = Duration::from_millis(5);

/// The node of the brokers of the cluster `demo`.
struct Node {
    names: Names,
    kafka: FakeCluster,
    client: Client,
    /// The brokers that run, and the uid of their pods.
    running: BTreeMap<i32, String>,
}

/// Runs the brokers of the cluster `demo` until `shutdown`.
pub async fn run_brokers(client: Client, kafka: FakeCluster, shutdown: CancellationToken) {
    let names = Names::new("demo", NAMESPACE);
    let mut node = Node { names, kafka, client, running: BTreeMap::new() };
    let pods = watcher(node.api::<Pod>(), watcher::Config::default());
    let claims = watcher(node.api::<PersistentVolumeClaim>(), watcher::Config::default());
    let (pods, claims) = (pods.default_backoff().map(drop), claims.default_backoff().map(drop));
    let mut changes = stream::select(pods.boxed(), claims.boxed());
    while !shutdown.is_cancelled() {
        bind_claims(&node.client).await;
        node.look().await;
        tokio::select! {
            biased;
            // A watch of a server that is gone ends as soon as it is begun, without end.
            () = shutdown.cancelled() => return,
            _ = changes.next() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        tokio::time::sleep(REACTION).await;
        while !shutdown.is_cancelled() && changes.next().now_or_never().is_some() {}
    }
}

impl Node {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn look(&mut self) {
        let pods = self.api::<Pod>().list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        let here: BTreeMap<i32, &Pod> =
            pods.iter().filter_map(|pod| Some((self.names.broker_of(&pod.name_any())?, pod))).collect();
        let silent = self.kafka.state().silent.clone();
        for (id, uid) in self.running.clone() {
            let stays = here
                .get(&id)
                .is_some_and(|pod| pod.uid().as_ref() == Some(&uid) && pod.metadata.deletion_timestamp.is_none());
            if !stays && !silent.contains(&uid) {
                self.kafka.stop_broker(id, self.is_not_wanted(id).await);
                self.running.remove(&id);
            }
        }
        let reached = |pod: &&Pod| pod.uid().is_none_or(|uid| !silent.contains(&uid));
        for (id, pod) in here.into_iter().filter(|(_, pod)| reached(pod)) {
            if pod.metadata.deletion_timestamp.is_some() {
                let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                let _ = self.api::<Pod>().delete(&pod.name_any(), &now).await;
            } else if self.running.get(&id) != pod.uid().as_ref() {
                self.start(id, pod).await;
            }
        }
    }

    /// Whether no other pod of the broker is to come.
    async fn is_not_wanted(&self, id: i32) -> bool {
        let stateful_set = self.api::<StatefulSet>().get_opt(&self.names.brokers()).await.ok().flatten();
        stateful_set.is_some_and(|found| found.spec.replicas.is_some_and(|replicas| replicas <= id))
    }

    /// Starts the broker as its file says, on its claims.
    async fn start(&mut self, id: i32, pod: &Pod) {
        let name = pod.name_any();
        let config = self.api::<ConfigMap>().get_opt(&self.names.config()).await.ok().flatten();
        let files = config.and_then(|config| config.data).unwrap_or_default();
        let Some(file) = files.get(&self.names.properties_file(id)) else { return };
        let mut disks = Vec::new();
        for claim in mounted_claims(pod) {
            let claim = self.api::<PersistentVolumeClaim>().get_opt(claim).await.ok().flatten();
            let Some(disk) = claim.and_then(|claim| claim.uid()) else { return };
            disks.push(disk);
        }
        let status = if self.kafka.start_broker(id, &disks, file) {
            self.running.insert(id, pod.uid().unwrap_or_default());
            let ready = json!({"type": "Ready", "status": "True"});
            let (here, node) = (format!("10.0.0.{}", id + 1), format!("192.0.2.{}", id + 1));
            json!({"podIP": here, "hostIP": node, "phase": "Running", "conditions": [ready]})
        } else {
            let ended = json!({"terminated": {"exitCode": 3, "reason": "Error"}});
            json!({"containerStatuses": [{"name": "broker", "image": "", "imageID": "", "ready": false, "restartCount": 1,
                "state": ended}]})
        };
        let patch = Patch::Merge(json!({ "status": status }));
        let _ = self.api::<Pod>().patch_status(&name, &PatchParams::default(), &patch).await;
    }
}
