//! What openraft is told about this cluster: who the nodes are and what the entries carry.

use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use ottla_core::metadata::Entry;
use ottla_core::{BrokerId, DirectoryId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

openraft::declare_raft_types!(
    /// The metadata log's Raft.
    pub Quorum:
        D = Decided,
        R = Counted,
        NodeId = VoterId,
        Node = openraft::BasicNode,
        SnapshotData = Cursor<Vec<u8>>,
);

/// A node of the quorum: a broker with the disk it has. A broker whose disk was emptied has forgotten its votes, so it
/// must not vote as the one it was (KIP-853).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VoterId {
    node: i32,
    directory: Uuid,
}

impl VoterId {
    /// The broker `node` with its metadata in the log directory `directory`.
    pub fn new(node: BrokerId, directory: DirectoryId) -> Self {
        Self { node: node.0, directory: directory.0 }
    }

    /// The broker.
    pub fn broker(&self) -> BrokerId {
        BrokerId(self.node)
    }

    /// The log directory.
    pub fn directory(&self) -> DirectoryId {
        DirectoryId(self.directory)
    }
}

impl fmt::Display for VoterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node, self.directory)
    }
}

/// A batch of decisions on its way through Raft. Shared, for it is read again when it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided(pub Arc<Entry>);

// openraft asks for serde of whatever it carries; the log and the wire use protobuf.
impl Serialize for Decided {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.encode())
    }
}

impl<'de> Deserialize<'de> for Decided {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Entry::decode(&bytes).map(|entry| Self(Arc::new(entry))).map_err(de::Error::custom)
    }
}

/// Whether an applied entry counted, or was skipped because something had come between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted(pub bool);

pub(super) type LogId = openraft::LogId<VoterId>;
pub(super) type Vote = openraft::Vote<VoterId>;
pub(super) type Membership = openraft::Membership<VoterId, openraft::BasicNode>;
pub(super) type StoredMembership = openraft::StoredMembership<VoterId, openraft::BasicNode>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<VoterId, openraft::BasicNode>;
pub(super) type LogEntry = openraft::Entry<Quorum>;
pub(super) type Payload = openraft::EntryPayload<Quorum>;
pub(super) type StorageError = openraft::StorageError<VoterId>;
