//! The node itself: its object, and which pods are its own. It is the only node, so every unbound pod is bound to it.

use k8s_openapi::api::core::v1::{Binding, Node as NodeObject, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::{Value, json};
use tracing::warn;

use super::Node;
use super::downward::HOST_ADDRESS;
use crate::recorder::Kind;

/// Makes the Node object, ready.
pub async fn register(client: &Client, name: &str) {
    let nodes: Api<NodeObject> = Api::all(client.clone());
    let parameters = PatchParams::apply("kubelet").force();
    let labels = json!({
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": std::env::consts::OS,
        "kubernetes.io/arch": std::env::consts::ARCH,
    });
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
    let registered = match nodes.patch(name, &parameters, &Patch::Apply(node)).await {
        Ok(_) => nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status(name))).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = registered {
        // Only for people and for schedulers, of which there is none.
        warn!(node = name, %error, "node object not written");
    }
}

fn status(name: &str) -> Value {
    let now = Timestamp::now().to_string();
    json!({"status": {
        "addresses": [{"type": "InternalIP", "address": HOST_ADDRESS.to_string()}, {"type": "Hostname", "address": name}],
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the process kubelet runs",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
        "nodeInfo": {
            "kubeletVersion": concat!("v", env!("CARGO_PKG_VERSION"), "-process"), "containerRuntimeVersion": "process://1",
            "operatingSystem": std::env::consts::OS, "architecture": std::env::consts::ARCH, "osImage": "this machine",
            "kernelVersion": "", "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": "",
        },
    }})
}

/// Binds an unbound pod to this node, as a scheduler does.
pub async fn bind(node: &Node, pod: &Pod) {
    if pod.metadata.deletion_timestamp.is_some() {
        return;
    }
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    let pods: Api<Pod> = Api::namespaced(node.client.clone(), &namespace);
    match bind_or_patch(&pods, pod, &node.config.node_name).await {
        Ok(()) => {
            let message = format!("Successfully assigned {namespace}/{name} to {}", node.config.node_name);
            node.recorder.record(pod.object_ref(&()), Kind::Normal, "Scheduled", message);
        }
        // Bound by another, or deleted, in the meantime.
        Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => {}
        Err(error) => warn!(pod = name, %error, "pod not bound to this node"),
    }
}

/// By the binding subresource, as a real API server wants it, or as the embedded one has it: a plain field.
async fn bind_or_patch(pods: &Api<Pod>, pod: &Pod, node: &str) -> kube::Result<()> {
    let name = pod.name_any();
    let mut binding = Binding::default();
    binding.metadata.name = Some(name.clone());
    binding.metadata.uid = pod.uid();
    binding.target.api_version = Some("v1".to_owned());
    binding.target.kind = Some("Node".to_owned());
    binding.target.name = Some(node.to_owned());
    match pods.create_subresource::<_, Value>("binding", &name, &PostParams::default(), &binding).await {
        Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 405) => {
            let patch = Patch::Merge(json!({"metadata": {"uid": pod.uid()}, "spec": {"nodeName": node}}));
            pods.patch(&name, &PatchParams::default(), &patch).await.map(drop)
        }
        other => other.map(drop),
    }
}
