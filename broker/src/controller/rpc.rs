//! The controller as other brokers reach it: the service of `proto/controller.proto` on the CONTROLLER listener.
//!
//! Decides nothing: commands go to this node's driver, and heartbeats that change nothing are answered from the image.

use std::pin::Pin;
use std::sync::Arc;

use futures::future::{Fuse, FusedFuture as _, FutureExt as _};
use ottla_core::controller::{BrokerHeartbeat, Command, Error, OTTLA_VERSION, Operation, Settings, decide};
use ottla_core::controller::{encode_result, supported_features};
use ottla_core::metadata::Image;
use ottla_core::{Now, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status as Refusal, Streaming};
use tracing::debug;

use super::handle::{Answer, Order, Pending, Unanswered, ask_driver};
use super::log::{Role, other_than};
use super::proto::{
    Controller, ControllerServer, Decided, Heartbeat, MAX_MESSAGE, NotController, Outcome, Status, SubmitRequest,
    SubmitResponse,
};
use super::sessions::{Doorbell, Visitor};

/// The service of one node.
#[derive(Clone)]
pub struct Rpc {
    pub(super) local: mpsc::Sender<Pending>,
    pub(super) role: watch::Receiver<Role>,
    pub(super) committed: watch::Receiver<Arc<Image>>,
    pub(super) settings: Settings,
    pub(super) doorbell: Doorbell,
}

impl Rpc {
    /// As the CONTROLLER listener takes it.
    pub fn into_service(self) -> ControllerServer<Self> {
        let server = ControllerServer::new(self);
        server.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE)
    }

    fn leads(&self) -> bool {
        *self.role.borrow() == Role::Leader
    }

    /// What the heartbeat comes to. Only one that changes something goes through the log.
    async fn heartbeat(&self, heartbeat: BrokerHeartbeat) -> Result<Status, Unanswered> {
        let superseded = Status { superseded: true, fenced: true, ..Status::default() };
        let command = heartbeat.into_command();
        let image = Arc::clone(&self.committed.borrow());
        // A heartbeat looks at no clock.
        let now = Now { monotonic: std::time::Duration::ZERO, wall: Timestamp::NONE };
        let result = match decide(&image, &self.settings, now, command.clone()) {
            Ok(decision) if decision.records.is_empty() => Ok(decision.response),
            Ok(_) => ask_driver(&self.local, command).await?.result,
            Err(error) => Err(error),
        };
        match result {
            Ok(response) => Ok(BrokerHeartbeat::response(response).map(Status::from).unwrap_or_default()),
            Err(Error::StaleBrokerEpoch { .. }) => Ok(superseded),
            Err(error) => {
                debug!(%error, "a heartbeat is refused");
                Ok(Status { fenced: true, ..Status::default() })
            }
        }
    }

    /// Serves one session until either side ends it or this node leads no longer.
    async fn attend(self, mut heartbeats: Streaming<Heartbeat>, statuses: mpsc::Sender<Result<Status, Refusal>>) {
        let mut role = self.role.clone();
        let mut visitor: Option<Visitor> = None;
        // Heartbeats are listened to while one of them is being decided.
        let mut deciding = Fuse::terminated();
        let mut latest = None;
        loop {
            if let Some(heartbeat) = latest.take_if(|_| deciding.is_terminated()) {
                let this = self.clone();
                deciding = async move { this.heartbeat(heartbeat).await }.boxed().fuse();
            }
            tokio::select! {
                message = heartbeats.message() => {
                    let Ok(Some(heartbeat)) = message else { return };
                    let heartbeat = BrokerHeartbeat::from(&heartbeat);
                    match &visitor {
                        Some(visitor) if visitor.is(&heartbeat) => visitor.heard(),
                        // Drops what another uptime of the broker would have been on the same stream.
                        _ => visitor = Some(self.doorbell.ring(heartbeat.broker, heartbeat.epoch)),
                    }
                    latest = Some(heartbeat);
                }
                status = &mut deciding, if !deciding.is_terminated() => {
                    let Ok(status) = status else { return };
                    if statuses.send(Ok(status)).await.is_err() {
                        return;
                    }
                }
                () = other_than(Role::Leader, &mut role) => return,
            }
        }
    }
}

#[tonic::async_trait]
impl Controller for Rpc {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Refusal> {
        let SubmitRequest { level, command, by } = request.into_inner();
        let highest = supported_features().find(|(name, _)| *name == OTTLA_VERSION).map_or(0, |(_, range)| range.max);
        if level > i32::from(highest) {
            return Err(Refusal::invalid_argument(format!("it is of level {level} of {OTTLA_VERSION}")));
        }
        let command = Command::from_wire(&command).map_err(|error| Refusal::invalid_argument(error.to_string()))?;
        let order = Order { command, by: by.map(Into::into) };
        let outcome = match ask_driver(&self.local, order).await {
            Ok(Answer { index, result, wait }) => {
                let wait_ms = (wait.as_secs_f64() * 1000.0).round() as u32;
                Outcome::Decided(Decided { index: index.0, result: encode_result(&result), wait_ms })
            }
            Err(Unanswered::NotController) => Outcome::NotController(NotController { may_be_done: false }),
            Err(Unanswered::Lost | Unanswered::Stopped) => Outcome::NotController(NotController { may_be_done: true }),
        };
        Ok(Response::new(SubmitResponse { outcome: Some(outcome) }))
    }

    type SessionStream = Pin<Box<dyn futures::Stream<Item = Result<Status, Refusal>> + Send>>;

    async fn session(&self, request: Request<Streaming<Heartbeat>>) -> Result<Response<Self::SessionStream>, Refusal> {
        if !self.leads() {
            return Err(Refusal::failed_precondition("this node does not lead"));
        }
        let (statuses, answers) = mpsc::channel(8);
        tokio::spawn(self.clone().attend(request.into_inner(), statuses));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}
