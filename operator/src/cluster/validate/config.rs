//! Which settings a person may give, and how each reaches the brokers.

use std::collections::BTreeMap;

use ottla_core::config::{self, Mode};
use ottla_crds::KafkaClusterSpec;

use crate::{error::Refusal, settings};

/// Settings by how they reach the brokers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Those read at a broker's start: they stand in its file.
    pub at_start: BTreeMap<String, String>,
    /// Those that change while brokers run, for all of them at once (KIP-226).
    pub running: BTreeMap<String, String>,
}

/// How fast reassignments may copy, for all brokers at once.
const MOVE_RATE: &str = "ottla.move.max.bytes.per.second";
/// How fast replicas may be copied between the disks of a broker.
const DISK_MOVE_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
/// What `spec.rebalance.throttleBytesPerSecond` sets.
pub const MOVE_RATES: [&str; 2] = [MOVE_RATE, DISK_MOVE_RATE];

/// Keys that follow from other fields of the spec, and which.
const OWNED: [(&str, &str); 23] = [
    ("node.id", "spec.brokers"),
    ("broker.id", "spec.brokers"),
    ("broker.rack", "spec.rack"),
    ("cluster.id", "status.clusterId"),
    ("process.roles", "spec.controllers"),
    ("listeners", "spec.listeners"),
    ("advertised.listeners", "spec.listeners"),
    (config::ADVERTISED, "spec.listeners"),
    ("listener.security.protocol.map", "spec.listeners"),
    ("inter.broker.listener.name", "spec.listeners"),
    ("security.inter.broker.protocol", "spec.listeners"),
    ("controller.listener.names", "spec.listeners"),
    ("early.start.listeners", "spec.listeners"),
    ("controller.quorum.voters", "spec.controllers"),
    ("controller.quorum.bootstrap.servers", "spec.controllers"),
    ("log.dir", "spec.storage"),
    ("log.dirs", "spec.storage"),
    ("metadata.log.dir", "spec.storage"),
    ("ottla.http.listener", "the operator"),
    ("ottla.controller.token.file", "the operator"),
    ("ottla.retired.directories", "the operator"),
    (MOVE_RATE, "spec.rebalance.throttleBytesPerSecond"),
    ("broker.id.generation.enable", "spec.brokers"),
];

/// The settings of the spec, each checked by name and value.
pub(super) fn settings(spec: &KafkaClusterSpec) -> Result<Settings, Refusal> {
    let mut settings = Settings::default();
    for (key, value) in settings::as_text(&spec.config)? {
        if let Some((_, field)) = OWNED.iter().find(|(owned, _)| *owned == key) {
            let message = format!("spec.config[\"{key}\"] follows from {field}: remove it from spec.config");
            return Err(Refusal::invalid_spec(message));
        }
        let mode = check(&key, &value)?;
        enough_brokers(&key, &value, spec.brokers)?;
        match mode {
            Mode::Cluster => settings.running.insert(key, value),
            Mode::ReadOnly | Mode::PerBroker => settings.at_start.insert(key, value),
        };
    }
    if let Some(rate) = spec.rebalance.throttle_bytes_per_second {
        for key in MOVE_RATES {
            // The rate between disks is a setting of Kafka's, which spec.config may give for itself.
            settings.running.entry(key.to_owned()).or_insert_with(|| rate.to_string());
        }
    }
    Ok(settings)
}

/// Refuses more replicas than there are brokers: a topic that is made with them, such as that of committed offsets, could not be.
fn enough_brokers(key: &str, value: &str, brokers: i32) -> Result<(), Refusal> {
    let replicas = value.trim().parse::<i32>().ok().filter(|_| key.ends_with("replication.factor"));
    let Some(replicas) = replicas.filter(|replicas| *replicas > brokers) else {
        return Ok(());
    };
    let message = format!(
        "spec.config[\"{key}\"] asks for {replicas} replicas, and {brokers} brokers are too few for that: set it to {brokers} or \
         less, or spec.brokers to {replicas} or more"
    );
    Err(Refusal::new("TooFewBrokers", message))
}

fn check(key: &str, value: &str) -> Result<Mode, Refusal> {
    let Some(known) = config::broker_key(key) else {
        let nearest = config::nearest(key, config::BROKER.iter().map(|known| known.name));
        let hint = nearest.map(|nearest| format!(": did you mean {nearest}?")).unwrap_or_default();
        return Err(Refusal::invalid_spec(format!("spec.config[\"{key}\"] is no broker setting of Kafka{hint}")));
    };
    match known.check.value(key, known.kind, value) {
        Ok(()) => Ok(known.mode),
        Err(invalid) => Err(Refusal::invalid_spec(format!("spec.config[\"{key}\"]: {invalid}"))),
    }
}
