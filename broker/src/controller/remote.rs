//! The controller on another broker, asked over gRPC.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{Error, decode_result};
use ottla_core::{BrokerId, LogIndex};
use tonic::Code;
use tracing::debug;

use super::handle::{Answer, Order, Unanswered};
use super::peers::{Peer, Peers};
use super::proto::{ControllerClient, Decided, MAX_MESSAGE, Mutator, NotController, Outcome, SubmitRequest};

/// Reaches the other members of the quorum. Cheap to clone.
#[derive(Clone)]
pub(super) struct Remote {
    peers: Peers,
    address_of: Arc<dyn Fn(BrokerId) -> Option<String> + Send + Sync>,
}

impl Remote {
    /// Reaches members by `peers`, at the addresses that `address_of` knows.
    pub(super) fn new(peers: Peers, address_of: impl Fn(BrokerId) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { peers, address_of: Arc::new(address_of) }
    }

    pub(super) fn address_of(&self, broker: BrokerId) -> Option<String> {
        (self.address_of)(broker)
    }

    pub(super) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// A client of the controller service of `broker`.
    pub(super) fn client(&self, broker: BrokerId) -> Option<ControllerClient<Peer>> {
        let peer = self.peers.peer(&self.address_of(broker)?).ok()?;
        let client = ControllerClient::new(peer);
        Some(client.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE))
    }

    /// Has `broker`, which should lead, decide and commit what is ordered in a cluster that runs with this level of
    /// `ottla.version`.
    pub(super) async fn submit(&self, broker: BrokerId, order: &Order, level: i16) -> Result<Answer, Unanswered> {
        let mut client = self.client(broker).ok_or(Unanswered::NotController)?;
        let (command, by) = (order.command.to_wire(), order.by.as_ref().map(Mutator::from));
        let response = client.submit(SubmitRequest { level: level.into(), command, by }).await;
        match response.map(|response| response.into_inner().outcome) {
            Ok(Some(Outcome::Decided(Decided { index, result, wait_ms }))) => {
                let unknown =
                    |error| Err(Error::UnsupportedVersion(format!("the controller's answer is {error}").into()));
                let result = decode_result(&result).unwrap_or_else(unknown);
                Ok(Answer { index: LogIndex(index), result, wait: Duration::from_millis(wait_ms.into()) })
            }
            Ok(Some(Outcome::NotController(NotController { may_be_done: false }))) => Err(Unanswered::NotController),
            Ok(Some(Outcome::NotController(NotController { may_be_done: true })) | None) => Err(Unanswered::Lost),
            Err(status) if status.code() == Code::InvalidArgument => {
                let reason = format!("the controller does not take the command: {}", status.message());
                let result = Err(Error::UnsupportedVersion(reason.into()));
                Ok(Answer { index: LogIndex(0), result, wait: Duration::ZERO })
            }
            Err(status) => {
                debug!(%broker, %status, "the controller did not answer");
                Err(Unanswered::Lost)
            }
        }
    }
}
