//! What machines need done besides answers and appends, each in a task of its own.

use std::sync::Arc;

use ottla_core::LeaderEpoch;
use ottla_core::coordinator::Machine;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::driver::{Actor, Notes};
use crate::broker::Broker;

/// Something that a coordinator needs done.
pub struct Job<M: Machine> {
    /// What it is.
    pub act: M::Act,
    /// The epoch in which the coordinator's partition is led.
    pub epoch: LeaderEpoch,
    /// Whom to tell what came of it.
    pub notes: Notes<M>,
}

/// Hands jobs over to [`Jobs::run`].
pub struct Handover<M: Machine>(mpsc::UnboundedSender<Job<M>>);

impl<M: Machine> Clone for Handover<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What was handed over.
pub struct Jobs<M: Machine>(mpsc::UnboundedReceiver<Job<M>>);

impl<M: Machine> Handover<M> {
    /// A way in, and what comes out of it.
    pub fn new() -> (Self, Jobs<M>) {
        let (sender, jobs) = mpsc::unbounded_channel();
        (Self(sender), Jobs(jobs))
    }
}

impl<M: Machine> Actor<M> for Handover<M> {
    fn act(&self, act: M::Act, epoch: LeaderEpoch, notes: &Notes<M>) {
        // When the broker stops nobody takes them up: the next coordinator begins them anew.
        let _ = self.0.send(Job { act, epoch, notes: notes.clone() });
    }
}

impl<M: Machine> Jobs<M> {
    /// Does with `work` what is handed over until the broker stops.
    pub async fn run<F>(
        mut self,
        broker: Arc<Broker>,
        shutdown: CancellationToken,
        work: impl Fn(Arc<Broker>, Job<M>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = TaskTracker::new();
        while let Some(Some(job)) = shutdown.run_until_cancelled(self.0.recv()).await {
            let (work, stop) = (work(Arc::clone(&broker), job), shutdown.clone());
            tasks.spawn(async move {
                stop.run_until_cancelled(work).await;
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}
