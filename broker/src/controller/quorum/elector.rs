//! When to stand for election: once the leader is gone, and a majority says that it would vote for this node.
//!
//! Asking first changes nothing, so a node that cannot hear the leader while others do, or that lacks entries, never
//! disturbs the quorum by raising the term (Raft's pre-vote). openraft's own election timer is off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openraft::Raft;
use rand::Rng;
use tracing::{debug, info};

use super::contact::{Contact, leads};
use super::store::Store;
use super::types::{LogId, Quorum, VoterId};
use super::wire::{self, proto};
use super::{Metrics, RaftLog, network};
use crate::controller::peers::Peers;

/// How long a voter may take to say whether it would vote.
const POLL_TIMEOUT: Duration = Duration::from_millis(300);
/// Added to the time for which others say they are bound, since theirs runs on while they answer.
const MARGIN: Duration = Duration::from_millis(5);

/// Stands for election when it is time to.
pub(super) struct Elector {
    pub raft: Raft<Quorum>,
    pub store: Store,
    pub me: VoterId,
    pub contact: Arc<Contact>,
    pub peers: Peers,
}

impl Elector {
    /// Runs until Raft has stopped.
    pub(super) async fn run(self) {
        let (mut metrics, mut gone) = (self.raft.metrics(), self.contact.gone());
        loop {
            let now = metrics.borrow_and_update().clone();
            if now.running_state.is_err() {
                return;
            }
            if !self.is_due(&now) {
                let wait = self.contact.patience().max(self.contact.election_lasts()).max(Duration::from_millis(1));
                tokio::select! {
                    changed = metrics.changed() => if changed.is_err() { return },
                    _ = gone.changed() => {}
                    () = tokio::time::sleep(wait), if self.may_stand(&now) => {}
                }
                continue;
            }
            match self.poll(&now).await {
                Some(bound) => {
                    tokio::time::sleep(bound).await;
                    if self.is_due(&metrics.borrow()) && self.stand(&mut metrics).await.is_err() {
                        return;
                    }
                }
                None => pause(20..80).await,
            }
        }
    }

    fn may_stand(&self, metrics: &Metrics) -> bool {
        let is_voter = metrics.membership_config.membership().voter_ids().any(|voter| voter == self.me);
        is_voter && !leads(metrics) && !self.contact.has_resigned()
    }

    fn is_due(&self, metrics: &Metrics) -> bool {
        let is_led = self.contact.is_there(metrics.current_leader);
        self.may_stand(metrics) && !is_led && self.contact.election_lasts().is_zero()
    }

    async fn stand(&self, metrics: &mut tokio::sync::watch::Receiver<Metrics>) -> Result<(), ()> {
        info!(voter = %self.me, "standing for election");
        self.contact.election_begins();
        self.raft.trigger().elect().await.map_err(|_| ())?;
        let settled = metrics.wait_for(|metrics| leads(metrics) || self.contact.is_there(metrics.current_leader));
        // Not settled: the others were bound a little longer, or another stood at the same time.
        let patience = Duration::from_millis(rand::rng().random_range(200..400));
        match tokio::time::timeout(patience, settled).await {
            Ok(Err(_)) => Err(()),
            _ => Ok(()),
        }
    }

    /// Asks every voter. When majorities would vote for this node: how long until all of them may.
    async fn poll(&self, metrics: &Metrics) -> Option<Duration> {
        let membership = metrics.membership_config.membership();
        let last = self.store.last();
        let mut asked: FuturesUnordered<_> = membership
            .voter_ids()
            .filter(|voter| *voter != self.me)
            .filter_map(|voter| Some((voter, membership.get_node(&voter)?.addr.clone())))
            .map(|(voter, address)| async move { (voter, self.ask(voter, &address, last).await) })
            .collect();
        let mut granted = BTreeSet::from([self.me]);
        let mut bound = self.contact.bound();
        let suffices = |granted: &BTreeSet<VoterId>| {
            let majority = |set: &BTreeSet<VoterId>| set.intersection(granted).count() * 2 > set.len();
            membership.get_joint_config().iter().all(majority)
        };
        while !suffices(&granted) {
            let (voter, answer) = asked.next().await?;
            if let Some(answer) = answer.filter(|answer| answer.granted) {
                granted.insert(voter);
                bound = bound.max(Duration::from_millis(answer.bound_ms.into()));
            }
        }
        let is_alone = granted.len() == 1;
        Some(if is_alone || bound.is_zero() { bound } else { bound + MARGIN })
    }

    async fn ask(&self, voter: VoterId, address: &str, last: Option<LogId>) -> Option<proto::PollResponse> {
        let request = proto::PollRequest {
            to: Some(wire::voter_to_proto(&voter)),
            candidate: Some(wire::voter_to_proto(&self.me)),
            last: last.as_ref().map(wire::log_id_to_proto),
        };
        let mut client = network::client(&self.peers, address).ok()?;
        match tokio::time::timeout(POLL_TIMEOUT, client.poll(request)).await {
            Ok(Ok(answer)) => Some(answer.into_inner()),
            Ok(Err(status)) => {
                debug!(%voter, %status, "no answer to a poll");
                None
            }
            Err(_) => None,
        }
    }
}

impl RaftLog {
    /// Whether this node would vote for `candidate`, whose last entry is `last`; and for how long it is still bound.
    pub(super) fn would_vote_for(&self, candidate: VoterId, last: Option<LogId>) -> Option<Duration> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let follows = metrics.current_leader.filter(|leader| *leader != candidate);
        let is_led = leads(&metrics) || self.contact.is_there(follows);
        let is_free = !is_led && self.contact.election_lasts().is_zero();
        (is_free && last >= self.store.last()).then(|| self.contact.bound())
    }
}

async fn pause(millis: std::ops::Range<u64>) {
    let millis = rand::rng().random_range(millis);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
