//! What the transaction coordinators need done.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::txn::{Act, Coordinator, Note};
use tracing::warn;

use super::markers;
use crate::broker::Broker;
use crate::coordinator::{Job, Notes};

/// How long the controller is asked for a producer id.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does it.
pub async fn act(broker: Arc<Broker>, job: Job<Coordinator>) {
    match job.act {
        Act::AllocateProducerId => allocate(&broker, &job.notes).await,
        Act::WriteMarkers(markers) => markers::write(&broker, markers, job.epoch, &job.notes).await,
    }
}

async fn allocate(broker: &Broker, notes: &Notes<Coordinator>) {
    let id = match tokio::time::timeout(PATIENCE, broker.producer_ids.next(broker)).await {
        Ok(Ok(id)) => Some(id),
        Ok(Err(code)) => {
            warn!(%code, "the controller gives no producer id to a transaction coordinator");
            None
        }
        Err(_) => None,
    };
    notes.tell(Note::ProducerId(id));
}
