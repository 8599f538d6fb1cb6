//! How nodes of the quorum reach each other: the seam for the RPCs of a quorum of several.
//!
//! A quorum of one has no peers; its Raft never calls a network, and is told "unreachable" if it should.

use std::io;

use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::{BasicNode, RaftNetwork, RaftNetworkFactory};

use super::types::{Quorum, VoterId};

/// The network of a quorum of one.
#[derive(Clone, Copy, Debug)]
pub struct NoPeers;

type RpcError<E> = RPCError<VoterId, BasicNode, RaftError<VoterId, E>>;

fn unreachable<E: std::error::Error>() -> RpcError<E> {
    RPCError::Unreachable(Unreachable::new(&io::Error::other("this quorum has one member")))
}

impl RaftNetworkFactory<Quorum> for NoPeers {
    type Network = Self;

    async fn new_client(&mut self, _: VoterId, _: &BasicNode) -> Self {
        *self
    }
}

impl RaftNetwork<Quorum> for NoPeers {
    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<Quorum>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<VoterId>, RPCError<VoterId, BasicNode, RaftError<VoterId>>> {
        Err(unreachable())
    }

    async fn install_snapshot(
        &mut self,
        _: InstallSnapshotRequest<Quorum>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<VoterId>, RpcError<InstallSnapshotError>> {
        Err(unreachable())
    }

    async fn vote(
        &mut self,
        _: VoteRequest<VoterId>,
        _: RPCOption,
    ) -> Result<VoteResponse<VoterId>, RPCError<VoterId, BasicNode, RaftError<VoterId>>> {
        Err(unreachable())
    }
}
