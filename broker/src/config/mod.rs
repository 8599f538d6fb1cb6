//! The broker's configuration: `server.properties`, overrides, and what they mean, checked once at start.
//!
//! Must not apply anything: each component gets its section. Values that can change at run time are read from
//! [`Config::layers`] over the metadata image.

mod collector;
mod listener;
mod properties;
mod quorum;
mod storage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use axum::http::Uri;
use ottla_core::config::{self, Layers};
use ottla_core::{BrokerId, DirectoryId};

pub(crate) use listener::host_name;
pub use listener::{Endpoint, Listeners};
pub use quorum::{Quorum, Voter};
pub use storage::Storage;

/// Everything the broker was told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// `node.id`.
    pub node_id: BrokerId,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `cluster.id`, checked against the disks; made at first start where absent.
    pub cluster_id: Option<String>,
    /// Where to listen and what to advertise.
    pub listeners: Listeners,
    /// How to found or find the metadata quorum.
    pub quorum: Quorum,
    /// `ottla.controller.token.file`: the secret of the CONTROLLER listeners of the cluster.
    pub controller_token: Option<PathBuf>,
    /// `log.dirs`, at least one.
    pub log_dirs: Vec<PathBuf>,
    /// `ottla.retired.directories`: directory ids that the cluster has retired; a log directory with one of them is put
    /// aside and formatted anew.
    pub retired_directories: Vec<DirectoryId>,
    /// `ottla.http.listener`: where metrics and probes are served.
    pub http: Option<String>,
    /// `ottla.client.metrics.collector`: where metrics of clients are sent to (KIP-714).
    pub collector: Option<Uri>,
    /// `telemetry.max.bytes`: the most bytes that a push of metrics may have, packed and unpacked.
    pub telemetry_max_bytes: usize,
    /// Limits of the listeners.
    pub net: Net,
    /// Limits and intervals of the logs, without what may be changed at any time.
    pub storage: Storage,
    /// The properties as given: the static layer of every configuration.
    pub fixed: BTreeMap<String, String>,
}

/// Limits of the listeners and connections.
#[derive(Clone, Debug)]
pub struct Net {
    /// `socket.request.max.bytes`: the largest request frame.
    pub max_request_bytes: usize,
    /// `queued.max.request.bytes`: memory of all requests being received; −1 gives the default of 64 MiB.
    pub request_memory: usize,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `connections.max.idle.ms`; `None` never closes an idle connection.
    pub max_idle: Option<std::time::Duration>,
    /// `socket.listen.backlog.size`.
    pub backlog: u32,
}

/// Why the configuration is refused; the process then exits with code 2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no properties file.
    #[error("{path}: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line.
        source: properties::Malformed,
    },
    /// An override without `=`.
    #[error("--override {0}: it is not key=value")]
    Override(String),
    /// A key that neither Kafka nor Ottla knows.
    #[error("unknown key {key} (value {value}){}", hint(.nearest))]
    UnknownKey {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// The known key that it most resembles.
        nearest: Option<&'static str>,
    },
    /// A value that its key does not take.
    #[error("invalid value {value} for {key}: {reason}")]
    Invalid {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map(|key| format!(": did you mean {key}?")).unwrap_or_default()
}

impl Error {
    fn invalid(key: &str, value: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), value: value.to_owned(), reason: reason.into() }
    }
}

impl Config {
    /// Reads the properties file, if any, and `key=value` overrides. Without a file the broker is a complete single
    /// one: internal topics have one replica.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self, Error> {
        let mut values = match file {
            None => alone(),
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
                properties::parse(&text).map_err(|source| Error::Malformed { path: path.to_owned(), source })?
            }
        };
        for pair in overrides {
            let (key, value) = pair.split_once('=').ok_or_else(|| Error::Override(pair.clone()))?;
            values.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        Self::from_values(values)
    }

    /// Checks every key and value, and gives them their meaning.
    pub fn from_values(fixed: BTreeMap<String, String>) -> Result<Self, Error> {
        for (key, value) in &fixed {
            check(key, value)?;
        }
        let none = BTreeMap::new();
        let layers = Layers { broker: &none, cluster: &none, fixed: &fixed };
        let get = |key: &str| layers.broker_value(key).filter(|value| !value.is_empty());
        Ok(Self {
            node_id: node_id(&fixed)?,
            rack: get("broker.rack"),
            cluster_id: get("cluster.id"),
            listeners: Listeners::read(get)?,
            quorum: Quorum::read(get)?,
            controller_token: get("ottla.controller.token.file").map(PathBuf::from),
            log_dirs: log_dirs(get)?,
            retired_directories: retired_directories(get)?,
            http: get("ottla.http.listener").map(http_listener).transpose()?,
            collector: get("ottla.client.metrics.collector").map(collector::read).transpose()?,
            telemetry_max_bytes: number(get, "telemetry.max.bytes")?,
            net: net(get)?,
            storage: Storage::read(&layers),
            fixed,
        })
    }

    /// The layers of configuration of this broker over the dynamic ones that the metadata image holds.
    pub fn layers<'a>(
        &'a self,
        broker: &'a BTreeMap<String, String>,
        cluster: &'a BTreeMap<String, String>,
    ) -> Layers<'a> {
        Layers { broker, cluster, fixed: &self.fixed }
    }

    /// Keys of Kafka that were given and that Ottla has no use for: worth one warning.
    pub fn unused_keys(&self) -> Vec<&str> {
        let unused = |key: &&str| config::broker_key(key).is_some_and(|known| !known.used);
        self.fixed.keys().map(String::as_str).filter(unused).collect()
    }
}

/// What a broker without a file has besides the defaults.
fn alone() -> BTreeMap<String, String> {
    [
        ("offsets.topic.replication.factor", "1"),
        // As in the properties that Kafka ships: a first consumer waits for no others.
        ("group.initial.rebalance.delay.ms", "0"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn check(key: &str, value: &str) -> Result<(), Error> {
    // `listener.name.<listener>.<key>` narrows a key to one listener; SASL keys may carry a mechanism as well.
    let base = match key.strip_prefix("listener.name.").and_then(|rest| rest.split_once('.')) {
        Some((_, base)) => base,
        None => key,
    };
    let is_narrowed = base != key;
    match config::broker_key(base) {
        Some(known) if config::DYNAMIC_ONLY.iter().any(|one| one.name == known.name) => {
            Err(Error::invalid(key, value, "it can be set while the broker runs, and not in its properties"))
        }
        Some(known) => known.check.value(key, known.kind, value).map_err(|e| Error::invalid(key, value, e.reason)),
        None if is_narrowed => Ok(()),
        None => {
            let nearest = config::nearest(key, config::BROKER.iter().map(|known| known.name));
            Err(Error::UnknownKey { key: key.to_owned(), value: value.to_owned(), nearest })
        }
    }
}

fn node_id(fixed: &BTreeMap<String, String>) -> Result<BrokerId, Error> {
    let given = fixed.get("node.id").or_else(|| fixed.get("broker.id"));
    let value = given.map_or("0", String::as_str);
    match value.trim().parse() {
        Ok(id) if id >= 0 => Ok(BrokerId(id)),
        _ => Err(Error::invalid("node.id", value, "it must be a number of at least 0")),
    }
}

fn log_dirs(get: impl Fn(&str) -> Option<String>) -> Result<Vec<PathBuf>, Error> {
    let value = get("log.dirs").or_else(|| get("log.dir")).unwrap_or_default();
    let dirs: Vec<PathBuf> = listener::words(&value).map(PathBuf::from).collect();
    if dirs.is_empty() {
        return Err(Error::invalid("log.dirs", &value, "it names no directory"));
    }
    for (index, dir) in dirs.iter().enumerate() {
        if dirs[..index].contains(dir) {
            return Err(Error::invalid("log.dirs", &value, format!("{} is given twice", dir.display())));
        }
    }
    Ok(dirs)
}

fn retired_directories(get: impl Fn(&str) -> Option<String>) -> Result<Vec<DirectoryId>, Error> {
    const KEY: &str = "ottla.retired.directories";
    let value = get(KEY).unwrap_or_default();
    let id = |word| ottla_storage::id_of_text(word).map(DirectoryId);
    let ids: Option<_> = listener::words(&value).map(id).collect();
    ids.ok_or_else(|| Error::invalid(KEY, &value, "a directory id has 22 characters of URL-safe base64"))
}

fn http_listener(value: String) -> Result<String, Error> {
    let has_port = value.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if has_port { Ok(value) } else { Err(Error::invalid("ottla.http.listener", &value, "it is not host:port")) }
}

fn net(get: impl Fn(&str) -> Option<String>) -> Result<Net, Error> {
    let idle: i64 = number(&get, "connections.max.idle.ms")?;
    let memory: i64 = number(&get, "queued.max.request.bytes")?;
    let max_request_bytes: usize = number(&get, "socket.request.max.bytes")?;
    Ok(Net {
        max_request_bytes,
        request_memory: usize::try_from(memory).unwrap_or(64 << 20),
        max_connections: number(&get, "max.connections")?,
        max_connections_per_ip: number(&get, "max.connections.per.ip")?,
        max_idle: u64::try_from(idle).ok().map(std::time::Duration::from_millis),
        backlog: number(&get, "socket.listen.backlog.size")?,
    })
}

fn number<T: FromStr>(get: impl Fn(&str) -> Option<String>, key: &str) -> Result<T, Error> {
    let value = get(key).unwrap_or_default();
    value.trim().parse().map_err(|_| Error::invalid(key, &value, "the number is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(overrides: &[&str]) -> Result<Config, Error> {
        Config::load(None, &overrides.iter().map(|&o| o.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_file_it_is_a_complete_single_broker() {
        let config = load(&[]).unwrap();
        assert_eq!(config.node_id, BrokerId(0));
        assert_eq!(config.log_dirs, [PathBuf::from("./ottla-data")]);
        assert_eq!(config.http.as_deref(), Some("127.0.0.1:9404"));
        assert_eq!(config.quorum, Quorum::Alone);
        assert_eq!(config.fixed["offsets.topic.replication.factor"], "1");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_with_the_nearest_known_one() {
        let error = load(&["num.partition=3"]).unwrap_err().to_string();
        assert_eq!(error, "unknown key num.partition (value 3): did you mean num.partitions?");
    }

    #[test]
    fn a_malformed_value_names_key_value_and_reason() {
        let error = load(&["num.partitions=many"]).unwrap_err().to_string();
        assert_eq!(error, "invalid value many for num.partitions: Not a number of type INT");
        assert!(load(&["node.id=-3"]).is_err());
        assert!(load(&["log.dirs=a,a"]).unwrap_err().to_string().contains("given twice"));
        assert!(load(&["ottla.http.listener=9404"]).is_err());
        assert!(load(&["novalue"]).is_err());
    }

    #[test]
    fn keys_that_kafka_knows_and_ottla_does_not_use_are_listed() {
        let config = load(&["num.replica.fetchers=4", "listener.name.plaintext.ssl.key.password=x"]).unwrap();
        assert_eq!(config.unused_keys(), ["num.replica.fetchers"]);
    }

    #[test]
    fn retired_directories_are_named_by_their_ids() {
        let ids = load(&["ottla.retired.directories=AAAAAAAAAAAAAAAAAAAAAQ, AAAAAAAAAAAAAAAAAAAACQ"]).unwrap();
        assert_eq!(ids.retired_directories, [1, 9].map(|id| DirectoryId(uuid::Uuid::from_u128(id))));
        assert!(load(&["ottla.retired.directories=/var/lib/ottla"]).unwrap_err().to_string().contains("22 characters"));
        assert_eq!(load(&[]).unwrap().retired_directories, []);
    }

    #[test]
    fn an_empty_http_listener_turns_it_off() {
        assert_eq!(load(&["ottla.http.listener="]).unwrap().http, None);
    }
}
