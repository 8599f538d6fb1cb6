//! What is run: Ottla or Apache Kafka, and the properties each is given.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::disk::run;

/// `ottla.durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Durability {
    /// An ack means flushed on every in-sync replica.
    Fsync,
    /// An ack means in the page cache of every in-sync replica, as with Kafka.
    Replicated,
}

impl Durability {
    /// As the property has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Replicated => "replicated",
        }
    }
}

/// The program of a cluster.
#[derive(Clone, Debug)]
pub enum Flavor {
    /// Ottla.
    Ottla {
        /// The program `ottla-broker`.
        broker: PathBuf,
        /// Durability of every topic.
        durability: Durability,
    },
    /// Apache Kafka, every broker also a controller.
    Kafka {
        /// The folder with its jars.
        libs: PathBuf,
    },
}

/// The port of clients and brokers.
pub(super) const CLIENT_PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;
/// The port of Ottla's probes.
pub(super) const HTTP_PORT: u16 = 9404;

impl Flavor {
    /// The real Kafka that the client suites install.
    pub fn installed_kafka() -> anyhow::Result<Self> {
        let home = std::env::var_os("OTTLA_CLIENTS_HOME").map(PathBuf::from);
        let cache = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/ottla-clients"));
        let libs = home.or_else(cache).context("neither OTTLA_CLIENTS_HOME nor HOME is set")?.join("kafka/libs");
        anyhow::ensure!(libs.is_dir(), "no Kafka in {}: run tests/clients/install", libs.display());
        Ok(Self::Kafka { libs })
    }

    /// Whether it is Ottla.
    pub fn is_ottla(&self) -> bool {
        matches!(self, Self::Ottla { .. })
    }

    /// What an ack means.
    pub fn durability(&self) -> Durability {
        match self {
            Self::Ottla { durability, .. } => *durability,
            Self::Kafka { .. } => Durability::Replicated,
        }
    }

    /// Writes the properties of broker `id` into `folder` and, for Kafka, formats its data folder. Those in `extra` win.
    pub fn prepare(
        &self,
        folder: &Path,
        data: &Path,
        id: usize,
        addresses: &[Ipv4Addr],
        extra: &[(String, String)],
    ) -> anyhow::Result<()> {
        let mut properties = common(data, id, addresses);
        match self {
            Self::Ottla { durability, .. } => {
                let token = folder.join("token");
                fs::write(&token, "a shared secret of this test alone\n")?;
                properties.push(("ottla.durability".into(), durability.name().into()));
                properties.push(("ottla.http.listener".into(), format!("{}:{HTTP_PORT}", addresses[id])));
                if !addresses[id].is_loopback() {
                    properties.push(("ottla.controller.token.file".into(), token.display().to_string()));
                }
            }
            Self::Kafka { .. } => properties.extend(of_kafka(addresses.len())),
        }
        properties.extend_from_slice(extra);
        let lines: String = properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let file = folder.join("server.properties");
        fs::write(&file, lines)?;
        if let Self::Kafka { libs } = self {
            let mut format = Command::new("java");
            format.arg("-cp").arg(libs.join("*")).args(["-Dlog4j2.level=ERROR", "kafka.tools.StorageTool", "format"]);
            run(format.args(["--cluster-id", "4L6g3nShT-eMCtK--X86sw", "--config"]).arg(&file))?;
        }
        Ok(())
    }

    /// The program, and how it is told of the properties in `folder`.
    pub fn program(&self) -> &Path {
        match self {
            Self::Ottla { broker, .. } => broker,
            Self::Kafka { .. } => Path::new("java"),
        }
    }

    /// Adds the arguments.
    pub fn arguments(&self, command: &mut Command, folder: &Path) {
        if let Self::Kafka { libs } = self {
            // What Kafka's own start script gives.
            command.args(["-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]);
            command.args(["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"]);
            command.arg("-cp").arg(libs.join("*")).args(["-Dlog4j2.level=WARN", "kafka.Kafka"]);
        }
        command.arg(folder.join("server.properties"));
    }
}

fn common(data: &Path, id: usize, addresses: &[Ipv4Addr]) -> Vec<(String, String)> {
    let own = addresses[id];
    let voters: Vec<String> =
        addresses.iter().enumerate().map(|(id, address)| format!("{id}@{address}:{CONTROLLER_PORT}")).collect();
    let replicas = addresses.len().min(3);
    let min_isr = if replicas == 3 { 2 } else { 1 };
    let property = |key: &str, value: String| (key.to_owned(), value);
    vec![
        property("node.id", id.to_string()),
        property("listeners", format!("PLAINTEXT://{own}:{CLIENT_PORT},CONTROLLER://{own}:{CONTROLLER_PORT}")),
        property("advertised.listeners", format!("PLAINTEXT://{own}:{CLIENT_PORT}")),
        property("controller.listener.names", "CONTROLLER".into()),
        property("controller.quorum.voters", voters.join(",")),
        property("log.dirs", data.display().to_string()),
        property("default.replication.factor", replicas.to_string()),
        property("min.insync.replicas", min_isr.to_string()),
        property("offsets.topic.replication.factor", replicas.to_string()),
        property("offsets.topic.num.partitions", "5".into()),
        property("transaction.state.log.replication.factor", replicas.to_string()),
        property("transaction.state.log.min.isr", min_isr.to_string()),
        property("transaction.state.log.num.partitions", "5".into()),
        property("group.initial.rebalance.delay.ms", "0".into()),
        property("group.min.session.timeout.ms", "1000".into()),
        property("message.max.bytes", "10000000".into()),
        // Records are as old as batches that were encoded beforehand say.
        property("log.retention.ms", "-1".into()),
    ]
}

fn of_kafka(brokers: usize) -> Vec<(String, String)> {
    let min_isr = if brokers >= 3 { "2" } else { "1" };
    [
        ("process.roles", "broker,controller"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("min.insync.replicas", min_isr),
        // Ottla needs no such interval: a transaction is aborted when its time is over.
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}
