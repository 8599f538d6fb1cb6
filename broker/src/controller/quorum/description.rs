//! The quorum as its leader knows it, asked from any node.

use std::time::Duration;

use openraft::BasicNode;
use ottla_core::Timestamp;

use super::contact::leads;
use super::membership::{ChangeError, Member, Members};
use super::wire::{self, DecodeError, proto};
use super::{RaftLog, network};

/// How long the leader may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

impl RaftLog {
    /// The quorum as the leader knows it, which is asked if it is another node.
    pub async fn describe(&self) -> Result<Members, ChangeError> {
        let metrics = self.raft.metrics().borrow().clone();
        if leads(&metrics) {
            return Ok(self.members());
        }
        let leader = metrics.current_leader.filter(|leader| *leader != self.me && self.contact.is_there(Some(*leader)));
        let not_leader = || ChangeError::NotLeader { leader: leader.map(|leader| leader.broker()) };
        let node = leader.and_then(|leader| metrics.membership_config.membership().get_node(&leader).cloned());
        let BasicNode { addr } = node.ok_or_else(not_leader)?;
        let mut client = network::client(&self.peers, &addr).map_err(|_| not_leader())?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.describe(proto::DescribeRequest {})).await;
        let answer = answer.map_err(|_| ChangeError::TimedOut)?.map_err(|_| not_leader())?.into_inner();
        if !answer.leads {
            return Err(not_leader());
        }
        Members::from_proto(answer).map_err(|error| ChangeError::Stopped(error.to_string()))
    }
}

impl Members {
    pub(super) fn to_proto(&self, leads: bool) -> proto::DescribeResponse {
        let member = |member: &Member| proto::Member {
            id: Some(wire::voter_to_proto(&member.id)),
            address: member.address.clone(),
            is_voter: member.is_voter,
            log_end: member.log_end,
            heard_at: member.heard_at.map(|at| at.0),
            caught_up_at: member.caught_up_at.map(|at| at.0),
        };
        proto::DescribeResponse {
            leads,
            leader: self.leader.as_ref().map(wire::voter_to_proto),
            term: self.term,
            high_watermark: self.high_watermark,
            members: self.all.iter().map(member).collect(),
        }
    }

    fn from_proto(answer: proto::DescribeResponse) -> Result<Self, DecodeError> {
        let member = |member: proto::Member| {
            Ok::<_, DecodeError>(Member {
                id: wire::voter_from_proto(member.id)?,
                address: member.address,
                is_voter: member.is_voter,
                log_end: member.log_end,
                heard_at: member.heard_at.map(Timestamp),
                caught_up_at: member.caught_up_at.map(Timestamp),
            })
        };
        Ok(Self {
            leader: answer.leader.map(|leader| wire::voter_from_proto(Some(leader))).transpose()?,
            term: answer.term,
            high_watermark: answer.high_watermark,
            all: answer.members.into_iter().map(member).collect::<Result<_, _>>()?,
        })
    }
}
