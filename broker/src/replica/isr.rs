//! In-sync sets: sends what leaders propose to the controller, and has leaders look for followers that lag.
//!
//! One AlterPartition is out at a time and carries what has gathered meanwhile; a proposal counts in its partition's
//! maximal ISR until it is answered, so one whose fate is unknown is sent again, never dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{self, AlterPartition, AlteredPartition, IsrMember, PartitionFault};
use ottla_core::metadata::LeaderRecovery;
use ottla_core::partition::IsrProposal;
use ottla_core::{BrokerEpoch, BrokerId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Manager, Partition};
use crate::controller::ControllerHandle;

/// The first pause after a send that failed, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// The most proposals in one request.
const BATCH: usize = 1000;
/// Leaders look for followers that lag this often, or five times within the allowed lag if that is more often.
const LOOK: Duration = Duration::from_secs(1);

/// Proposals that wait to be sent, by the handle of their partition.
#[derive(Default)]
pub struct Proposals {
    waiting: Mutex<HashMap<u64, IsrProposal>>,
    wake: Notify,
}

impl Proposals {
    /// Has a proposal sent; it takes the place of an older one of the same partition.
    pub(super) fn put(&self, handle: u64, proposal: IsrProposal) {
        self.waiting.lock().insert(handle, proposal);
        self.wake.notify_one();
    }

    fn take(&self) -> Vec<(u64, IsrProposal)> {
        let mut waiting = self.waiting.lock();
        let some: Vec<u64> = waiting.keys().copied().take(BATCH).collect();
        some.into_iter().filter_map(|handle| waiting.remove_entry(&handle)).collect()
    }

    fn put_back(&self, proposals: Vec<Sent>) {
        let mut waiting = self.waiting.lock();
        for sent in proposals {
            waiting.entry(sent.partition.handle()).or_insert(sent.proposal);
        }
    }
}

/// A proposal on its way.
struct Sent {
    partition: Arc<Partition>,
    proposal: IsrProposal,
}

/// Sends what is proposed until `shutdown`.
pub async fn send_proposals(
    manager: Arc<Manager>,
    controller: ControllerHandle,
    broker: BrokerId,
    epoch: BrokerEpoch,
    shutdown: CancellationToken,
) {
    let proposals = Arc::clone(manager.proposals());
    let mut pause = PAUSE.0;
    loop {
        let sent = live(&manager, proposals.take());
        if sent.is_empty() {
            match shutdown.run_until_cancelled(proposals.wake.notified()).await {
                Some(()) => continue,
                None => return,
            }
        }
        let request = request(broker, epoch, &sent);
        let Some(answer) = shutdown.run_until_cancelled(controller.submit(request)).await else { return };
        match answer {
            Ok(answers) => {
                pause = PAUSE.0;
                answers.iter().for_each(|answer| settle(&manager, &sent, answer));
            }
            Err(error) => {
                debug!(%error, proposals = sent.len(), "cannot alter partitions, trying again");
                proposals.put_back(sent);
                if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

/// Those whose partition still waits for them.
fn live(manager: &Manager, taken: Vec<(u64, IsrProposal)>) -> Vec<Sent> {
    let found = taken.into_iter().filter_map(|(handle, proposal)| {
        let partition = manager.partition_of_handle(handle)?;
        partition.is_proposed(&proposal).then_some(Sent { partition, proposal })
    });
    found.collect()
}

fn request(broker: BrokerId, broker_epoch: BrokerEpoch, sent: &[Sent]) -> AlterPartition {
    let proposal = |Sent { partition, proposal }: &Sent| controller::IsrProposal {
        topic: partition.topic_id(),
        partition: partition.id().partition,
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        isr: proposal.members.iter().map(|(broker, epoch)| IsrMember { broker: *broker, epoch: *epoch }).collect(),
        recovery: LeaderRecovery::Recovered,
        flushed: proposal.flushed,
    };
    AlterPartition { broker, broker_epoch, proposals: sent.iter().map(proposal).collect() }
}

fn settle(manager: &Manager, sent: &[Sent], answer: &AlteredPartition) {
    let is_meant =
        |sent: &&Sent| sent.partition.topic_id() == answer.topic && sent.partition.id().partition == answer.partition;
    let Some(Sent { partition, proposal }) = sent.iter().find(is_meant) else { return };
    let now = manager.clock().now();
    match &answer.result {
        Ok(state) => {
            info!(partition = %partition.id(), isr = ?state.isr, epoch = %state.partition_epoch, "isr altered");
            partition.proposal_refused(proposal, Some(state.partition_epoch), now);
        }
        // The state that these speak of is on its way here and ends the proposal.
        Err(PartitionFault::FencedLeaderEpoch | PartitionFault::StalePartitionEpoch) => {
            debug!(partition = %partition.id(), "isr proposal came too late");
        }
        Err(PartitionFault::ControllerBehind) => {
            manager.proposals().put(partition.handle(), proposal.clone());
        }
        Err(fault) => {
            warn!(partition = %partition.id(), %fault, members = ?proposal.members, "isr proposal refused");
            partition.proposal_refused(proposal, None, now);
        }
    }
}

/// Has every leader look for followers that have lagged for longer than `max_lag`, until `shutdown`.
pub async fn watch_lag(manager: Arc<Manager>, max_lag: Duration, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(LOOK.min(max_lag / 5).max(Duration::from_millis(10)));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(interval.tick()).await.is_some() {
        let now = manager.clock().now();
        for partition in manager.topics().partitions() {
            partition.tick(now, max_lag);
        }
    }
}
