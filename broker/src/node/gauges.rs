//! What a scrape of the metrics counts.

use std::sync::Arc;

use ottla_core::BrokerId;

use crate::broker::{Broker, Running};
use crate::replica::Directory;
use crate::telemetry::{Gauges, Snapshot};

/// Counts anew at each scrape.
pub(crate) fn of(running: &Running) -> Gauges {
    let (broker, connections) = (Arc::clone(&running.broker), running.connection_count());
    Arc::new(move || {
        let (broker, connections) = (Arc::clone(&broker), connections() as i64);
        Box::pin(async move { Snapshot { connections, groups: broker.groups.count().await, ..count(&broker) } })
    })
}

fn count(broker: &Broker) -> Snapshot {
    let mut now = Snapshot::default();
    for partition in broker.replicas.topics().partitions() {
        now.partitions += 1;
        if let Some((isr, min_isr, replicas)) = partition.isr_state() {
            now.leaders += 1;
            now.under_replicated += i64::from(isr < replicas);
            now.under_min_isr += i64::from(isr < min_isr);
        }
        now.max_lag = now.max_lag.max(partition.lag().unwrap_or(0));
    }
    now.client_instances = broker.client_metrics.instances() as i64;
    let (sessions, partitions) = broker.share_sessions.count();
    now.share_sessions = sessions as i64;
    now.share_session_partitions = partitions as i64;
    now.share_partitions = broker.deliveries.count() as i64;
    let image = broker.image();
    if image.controller().is_some_and(|controller| controller.broker == broker.id()) {
        now.active_controller = 1;
        let partitions = image.topics().iter().flat_map(|topic| &topic.partitions);
        now.offline_partitions = partitions.filter(|partition| partition.leader == BrokerId::NONE).count() as i64;
    }
    let failed = |directory: &Directory| directory.failure.is_some();
    now.offline_log_dirs = broker.replicas.directories().iter().filter(|directory| failed(directory)).count() as i64;
    now
}
