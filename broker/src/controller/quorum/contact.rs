//! Whether the leader is there: when it was heard last, and whether its connection has broken since.
//!
//! A follower keeps a call open at its leader. When a process dies its connections break at once, long before a time-out
//! would tell; a dial that is refused, or a leader that says it leads no more, then makes it certain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openraft::{Raft, ServerState};
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::Code;
use tracing::{debug, info};

use super::types::{Quorum, VoterId};
use super::wire::{self, proto};
use super::{Metrics, network};
use crate::controller::peers::Peers;

/// A leader that has not been heard for so long is taken for lost. It beats every 300 ms; a slow disk or a loaded
/// machine may cost it a beat or two.
const SILENCE: Duration = Duration::from_millis(1000);
/// For how long nobody else stands once this node stands, or has voted for one who does.
const ELECTION: Duration = Duration::from_millis(150);
/// How long to wait before calling a leader again that is neither there nor gone.
const CALL_AGAIN: Duration = Duration::from_millis(100);

/// What this node has heard of its leader.
pub(super) struct Contact {
    heard: Mutex<Heard>,
    /// Raised each time a leader was found gone.
    found_gone: watch::Sender<u64>,
    /// For how long a voter is bound to the leader that it heard: openraft's leader lease.
    lease: Duration,
    /// This node is about to stop, and stands for election no more.
    resigned: AtomicBool,
}

#[derive(Default)]
struct Heard {
    at: Option<Instant>,
    gone: Option<VoterId>,
    /// When somebody stood for election, with this node's vote.
    election: Option<Instant>,
}

impl Contact {
    /// Nothing heard yet.
    pub(super) fn new(lease: Duration) -> Self {
        Self { heard: Mutex::default(), found_gone: watch::Sender::new(0), lease, resigned: AtomicBool::new(false) }
    }

    /// The leader has sent something.
    pub(super) fn heard(&self) {
        *self.heard.lock() = Heard { at: Some(Instant::now()), gone: None, election: None };
    }

    /// Whether `leader` can be taken to be there.
    pub(super) fn is_there(&self, leader: Option<VoterId>) -> bool {
        let heard = self.heard.lock();
        leader.is_some() && heard.gone != leader && heard.at.is_some_and(|at| at.elapsed() < SILENCE)
    }

    /// Somebody stands for election, with this node's vote.
    pub(super) fn election_begins(&self) {
        self.heard.lock().election = Some(Instant::now());
    }

    /// How long the election that is under way is waited for.
    pub(super) fn election_lasts(&self) -> Duration {
        self.heard.lock().election.map_or(Duration::ZERO, |begun| ELECTION.saturating_sub(begun.elapsed()))
    }

    /// This node is about to stop: it stands for election no more.
    pub(super) fn resign(&self) {
        self.resigned.store(true, Ordering::Relaxed);
    }

    /// Whether this node has resigned.
    pub(super) fn has_resigned(&self) -> bool {
        self.resigned.load(Ordering::Relaxed)
    }

    /// When the leader, if it goes on to be silent, will have been so for too long.
    pub(super) fn patience(&self) -> Duration {
        self.heard.lock().at.map_or(Duration::ZERO, |at| SILENCE.saturating_sub(at.elapsed()))
    }

    /// For how long this voter's vote is still bound to the leader.
    pub(super) fn bound(&self) -> Duration {
        self.heard.lock().at.map_or(Duration::ZERO, |at| self.lease.saturating_sub(at.elapsed()))
    }

    /// Changes when a leader was found gone.
    pub(super) fn gone(&self) -> watch::Receiver<u64> {
        self.found_gone.subscribe()
    }

    fn is_gone(&self, leader: VoterId) {
        self.heard.lock().gone = Some(leader);
        self.found_gone.send_modify(|times| *times += 1);
    }

    /// Watches whoever leads, until Raft has stopped.
    pub(super) async fn watch(&self, raft: Raft<Quorum>, me: VoterId, peers: Peers) {
        let mut metrics = raft.metrics();
        loop {
            let other = |metrics: &Metrics| metrics.current_leader.filter(|leader| *leader != me);
            let found = metrics.wait_for(|metrics| other(metrics).is_some()).await.map(|metrics| {
                let leader = other(&metrics)?;
                Some((leader, metrics.membership_config.membership().get_node(&leader)?.clone()))
            });
            let Ok(found) = found else { return };
            let Some((leader, node)) = found else {
                tokio::time::sleep(CALL_AGAIN).await;
                continue;
            };
            let moved = async {
                // An error means that Raft has stopped, which ends the loop above.
                drop(metrics.wait_for(|metrics| metrics.current_leader != Some(leader)).await);
            };
            tokio::select! {
                () = moved => {}
                reason = until_gone(&peers, leader, &node.addr) => {
                    info!(%leader, reason, "the leader of the metadata quorum is gone");
                    self.is_gone(leader);
                    if metrics.wait_for(|metrics| metrics.current_leader != Some(leader)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Resolves when `leader` is certainly no leader any more.
async fn until_gone(peers: &Peers, leader: VoterId, address: &str) -> &'static str {
    loop {
        match call(peers, leader, address).await {
            Err(status) if status.code() == Code::FailedPrecondition => return "it leads no more",
            Err(status) if status.code() == Code::NotFound => return "another voter has its address",
            ended => debug!(%leader, ?ended, "the call to the leader ended"),
        }
        match peers.probe(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return "nobody listens there",
            Ok(()) => {}
            Err(_) => tokio::time::sleep(CALL_AGAIN).await,
        }
    }
}

/// Calls the leader and stays on the line.
async fn call(peers: &Peers, leader: VoterId, address: &str) -> Result<(), tonic::Status> {
    let request = proto::WatchRequest { to: Some(wire::voter_to_proto(&leader)) };
    let mut client = network::client(peers, address)?;
    let answer = tokio::time::timeout(SILENCE, client.watch_leader(request)).await;
    let mut stream = answer.map_err(|_| tonic::Status::deadline_exceeded("no answer"))??.into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

/// Whether this node leads, as far as it knows.
pub(super) fn leads(metrics: &Metrics) -> bool {
    metrics.state == ServerState::Leader && metrics.running_state.is_ok()
}
