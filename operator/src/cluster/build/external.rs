//! The Services of listeners that are reached from outside: for each listener one that clients start from and one a
//! broker, since a client has to reach the very broker that leads a partition.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use ottla_crds::cluster::ListenerType;

use super::{metadata, services::port};
use crate::{
    cluster::validate::{ValidCluster, ValidListener},
    names::LISTENER,
};

/// The label that Kubernetes gives the pods of a StatefulSet.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// All of them, in order of listeners and brokers.
pub(super) fn services(cluster: &ValidCluster) -> Vec<Service> {
    let outside = cluster.listeners.iter().filter_map(|listener| Some((listener, type_of(listener)?)));
    let of_listener = |(listener, type_): (&ValidListener, &'static str)| {
        let of_brokers = (0..cluster.brokers).map(move |id| of_broker(cluster, listener, type_, id));
        [bootstrap(cluster, listener, type_)].into_iter().chain(of_brokers).collect::<Vec<_>>()
    };
    outside.flat_map(of_listener).collect()
}

fn type_of(listener: &ValidListener) -> Option<&'static str> {
    match listener.type_ {
        ListenerType::Internal => None,
        ListenerType::NodePort => Some("NodePort"),
        ListenerType::LoadBalancer => Some("LoadBalancer"),
    }
}

/// Any ready broker.
fn bootstrap(cluster: &ValidCluster, listener: &ValidListener, type_: &str) -> Service {
    let name = cluster.names.listener_bootstrap(&listener.name);
    let spec = ServiceSpec { selector: Some(cluster.names.selector()), ..spec(listener, type_) };
    service(cluster, listener, name, spec)
}

/// One broker, ready or not: whom clients are sent there by knows best.
fn of_broker(cluster: &ValidCluster, listener: &ValidListener, type_: &str, id: i32) -> Service {
    let mut selector = cluster.names.selector();
    selector.insert(POD_NAME.to_owned(), cluster.names.pod(id));
    let name = cluster.names.listener_service(&listener.name, id);
    let publish_not_ready_addresses = Some(true);
    let spec = ServiceSpec { selector: Some(selector), publish_not_ready_addresses, ..spec(listener, type_) };
    service(cluster, listener, name, spec)
}

fn spec(listener: &ValidListener, type_: &str) -> ServiceSpec {
    ServiceSpec {
        type_: Some(type_.to_owned()),
        ports: Some(vec![port(&listener.name, listener.port)]),
        ..ServiceSpec::default()
    }
}

fn service(cluster: &ValidCluster, listener: &ValidListener, name: String, spec: ServiceSpec) -> Service {
    let mut metadata = metadata(cluster, name);
    metadata.labels.get_or_insert_default().insert(LISTENER.to_owned(), listener.name.clone());
    Service { metadata, spec: Some(spec), ..Service::default() }
}
