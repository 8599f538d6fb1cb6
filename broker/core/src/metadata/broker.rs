//! A registered broker: identity, addresses, directories, and the states that keep it from being given work.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{BrokerEpoch, BrokerId, DirectoryId};

/// How a listener is secured; Kafka's names and ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SecurityProtocol {
    /// No encryption, no authentication.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Kafka's number for it.
    pub fn id(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    /// The protocol with Kafka's number `id`.
    pub fn from_id(id: i16) -> Option<Self> {
        [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl].into_iter().find(|one| one.id() == id)
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        })
    }
}

/// Where one listener of a broker is reached: an advertised address, never a wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// The listener's name, in capitals.
    pub listener: String,
    /// Advertised host.
    pub host: String,
    /// Advertised port.
    pub port: u16,
    /// How the listener is secured.
    pub security_protocol: SecurityProtocol,
}

/// What clients of a listener are told to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The host.
    pub host: &'a str,
    /// The port.
    pub port: u16,
}

/// The levels of one feature that a broker can run with (KIP-584).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureRange {
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// A broker as it registered, with what the controller has decided about it since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its `node.id`.
    pub id: BrokerId,
    /// This uptime: the log index of its registration.
    pub epoch: BrokerEpoch,
    /// Drawn by the process at start, so that a repeated registration is recognised.
    pub incarnation: Uuid,
    /// Advertised addresses, one a listener, in the order of its configuration.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Its usable log directories, in the order of its configuration.
    pub directories: Vec<DirectoryId>,
    /// What it can run with.
    pub features: BTreeMap<String, FeatureRange>,
    /// Fenced: not alive as far as the cluster is concerned; in no ISR, leads nothing, advertised to nobody.
    pub fenced: bool,
    /// Cordoned: serves what it holds, gets nothing new.
    pub cordoned: bool,
    /// It asked to leave: leads nothing, joins no ISR.
    pub in_controlled_shutdown: bool,
}

impl Broker {
    /// Whether it may lead partitions and be in their ISR.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether a copy in `directory` is at hand; the unassigned one always is.
    pub fn has_directory(&self, directory: DirectoryId) -> bool {
        directory == DirectoryId::ZERO || self.directories.contains(&directory)
    }

    /// The address that was registered for the listener named `listener`; brokers use it among themselves.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == listener)
    }
}
