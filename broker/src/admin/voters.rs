//! The metadata quorum in the words of the contract.

use ottla_control as proto;
use ottla_core::BrokerId;
use tonic::Status;

use super::Admin;
use super::status::{directory_text, of_change};
use crate::controller::quorum::Member;

impl Admin {
    /// Those that vote.
    pub(super) fn voters(&self) -> impl Iterator<Item = Member> + use<> {
        self.log.members().all.into_iter().filter(|member| member.is_voter)
    }

    /// The quorum. This broker must have the active controller.
    pub(super) fn quorum(&self) -> proto::ListVotersResponse {
        let members = self.log.members();
        let (voters, observers) = members.all.iter().partition::<Vec<&Member>, _>(|member| member.is_voter);
        proto::ListVotersResponse {
            voters: voters.into_iter().map(node).collect(),
            observers: observers.into_iter().map(node).collect(),
            leader_id: members.leader.map_or(-1, |leader| leader.broker().0),
            term: members.term,
            committed_index: members.high_watermark.saturating_sub(1),
        }
    }

    /// Gives a vote. This broker must have the active controller.
    pub(super) async fn give_vote(&self, broker: BrokerId, directory: &str) -> Result<(), Status> {
        let member = self.find(broker, directory)?;
        self.log.add_voter(member.id).await.map_err(|error| of_change(&error))
    }

    /// Takes a vote away. This broker must have the active controller.
    pub(super) async fn take_vote(&self, broker: BrokerId, directory: &str) -> Result<(), Status> {
        let member = self.find(broker, directory)?;
        self.log.remove_voter(member.id).await.map_err(|error| of_change(&error))
    }

    /// Takes a disk out of the quorum for good. This broker must have the active controller.
    pub(super) async fn retire(&self, broker: BrokerId, directory: &str) -> Result<(), Status> {
        if directory.is_empty() {
            return Err(Status::invalid_argument("which disk is to be retired is not said"));
        }
        match self.member(broker, directory) {
            Some(member) => self.log.forget(member.id).await.map_err(|error| of_change(&error)),
            None => Ok(()),
        }
    }

    /// The member with the disk `directory`, or with any if that is empty.
    fn member(&self, broker: BrokerId, directory: &str) -> Option<Member> {
        let is_it = |member: &Member| {
            member.id.broker() == broker && (directory.is_empty() || directory_text(member.id.directory()) == directory)
        };
        self.log.members().all.into_iter().find(is_it)
    }

    /// [`Self::member`], which has to be there.
    fn find(&self, broker: BrokerId, directory: &str) -> Result<Member, Status> {
        self.member(broker, directory).ok_or_else(|| {
            let with = if directory.is_empty() { String::new() } else { format!(" with directory {directory}") };
            Status::not_found(format!("broker {broker}{with} is no member of the metadata quorum"))
        })
    }
}

fn node(member: &Member) -> proto::QuorumNode {
    proto::QuorumNode {
        broker_id: member.id.broker().0,
        directory_id: directory_text(member.id.directory()),
        address: member.address.clone(),
        log_end_index: member.log_end.map(|end| end.saturating_sub(1)),
    }
}
