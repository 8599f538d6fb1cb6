//! How a node of the quorum reaches another: openraft's RPCs as gRPC calls.
//!
//! Retrying is openraft's; here each call is made once and fails with what it failed with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, SnapshotMismatch, Unreachable,
};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::{BasicNode, RaftNetwork, RaftNetworkFactory, SnapshotSegmentId};
use ottla_core::Timestamp;
use parking_lot::Mutex;
use prost::Message;
use tonic::{Code, Status};

use super::types::{LogId, Quorum, VoterId};
use super::wire::proto::{self, append_response, quorum_client::QuorumClient};
use super::wire::{self, DecodeError};
use crate::controller::peers::{InvalidAddress, Peer, Peers};

/// Bytes of entries that go in one request, unless one entry is longer.
const BYTES_PER_REQUEST: usize = 4 << 20;
/// The longest message, either way; an entry is bounded by what one request may create.
pub(super) const LONGEST_MESSAGE: usize = 256 << 20;

/// A client of the quorum service at `address`.
pub(super) fn client(peers: &Peers, address: &str) -> Result<QuorumClient<Peer>, InvalidAddress> {
    let client = QuorumClient::new(peers.peer(address)?);
    Ok(client.max_decoding_message_size(LONGEST_MESSAGE).max_encoding_message_size(LONGEST_MESSAGE))
}

/// When a follower answered last, and when it last had all that the leader had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub at: Timestamp,
    pub caught_up_at: Option<Timestamp>,
}

/// The wall clock, which only people read.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What the leader has heard of its followers, and when it has last spoken to one.
#[derive(Clone, Default)]
pub(super) struct Acks(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    of: HashMap<VoterId, Ack>,
    spoken: Option<Instant>,
}

impl Acks {
    pub(super) fn of(&self, voter: VoterId) -> Option<Ack> {
        self.0.lock().of.get(&voter).copied()
    }

    /// How long it is since anything was sent to a follower, which binds a voter to its leader, or was answered.
    pub(super) fn silence(&self) -> Duration {
        self.0.lock().spoken.map_or(Duration::MAX, |at| at.elapsed())
    }

    fn speak(&self) {
        self.0.lock().spoken = Some(Instant::now());
    }

    /// A heartbeat, which is sent when there is nothing more to send, says that the follower has everything.
    fn note(&self, voter: VoterId, has_everything: bool) {
        let now = now();
        let mut heard = self.0.lock();
        heard.spoken = Some(Instant::now());
        let ack = heard.of.entry(voter).or_insert(Ack { at: now, caught_up_at: None });
        ack.at = now;
        if has_everything {
            ack.caught_up_at = Some(now);
        }
    }
}

/// Makes the connections to peers.
#[derive(Clone)]
pub(super) struct Network {
    pub peers: Peers,
    pub acks: Acks,
}

impl RaftNetworkFactory<Quorum> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: VoterId, node: &BasicNode) -> Connection {
        Connection { target, client: client(&self.peers, &node.addr), acks: self.acks.clone() }
    }
}

/// The connection to one peer.
pub(super) struct Connection {
    target: VoterId,
    client: Result<QuorumClient<Peer>, InvalidAddress>,
    acks: Acks,
}

type RpcError<E> = RPCError<VoterId, BasicNode, E>;

impl Connection {
    fn client<E: std::error::Error>(&self) -> Result<QuorumClient<Peer>, RpcError<E>> {
        self.client.clone().map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }

    fn to(&self) -> Option<proto::VoterId> {
        Some(wire::voter_to_proto(&self.target))
    }
}

fn failed<E: std::error::Error>(status: Status) -> RpcError<E> {
    match status.code() {
        // openraft waits before it tries again.
        Code::Unavailable | Code::NotFound | Code::Unauthenticated => RPCError::Unreachable(Unreachable::new(&status)),
        _ => RPCError::Network(NetworkError::new(&status)),
    }
}

fn nonsense<E: std::error::Error>(error: DecodeError) -> RpcError<E> {
    RPCError::Network(NetworkError::new(&error))
}

/// As many of the entries as fit a request, at least one; and the id of the last if they are not all.
fn piece(request: &AppendEntriesRequest<Quorum>) -> (Vec<proto::LogEntry>, Option<LogId>) {
    let (mut entries, mut bytes) = (Vec::with_capacity(request.entries.len()), 0);
    for entry in &request.entries {
        let encoded = wire::entry_to_proto(entry);
        bytes += encoded.encoded_len();
        if bytes > BYTES_PER_REQUEST && !entries.is_empty() {
            let last = request.entries.get(entries.len() - 1).map(|entry| entry.log_id);
            return (entries, last);
        }
        entries.push(encoded);
    }
    (entries, None)
}

impl RaftNetwork<Quorum> for Connection {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Quorum>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<VoterId>, RpcError<RaftError<VoterId>>> {
        let (entries, cut_after) = piece(&request);
        let is_heartbeat = entries.is_empty();
        let message = proto::AppendRequest {
            to: self.to(),
            vote: Some(wire::vote_to_proto(&request.vote)),
            previous: request.prev_log_id.as_ref().map(wire::log_id_to_proto),
            entries,
            committed: request.leader_commit.as_ref().map(wire::log_id_to_proto),
        };
        self.acks.speak();
        let answer = self.client()?.append(message).await.map_err(failed)?.into_inner();
        use append_response::Result as Answer;
        match answer.result {
            Some(Answer::Success(_)) => {
                self.acks.note(self.target, is_heartbeat);
                Ok(cut_after
                    .map_or(AppendEntriesResponse::Success, |last| AppendEntriesResponse::PartialSuccess(Some(last))))
            }
            Some(Answer::Conflict(_)) => Ok(AppendEntriesResponse::Conflict),
            Some(Answer::HigherVote(vote)) => {
                Ok(AppendEntriesResponse::HigherVote(wire::vote_from_proto(Some(vote)).map_err(nonsense)?))
            }
            None => Err(nonsense(DecodeError::Impossible("answer"))),
        }
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Quorum>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<VoterId>, RpcError<RaftError<VoterId, InstallSnapshotError>>> {
        let (snapshot_id, offset) = (request.meta.snapshot_id.clone(), request.offset);
        let message = proto::SnapshotPiece {
            to: self.to(),
            vote: Some(wire::vote_to_proto(&request.vote)),
            header: Some(wire::snapshot_meta_to_proto(&request.meta)),
            offset,
            data: request.data,
            done: request.done,
        };
        self.acks.speak();
        let answer = self.client()?.install_snapshot(message).await.map_err(failed)?.into_inner();
        if let Some(expected) = answer.expected_offset {
            let mismatch = SnapshotMismatch {
                expect: SnapshotSegmentId { id: answer.expected_id, offset: expected },
                got: SnapshotSegmentId { id: snapshot_id, offset },
            };
            let error = RaftError::APIError(InstallSnapshotError::from(mismatch));
            return Err(RPCError::RemoteError(RemoteError::new(self.target, error)));
        }
        self.acks.note(self.target, false);
        Ok(InstallSnapshotResponse { vote: wire::vote_from_proto(answer.vote).map_err(nonsense)? })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<VoterId>,
        _: RPCOption,
    ) -> Result<VoteResponse<VoterId>, RpcError<RaftError<VoterId>>> {
        let message = proto::ElectRequest {
            to: self.to(),
            vote: Some(wire::vote_to_proto(&request.vote)),
            last: request.last_log_id.as_ref().map(wire::log_id_to_proto),
        };
        let answer = self.client()?.elect(message).await.map_err(failed)?.into_inner();
        Ok(VoteResponse {
            vote: wire::vote_from_proto(answer.vote).map_err(nonsense)?,
            vote_granted: answer.granted,
            last_log_id: wire::optional_log_id(answer.last).map_err(nonsense)?,
        })
    }

    fn backoff(&self) -> openraft::network::Backoff {
        // A peer that is back should not wait for long; a dial that is refused costs little.
        openraft::network::Backoff::new(std::iter::repeat(Duration::from_millis(100)))
    }
}
