//! Raft's own data as protobuf, by the schema in `proto/quorum.proto`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openraft::{BasicNode, LeaderId};
use ottla_core::metadata::{self, Entry};
use ottla_core::{BrokerId, DirectoryId};
use prost::Message;
use uuid::Uuid;

use super::types::{Decided, LogEntry, LogId, Membership, Payload, SnapshotMeta, StoredMembership, Vote, VoterId};

#[allow(missing_docs, clippy::all, unused_qualifications)]
pub(super) mod proto {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/generated/ottla.quorum.v1.rs"));
}

/// Why bytes are no data of the quorum.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf of this schema.
    #[error("malformed quorum data: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Something that must be there is not, or is not what it must be.
    #[error("quorum data with an impossible {0}")]
    Impossible(&'static str),
    /// The records of an entry or a snapshot.
    #[error(transparent)]
    Metadata(#[from] metadata::DecodeError),
}

impl DecodeError {
    /// Whether a newer Ottla wrote it.
    pub fn is_from_a_newer_version(&self) -> bool {
        matches!(self, Self::Metadata(metadata::DecodeError::UnknownKind))
    }
}

type Result<T> = std::result::Result<T, DecodeError>;

pub(super) fn encode_entry(entry: &LogEntry) -> Vec<u8> {
    entry_to_proto(entry).encode_to_vec()
}

pub(super) fn decode_entry(bytes: &[u8]) -> Result<LogEntry> {
    entry_from_proto(proto::LogEntry::decode(bytes)?)
}

pub(super) fn entry_to_proto(entry: &LogEntry) -> proto::LogEntry {
    use proto::log_entry::Payload as Kind;
    let payload = match &entry.payload {
        Payload::Blank => Kind::Blank(proto::Blank {}),
        Payload::Normal(decided) => Kind::Records(decided.0.encode()),
        Payload::Membership(membership) => Kind::Membership(membership_to_proto(membership)),
    };
    proto::LogEntry { id: Some(log_id_to_proto(&entry.log_id)), payload: Some(payload) }
}

pub(super) fn entry_from_proto(entry: proto::LogEntry) -> Result<LogEntry> {
    use proto::log_entry::Payload as Kind;
    let payload = match entry.payload.ok_or(DecodeError::Impossible("entry payload"))? {
        Kind::Blank(_) => Payload::Blank,
        Kind::Records(bytes) => Payload::Normal(Decided(Arc::new(Entry::decode(&bytes)?))),
        Kind::Membership(membership) => Payload::Membership(membership_from_proto(membership)?),
    };
    Ok(LogEntry { log_id: log_id_from_proto(entry.id)?, payload })
}

pub(super) fn encode_vote(vote: &Vote) -> Vec<u8> {
    vote_to_proto(vote).encode_to_vec()
}

pub(super) fn decode_vote(bytes: &[u8]) -> Result<Vote> {
    vote_from_proto(Some(proto::Vote::decode(bytes)?))
}

pub(super) fn vote_to_proto(vote: &Vote) -> proto::Vote {
    proto::Vote { leader: Some(leader_to_proto(&vote.leader_id)), committed: vote.committed }
}

pub(super) fn vote_from_proto(vote: Option<proto::Vote>) -> Result<Vote> {
    let vote = vote.ok_or(DecodeError::Impossible("vote"))?;
    Ok(Vote { leader_id: leader_from_proto(vote.leader)?, committed: vote.committed })
}

pub(super) fn encode_log_id(id: &LogId) -> Vec<u8> {
    log_id_to_proto(id).encode_to_vec()
}

pub(super) fn decode_log_id(bytes: &[u8]) -> Result<LogId> {
    log_id_from_proto(Some(proto::LogId::decode(bytes)?))
}

pub(super) fn encode_snapshot_meta(meta: &SnapshotMeta) -> Vec<u8> {
    snapshot_meta_to_proto(meta).encode_to_vec()
}

pub(super) fn decode_snapshot_meta(bytes: &[u8]) -> Result<SnapshotMeta> {
    snapshot_meta_from_proto(proto::SnapshotHeader::decode(bytes)?)
}

pub(super) fn snapshot_meta_to_proto(meta: &SnapshotMeta) -> proto::SnapshotHeader {
    proto::SnapshotHeader {
        id: meta.snapshot_id.clone(),
        last: meta.last_log_id.as_ref().map(log_id_to_proto),
        membership_id: meta.last_membership.log_id().as_ref().map(log_id_to_proto),
        membership: Some(membership_to_proto(meta.last_membership.membership())),
    }
}

pub(super) fn snapshot_meta_from_proto(header: proto::SnapshotHeader) -> Result<SnapshotMeta> {
    let membership = membership_from_proto(header.membership.ok_or(DecodeError::Impossible("membership"))?)?;
    Ok(SnapshotMeta {
        last_log_id: optional_log_id(header.last)?,
        last_membership: StoredMembership::new(optional_log_id(header.membership_id)?, membership),
        snapshot_id: header.id,
    })
}

pub(super) fn optional_log_id(id: Option<proto::LogId>) -> Result<Option<LogId>> {
    id.map(|id| log_id_from_proto(Some(id))).transpose()
}

pub(super) fn voter_to_proto(id: &VoterId) -> proto::VoterId {
    proto::VoterId { node: id.broker().0, directory: id.directory().0.as_bytes().to_vec() }
}

pub(super) fn voter_from_proto(id: Option<proto::VoterId>) -> Result<VoterId> {
    let id = id.ok_or(DecodeError::Impossible("voter"))?;
    let directory = Uuid::from_slice(&id.directory).map_err(|_| DecodeError::Impossible("directory id"))?;
    Ok(VoterId::new(BrokerId(id.node), DirectoryId(directory)))
}

fn leader_to_proto(id: &LeaderId<VoterId>) -> proto::LeaderId {
    proto::LeaderId { term: id.term, voter: Some(voter_to_proto(&id.node_id)) }
}

fn leader_from_proto(id: Option<proto::LeaderId>) -> Result<LeaderId<VoterId>> {
    let id = id.ok_or(DecodeError::Impossible("leader"))?;
    Ok(LeaderId::new(id.term, voter_from_proto(id.voter)?))
}

pub(super) fn log_id_to_proto(id: &LogId) -> proto::LogId {
    proto::LogId { leader: Some(leader_to_proto(&id.leader_id)), index: id.index }
}

fn log_id_from_proto(id: Option<proto::LogId>) -> Result<LogId> {
    let id = id.ok_or(DecodeError::Impossible("log id"))?;
    Ok(LogId::new(leader_from_proto(id.leader)?, id.index))
}

fn membership_to_proto(membership: &Membership) -> proto::Membership {
    let set = |set: &BTreeSet<VoterId>| proto::VoterSet { voters: set.iter().map(voter_to_proto).collect() };
    let node =
        |(id, node): (&VoterId, &BasicNode)| proto::Node { id: Some(voter_to_proto(id)), address: node.addr.clone() };
    proto::Membership {
        sets: membership.get_joint_config().iter().map(set).collect(),
        nodes: membership.nodes().map(node).collect(),
    }
}

fn membership_from_proto(membership: proto::Membership) -> Result<Membership> {
    let set = |set: proto::VoterSet| set.voters.into_iter().map(|id| voter_from_proto(Some(id))).collect();
    let sets = membership.sets.into_iter().map(set).collect::<Result<Vec<BTreeSet<VoterId>>>>()?;
    let nodes = membership.nodes.into_iter().map(|node| Ok((voter_from_proto(node.id)?, BasicNode::new(node.address))));
    let nodes = nodes.collect::<Result<BTreeMap<VoterId, BasicNode>>>()?;
    Ok(Membership::new(sets, nodes))
}
