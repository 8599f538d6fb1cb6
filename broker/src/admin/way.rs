//! Who answers: this broker if it has the active controller, else the one that has.

use std::time::Duration;

use ottla_control::cluster_control_client::ClusterControlClient;
use ottla_core::BrokerId;
use tokio::time::timeout;
use tonic::{Request, Status};

use super::Admin;
use crate::controller::{MetadataLog, Peer, Role};

/// Set on what was handed on, so that two brokers that take each other for the controller do not hand it on for ever.
const FORWARDED: &str = "ottla-forwarded";
/// How long to wait for a controller to be elected.
const ELECTION: Duration = Duration::from_secs(2);
/// How long the controller may take over what was handed on to it.
const ANSWER: Duration = Duration::from_secs(15);

/// Who answers.
pub(super) enum Way {
    /// This broker: it has made sure that it leads the metadata log.
    Here,
    /// The broker with this client.
    There(Box<ClusterControlClient<Peer>>),
}

impl Admin {
    /// Who answers `request`.
    pub(super) async fn way<T>(&self, request: &Request<T>) -> Result<Way, Status> {
        let mut role = self.log.role();
        let known = role.wait_for(|role| !matches!(role, Role::Follower { leader: None }));
        let role = match timeout(ELECTION, known).await {
            Ok(Ok(role)) => *role,
            Ok(Err(_)) => return Err(Status::unavailable("this broker is stopping")),
            Err(_) => return Err(Status::unavailable("there is no active controller")),
        };
        match role {
            Role::Leader => {
                // One that was replaced and has not heard of it must not answer from what it knows.
                self.log.confirm_leading().await.map_err(|error| super::status::of_change(&error))?;
                Ok(Way::Here)
            }
            _ if request.metadata().contains_key(FORWARDED) => {
                Err(Status::unavailable("the active controller is on another broker by now"))
            }
            Role::Follower { leader: Some(leader) } => Ok(Way::There(Box::new(self.client(leader)?))),
            Role::Follower { leader: None } => Err(Status::unavailable("there is no active controller")),
        }
    }

    fn client(&self, broker: BrokerId) -> Result<ClusterControlClient<Peer>, Status> {
        let peer = self.peer(broker)?;
        Ok(ClusterControlClient::new(peer).max_decoding_message_size(super::status::ANSWER_BYTES))
    }

    /// The CONTROLLER listener of `broker`.
    pub(super) fn peer(&self, broker: BrokerId) -> Result<Peer, Status> {
        let unknown = || Status::unavailable(format!("the address of broker {broker} is not known"));
        let address = self.log.address_of(broker).ok_or_else(unknown)?;
        Ok(self.peers.peer(&address)?)
    }
}

/// `request` as it is handed on. The token is added by the peer.
pub(super) fn onward<T>(request: Request<T>) -> Request<T> {
    let mut onward = Request::new(request.into_inner());
    onward.metadata_mut().insert(FORWARDED, tonic::metadata::MetadataValue::from_static("true"));
    onward.set_timeout(ANSWER);
    onward
}
