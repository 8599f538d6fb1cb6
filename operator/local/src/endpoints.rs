//! Services: which pods each stands for, as an EndpointSlice, and the Service's name in the hosts file.
//!
//! No cluster address is given out; a Service's name means the addresses of its ready pods, or of all its pods
//! if it publishes those that are not ready.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::hosts::{Hosts, Line, service_names};

const MANAGER: &str = "endpointslice-controller.k8s.io";

/// Why a Service's endpoints are not up to date. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or was not there.
    #[error("the API server refused")]
    Api(#[from] kube::Error),
    /// The hosts file could not be written.
    #[error("cannot write the hosts file")]
    Hosts(#[from] std::io::Error),
}

struct Context {
    client: Client,
    hosts: Arc<Hosts>,
}

/// Runs the controller until `shutdown`.
pub async fn run(client: Client, hosts: Arc<Hosts>, shutdown: CancellationToken) {
    let services: Api<Service> = Api::all(client.clone());
    let slices: Api<EndpointSlice> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client.clone());
    let controller = Controller::new(services, watcher::Config::default());
    let all = controller.store();
    let names = hosts.clone();
    controller
        .owns(slices, watcher::Config::default())
        .watches(pods, watcher::Config::default(), move |pod| selecting(&all, &pod))
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile, |service, error, _| on_error(&service, error), Arc::new(Context { client, hosts }))
        .for_each(move |result| {
            // A Service that is gone is reported as an object not found; its slice goes with its owner, its names with this.
            if let Err(kube::runtime::controller::Error::ObjectNotFound(service)) = result {
                let owner = hosts_owner(&service.namespace.unwrap_or_default(), &service.name);
                if let Err(error) = names.remove(&owner) {
                    warn!(%error, "names of a deleted service not removed");
                }
            }
            std::future::ready(())
        })
        .await;
}

fn on_error(service: &Service, error: &Error) -> Action {
    warn!(service = service.name_any(), error = error as &dyn std::error::Error, "endpoints not settled, trying again");
    Action::requeue(Duration::from_secs(1))
}

/// The Services that select `pod`.
fn selecting(services: &Store<Service>, pod: &Pod) -> Vec<ObjectRef<Service>> {
    let all = services.state();
    let selecting = all.iter().filter(|service| service.namespace() == pod.namespace() && selects(service, pod));
    selecting.map(|service| ObjectRef::from_obj(&**service)).collect()
}

fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
    })
}

async fn reconcile(service: Arc<Service>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = service.namespace().unwrap_or_default();
    let has_selector = service.spec.as_ref().is_some_and(|spec| spec.selector.is_some());
    // Without a selector the endpoints are somebody else's.
    if has_selector && service.metadata.deletion_timestamp.is_none() {
        let pods: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
        let mut pods = pods.list(&ListParams::default()).await?.items;
        pods.retain(|pod| selects(&service, pod));
        let slice = slice_of(&service, &pods);
        context.hosts.set(&hosts_owner(&namespace, &service.name_any()), lines_of(&service, &slice))?;
        let slices: Api<EndpointSlice> = Api::namespaced(context.client.clone(), &namespace);
        let parameters = PatchParams::apply(MANAGER).force();
        slices.patch(&slice.name_any(), &parameters, &Patch::Apply(&slice)).await?;
    }
    Ok(Action::await_change())
}

fn hosts_owner(namespace: &str, name: &str) -> String {
    format!("service/{namespace}/{name}")
}

fn lines_of(service: &Service, slice: &EndpointSlice) -> Vec<Line> {
    let ready =
        |endpoint: &&Endpoint| endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true));
    let addresses = slice.endpoints.iter().flatten().filter(ready).flat_map(|endpoint| &endpoint.addresses);
    let names = service_names(&service.name_any(), &service.namespace().unwrap_or_default());
    let line = |address: &String| Some(Line { address: address.parse::<IpAddr>().ok()?, names: names.clone() });
    addresses.filter_map(line).collect()
}

/// The EndpointSlice of a Service.
pub(crate) fn slice_name(service: &Service) -> String {
    format!("{}-ipv4", service.name_any())
}

fn slice_of(service: &Service, pods: &[Pod]) -> EndpointSlice {
    let spec = service.spec.clone().unwrap_or_default();
    let mut labels = service.labels().clone();
    labels.insert("kubernetes.io/service-name".to_owned(), service.name_any());
    labels.insert("endpointslice.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned());
    if spec.cluster_ip.as_deref() == Some("None") {
        labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
    }
    let publish = spec.publish_not_ready_addresses == Some(true);
    let mut endpoints: Vec<_> = pods.iter().filter_map(|pod| endpoint_of(service, pod, publish)).collect();
    endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(slice_name(service)),
            namespace: service.namespace(),
            labels: Some(labels),
            owner_references: Some(service.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints: Some(endpoints),
        ports: Some(spec.ports.iter().flatten().map(|port| port_of(port, pods)).collect()),
    }
}

fn endpoint_of(service: &Service, pod: &Pod, publish_not_ready: bool) -> Option<Endpoint> {
    let status = pod.status.as_ref()?;
    let address = status.pod_ip.clone()?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let is_ready = |kind: &str, status: &str| kind == "Ready" && status == "True";
    let serving = status.conditions.iter().flatten().any(|condition| is_ready(&condition.type_, &condition.status));
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let spec = pod.spec.as_ref();
    let of_this = spec.and_then(|spec| spec.subdomain.as_deref()) == Some(service.name_any().as_str());
    Some(Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(publish_not_ready || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: spec.and_then(|spec| spec.hostname.clone()).filter(|_| of_this),
        node_name: spec.and_then(|spec| spec.node_name.clone()),
        target_ref: Some(k8s_openapi::api::core::v1::ObjectReference {
            kind: Some("Pod".to_owned()),
            name: pod.metadata.name.clone(),
            namespace: pod.namespace(),
            uid: pod.uid(),
            ..Default::default()
        }),
        ..Endpoint::default()
    })
}

fn port_of(port: &ServicePort, pods: &[Pod]) -> EndpointPort {
    let number = match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => named_port(name, pods),
    };
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: number,
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    }
}

fn named_port(name: &str, pods: &[Pod]) -> Option<i32> {
    let containers = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports.find(|port| port.name.as_deref() == Some(name)).map(|port| port.container_port)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn service(publish: bool) -> Service {
        from_value(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "uid": "s"},
            "spec": {
                "clusterIP": "None", "publishNotReadyAddresses": publish, "selector": {"app": "web"},
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        }))
        .unwrap()
    }

    fn pod(name: &str, address: Value, ready: &str) -> Pod {
        from_value(json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": "web", "more": "x"}},
            "spec": {
                "hostname": name, "subdomain": "web", "nodeName": "local",
                "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}],
            },
            "status": {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_slice_lists_the_pods_with_their_named_port_and_readiness() {
        let pods = [
            pod("web-1", json!("127.2.2.2"), "False"),
            pod("web-0", json!("127.1.1.1"), "True"),
            pod("web-2", json!(null), "False"),
        ];
        let slice = slice_of(&service(false), &pods);
        let endpoints = slice.endpoints.iter().flatten().map(|endpoint| {
            let conditions = endpoint.conditions.clone().unwrap();
            (endpoint.addresses[0].as_str(), endpoint.hostname.as_deref(), conditions.ready, conditions.serving)
        });
        let endpoints: Vec<_> = endpoints.collect();
        assert_eq!(
            endpoints,
            [
                ("127.1.1.1", Some("web-0"), Some(true), Some(true)),
                ("127.2.2.2", Some("web-1"), Some(false), Some(false)),
            ]
        );
        assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(8080));
        assert_eq!(lines_of(&service(false), &slice).len(), 1);
    }

    #[test]
    fn a_service_may_publish_pods_that_are_not_ready() {
        let slice = slice_of(&service(true), &[pod("web-0", json!("127.1.1.1"), "False")]);
        let conditions = slice.endpoints.as_ref().unwrap()[0].conditions.clone().unwrap();
        assert_eq!((conditions.ready, conditions.serving), (Some(true), Some(false)));
        let lines = lines_of(&service(true), &slice);
        assert_eq!(lines[0].names[1], "web.shop.svc");
    }

    #[test]
    fn a_selector_must_match_and_must_not_be_empty() {
        let mut service = service(false);
        assert!(selects(&service, &pod("web-0", json!(null), "True")));
        service.spec.as_mut().unwrap().selector = Some([].into());
        assert!(!selects(&service, &pod("web-0", json!(null), "True")));
        service.spec.as_mut().unwrap().selector = Some([("app".to_owned(), "db".to_owned())].into());
        assert!(!selects(&service, &pod("web-0", json!(null), "True")));
    }
}
