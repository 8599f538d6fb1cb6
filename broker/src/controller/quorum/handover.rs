//! Giving up the lead in order, so that no election is waited for when a leader stops.
//!
//! openraft 0.9 cannot transfer the lead, and a voter's lease cannot be cut short: it has to run out. So the leader stops
//! to beat and serves on until it has been silent for that long, as it is where nothing is committed; only then it closes
//! its gate and has its best follower stand.

use std::cmp::Reverse;
use std::time::Duration;

use openraft::BasicNode;
use openraft::error::Fatal;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info};

use super::contact::leads;
use super::types::VoterId;
use super::wire::{self, proto};
use super::{LEASE, Metrics, RaftLog, network};

/// How long a leader has to be silent until no voter is bound to it: what it sent last may have been late.
const UNBOUND: Duration = Duration::from_millis(LEASE.as_millis() as u64 + 10);
/// For how long the leader serves on at most; under load it closes its gate then and falls silent behind it.
const OPEN: Duration = Duration::from_millis(400);
/// How long the gate stays closed at most.
const CLOSED: Duration = Duration::from_millis(1000);
/// How long a voter may take to be elected.
const ELECTED: Duration = Duration::from_millis(400);

impl RaftLog {
    /// Has another voter take the lead, if this node has it and another voter answers. Gives whether one leads now. Not
    /// done in time it is left to the others, who elect when this node has gone. To be called by a node that stops: it
    /// stands for election no more.
    pub async fn hand_over(&self) -> bool {
        if !leads(&self.raft.metrics().borrow()) {
            return false;
        }
        self.contact.resign();
        self.raft.runtime_config().heartbeat(false);
        drop(timeout(OPEN, self.silence()).await);
        let replaced = timeout(CLOSED, async {
            let _closed = self.gate.write().await;
            self.silence().await;
            self.ask_successors().await
        });
        let is_replaced = replaced.await.unwrap_or(false);
        if !is_replaced {
            self.raft.runtime_config().heartbeat(true);
        }
        is_replaced
    }

    /// Resolves once no voter is bound to this leader any more.
    async fn silence(&self) {
        loop {
            match UNBOUND.saturating_sub(self.acks.silence()) {
                Duration::ZERO => return,
                left => sleep(left).await,
            }
        }
    }

    /// Has one of the voters elected; asks first who lacks least, and of those alike who was heard last.
    async fn ask_successors(&self) -> bool {
        let metrics = self.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let has = |voter: &VoterId| metrics.replication.as_ref().and_then(|followers| *followers.get(voter)?);
        let mut voters: Vec<VoterId> = membership.voter_ids().filter(|voter| *voter != self.me).collect();
        voters.sort_by_key(|voter| Reverse((has(voter), self.acks.of(*voter).map(|ack| ack.at))));
        for voter in voters {
            let Some(BasicNode { addr }) = membership.get_node(&voter) else { continue };
            if self.ask_to_take_over(voter, addr).await {
                info!(successor = %voter, "handed over the lead of the metadata quorum");
                return true;
            }
        }
        false
    }

    async fn ask_to_take_over(&self, voter: VoterId, address: &str) -> bool {
        let request = proto::TakeOverRequest {
            to: Some(wire::voter_to_proto(&voter)),
            leader: Some(wire::voter_to_proto(&self.me)),
        };
        let Ok(mut client) = network::client(&self.peers, address) else { return false };
        match client.take_over(request).await {
            Ok(_) => true,
            Err(status) => {
                debug!(%voter, %status, "it does not take over the lead");
                false
            }
        }
    }

    /// The leader asks this node to stand in its place, now that no voter is bound. Whether it was elected.
    pub(super) async fn take_over(&self, leader: VoterId) -> Result<bool, Fatal<VoterId>> {
        let mut metrics = self.raft.metrics();
        let may_stand = {
            let metrics = metrics.borrow();
            let is_voter = metrics.membership_config.membership().voter_ids().any(|voter| voter == self.me);
            is_voter && metrics.current_leader == Some(leader) && !self.contact.has_resigned()
        };
        if !may_stand {
            return Ok(false);
        }
        info!(voter = %self.me, %leader, "standing for election in place of the leader");
        self.contact.election_begins();
        self.raft.trigger().elect().await?;
        let elected = timeout_at(Instant::now() + ELECTED, metrics.wait_for(|metrics: &Metrics| leads(metrics))).await;
        Ok(elected.is_ok_and(|elected| elected.is_ok()))
    }
}
