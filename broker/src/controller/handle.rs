//! How the rest of the broker asks the controller, wherever that is, and sees the cluster.
//!
//! A command whose answer is lost because the lead moves is sent again: commands say the same twice or are guarded by
//! an epoch or an id, and what the first sending explains is no refusal ([`settle`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{self, Command, OTTLA_VERSION, Operation, Response, settle};
use ottla_core::metadata::Image;
use ottla_core::quota::Mutator;
use ottla_core::{BrokerId, LogIndex};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::log::{Role, other_than};
use super::remote::Remote;

/// How long to wait before trying again unless the lead moves.
const RETRY: Duration = Duration::from_millis(20);

/// A command, and the client it is for if that one's quota is to be heeded.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) command: Command,
    pub(super) by: Option<Mutator>,
}

impl From<Command> for Order {
    fn from(command: Command) -> Self {
        Self { command, by: None }
    }
}

/// An order in the driver's queue, with where its answer goes.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) order: Order,
    pub(super) answer: oneshot::Sender<Result<Answer, Unanswered>>,
}

/// What the controller has decided and committed.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The image at this index shows it.
    pub(super) index: LogIndex,
    pub(super) result: Result<Response, controller::Error>,
    /// How long it takes until the client's quota allows more changes.
    pub(super) wait: Duration,
}

/// Why a command has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The node asked does not lead, and has done nothing.
    NotController,
    /// The lead, or the connection to it, was lost meanwhile: the command may have been carried out.
    Lost,
    /// The node asked stops.
    Stopped,
}

/// Why a command was not carried out, or not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The controller refuses it as a whole.
    #[error(transparent)]
    Refused(#[from] controller::Error),
    /// No controller answered in time. The command may have been carried out, or be yet.
    #[error("no controller has answered in time")]
    TimedOut,
    /// The metadata log has stopped; the broker is going down.
    #[error("the metadata log has stopped")]
    Stopped,
}

/// Asks the controller, and sees the cluster as this broker has made it its own. Cheap to clone.
#[derive(Clone)]
pub struct ControllerHandle {
    pub(super) local: mpsc::Sender<Pending>,
    pub(super) role: watch::Receiver<Role>,
    pub(super) remote: Remote,
    pub(super) images: watch::Receiver<Arc<Image>>,
}

impl fmt::Debug for ControllerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerHandle").field("role", &*self.role.borrow()).finish_non_exhaustive()
    }
}

impl ControllerHandle {
    /// How long a command is pursued where the asker does not say: Kafka's request.timeout.ms.
    pub const PATIENCE: Duration = Duration::from_secs(30);

    /// Has a command decided, committed and, as far as it concerns this broker, done; then returns its response. Waits
    /// 30 s for a controller.
    pub async fn submit<O: Operation>(&self, operation: O) -> Result<O::Response, SubmitError> {
        self.submit_within(operation, Self::PATIENCE).await
    }

    /// Like [`Self::submit`], waiting no longer than `patience`.
    ///
    /// Dropping the future gives up the answer, not the command.
    pub async fn submit_within<O: Operation>(
        &self,
        operation: O,
        patience: Duration,
    ) -> Result<O::Response, SubmitError> {
        let (response, _) = self.submit_order::<O>(operation.into_command().into(), patience).await?;
        Ok(response)
    }

    /// Like [`Self::submit_within`] for a client, by whose quota of changes (KIP-599) it is decided; gives besides how long
    /// it takes until that allows more.
    pub async fn submit_for<O: Operation>(
        &self,
        by: Mutator,
        operation: O,
        patience: Duration,
    ) -> Result<(O::Response, Duration), SubmitError> {
        self.submit_order::<O>(Order { command: operation.into_command(), by: Some(by) }, patience).await
    }

    async fn submit_order<O: Operation>(
        &self,
        order: Order,
        patience: Duration,
    ) -> Result<(O::Response, Duration), SubmitError> {
        let pursued = timeout_at(Instant::now() + patience, self.pursue(&order)).await;
        let (response, wait) = pursued.map_err(|_| SubmitError::TimedOut)??;
        let mismatch = || SubmitError::Refused(controller::Error::Unknown("the answer is to another command".into()));
        Ok((O::response(response).ok_or_else(mismatch)?, wait))
    }

    /// The cluster as of now. What it says of this broker's partitions has been done.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.images.borrow())
    }

    /// Every image that follows, the latest at least.
    pub fn watch(&self) -> watch::Receiver<Arc<Image>> {
        self.images.clone()
    }

    /// Sends the command to one controller after the other until one answers, and waits until the answer shows here.
    async fn pursue(&self, order: &Order) -> Result<(Response, Duration), SubmitError> {
        let before = self.image();
        let mut role = self.role.clone();
        let mut was_sent = false;
        loop {
            let now = *role.borrow_and_update();
            match self.ask(now, &mut role, order).await {
                Ok(Answer { index, mut result, wait }) => {
                    let after = self.published(index).await?;
                    if was_sent {
                        settle(&order.command, &before, &after, &mut result);
                    }
                    return Ok((result?, wait));
                }
                Err(Unanswered::Stopped) => return Err(SubmitError::Stopped),
                Err(Unanswered::Lost) => was_sent = true,
                Err(Unanswered::NotController) => {}
            }
            tokio::select! {
                changed = role.changed() => changed.map_err(|_| SubmitError::Stopped)?,
                () = sleep(RETRY) => {}
            }
        }
    }

    /// Asks whoever leads now, no longer than that lasts.
    async fn ask(&self, now: Role, role: &mut watch::Receiver<Role>, order: &Order) -> Result<Answer, Unanswered> {
        match now {
            Role::Leader => self.ask_here(order).await,
            Role::Follower { leader: None } => Err(Unanswered::NotController),
            Role::Follower { leader: Some(leader) } => {
                let level = self.image().feature(OTTLA_VERSION);
                tokio::select! {
                    answer = self.remote.submit(leader, order, level) => answer,
                    // A controller that is frozen or cut off would keep this waiting.
                    () = other_than(now, role) => Err(Unanswered::Lost),
                }
            }
        }
    }

    async fn ask_here(&self, order: &Order) -> Result<Answer, Unanswered> {
        ask_driver(&self.local, order.clone()).await
    }

    async fn published(&self, index: LogIndex) -> Result<Arc<Image>, SubmitError> {
        let mut images = self.images.clone();
        let image = images.wait_for(|image| image.index() >= index).await;
        // The publisher gone means that the broker stops.
        image.map(|image| Arc::clone(&image)).map_err(|_| SubmitError::Stopped)
    }

    /// Who leads the metadata log, as far as this node knows.
    pub(super) fn leader(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    /// A channel to the controller on `broker`.
    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Where the CONTROLLER listener of `broker` is, if it is a member of the quorum.
    pub fn controller_address(&self, broker: BrokerId) -> Option<String> {
        self.remote.address_of(broker)
    }
}

/// Has the driver of this node decide and commit what is ordered.
pub(super) async fn ask_driver(local: &mpsc::Sender<Pending>, order: impl Into<Order>) -> Result<Answer, Unanswered> {
    let (answer, answered) = oneshot::channel();
    local.send(Pending { order: order.into(), answer }).await.map_err(|_| Unanswered::Stopped)?;
    answered.await.map_err(|_| Unanswered::Stopped)?
}
