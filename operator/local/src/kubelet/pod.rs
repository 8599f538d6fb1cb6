//! One pod on this node, from its binding to its end: address, names, containers, status, deletion.
//!
//! One task a pod. It alone writes the pod's status, from the views its containers' tasks send it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Node;
use super::container::{Runner, Stop};
use super::sandbox::Sandbox;
use super::status::{self, Ended, View};
use super::volumes::Volumes;
use crate::hosts::{Line, service_names};
use crate::recorder::Kind;

/// How long to wait before writing a status again that was not taken, or looking for an address again.
const RETRY: Duration = Duration::from_millis(500);

/// The newest version of a pod; `None` once the object is gone.
pub type Latest = Option<Arc<Pod>>;

/// The task of one pod.
pub struct Worker {
    pub node: Arc<Node>,
    pub latest: watch::Receiver<Latest>,
    /// Cancelled when the kubelet itself is to stop.
    pub shutdown: CancellationToken,
}

/// What is to become of the pod's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Run,
    /// The pod is being deleted, with this grace.
    End(Duration),
    /// The object is gone, or its grace was cut to nothing.
    Vanish,
}

impl Worker {
    /// Runs the pod until it is deleted or the kubelet stops.
    pub async fn run(mut self) {
        let Some(pod) = self.latest.borrow_and_update().clone() else { return };
        if !is_over(&pod)
            && let Some(sandbox) = self.make_sandbox(&pod).await
        {
            let sandbox = Arc::new(sandbox);
            self.run_containers(&sandbox).await;
            self.node.addresses.release(sandbox.address);
            if let Err(error) = self.node.config.hosts.remove(&pod.uid().unwrap_or_default()) {
                warn!(pod = pod.name_any(), %error, "names not removed");
            }
        }
        // A pod that is over stays as it is until somebody deletes it.
        if self.wait_for_deletion().await {
            self.finish_deletion(&pod).await;
        }
    }

    async fn make_sandbox(&mut self, pod: &Pod) -> Option<Sandbox> {
        let ports: Vec<u16> = (pod.spec.iter().flat_map(|spec| &spec.containers))
            .flat_map(|container| container.ports.iter().flatten())
            .filter_map(|port| u16::try_from(port.container_port).ok())
            .collect();
        let mut said = String::new();
        while self.wish() == Wish::Run && !self.shutdown.is_cancelled() {
            match self.try_sandbox(pod, &ports) {
                Ok(sandbox) => return Some(sandbox),
                Err(message) if message != said => {
                    let about = pod.object_ref(&());
                    self.node.recorder.record(about, Kind::Warning, "FailedCreatePodSandBox", message.clone());
                    said = message;
                }
                Err(_) => {}
            }
            let _ = tokio::time::timeout(RETRY, self.latest.changed()).await;
        }
        None
    }

    fn try_sandbox(&self, pod: &Pod, ports: &[u16]) -> Result<Sandbox, String> {
        let address = self.node.addresses.allocate(ports).map_err(|error| error.to_string())?;
        let uid = pod.uid().unwrap_or_default();
        let pod_folder = self.node.config.data_dir.join("pods").join(&uid);
        let made =
            fs::create_dir_all(&pod_folder).and_then(|()| self.node.config.hosts.set(&uid, pod_lines(pod, address)));
        if let Err(error) = made {
            self.node.addresses.release(address);
            return Err(format!("{}: {error}", pod_folder.display()));
        }
        let volumes = Volumes { pod_folder, claims_folder: self.node.claims_folder() };
        Ok(Sandbox { pod: pod.clone(), address, volumes })
    }

    /// Runs all containers until the last one is over, keeping the status.
    async fn run_containers(&mut self, sandbox: &Arc<Sandbox>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let mut views = Vec::new();
        for container in sandbox.pod.spec.iter().flat_map(|spec| &spec.containers) {
            let view = first_view(&sandbox.pod, &container.name, container.image.as_deref().unwrap_or_default());
            views.push(view.clone());
            let runner = Runner {
                node: self.node.clone(),
                sandbox: sandbox.clone(),
                container: container.clone(),
                view,
                views: sender.clone(),
                stop: stopped.clone(),
            };
            tasks.spawn(runner.run());
        }
        drop(sender);
        let mut written = self.write_status(sandbox.address, &views).await;
        loop {
            self.order(&stop);
            tokio::select! {
                received = receiver.recv() => match received {
                    Some(view) => {
                        replace(&mut views, view);
                        while let Ok(view) = receiver.try_recv() {
                            replace(&mut views, view);
                        }
                        written = self.write_status(sandbox.address, &views).await;
                    }
                    None => break,
                },
                Ok(()) = self.latest.changed() => {}
                () = self.shutdown.cancelled(), if stop.borrow().is_none() => {}
                () = tokio::time::sleep(RETRY), if !written => written = self.write_status(sandbox.address, &views).await,
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    fn wish(&self) -> Wish {
        match self.latest.borrow().as_deref() {
            None => Wish::Vanish,
            Some(pod) if pod.metadata.deletion_timestamp.is_none() => Wish::Run,
            Some(pod) => {
                match pod.metadata.deletion_grace_period_seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
                    Some(0) => Wish::Vanish,
                    Some(seconds) => Wish::End(Duration::from_secs(seconds)),
                    None => Wish::End(Duration::from_secs(30)),
                }
            }
        }
    }

    /// Passes on to the containers that they are to end, and by when; a later order can only shorten the time.
    fn order(&self, stop: &watch::Sender<Option<Stop>>) {
        let now = Instant::now();
        let wished = match self.wish() {
            Wish::Run if !self.shutdown.is_cancelled() => return,
            Wish::Run => now + self.node.config.shutdown_grace,
            Wish::End(grace) if self.shutdown.is_cancelled() => now + grace.min(self.node.config.shutdown_grace),
            Wish::End(grace) => now + grace,
            Wish::Vanish => now,
        };
        stop.send_if_modified(|order| {
            let sooner = order.is_none_or(|order| wished < order.deadline);
            if sooner {
                *order = Some(Stop { deadline: wished });
            }
            sooner
        });
    }

    /// Whether the status was taken, or need not be.
    async fn write_status(&self, address: Ipv4Addr, views: &[View]) -> bool {
        // Containers that end with the kubelet are not over: the pod stays as it was, to be run again.
        if self.shutdown.is_cancelled() && self.wish() == Wish::Run {
            return true;
        }
        let Some(pod) = self.latest.borrow().clone() else { return true };
        let status = status::of_pod(&pod, Some(address), views, Timestamp::now());
        if pod.status.as_ref() == Some(&status) {
            return true;
        }
        let pods: Api<Pod> = Api::namespaced(self.node.client.clone(), &pod.namespace().unwrap_or_default());
        let patch = Patch::Merge(json!({"metadata": {"uid": pod.uid()}, "status": whole(&status)}));
        match pods.patch_status(&pod.name_any(), &as_kubelet(), &patch).await {
            Ok(_) => true,
            Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => true,
            Err(error) => {
                warn!(pod = pod.name_any(), %error, "pod status not written, trying again");
                false
            }
        }
    }

    /// True when the pod is being deleted or gone, false when the kubelet stops.
    async fn wait_for_deletion(&mut self) -> bool {
        while self.wish() == Wish::Run {
            tokio::select! {
                changed = self.latest.changed() => if changed.is_err() { return false },
                () = self.shutdown.cancelled() => return false,
            }
        }
        true
    }

    /// Nothing of the pod runs any more: tells the API server so, which ends the object, and clears up.
    async fn finish_deletion(&self, pod: &Pod) {
        let (namespace, name, uid) =
            (pod.namespace().unwrap_or_default(), pod.name_any(), pod.uid().unwrap_or_default());
        let pods: Api<Pod> = Api::namespaced(self.node.client.clone(), &namespace);
        let now = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: Some(uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        while self.latest.borrow().is_some() {
            match pods.delete(&name, &now).await {
                Ok(_) => break,
                Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => break,
                Err(error) => warn!(pod = name, %error, "deletion not finished, trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = self.shutdown.cancelled() => return,
            }
        }
        let folder = self.node.config.data_dir.join("pods").join(&uid);
        let cleared =
            self.node.logs.remove_pod(&namespace, &name, &uid).and_then(|()| match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            });
        if let Err(error) = cleared {
            warn!(pod = name, folder = %folder.display(), %error, "folder of a deleted pod not removed");
        }
    }
}

/// Writes carry the name that `kubectl get --show-managed-fields` shows for them.
fn as_kubelet() -> PatchParams {
    PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() }
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn replace(views: &mut [View], view: View) {
    if let Some(old) = views.iter_mut().find(|old| old.name == view.name) {
        *old = view;
    }
}

/// Every field of a status that this kubelet writes, so that a merge also takes away what is no longer so.
fn whole(status: &PodStatus) -> Value {
    let mut value = serde_json::to_value(status).expect("a status is plain data");
    for field in ["reason", "message"] {
        value[field] = Value::Null;
    }
    value
}

/// A container as an earlier run of this kubelet left it: what ran then has ended unseen.
fn first_view(pod: &Pod, name: &str, image: &str) -> View {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let mut view = View::creating(name, image);
    if let Some(before) = statuses.into_iter().find(|status| status.name == name) {
        view.last = last_end(before);
        let has_run = before.state.as_ref().is_some_and(|state| state.waiting.is_none());
        view.restarts = before.restart_count + i32::from(has_run);
    }
    view
}

fn last_end(before: &ContainerStatus) -> Option<Ended> {
    let state = before.state.clone().unwrap_or_default();
    let now = Timestamp::now();
    if let Some(running) = state.running {
        return Some(Ended {
            code: 137,
            signal: None,
            reason: "Error",
            message: Some("the kubelet was stopped while the container ran".to_owned()),
            began: running.started_at.map_or(now, |time| time.0),
            ended: now,
        });
    }
    let earlier = state.terminated.or(before.last_state.clone().and_then(|last| last.terminated))?;
    Some(Ended {
        code: earlier.exit_code,
        signal: earlier.signal,
        reason: if earlier.exit_code == 0 { "Completed" } else { "Error" },
        message: earlier.message,
        began: earlier.started_at.map_or(now, |time| time.0),
        ended: earlier.finished_at.map_or(now, |time| time.0),
    })
}

/// The names of a pod: `hostname.subdomain` as a headless Service's DNS has it.
fn pod_lines(pod: &Pod, address: Ipv4Addr) -> Vec<Line> {
    let spec = pod.spec.as_ref();
    let Some(subdomain) = spec.and_then(|spec| spec.subdomain.as_deref()).filter(|name| !name.is_empty()) else {
        return Vec::new();
    };
    let hostname = spec.and_then(|spec| spec.hostname.clone()).unwrap_or_else(|| pod.name_any());
    let names = service_names(&format!("{hostname}.{subdomain}"), &pod.namespace().unwrap_or_default());
    vec![Line { address: IpAddr::V4(address), names }]
}
