//! CheckRestart: core's verdict in the words of the contract.

use ottla_control as proto;
use ottla_core::BrokerId;
use ottla_core::controller::{Harm, HarmedPartition, QuorumEffect, RestartVerdict, check_restart};
use tonic::Status;

use super::Admin;
use super::status::of_refusal;
use crate::controller::MetadataLog;

/// How many partitions an answer names.
const NAMED: usize = 1000;

impl Admin {
    /// What would come of restarting `broker`. This broker must have the active controller.
    pub(super) fn restart_verdict(&self, broker: BrokerId) -> Result<proto::CheckRestartResponse, Status> {
        let image = self.log.committed().borrow().clone();
        let voters: Vec<BrokerId> = self.voters().map(|voter| voter.id.broker()).collect();
        let verdict = check_restart(&image, &self.settings, &voters, broker).map_err(|error| of_refusal(&error))?;
        Ok(proto::CheckRestartResponse {
            is_controller: image.controller().is_some_and(|controller| controller.broker == broker),
            metadata_index: image.index().0,
            ..response(&verdict)
        })
    }
}

fn response(verdict: &RestartVerdict) -> proto::CheckRestartResponse {
    let quorum = match verdict.quorum {
        QuorumEffect::Kept => proto::QuorumEffect::Kept,
        QuorumEffect::Lost => proto::QuorumEffect::Lost,
        QuorumEffect::UnavoidablyLost => proto::QuorumEffect::UnavoidablyLost,
    };
    let named = |list: &[HarmedPartition]| list.iter().take(NAMED).map(harmed).collect();
    proto::CheckRestartResponse {
        allowed: verdict.is_allowed(),
        harmed: named(&verdict.harmed),
        harmed_count: count(verdict.harmed.len()),
        unavoidable: named(&verdict.unavoidable),
        unavoidable_count: count(verdict.unavoidable.len()),
        catching_up_count: count(verdict.catching_up),
        quorum: quorum.into(),
        ..proto::CheckRestartResponse::default()
    }
}

fn harmed(harmed: &HarmedPartition) -> proto::HarmedPartition {
    let harm = match harmed.harm {
        Harm::Offline => proto::Harm::Offline,
        Harm::UnderMinIsr => proto::Harm::UnderMinIsr,
    };
    proto::HarmedPartition {
        topic: harmed.partition.topic.to_string(),
        partition: harmed.partition.partition,
        harm: harm.into(),
        in_sync_left: count(harmed.in_sync_left),
        min_in_sync: count(harmed.min_in_sync),
    }
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
