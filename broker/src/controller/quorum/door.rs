//! What others can ask of this node: the gRPC service of the quorum, open before the node belongs to one.
//!
//! Until the log runs only [`Discover`](proto::quorum_server::Quorum::discover) is answered. Here is no rule: requests
//! go to openraft, to [`Contact`](super::contact::Contact) and to the membership.

use std::pin::Pin;
use std::sync::Arc;

use openraft::error::{InstallSnapshotError, RaftError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest};
use ottla_core::BrokerId;
use parking_lot::Mutex;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::RaftLog;
use super::contact::leads;
use super::network::LONGEST_MESSAGE;
use super::wire::proto::{self, append_response, quorum_server};
use super::wire::{self, DecodeError};
use crate::config::Voter;

/// Where other nodes of the quorum ask. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    me: BrokerId,
    founders: Vec<Voter>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The cluster that the disks belong to.
    cluster_id: Option<String>,
    log: Option<Arc<RaftLog>>,
}

impl Door {
    /// The door of the broker `me`, which would found a cluster with `founders`.
    pub fn new(me: BrokerId, founders: &[Voter]) -> Self {
        let mut founders = founders.to_vec();
        founders.sort_by_key(|founder| founder.id);
        Self(Arc::new(Inner { me, founders, state: Mutex::default() }))
    }

    /// The service, for the CONTROLLER listener.
    pub fn service(&self) -> quorum_server::QuorumServer<Self> {
        quorum_server::QuorumServer::new(self.clone())
            .max_decoding_message_size(LONGEST_MESSAGE)
            .max_encoding_message_size(LONGEST_MESSAGE)
    }

    /// Tells whoever asks that this node belongs to `cluster_id`.
    pub fn belongs_to(&self, cluster_id: &str) {
        self.0.state.lock().cluster_id = Some(cluster_id.to_owned());
    }

    /// Serves `log` from now on.
    pub fn open(&self, log: &Arc<RaftLog>) {
        self.0.state.lock().log = Some(Arc::clone(log));
    }

    /// With whom this node would found a cluster.
    pub(super) fn founders(&self) -> Vec<proto::Founder> {
        let founder = |voter: &Voter| proto::Founder { node: voter.id.0, address: voter.address.clone() };
        self.0.founders.iter().map(founder).collect()
    }

    fn log(&self) -> Result<Arc<RaftLog>, Status> {
        let log = self.0.state.lock().log.clone();
        log.ok_or_else(|| Status::unavailable("this node has no metadata log yet"))
    }

    /// The log, if it is the one that is meant.
    fn log_of(&self, to: Option<proto::VoterId>) -> Result<Arc<RaftLog>, Status> {
        let (log, to) = (self.log()?, wire::voter_from_proto(to).map_err(malformed)?);
        if log.me() == to {
            return Ok(log);
        }
        Err(Status::not_found(format!("this is voter {}, not {to}", log.me())))
    }
}

fn malformed(error: DecodeError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("the metadata log has stopped: {error}"))
}

type Watching = Pin<Box<dyn Stream<Item = Result<proto::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl quorum_server::Quorum for Door {
    async fn append(&self, request: Request<proto::AppendRequest>) -> Result<Response<proto::AppendResponse>, Status> {
        use append_response::Result as Answer;
        let request = request.into_inner();
        let log = self.log_of(request.to)?;
        let entries = request.entries.into_iter().map(wire::entry_from_proto).collect::<Result<_, _>>();
        let entries = entries.inspect_err(|error| log.cannot_read(error));
        let request = AppendEntriesRequest {
            vote: wire::vote_from_proto(request.vote).map_err(malformed)?,
            prev_log_id: wire::optional_log_id(request.previous).map_err(malformed)?,
            entries: entries.map_err(malformed)?,
            leader_commit: wire::optional_log_id(request.committed).map_err(malformed)?,
        };
        let vote = request.vote;
        log.hears(&vote);
        let answer = log.raft.append_entries(request).await.map_err(stopped)?;
        // openraft counts the lease from some moment in between.
        log.hears(&vote);
        let result = match answer {
            AppendEntriesResponse::Success => Answer::Success(proto::Blank {}),
            AppendEntriesResponse::Conflict => Answer::Conflict(proto::Blank {}),
            AppendEntriesResponse::HigherVote(vote) => Answer::HigherVote(wire::vote_to_proto(&vote)),
            AppendEntriesResponse::PartialSuccess(_) => return Err(Status::internal("a part was appended")),
        };
        Ok(Response::new(proto::AppendResponse { result: Some(result) }))
    }

    async fn elect(&self, request: Request<proto::ElectRequest>) -> Result<Response<proto::ElectResponse>, Status> {
        let request = request.into_inner();
        let log = self.log_of(request.to)?;
        let request = VoteRequest {
            vote: wire::vote_from_proto(request.vote).map_err(malformed)?,
            last_log_id: wire::optional_log_id(request.last).map_err(malformed)?,
        };
        let answer = log.raft.vote(request).await.map_err(stopped)?;
        if answer.vote_granted {
            log.contact.election_begins();
        }
        Ok(Response::new(proto::ElectResponse {
            vote: Some(wire::vote_to_proto(&answer.vote)),
            granted: answer.vote_granted,
            last: answer.last_log_id.as_ref().map(wire::log_id_to_proto),
        }))
    }

    async fn install_snapshot(
        &self,
        request: Request<proto::SnapshotPiece>,
    ) -> Result<Response<proto::SnapshotAnswer>, Status> {
        let request = request.into_inner();
        let log = self.log_of(request.to)?;
        let header = request.header.ok_or_else(|| malformed(DecodeError::Impossible("snapshot header")))?;
        let piece = InstallSnapshotRequest {
            vote: wire::vote_from_proto(request.vote).map_err(malformed)?,
            meta: wire::snapshot_meta_from_proto(header).map_err(malformed)?,
            offset: request.offset,
            data: request.data,
            done: request.done,
        };
        log.hears(&piece.vote);
        let answer = match log.raft.install_snapshot(piece).await {
            Ok(answer) => proto::SnapshotAnswer { vote: Some(wire::vote_to_proto(&answer.vote)), ..Default::default() },
            Err(RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch))) => proto::SnapshotAnswer {
                vote: None,
                expected_offset: Some(mismatch.expect.offset),
                expected_id: mismatch.expect.id,
            },
            Err(error) => return Err(stopped(error)),
        };
        Ok(Response::new(answer))
    }

    async fn poll(&self, request: Request<proto::PollRequest>) -> Result<Response<proto::PollResponse>, Status> {
        let request = request.into_inner();
        let log = self.log_of(request.to)?;
        let candidate = wire::voter_from_proto(request.candidate).map_err(malformed)?;
        let last = wire::optional_log_id(request.last).map_err(malformed)?;
        let bound = log.would_vote_for(candidate, last);
        let bound_ms = bound.map_or(0, |bound| u32::try_from(bound.as_millis()).unwrap_or(u32::MAX));
        Ok(Response::new(proto::PollResponse { granted: bound.is_some(), bound_ms }))
    }

    async fn take_over(
        &self,
        request: Request<proto::TakeOverRequest>,
    ) -> Result<Response<proto::TakeOverResponse>, Status> {
        let request = request.into_inner();
        let log = self.log_of(request.to)?;
        let leader = wire::voter_from_proto(request.leader).map_err(malformed)?;
        if !log.take_over(leader).await.map_err(stopped)? {
            return Err(Status::failed_precondition("this node does not follow you, or was not elected"));
        }
        Ok(Response::new(proto::TakeOverResponse {}))
    }

    type WatchLeaderStream = Watching;

    async fn watch_leader(&self, request: Request<proto::WatchRequest>) -> Result<Response<Watching>, Status> {
        let log = self.log_of(request.into_inner().to)?;
        let mut metrics = log.raft.metrics();
        if !leads(&metrics.borrow()) {
            return Err(Status::failed_precondition("this node does not lead"));
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            tokio::select! {
                _ = metrics.wait_for(|metrics| !leads(metrics)) => {}
                () = sender.closed() => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn discover(
        &self,
        request: Request<proto::DiscoverRequest>,
    ) -> Result<Response<proto::DiscoverResponse>, Status> {
        let agrees = request.into_inner().founders == self.founders();
        let cluster_id = self.0.state.lock().cluster_id.clone().unwrap_or_default();
        Ok(Response::new(proto::DiscoverResponse { node: self.0.me.0, cluster_id, agrees }))
    }

    async fn join(&self, request: Request<proto::JoinRequest>) -> Result<Response<proto::JoinResponse>, Status> {
        let request = request.into_inner();
        let voter = wire::voter_from_proto(request.voter.clone()).map_err(malformed)?;
        Ok(Response::new(self.log()?.take_in(voter, request).await))
    }

    async fn describe(&self, _: Request<proto::DescribeRequest>) -> Result<Response<proto::DescribeResponse>, Status> {
        let log = self.log()?;
        let is_leader = leads(&log.raft.metrics().borrow());
        Ok(Response::new(log.members().to_proto(is_leader)))
    }
}
