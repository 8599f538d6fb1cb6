//! The cluster-control service (`ottla.cluster.v1`, see `broker/control/proto`) over the rules of ottla-core.
//!
//! Every broker serves it on its CONTROLLER listener. What only the active controller may answer is handed on to it, and
//! the controller makes sure that it still is one before it answers. No rule is here: verdicts, counts and changes are
//! core's and the quorum's.

mod brokers;
mod disks;
mod health;
mod placements;
mod restart;
mod service;
mod status;
mod voters;
mod way;

use std::sync::Arc;

use ottla_control::broker_disks_server::BrokerDisksServer;
use ottla_control::cluster_control_server::ClusterControlServer;
use ottla_core::controller::Settings;

use crate::broker::Broker;
use crate::controller::quorum::RaftLog;
use crate::controller::{Peers, Services};

/// What the service answers from. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    broker: Arc<Broker>,
    log: Arc<RaftLog>,
    peers: Peers,
    settings: Arc<Settings>,
}

impl Admin {
    /// The service of `broker`, whose metadata `log` keeps; other brokers are reached by `peers`.
    pub fn new(broker: Arc<Broker>, log: Arc<RaftLog>, peers: Peers) -> Self {
        let settings = Arc::new(Settings::new(broker.config.fixed.clone()));
        Self { broker, log, peers, settings }
    }

    /// Serves it from now on.
    pub fn serve(self, services: &Services) {
        services.add(BrokerDisksServer::new(self.clone()));
        services.add(ClusterControlServer::new(self));
    }
}
