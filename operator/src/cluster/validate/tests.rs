//! What is refused, and that each refusal says what to change.

use serde_json::json;

use crate::cluster::testing::{SMALL, observed, of_brokers, settled, valid};

fn refusal(spec: &str) -> (&'static str, String) {
    let refusal = valid(&observed(spec)).unwrap_err();
    (refusal.reason, refusal.message)
}

fn with(more: &str) -> String {
    format!("{SMALL}\n{more}")
}

#[test]
fn what_this_release_does_not_serve_is_refused_by_name() {
    for (spec, part) in [
        (with("listeners: [{name: safe, port: 9094, tls: {}}]"), "remove tls"),
        (with("listeners: [{name: safe, port: 9094, authentication: {mechanisms: [PLAIN]}}]"), "remove authentication"),
        (with("rack: {topologyKey: example.com/room}"), "topology.kubernetes.io/zone"),
    ] {
        let (reason, message) = refusal(&spec);
        assert_eq!(reason, "NotServedYet", "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn brokers_and_the_operator_need_a_listener_inside() {
    for (listeners, part) in [
        ("[{name: out, port: 9094, type: NodePort}]", "no listener is of type Internal"),
        (
            "[{name: plain, port: 9092}, {name: out, port: 9094, type: LoadBalancer, advertise: PodIP}]",
            "listener out: advertise is for type Internal",
        ),
    ] {
        let (reason, message) = refusal(&with(&format!("listeners: {listeners}")));
        assert_eq!(reason, "InvalidSpec", "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_cluster_of_any_size_is_served() {
    for (brokers, voters) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3), (500, 3)] {
        let cluster = valid(&observed(&of_brokers(brokers))).unwrap();
        assert_eq!((cluster.brokers, cluster.controllers), (brokers, voters));
    }
}

#[test]
fn the_throttle_of_moves_is_a_setting_of_running_brokers() {
    let cluster = valid(&observed(&with("rebalance: {throttleBytesPerSecond: 1048576}"))).unwrap();
    assert_eq!(cluster.settings.running["ottla.move.max.bytes.per.second"], "1048576");
    assert_eq!(cluster.settings.running["replica.alter.log.dirs.io.max.bytes.per.second"], "1048576");
    let own = "rebalance: {throttleBytesPerSecond: 7}\nconfig: {replica.alter.log.dirs.io.max.bytes.per.second: 9}";
    let cluster = valid(&observed(&with(own))).unwrap();
    assert_eq!(cluster.settings.running["replica.alter.log.dirs.io.max.bytes.per.second"], "9");
    let (reason, message) = refusal(&with("config: {ottla.move.max.bytes.per.second: 7}"));
    assert_eq!(reason, "InvalidSpec");
    assert!(message.contains("spec.rebalance.throttleBytesPerSecond"), "{message}");
}

#[test]
fn settings_are_refused_by_key_and_value_and_the_nearest_key_is_named() {
    for (config, part) in [
        ("log.retention.hour: 1", "did you mean log.retention.hours?"),
        ("nonsense.beyond.recognition: 1", "is no broker setting of Kafka"),
        ("num.io.threads: many", "Not a number of type INT"),
        ("num.io.threads: 0", "at least 1"),
        ("node.id: 7", "follows from spec.brokers"),
        ("listeners: 'PLAINTEXT://:1'", "follows from spec.listeners"),
        ("ottla.advertised.listeners: 'OUT://h:1'", "follows from spec.listeners"),
        ("log.dirs: /tmp", "follows from spec.storage"),
        ("num.io.threads: [1]", "give it one value"),
    ] {
        let (reason, message) = refusal(&with(&format!("config: {{{config}}}")));
        assert_eq!(reason, "InvalidSpec", "{message}");
        assert!(message.contains(part), "{config}: {message}");
    }
}

#[test]
fn settings_that_ask_for_more_replicas_than_brokers_are_refused() {
    for key in
        ["default.replication.factor", "offsets.topic.replication.factor", "transaction.state.log.replication.factor"]
    {
        let spec = |brokers| format!("{}\nconfig: {{{key}: 3}}", of_brokers(brokers));
        let (reason, message) = refusal(&spec(2));
        assert_eq!(reason, "TooFewBrokers", "{message}");
        let told = format!("spec.config[\"{key}\"] asks for 3 replicas");
        assert!(message.starts_with(&told) && message.ends_with("or spec.brokers to 3 or more"), "{message}");
        assert!(valid(&observed(&spec(3))).is_ok(), "{key}");
    }
}

#[test]
fn settings_are_parted_by_how_they_reach_brokers() {
    let settings =
        valid(&observed(&with("config: {num.network.threads: 4, log.cleaner.threads: 2}"))).unwrap().settings;
    assert!(settings.running.contains_key("log.cleaner.threads"), "{settings:?}");
    let observed = observed(&with("config: {log.retention.hours: 4, auto.create.topics.enable: false}"));
    let settings = valid(&observed).unwrap().settings;
    assert_eq!(settings.at_start["log.retention.hours"], "4");
    assert_eq!(settings.at_start["auto.create.topics.enable"], "false");
}

#[test]
fn disks_that_exist_grow_and_get_others_beside_them_and_nothing_else() {
    let mut other = settled(SMALL);
    for (storage, part) in [
        ("{volumes: [{name: data, size: 512Mi}]}", "set its size back to 1Gi"),
        ("{volumes: [{name: disk, size: 1Gi}]}", "let data come first"),
        ("{volumes: [{name: more, size: 1Gi}, {name: data, size: 1Gi}]}", "let data come first"),
        ("{volumes: [{name: data, size: 1Gi, storageClassName: fast}]}", "storage class of volume data"),
    ] {
        other.cluster.spec.storage = serde_yaml::from_str(storage).unwrap();
        let refusal = valid(&other).unwrap_err();
        assert_eq!(refusal.reason, "InvalidSpec");
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
    for storage in [
        "{volumes: [{name: data, size: 1024Mi}]}",
        "{volumes: [{name: data, size: 2Gi}]}",
        "{volumes: [{name: data, size: 1Gi}, {name: more, size: 1Gi}]}",
    ] {
        other.cluster.spec.storage = serde_yaml::from_str(storage).unwrap();
        assert!(valid(&other).is_ok(), "{storage}");
    }
}

#[test]
fn an_object_of_somebody_else_is_left_alone_and_named() {
    let mut observed = observed(SMALL);
    observed.children.insert("Service", "demo-brokers", json!({"metadata": {"name": "demo-brokers"}}));
    let refusal = valid(&observed).unwrap_err();
    assert_eq!(refusal.reason, "NameConflict");
    assert!(refusal.message.contains("Service demo-brokers"), "{}", refusal.message);
}

#[test]
fn what_a_deleted_cluster_of_this_name_left_is_waited_for() {
    let mut observed = observed(SMALL);
    let owner = json!({"kind": "KafkaCluster", "name": "demo", "uid": "earlier", "controller": true});
    observed.children.insert("StatefulSet", "demo-broker", json!({"metadata": {"ownerReferences": [owner]}}));
    assert_eq!(valid(&observed).unwrap_err().reason, super::WAITING);
}
