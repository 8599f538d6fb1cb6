//! Metrics that clients push (KIP-714): the rule is [`ottla_core::client_metrics`], here are its lock and its clock, and
//! what is taken is handed on to a collector.
//!
//! Must never make a client or the broker wait for the collector.

mod collector;
mod counters;
mod otlp;

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::client_metrics::{Attribute, Client, Offer, Push, Refusal, Registry};
use ottla_core::metadata::Image;
use ottla_records::Compression;
use parking_lot::Mutex;
use uuid::Uuid;

pub use collector::{Delivery, Outbox};
pub use counters::ClientMetricsCounters;
pub use otlp::Malformed;

use crate::clock::Clock;
use crate::config::Config;
use crate::net::Peer;

/// The label that says which broker has taken the metrics.
const BROKER_ID: &str = "broker_id";

/// Why a push is answered with an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be unpacked.
    #[error("the metrics cannot be unpacked: {0}")]
    Unpacked(#[from] io::Error),
    /// It unpacks to more than may be.
    #[error("the metrics unpack to more than telemetry.max.bytes")]
    Expanded,
    /// What it unpacks to are no metrics.
    #[error("the metrics are malformed: {0}")]
    Malformed(#[from] Malformed),
}

/// What is pushed.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// What it is packed by.
    pub codec: Compression,
    /// OTLP's `MetricsData`, packed.
    pub metrics: Bytes,
}

/// The clients that tell metrics, and the way to the collector.
#[derive(Debug)]
pub struct ClientMetrics {
    clock: Clock,
    max_bytes: usize,
    broker: String,
    registry: Mutex<Registry>,
    outbox: Option<Outbox>,
    delivery: Mutex<Option<Delivery>>,
}

impl ClientMetrics {
    /// No client known yet. Metrics go to the collector of `config`, once [`delivery`](Self::delivery) is run; without one
    /// they are taken and dropped.
    pub fn new(config: &Config, clock: Clock, counters: ClientMetricsCounters) -> Self {
        let collector = config.collector.clone().map(|address| collector::to(address, counters));
        let (outbox, delivery) = collector.unzip();
        Self {
            clock,
            max_bytes: config.telemetry_max_bytes,
            broker: config.node_id.to_string(),
            registry: Mutex::new(Registry::new(config.telemetry_max_bytes)),
            outbox,
            delivery: Mutex::new(delivery),
        }
    }

    /// Whether metrics go anywhere: only then are clients told that they may push.
    pub fn has_collector(&self) -> bool {
        self.outbox.is_some()
    }

    /// What brings the metrics to the collector, for whoever asks first.
    pub fn delivery(&self) -> Option<Delivery> {
        self.delivery.lock().take()
    }

    /// `telemetry.max.bytes`.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// How many client instances are remembered.
    pub fn instances(&self) -> usize {
        self.registry.lock().len()
    }

    /// The client asks what to push.
    pub fn ask(&self, image: &Image, id: Uuid, client: Client) -> Result<Offer, Refusal> {
        let mut registry = self.registry.lock();
        registry.heed(image.client_metrics());
        registry.ask(id, client, self.clock.now().monotonic)
    }

    /// The client pushes.
    pub fn push(&self, image: &Image, id: Uuid, client: Client, push: Push, pushed: &Pushed) -> Result<(), Error> {
        {
            let mut registry = self.registry.lock();
            registry.heed(image.client_metrics());
            registry.push(id, client.clone(), push, self.clock.now().monotonic)?;
        }
        let Some(outbox) = self.outbox.as_ref().filter(|_| !pushed.metrics.is_empty()) else { return Ok(()) };
        let unpacked = self.unpack(pushed)?;
        let own = client.iter().map(|(attribute, value)| (attribute.name(), value.as_str()));
        outbox.offer(otlp::label(unpacked, own.chain([(BROKER_ID, self.broker.as_str())]))?);
        Ok(())
    }

    fn unpack(&self, pushed: &Pushed) -> Result<Bytes, Error> {
        let mut unpacked = Vec::new();
        let most = self.max_bytes as u64;
        pushed.codec.reader(&pushed.metrics)?.take(most + 1).read_to_end(&mut unpacked)?;
        if unpacked.len() as u64 > most { Err(Error::Expanded) } else { Ok(unpacked.into()) }
    }
}

/// What is known of the client at the other end of a connection.
pub fn client(peer: &Arc<Peer>, client_id: &str, instance: Uuid) -> Client {
    let mut client = BTreeMap::from([
        (Attribute::InstanceId, ottla_storage::id_text(instance)),
        (Attribute::ClientId, client_id.to_owned()),
        (Attribute::SourceAddress, peer.address.ip().to_canonical().to_string()),
        (Attribute::SourcePort, peer.address.port().to_string()),
    ]);
    if let Some((name, version)) = peer.software.get() {
        client.insert(Attribute::SoftwareName, name.clone());
        client.insert(Attribute::SoftwareVersion, version.clone());
    }
    client
}
