//! How the rest of the broker asks the controller, and sees the cluster.

use std::sync::Arc;

use ottla_core::BrokerId;
use ottla_core::controller::{self, Command, Operation, Response};
use ottla_core::metadata::Image;
use tokio::sync::{mpsc, oneshot, watch};

/// A command in the driver's queue, with where its answer goes.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Response, SubmitError>>,
}

/// Why a command was not carried out, or not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The controller refuses it as a whole.
    #[error(transparent)]
    Refused(#[from] controller::Error),
    /// The controller is on another broker. The command may have been carried out if the controller has just moved.
    #[error("the controller is not on this broker")]
    NotController {
        /// Where it is, if that is known.
        controller: Option<BrokerId>,
    },
    /// The metadata log has stopped; the broker is going down.
    #[error("the metadata log has stopped")]
    Stopped,
}

/// Asks the controller, and sees the cluster as this broker has made it its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ControllerHandle {
    pub(super) commands: mpsc::Sender<Pending>,
    pub(super) images: watch::Receiver<Arc<Image>>,
}

impl ControllerHandle {
    /// Has a command decided, committed and, as far as it concerns this broker, done; then returns its response.
    ///
    /// Waits while the queue is full. Dropping the future gives up the answer, not the command.
    pub async fn submit<O: Operation>(&self, operation: O) -> Result<O::Response, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let pending = Pending { command: operation.into_command(), answer };
        self.commands.send(pending).await.map_err(|_| SubmitError::Stopped)?;
        let response = answered.await.map_err(|_| SubmitError::Stopped)??;
        Ok(O::response(response).expect("the driver answers a command with its own response"))
    }

    /// The cluster as of now. What it says of this broker's partitions has been done.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.images.borrow())
    }

    /// Every image that follows, the latest at least.
    pub fn watch(&self) -> watch::Receiver<Arc<Image>> {
        self.images.clone()
    }
}
