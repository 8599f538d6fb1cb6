//! The file a broker starts from: Kafka's own property names.

use std::collections::BTreeMap;

use ottla_crds::cluster::Advertise;

use super::{CONTROLLER_PORT, HTTP_PORT};
use crate::cluster::validate::ValidCluster;

/// Where the ConfigMap is mounted.
pub const CONFIG_FOLDER: &str = "/etc/ottla/config";
/// Where the Secret of the CONTROLLER listener is mounted.
pub const SECRETS_FOLDER: &str = "/etc/ottla/secrets";
/// The file of the token in it.
pub const TOKEN_FILE: &str = "controller-token";

/// Where the disk called `volume` is mounted.
pub fn volume_folder(volume: &str) -> String {
    format!("/var/lib/ottla/{volume}")
}

/// What one broker reads at its start, and a change of which needs a restart.
pub fn at_start(cluster: &ValidCluster, cluster_id: &str, id: i32) -> BTreeMap<String, String> {
    let mut properties = common(cluster);
    let folders: Vec<String> = cluster.volumes.iter().map(|volume| volume_folder(&volume.name)).collect();
    let mut own = vec![
        ("node.id", id.to_string()),
        ("cluster.id", cluster_id.to_owned()),
        ("log.dirs", folders.join(",")),
        ("listeners", listeners(cluster)),
        ("listener.security.protocol.map", protocols(cluster)),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("ottla.controller.token.file", format!("{SECRETS_FOLDER}/{TOKEN_FILE}")),
        ("ottla.http.listener", format!("0.0.0.0:{HTTP_PORT}")),
    ];
    if let Some(first) = cluster.internal_listeners().next() {
        own.push(("inter.broker.listener.name", first.kafka_name.clone()));
    }
    if !advertises_pod_address(cluster) {
        own.push(("advertised.listeners", advertised(cluster, &cluster.names.pod(id))));
    }
    properties.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
    properties
}

/// What all brokers read at their start besides what follows from the other fields of the spec.
pub fn common(cluster: &ValidCluster) -> BTreeMap<String, String> {
    let mut properties = defaults(cluster);
    properties.extend(cluster.settings.at_start.clone());
    properties
}

const VOTERS: &str = "controller.quorum.voters";
const BOOTSTRAP_SERVERS: &str = "controller.quorum.bootstrap.servers";

/// How broker `id` comes to its cluster while its disk is empty. Before the cluster first served, its voters may found
/// it; after that nobody may, so that a cluster that lost every disk waits for a person instead of starting empty.
pub fn founding(cluster: &ValidCluster, id: i32) -> (String, String) {
    let voters = (0..cluster.controllers).map(|id| {
        let address = format!("{}:{CONTROLLER_PORT}", cluster.names.host_of(&cluster.names.pod(id)));
        (id, address)
    });
    if cluster.founded || id >= cluster.controllers {
        let servers: Vec<String> = voters.map(|(_, address)| address).collect();
        (BOOTSTRAP_SERVERS.to_owned(), servers.join(","))
    } else {
        let founders: Vec<String> = voters.map(|(id, address)| format!("{id}@{address}")).collect();
        (VOTERS.to_owned(), founders.join(","))
    }
}

/// The disks that broker `id` must not serve, should it come back on one. Not part of the template: a broker that runs has
/// another.
pub fn retired(cluster: &ValidCluster, id: i32) -> Option<(String, String)> {
    cluster.retired.get(&id).map(|disks| ("ottla.retired.directories".to_owned(), disks.clone()))
}

/// How many voters a rendered file names, as founders or as those who are asked.
pub fn voters(file: &str) -> Option<i32> {
    let list = file.lines().find_map(|line| match line.split_once('=')? {
        (VOTERS | BOOTSTRAP_SERVERS, list) => Some(list),
        _ => None,
    })?;
    i32::try_from(list.split(',').count()).ok()
}

/// Whether any listener tells clients the pod's address, which is known only when the pod runs.
pub fn advertises_pod_address(cluster: &ValidCluster) -> bool {
    cluster.internal_listeners().any(|listener| listener.advertise == Advertise::PodIp)
}

/// `advertised.listeners` of the pod called `pod`, which may be a reference such as `$(POD_NAME)`. Where clients outside
/// reach it is told to the running broker, since it is known only then and may change.
pub fn advertised(cluster: &ValidCluster, pod: &str) -> String {
    let endpoints = cluster.internal_listeners().map(|listener| {
        let host = match listener.advertise {
            Advertise::Hostname => cluster.names.host_of(pod),
            Advertise::PodIp => "$(POD_IP)".to_owned(),
        };
        format!("{}://{host}:{}", listener.kafka_name, listener.port)
    });
    // Brokers dial each other by name: an address is another one after each restart.
    let controller = format!("CONTROLLER://{}:{CONTROLLER_PORT}", cluster.names.host_of(pod));
    endpoints.chain([controller]).collect::<Vec<_>>().join(",")
}

/// The properties as the text of a file, one line each, in order.
pub fn render(properties: &BTreeMap<String, String>) -> String {
    properties.iter().map(|(key, value)| format!("{}={}\n", escape(key, true), escape(value, false))).collect()
}

/// What a cluster has besides Kafka's defaults: as many copies of the internal topics, and by default of new ones, as
/// there are brokers, up to three.
fn defaults(cluster: &ValidCluster) -> BTreeMap<String, String> {
    let replicas = cluster.brokers.min(3);
    let min_in_sync = if replicas == 3 { 2 } else { 1 };
    [
        ("default.replication.factor", replicas),
        ("min.insync.replicas", min_in_sync),
        ("offsets.topic.replication.factor", replicas),
        ("share.coordinator.state.topic.replication.factor", replicas),
        ("share.coordinator.state.topic.min.isr", min_in_sync),
        ("transaction.state.log.replication.factor", replicas),
        ("transaction.state.log.min.isr", min_in_sync),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_string()))
    .collect()
}

fn listeners(cluster: &ValidCluster) -> String {
    let clients =
        cluster.listeners.iter().map(|listener| format!("{}://0.0.0.0:{}", listener.kafka_name, listener.port));
    let controller = format!("CONTROLLER://0.0.0.0:{CONTROLLER_PORT}");
    clients.chain([controller]).collect::<Vec<_>>().join(",")
}

fn protocols(cluster: &ValidCluster) -> String {
    let names = cluster.listeners.iter().map(|listener| listener.kafka_name.as_str()).chain(["CONTROLLER"]);
    names.map(|name| format!("{name}:PLAINTEXT")).collect::<Vec<_>>().join(",")
}

/// Escapes as the Java properties format asks; a value has no line breaks (validation), a key may have separators.
fn escape(text: &str, is_key: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        let starts_blank = index == 0 && (character == ' ' || character == '\t');
        let separates = is_key && matches!(character, ' ' | '\t' | '=' | ':' | '#' | '!');
        if character == '\\' || starts_blank || separates {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
