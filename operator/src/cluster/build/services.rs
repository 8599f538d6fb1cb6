//! The two Services inside the Kubernetes cluster: one gives every broker a name, the other gives clients a place to start from.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{CONTROLLER_PORT, CONTROLLER_PORT_NAME, HTTP_PORT, HTTP_PORT_NAME, metadata};
use crate::cluster::validate::ValidCluster;

/// The headless Service. Brokers have their names before they are ready, because they need each other to become so.
pub(super) fn headless(cluster: &ValidCluster) -> Service {
    let own = [port(CONTROLLER_PORT_NAME, CONTROLLER_PORT), port(HTTP_PORT_NAME, HTTP_PORT)];
    Service {
        metadata: metadata(cluster, cluster.names.headless_service()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(cluster.names.selector()),
            ports: Some(listeners(cluster).chain(own).collect()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The Service clients inside bootstrap from: any ready broker.
pub(super) fn bootstrap(cluster: &ValidCluster) -> Service {
    Service {
        metadata: metadata(cluster, cluster.names.bootstrap_service()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(cluster.names.selector()),
            ports: Some(listeners(cluster).collect()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn listeners(cluster: &ValidCluster) -> impl Iterator<Item = ServicePort> {
    cluster.internal_listeners().map(|listener| port(&listener.name, listener.port))
}

pub(super) fn port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
