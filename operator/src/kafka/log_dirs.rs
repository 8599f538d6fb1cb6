//! The log directories of single brokers (KIP-113).

use ottla_core::ids::BrokerId;

/// A broker that is asked itself, at its own address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAt {
    /// Its id.
    pub id: BrokerId,
    /// `host:port` of its own plain listener.
    pub address: String,
}

/// A log directory, as its broker tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDir {
    /// Where it is on the broker.
    pub path: String,
    /// Whether it works.
    pub works: bool,
    /// Size of its file system in bytes, if it is known.
    pub size: Option<u64>,
    /// What lies in it, and what is on its way to it.
    pub replicas: Vec<LogDirReplica>,
}

/// A replica in a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirReplica {
    /// Its topic.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// Bytes that are there.
    pub bytes: u64,
    /// Whether it is still being copied from another directory of the broker.
    pub is_future: bool,
}

/// A replica that is to go to another log directory of its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirMove {
    /// Its topic.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// The path of the directory.
    pub to: String,
}
