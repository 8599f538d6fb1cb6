//! The seam between the controller and whatever keeps the metadata log: one of the two seams of the broker.

use std::future::Future;
use std::sync::Arc;

use ottla_core::metadata::{Entry, Image};
use ottla_core::{BrokerId, LogIndex};
use tokio::sync::watch;

/// What this node is to the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads, and has applied everything decided before: it may decide.
    Leader,
    /// Somebody else leads, or nobody that is known.
    Follower {
        /// The leader.
        leader: Option<BrokerId>,
    },
}

/// Resolves once the role is another than `now`, or nobody will say any more.
pub(super) async fn other_than(now: Role, role: &mut watch::Receiver<Role>) {
    drop(role.wait_for(|role| *role != now).await);
}

/// What came of a proposed entry that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its records are part of the image as of this index.
    Applied(LogIndex),
    /// Something came between: nobody applied it, and the commands have to be decided anew.
    Skipped,
}

/// Why a proposed entry may not have been committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead. The entry may still be committed by another leader, or never.
    #[error("not the leader of the metadata log")]
    NotLeader {
        /// The leader, if it is known.
        leader: Option<BrokerId>,
    },
    /// The log cannot go on: its disk failed, or it was shut down.
    #[error("the metadata log has stopped: {0}")]
    Stopped(String),
}

/// The replicated metadata log of the cluster.
pub trait MetadataLog: Send + Sync + 'static {
    /// Appends an entry, if this node leads; resolves once it is committed on a quorum and applied here.
    fn propose(&self, entry: Entry) -> impl Future<Output = Result<Outcome, ProposeError>> + Send;

    /// What this node is to the log.
    fn role(&self) -> watch::Receiver<Role>;

    /// Where the CONTROLLER listener of a member is reached (`host:port`); `None` for who is no member.
    fn address_of(&self, broker: BrokerId) -> Option<String>;

    /// The committed state, on every node.
    fn committed(&self) -> watch::Receiver<Arc<Image>>;
}
