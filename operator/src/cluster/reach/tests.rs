//! Addresses from states of the world.

use serde_json::json;

use super::*;
use crate::cluster::{
    nodes::Nodes,
    observe::{Controller, Kafka},
    testing::{SMALL, of_brokers, settled},
};

const NODE_PORT: &str = "listeners: [{name: plain, port: 9092}, {name: out, port: 9094, type: NodePort}]";
const BALANCED: &str = "listeners: [{name: plain, port: 9092}, {name: lb, port: 9095, type: LoadBalancer}]";

/// Two brokers on two nodes, whose Services have what Kubernetes gives them.
fn reached(listeners: &str) -> Observed {
    let mut observed = settled(&format!("{}\n{listeners}", of_brokers(2)));
    for id in 0..2 {
        let pod = &mut observed.pods[usize::try_from(id).unwrap()];
        pod.spec.as_mut().unwrap().node_name = Some(format!("node-{id}"));
        pod.status.as_mut().unwrap().host_ip = Some(format!("192.0.2.{id}"));
    }
    for (index, name) in ["demo-broker-0", "demo-broker-1", "demo-bootstrap"].into_iter().enumerate() {
        change(&mut observed, &format!("{name}-out"), |service| {
            service["spec"]["ports"][0]["nodePort"] = json!(30000 + index);
        });
        change(&mut observed, &format!("{name}-lb"), |service| {
            service["status"] = json!({"loadBalancer": {"ingress": [{"ip": format!("203.0.113.{index}")}]}});
        });
    }
    observed
}

/// Changes a Service, if it is there.
fn change(observed: &mut Observed, name: &str, change: impl FnOnce(&mut serde_json::Value)) {
    if let Some(service) = observed.children.typed::<Service>(name) {
        let mut body = serde_json::to_value(service).unwrap();
        change(&mut body);
        observed.children.insert("Service", name, body);
    }
}

fn controller(observed: &mut Observed) -> &mut Controller {
    let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
    controller
}

fn told(observed: &Observed) -> Vec<(i32, String)> {
    let told = news(observed).map(|request| match request {
        Request::Advertise { broker, listeners } => (broker.0, listeners),
        other => panic!("{other:?}"),
    });
    told.collect()
}

/// What clients start from, by the only listener outside.
fn servers(observed: &Observed) -> Place {
    bootstrap(outside(observed).next().unwrap(), observed)
}

#[test]
fn a_node_port_is_reached_at_the_node_of_the_broker() {
    let mut observed = reached(NODE_PORT);
    let both = [(0, "OUT://192.0.2.0:30000".to_owned()), (1, "OUT://192.0.2.1:30001".to_owned())];
    assert_eq!(told(&observed), both);
    assert_eq!(servers(&observed).unwrap(), "192.0.2.0:30002,192.0.2.1:30002");
    assert_eq!(awaited(&observed), None);

    observed.nodes = Nodes::default().with_address("node-1", "2001:db8::1");
    assert_eq!(told(&observed)[1].1, "OUT://[2001:db8::1]:30001", "everybody reaches this one");
    assert_eq!(servers(&observed).unwrap(), "192.0.2.0:30002,[2001:db8::1]:30002");
}

#[test]
fn a_load_balancer_is_reached_at_its_name_or_its_address_on_the_port_of_the_listener() {
    let mut observed = reached(BALANCED);
    change(&mut observed, "demo-broker-1-lb", |service| {
        service["status"]["loadBalancer"]["ingress"] = json!([{"hostname": "b1.example"}]);
    });
    let both = [(0, "LB://203.0.113.0:9095".to_owned()), (1, "LB://b1.example:9095".to_owned())];
    assert_eq!(told(&observed), both);
    assert_eq!(servers(&observed).unwrap(), "203.0.113.2:9095");
}

#[test]
fn only_what_has_changed_is_told() {
    let mut observed = reached(NODE_PORT);
    controller(&mut observed).brokers[0].advertised = "OUT://192.0.2.0:30000".to_owned();
    controller(&mut observed).brokers[1].advertised = "OUT://192.0.2.9:30001".to_owned();
    assert_eq!(told(&observed), [(1, "OUT://192.0.2.1:30001".to_owned())], "its pod has moved");
}

#[test]
fn an_address_that_is_not_known_at_the_moment_replaces_none() {
    let mut observed = reached(NODE_PORT);
    controller(&mut observed).brokers[1].advertised = "OUT://192.0.2.1:30001".to_owned();
    observed.pods[1].status.as_mut().unwrap().host_ip = None;
    assert_eq!(told(&observed), [(0, "OUT://192.0.2.0:30000".to_owned())]);
    let awaited = awaited(&observed).unwrap();
    assert_eq!(awaited, "listener out: the address of broker 1 is not known: pod demo-broker-1 has no node yet");
}

#[test]
fn what_is_waited_for_is_said_and_the_other_listener_and_brokers_are_told_theirs() {
    let both = "listeners: [{name: plain, port: 9092}, {name: out, port: 9094, type: NodePort}, \
                {name: lb, port: 9095, type: LoadBalancer}]";
    let mut observed = reached(both);
    change(&mut observed, "demo-broker-1-lb", |service| service["status"] = json!({"loadBalancer": {}}));
    assert_eq!(
        told(&observed).into_iter().map(|(_, told)| told).collect::<Vec<_>>(),
        ["OUT://192.0.2.0:30000,LB://203.0.113.0:9095", "OUT://192.0.2.1:30001"]
    );
    let text = awaited(&observed).unwrap();
    assert!(
        text.starts_with("listener lb: the address of broker 1 is not known: Service demo-broker-1-lb has no"),
        "{text}"
    );
    assert!(text.contains("kubectl describe service demo-broker-1-lb"), "{text}");

    let mut observed = reached(BALANCED);
    change(&mut observed, "demo-bootstrap-lb", |service| service["status"] = json!({}));
    let text = awaited(&observed).unwrap();
    assert!(text.starts_with("listener lb: the address to start from is not known"), "{text}");
    observed.children.remove("Service", "demo-broker-0-lb");
    assert!(awaited(&observed).unwrap().contains("Service demo-broker-0-lb is not made yet"));
}

#[test]
fn a_cluster_without_listeners_outside_waits_for_nothing_and_takes_back_what_was_told() {
    let mut observed = settled(SMALL);
    assert_eq!((awaited(&observed), told(&observed)), (None, vec![]));
    controller(&mut observed).brokers[0].advertised = "OUT://192.0.2.1:30001".to_owned();
    assert_eq!(told(&observed), [(0, String::new())]);
}

#[test]
fn the_services_of_a_broker_stay_as_long_as_its_pod() {
    let mut observed = reached(NODE_PORT);
    for name in ["demo-broker-0-out", "demo-broker-1-out", "demo-bootstrap-out"] {
        change(&mut observed, name, |service| service["metadata"]["uid"] = json!(name));
    }
    let left = |observed: &Observed| left_over(observed, 1).map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(left(&observed), Vec::<String>::new());
    observed.pods.pop();
    assert_eq!(left(&observed), ["demo-broker-1-out"]);
}
