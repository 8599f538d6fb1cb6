//! The NetworkPolicy: clients reach the listeners, scrapers the metrics, and only brokers and operator the rest.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{CONTROLLER_PORT, HTTP_PORT, metadata};
use crate::cluster::validate::ValidCluster;

pub(super) fn build(cluster: &ValidCluster) -> NetworkPolicy {
    let open = cluster.listeners.iter().map(|listener| listener.port).chain([HTTP_PORT]);
    let from_everywhere = NetworkPolicyIngressRule { ports: Some(open.map(tcp).collect()), from: None };
    let from_peers = NetworkPolicyIngressRule {
        ports: Some(vec![tcp(CONTROLLER_PORT)]),
        from: Some(vec![brokers(cluster), operator()]),
    };
    NetworkPolicy {
        metadata: metadata(cluster, cluster.names.brokers()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels(cluster.names.selector())),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![from_everywhere, from_peers]),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn tcp(port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some("TCP".to_owned()),
        port: Some(IntOrString::Int(port)),
        ..NetworkPolicyPort::default()
    }
}

fn brokers(cluster: &ValidCluster) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(labels(cluster.names.selector())), ..NetworkPolicyPeer::default() }
}

/// The operator, in whichever namespace it runs.
fn operator() -> NetworkPolicyPeer {
    let label = ("app.kubernetes.io/name".to_owned(), "ottla-operator".to_owned());
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(labels([label].into())),
        ..NetworkPolicyPeer::default()
    }
}

fn labels(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}
