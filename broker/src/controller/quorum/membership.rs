//! Who belongs to the quorum, and the changes to it while it runs; one at a time, each through a joint quorum.
//!
//! Every broker is a voter or a learner. Changes are made by the leader; elsewhere they fail with
//! [`ChangeError::NotLeader`], and who asked goes there.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers};
use ottla_core::metadata::Image;
use ottla_core::{BrokerId, Timestamp};
use tracing::{info, warn};

use super::contact::leads;
use super::types::VoterId;
use super::wire::proto::{self, join_response::Standing};
use super::{Metrics, RaftLog, network};
use crate::controller::log::MetadataLog;

/// How many entries a learner may lack to be made a voter.
const CAUGHT_UP_WITHIN: u64 = 100;
/// How long a change may take before who asked is told that it is not known to be done.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// A broker's place in the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub id: VoterId,
    /// `host:port` of the CONTROLLER listener.
    pub address: String,
    /// Votes; else it only learns.
    pub is_voter: bool,
    /// One past the last entry that it is known to have.
    pub log_end: Option<u64>,
    /// When the leader heard from it last; now for the leader itself.
    pub heard_at: Option<Timestamp>,
    /// When it last was known to have all that the leader had.
    pub caught_up_at: Option<Timestamp>,
}

/// The quorum as its leader knows it; other nodes know neither log ends nor times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// Who leads.
    pub leader: Option<VoterId>,
    /// The term.
    pub term: u64,
    /// One past the last committed entry that this node knows of.
    pub high_watermark: u64,
    /// All members, by id.
    pub all: Vec<Member>,
}

/// Why a change of the quorum was not made, or is not known to have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another node leads.
    #[error("not the leader of the metadata quorum")]
    NotLeader {
        /// Who, if it is known.
        leader: Option<BrokerId>,
    },
    /// The broker is no member.
    #[error("broker {0} is no member of the metadata quorum")]
    Unknown(BrokerId),
    /// A learner has to catch up before it votes.
    #[error("broker {0} lacks too many entries of the metadata log to vote yet")]
    NotCaughtUp(BrokerId),
    /// Somebody must vote.
    #[error("broker {0} is the only voter")]
    OnlyVoter(BrokerId),
    /// A voter must stop to vote first.
    #[error("broker {0} is a voter")]
    IsVoter(BrokerId),
    /// Another change is not done yet.
    #[error("the metadata quorum is being changed")]
    InProgress,
    /// No majority has agreed in time; it may still be made.
    #[error("no majority has agreed to the change in time")]
    TimedOut,
    /// The log has stopped.
    #[error("the metadata log has stopped: {0}")]
    Stopped(String),
}

impl RaftLog {
    /// The quorum as this node knows it.
    pub fn members(&self) -> Members {
        let metrics = self.raft.metrics().borrow().clone();
        let (now, leading) = (network::now(), leads(&metrics));
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<VoterId> = membership.voter_ids().collect();
        let end = |index: Option<u64>| index.map_or(0, |index| index + 1);
        let member = |(id, node): (&VoterId, &BasicNode)| {
            let (ack, is_me) = (self.acks.of(*id).filter(|_| leading), *id == self.me);
            let matched = metrics.replication.as_ref().and_then(|followers| *followers.get(id)?);
            Member {
                id: *id,
                address: node.addr.clone(),
                is_voter: voters.contains(id),
                log_end: if is_me { Some(end(metrics.last_log_index)) } else { matched.map(|id| id.index + 1) },
                heard_at: if is_me { Some(now) } else { ack.map(|ack| ack.at) },
                caught_up_at: if is_me && leading { Some(now) } else { ack.and_then(|ack| ack.caught_up_at) },
            }
        };
        Members {
            leader: metrics.current_leader,
            term: metrics.current_term,
            high_watermark: end(metrics.last_applied.map(|id| id.index)),
            all: membership.nodes().map(member).collect(),
        }
    }

    /// Makes a learner that has caught up a voter. Does nothing if it is one.
    pub async fn add_voter(&self, voter: VoterId) -> Result<(), ChangeError> {
        let _one_at_a_time = self.change.lock().await;
        let metrics = self.leading()?;
        knows(&metrics, voter)?;
        if metrics.membership_config.membership().voter_ids().any(|id| id == voter) {
            return Ok(());
        }
        if !has_caught_up(&metrics, voter) {
            return Err(ChangeError::NotCaughtUp(voter.broker()));
        }
        info!(%voter, "making a learner a voter");
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([voter])), true).await
    }

    /// Makes a voter a learner. Does nothing if it is one. A leader that does so to
    /// itself goes on to lead, without a vote, until it stops.
    pub async fn remove_voter(&self, voter: VoterId) -> Result<(), ChangeError> {
        let _one_at_a_time = self.change.lock().await;
        let metrics = self.leading()?;
        knows(&metrics, voter)?;
        let voters: BTreeSet<VoterId> = metrics.membership_config.membership().voter_ids().collect();
        if !voters.contains(&voter) {
            return Ok(());
        }
        if voters.len() == 1 {
            return Err(ChangeError::OnlyVoter(voter.broker()));
        }
        info!(%voter, "making a voter a learner");
        self.change(ChangeMembers::RemoveVoters(BTreeSet::from([voter])), true).await
    }

    /// Takes a learner out of the quorum for good: its disk is retired. Does nothing if it is no member.
    pub async fn forget(&self, learner: VoterId) -> Result<(), ChangeError> {
        let _one_at_a_time = self.change.lock().await;
        let metrics = self.leading()?;
        let membership = metrics.membership_config.membership();
        if membership.get_node(&learner).is_none() {
            return Ok(());
        }
        if membership.voter_ids().any(|id| id == learner) {
            return Err(ChangeError::IsVoter(learner.broker()));
        }
        info!(%learner, "taking a learner out of the quorum");
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([learner])), true).await
    }

    /// A node says that it is there. Takes it in if it is new, and makes of it what it should be, a step a call: it goes
    /// on asking until it is.
    pub(super) async fn take_in(&self, voter: VoterId, request: proto::JoinRequest) -> proto::JoinResponse {
        let answer = |standing: Standing, reason: String| proto::JoinResponse {
            standing: standing.into(),
            leader: self.leader_address().unwrap_or_default(),
            reason,
        };
        match self.try_take_in(voter, &request).await {
            Ok((standing, reason)) => answer(standing, reason),
            Err(ChangeError::NotLeader { .. }) => answer(Standing::NotLeader, String::new()),
            Err(error) => {
                warn!(%voter, %error, "cannot take a node in yet");
                answer(Standing::Unknown, error.to_string())
            }
        }
    }

    async fn try_take_in(
        &self,
        voter: VoterId,
        request: &proto::JoinRequest,
    ) -> Result<(Standing, String), ChangeError> {
        let _one_at_a_time = self.change.lock().await;
        let metrics = self.leading()?;
        if let Some(reason) = other_cluster(&self.committed.borrow(), &request.cluster_id) {
            return Ok((Standing::OtherCluster, reason));
        }
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<VoterId> = membership.voter_ids().collect();
        let others: BTreeSet<VoterId> =
            membership.nodes().map(|(id, _)| *id).filter(|id| id.broker() == voter.broker() && *id != voter).collect();
        match membership.get_node(&voter) {
            Some(_) if voters.contains(&voter) && request.empty => {
                let reason = format!("voter {voter} has voted before, and its metadata log is empty now");
                return Ok((Standing::Lost, reason));
            }
            Some(node) if node.addr != request.address => {
                info!(%voter, address = %request.address, before = %node.addr, "a node has a new address");
                let node = (voter, BasicNode::new(&request.address));
                self.change(ChangeMembers::SetNodes([node].into()), true).await?;
            }
            Some(_) => {}
            None if request.joined => {
                // A leader that has been replaced and does not know must not send anybody away.
                self.confirm_leading().await?;
                let reason = format!("the cluster has retired {voter}: this disk is not part of it any more");
                return Ok((Standing::Retired, reason));
            }
            None => {
                info!(%voter, address = %request.address, "taking in a new node");
                let node = (voter, BasicNode::new(&request.address));
                self.change(ChangeMembers::AddNodes([node].into()), true).await?;
            }
        }
        let is_to_vote = request.wants_vote || others.iter().any(|other| voters.contains(other));
        if !is_to_vote || voters.contains(&voter) && others.is_empty() {
            self.retire_learners(&others).await?;
            return Ok(if voters.contains(&voter) { (Standing::Voter, String::new()) } else { learner() });
        }
        if !has_caught_up(&self.leading()?, voter) {
            return Ok((Standing::CatchingUp, String::new()));
        }
        // Those that voted with the disk that this one takes the place of are left out altogether.
        let after: BTreeSet<VoterId> = voters.difference(&others).copied().chain([voter]).collect();
        info!(%voter, replaced = ?others, "a new node becomes a voter");
        self.change(ChangeMembers::ReplaceAllVoters(after), false).await?;
        self.retire_learners(&others.difference(&voters).copied().collect()).await?;
        Ok((Standing::Voter, String::new()))
    }

    async fn retire_learners(&self, learners: &BTreeSet<VoterId>) -> Result<(), ChangeError> {
        if learners.is_empty() {
            return Ok(());
        }
        self.change(ChangeMembers::RemoveNodes(learners.clone()), true).await
    }

    /// The metrics, if this node leads.
    fn leading(&self) -> Result<Metrics, ChangeError> {
        let metrics = self.raft.metrics().borrow().clone();
        if leads(&metrics) {
            return Ok(metrics);
        }
        let leader = metrics.current_leader.filter(|leader| *leader != self.me).map(|leader| leader.broker());
        Err(ChangeError::NotLeader { leader })
    }

    fn leader_address(&self) -> Option<String> {
        let leader = self.raft.metrics().borrow().current_leader?;
        self.address_of(leader.broker()).filter(|_| leader != self.me)
    }

    /// Makes sure that this node leads and has applied all that was committed before.
    pub async fn confirm_leading(&self) -> Result<(), ChangeError> {
        match tokio::time::timeout(CHANGE_TIMEOUT, self.raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ChangeError::NotLeader { leader: None }),
            Err(_) => Err(ChangeError::TimedOut),
        }
    }

    async fn change(&self, change: ChangeMembers<VoterId, BasicNode>, retain: bool) -> Result<(), ChangeError> {
        let changed = self.raft.change_membership(change, retain);
        match tokio::time::timeout(CHANGE_TIMEOUT, changed).await.map_err(|_| ChangeError::TimedOut)? {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ChangeError::NotLeader { leader: forward.leader_id.map(|leader| leader.broker()) })
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)))) => {
                Err(ChangeError::InProgress)
            }
            Err(error) => Err(ChangeError::Stopped(error.to_string())),
        }
    }
}

fn learner() -> (Standing, String) {
    (Standing::Learner, String::new())
}

fn other_cluster(image: &Image, cluster_id: &str) -> Option<String> {
    let own = image.cluster_id();
    let differs = !own.is_empty() && own != cluster_id;
    differs.then(|| format!("this is cluster {own}, the node belongs to {cluster_id}"))
}

/// Makes sure that the broker is a member with that very disk.
fn knows(metrics: &Metrics, member: VoterId) -> Result<(), ChangeError> {
    let node = metrics.membership_config.membership().get_node(&member);
    node.map(drop).ok_or(ChangeError::Unknown(member.broker()))
}

fn has_caught_up(metrics: &Metrics, voter: VoterId) -> bool {
    let matched = metrics.replication.as_ref().and_then(|followers| *followers.get(&voter)?);
    let (matched, last) = (matched.map(|id| id.index), metrics.last_log_index.unwrap_or(0));
    matched.is_some_and(|matched| matched + CAUGHT_UP_WITHIN >= last)
}
