//! The composition root: what a running broker consists of, and the order in which it starts and stops.

mod running;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ottla_core::config::Layers;
use ottla_core::group::Coordinator as GroupCoordinator;
use ottla_core::metadata::{Image, Resource};
use ottla_core::txn::Coordinator as TransactionCoordinator;
use ottla_core::{BrokerEpoch, BrokerId};
use parking_lot::Mutex;

pub use running::{Running, StartError};

use crate::api::{FetchSessions, ProducerIds, Table};
use crate::client_metrics::ClientMetrics;
use crate::config::Config;
use crate::controller::ControllerHandle;
use crate::controller::quorum::RaftLog;
use crate::coordinator::{Handover, Idle, Jobs};
use crate::group::{self, Groups};
use crate::quota::Quotas;
use crate::replica::{Error, LocalTopic, Manager, Partition, Unpacking};
use crate::share::{self, Deliveries, DeliverySettings, ShareSessions, ShareStates};
use crate::txn::{self, Peers, Transactions};

/// A running broker, as the API handlers see it.
pub struct Broker {
    /// What it was told at its start.
    pub config: Arc<Config>,
    /// The APIs it serves.
    pub apis: Table,
    /// The controller, and the cluster as it is.
    pub controller: ControllerHandle,
    /// The replicas it holds.
    pub replicas: Arc<Manager>,
    /// `group.coordinator.rebalance.protocols`.
    pub protocols: group::Protocols,
    /// Coordinates the groups that are its own, once [`Coordinators::follow`](crate::coordinator::Coordinators::follow)
    /// runs.
    pub groups: Arc<Groups>,
    /// What they need done, until [`group::act`] takes it up.
    pub group_jobs: Mutex<Option<Jobs<GroupCoordinator>>>,
    /// Coordinates the transactional ids that are its own, likewise.
    pub transactions: Arc<Transactions>,
    /// Coordinates the state of the share groups that is its own, likewise.
    pub share_states: Arc<ShareStates>,
    /// The share partitions that it leads.
    pub deliveries: Deliveries,
    /// What the broker says of their delivery.
    pub delivery_settings: DeliverySettings,
    /// The sessions of members of share groups.
    pub share_sessions: ShareSessions,
    /// What the transactions need done, until [`txn::act`] takes it up.
    pub transaction_jobs: Mutex<Option<Jobs<TransactionCoordinator>>>,
    /// `transaction.max.timeout.ms`.
    pub max_transaction_timeout: Duration,
    /// How a producer's next transaction waits for its last one.
    pub next_transaction_retry: txn::Retry,
    /// Connections to other brokers for what coordinators ask of them.
    pub peers: Peers,
    /// What clients have used, and what they may.
    pub quotas: Arc<Quotas>,
    /// The clients that tell metrics, and where those go.
    pub client_metrics: ClientMetrics,
    /// The incremental fetch sessions (KIP-227).
    pub fetch_sessions: FetchSessions,
    /// Producer ids that are still to be given out.
    pub producer_ids: ProducerIds,
    /// Says when a batch may be unpacked.
    pub unpacking: Unpacking,
    /// The metadata quorum, where the metadata log is one.
    pub quorum: OnceLock<Arc<RaftLog>>,
    /// This uptime, once it is registered.
    pub epoch: OnceLock<BrokerEpoch>,
}

impl Broker {
    /// A broker over its parts, not registered yet.
    pub fn new(config: Arc<Config>, controller: ControllerHandle, replicas: Arc<Manager>, quotas: Arc<Quotas>) -> Self {
        let none = BTreeMap::new();
        let (state_calls, group_jobs) = Handover::new();
        let group_settings = group::settings(&config.layers(&none, &none));
        let groups = Groups::new(group_settings, state_calls, *replicas.clock(), group::note);
        let transaction_settings = txn::settings(&config.layers(&none, &none));
        let (handover, jobs) = Handover::new();
        let share_settings = share::state_settings(&config.layers(&none, &none));
        Self {
            max_transaction_timeout: transaction_settings.max_timeout,
            next_transaction_retry: txn::retry(&config.layers(&none, &none)),
            transactions: Arc::new(Transactions::new(transaction_settings, handover, *replicas.clock(), txn::note)),
            share_states: Arc::new(ShareStates::new(share_settings, Idle, *replicas.clock(), share::note)),
            deliveries: Deliveries::default(),
            delivery_settings: DeliverySettings::read(&config.layers(&none, &none)),
            share_sessions: ShareSessions::default(),
            transaction_jobs: Mutex::new(Some(jobs)),
            peers: Peers::default(),
            client_metrics: ClientMetrics::new(&config, *replicas.clock(), replicas.metrics().client_metrics.clone()),
            apis: crate::api::table(),
            controller,
            groups: Arc::new(groups),
            group_jobs: Mutex::new(Some(group_jobs)),
            protocols: group::protocols(&config.layers(&none, &none)),
            quotas,
            replicas,
            fetch_sessions: FetchSessions::new(fetch_session_slots(&config)),
            producer_ids: ProducerIds::default(),
            unpacking: Unpacking::default(),
            quorum: OnceLock::new(),
            epoch: OnceLock::new(),
            config,
        }
    }

    /// The cluster as this broker has made it its own.
    pub fn image(&self) -> Arc<Image> {
        self.controller.image()
    }

    /// What `ask` makes of this broker's layers of configuration, as `image` and the properties have them.
    pub fn with_layers<T>(&self, image: &Image, ask: impl FnOnce(Layers<'_>) -> T) -> T {
        let none = BTreeMap::new();
        let own = image.config(&Resource::broker(self.config.node_id.to_string()));
        let every = image.config(&Resource::every_broker());
        let (own, every) = (own.map_or(&none, |values| values), every.map_or(&none, |values| values));
        ask(self.config.layers(own, every))
    }

    /// `node.id`.
    pub fn id(&self) -> BrokerId {
        self.config.node_id
    }

    /// The replica of partition `index` in `topic`, which is none where this broker holds nothing of it; the error says
    /// who leads instead, if anybody is known to. `name` is for looking that up.
    pub fn replica(&self, topic: Option<&LocalTopic>, name: &str, index: i32) -> Result<Arc<Partition>, Error> {
        if let Some(partition) = topic.and_then(|topic| topic.partition(index)) {
            return Ok(Arc::clone(partition));
        }
        if self.replicas.topics().is_offline(name, index) {
            return Err(Error::Offline);
        }
        match self.image().topic(name).and_then(|topic| topic.partition(index)) {
            // What the published image has this broker lead has been opened, unless its log cannot be served.
            Some(state) if state.leader == self.id() => Err(Error::NotServed),
            Some(state) => Err(Error::NotLeader { leader: state.leader, epoch: state.leader_epoch }),
            None => Err(Error::UnknownPartition),
        }
    }

    /// The replica of partition `index` of the topic called `name`.
    pub fn replica_by_name(&self, name: &str, index: i32) -> Result<Arc<Partition>, Error> {
        match self.replicas.topics().partition(name, index) {
            Ok(partition) => Ok(partition),
            Err(_) => self.replica(None, name, index),
        }
    }
}

fn fetch_session_slots(config: &Config) -> usize {
    let slots = config.fixed.get("max.incremental.fetch.session.cache.slots");
    slots.and_then(|value| value.parse().ok()).unwrap_or(1000)
}
