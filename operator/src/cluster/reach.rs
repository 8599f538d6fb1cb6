//! Where clients outside reach each broker: what the brokers are told of it, and what has still to become known.
//!
//! Pure. An address is known once Kubernetes has given it: the node of a pod and the port of its Service, or the address of
//! a load balancer. It is told to the running broker, so nothing restarts when it changes. One that is not known at the
//! moment, as while a pod finds a node, replaces none that was told before: the Service may still lead there.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use ottla_core::config::ListenerAddress;
use ottla_crds::cluster::{Listener, ListenerType};

use super::{observe::Observed, plan::Request, pods};
use crate::kafka::BrokerView;

/// An address, or what is waited for before there is one.
type Place = Result<String, String>;

/// The listeners that are reached from outside.
pub fn outside(observed: &Observed) -> impl Iterator<Item = &Listener> {
    observed.spec().listeners.iter().filter(|listener| listener.type_ != ListenerType::Internal)
}

/// What registered brokers have still to be told.
pub fn news(observed: &Observed) -> impl Iterator<Item = Request> {
    observed.registered().filter_map(|broker| {
        let listeners = advertised(broker, observed);
        (listeners != broker.advertised).then_some(Request::Advertise { broker: broker.id, listeners })
    })
}

/// What clients outside are to be told of `broker`: `NAME://host:port`, separated by commas.
fn advertised(broker: &BrokerView, observed: &Observed) -> String {
    let told = |name: &str| {
        let told = broker.advertised.split(',').find(|told| is_of(told, name));
        told.map(str::to_owned)
    };
    let address = |listener: &Listener| {
        let name = listener.name.to_uppercase();
        place(listener, broker.id.0, observed).map(|place| format!("{name}://{place}")).ok().or_else(|| told(&name))
    };
    outside(observed).filter_map(address).collect::<Vec<_>>().join(",")
}

fn is_of(told: &str, listener: &str) -> bool {
    ListenerAddress::parse(told).is_some_and(|told| told.listener == listener)
}

/// What is still waited for until all brokers that are wanted can be reached by all listeners.
pub fn awaited(observed: &Observed) -> Option<String> {
    let brokers = 0..observed.spec().brokers;
    outside(observed).find_map(|listener| {
        let name = &listener.name;
        let broker = brokers.clone().find_map(|id| Some((id, place(listener, id, observed).err()?)));
        let broker =
            broker.map(|(id, what)| format!("listener {name}: the address of broker {id} is not known: {what}"));
        broker.or_else(|| {
            let what = bootstrap(listener, observed).err()?;
            Some(format!("listener {name}: the address to start from is not known: {what}"))
        })
    })
}

/// What clients outside take as `bootstrap.servers`.
pub fn bootstrap(listener: &Listener, observed: &Observed) -> Place {
    let name = observed.names.listener_bootstrap(&listener.name);
    if listener.type_ == ListenerType::LoadBalancer {
        return balanced(&name, listener, observed);
    }
    let port = node_port(&name, listener, observed)?;
    // Every node would do; those that have brokers go with them only.
    let nodes: BTreeSet<&str> = observed.pods.iter().filter_map(|pod| node_address(pod, observed)).collect();
    if nodes.is_empty() {
        return Err("no broker has a node yet".to_owned());
    }
    Ok(nodes.into_iter().map(|node| pods::socket(node, port)).collect::<Vec<_>>().join(","))
}

/// Where broker `id` is reached by `listener`.
fn place(listener: &Listener, id: i32, observed: &Observed) -> Place {
    let name = observed.names.listener_service(&listener.name, id);
    if listener.type_ == ListenerType::LoadBalancer {
        return balanced(&name, listener, observed);
    }
    let port = node_port(&name, listener, observed)?;
    let node = observed.pod_of(id).and_then(|pod| node_address(pod, observed));
    let nowhere = || format!("pod {} has no node yet", observed.names.pod(id));
    node.map(|node| pods::socket(node, port)).ok_or_else(nowhere)
}

/// The address of the pod's node: for everybody where the operator may read nodes and it has one, else the one inside.
fn node_address<'a>(pod: &'a Pod, observed: &'a Observed) -> Option<&'a str> {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let outside = node.and_then(|node| observed.nodes.external_address(node));
    outside.or_else(|| pod.status.as_ref()?.host_ip.as_deref()).filter(|address| !address.is_empty())
}

fn service(name: &str, observed: &Observed) -> Result<Service, String> {
    observed.children.typed(name).ok_or_else(|| format!("Service {name} is not made yet"))
}

fn node_port(name: &str, listener: &Listener, observed: &Observed) -> Result<i32, String> {
    let spec = service(name, observed)?.spec.unwrap_or_default();
    let ports = spec.ports.unwrap_or_default();
    let port = ports.iter().find(|port| port.name.as_deref() == Some(&listener.name)).and_then(|port| port.node_port);
    port.ok_or_else(|| format!("Service {name} has no node port yet"))
}

fn balanced(name: &str, listener: &Listener, observed: &Observed) -> Place {
    let balancer = service(name, observed)?.status.and_then(|status| status.load_balancer);
    let ingress = balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
    let host = ingress.into_iter().find_map(|one| one.hostname.or(one.ip).filter(|host| !host.is_empty()));
    let missing = || {
        format!(
            "Service {name} has no load balancer yet. If none comes, nothing in this Kubernetes makes any: see kubectl \
             describe service {name}, or set type to NodePort"
        )
    };
    host.map(|host| pods::socket(&host, listener.port)).ok_or_else(missing)
}

/// The Services of listeners, and of brokers, that are no longer there, by name and uid. Those of a broker stay as long as
/// its pod.
pub fn left_over(observed: &Observed, brokers: i32) -> impl Iterator<Item = (String, String)> {
    let last = observed.pods.iter().filter_map(|pod| observed.names.broker_of(&pod.name_any())).max();
    let wanted = service_names(observed, brokers.max(last.map_or(0, |last| last + 1)));
    observed.children.iter().filter_map(move |(kind, name, body)| {
        let is_outside = kind == "Service" && !body["metadata"]["labels"][crate::names::LISTENER].is_null();
        let uid = body["metadata"]["uid"].as_str()?;
        (is_outside && !wanted.contains(name)).then(|| (name.to_owned(), uid.to_owned()))
    })
}

/// The names of the Services by which so many brokers are reached from outside.
pub fn service_names(observed: &Observed, brokers: i32) -> BTreeSet<String> {
    let names = &observed.names;
    let of_listener = |listener: &Listener| {
        let of_brokers = (0..brokers).map(|id| names.listener_service(&listener.name, id));
        of_brokers.chain([names.listener_bootstrap(&listener.name)]).collect::<Vec<_>>()
    };
    outside(observed).flat_map(of_listener).collect()
}

#[cfg(test)]
mod tests;
