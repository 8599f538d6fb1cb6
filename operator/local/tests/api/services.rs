//! Node ports: who gets which, and what is refused.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::Api;

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, kind: &str, ports: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"type": kind, "ports": ports}})
}

fn node_ports(service: &Value) -> Vec<Option<i64>> {
    service["spec"]["ports"].as_array().unwrap().iter().map(|port| port["nodePort"].as_i64()).collect()
}

#[tokio::test]
async fn ports_of_services_outside_get_node_ports_of_their_own_and_keep_them() {
    let api = Api::new();
    let ports = json!([{"name": "a", "port": 1}, {"name": "b", "port": 2}]);
    let (status, made) = api.post(SERVICES, &service("one", "NodePort", &ports)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (_, other) = api.post(SERVICES, &service("two", "LoadBalancer", &ports)).await;
    let mut all: Vec<i64> = node_ports(&made).into_iter().chain(node_ports(&other)).flatten().collect();
    assert!(all.iter().all(|port| (30000..=32767).contains(port)), "{all:?}");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4, "each has its own");

    let path = format!("{SERVICES}/one");
    let (_, replaced) = api.put(&path, &service("one", "NodePort", &ports)).await;
    assert_eq!(node_ports(&replaced), node_ports(&made), "as by kubectl replace, which does not know them");
    let applied = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer", "ports": [
        {"name": "a", "port": 1, "protocol": "TCP"}, {"name": "b", "port": 2, "protocol": "TCP"}]}});
    let path = format!("{path}?force=true");
    let (status, applied) = api.apply(&path, "me", &applied).await;
    assert_eq!((status, node_ports(&applied)), (StatusCode::OK, node_ports(&made)));
    let (_, inside) = api.put(&format!("{SERVICES}/one"), &service("one", "ClusterIP", &ports)).await;
    assert_eq!(node_ports(&inside), [None, None]);
}

#[tokio::test]
async fn a_node_port_outside_the_range_or_of_another_service_is_refused() {
    let api = Api::new();
    let (_, made) = api.post(SERVICES, &service("one", "NodePort", &json!([{"port": 1}]))).await;
    let taken = node_ports(&made)[0].unwrap();
    for (port, why) in [
        (29999, "provided port is not in the valid range. The range of valid ports is 30000-32767"),
        (70000, "provided port is not in the valid range"),
        (taken, "provided port is already allocated"),
    ] {
        let (status, refused) =
            api.post(SERVICES, &service("two", "NodePort", &json!([{"port": 1, "nodePort": port}]))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
        assert_eq!(refused["details"]["causes"][0]["field"], "spec.ports[0].nodePort");
        assert!(refused["message"].as_str().unwrap().contains(why), "{refused}");
    }
    let free = if taken == 31000 { 31001 } else { 31000 };
    let chosen = service("one", "NodePort", &json!([{"port": 1, "nodePort": free}]));
    let (_, chosen) = api.put(&format!("{SERVICES}/one"), &chosen).await;
    assert_eq!(node_ports(&chosen), [Some(free)], "it may be chosen");
}
