//! What the coordinators need done besides answers and appends, each in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::LeaderEpoch;
use ottla_core::txn::{Act, Coordinator, Note};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::markers;
use crate::broker::Broker;
use crate::coordinator::{Actor, Notes};

/// How long the controller is asked for a producer id.
const PATIENCE: Duration = Duration::from_secs(5);

struct Job {
    act: Act,
    epoch: LeaderEpoch,
    notes: Notes<Coordinator>,
}

/// Hands acts over to [`run`].
#[derive(Clone)]
pub struct Handover(mpsc::UnboundedSender<Job>);

/// What was handed over.
pub struct Jobs(mpsc::UnboundedReceiver<Job>);

impl Handover {
    /// A way in, and what comes out of it.
    pub fn new() -> (Self, Jobs) {
        let (sender, jobs) = mpsc::unbounded_channel();
        (Self(sender), Jobs(jobs))
    }
}

impl Actor<Coordinator> for Handover {
    fn act(&self, act: Act, epoch: LeaderEpoch, notes: &Notes<Coordinator>) {
        // When the broker stops nobody takes them up: the next coordinator begins them anew.
        let _ = self.0.send(Job { act, epoch, notes: notes.clone() });
    }
}

/// Does what is handed over until the broker stops.
pub async fn run(broker: Arc<Broker>, mut jobs: Jobs, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    while let Some(Some(Job { act, epoch, notes })) = shutdown.run_until_cancelled(jobs.0.recv()).await {
        let (broker, stop) = (Arc::clone(&broker), shutdown.clone());
        tasks.spawn(async move {
            let work = async {
                match act {
                    Act::AllocateProducerId => allocate(&broker, &notes).await,
                    Act::WriteMarkers(markers) => markers::write(&broker, markers, epoch, &notes).await,
                }
            };
            stop.run_until_cancelled(work).await;
        });
    }
    tasks.close();
    tasks.wait().await;
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
