//! How a broker comes to its quorum: resumes with the log it has, founds a cluster, or joins one.
//!
//! Only the lowest founding voter founds, and only while every other one answers, names the same founders, and belongs
//! to no cluster. It founds a quorum of itself, durably, before the others learn of it; they join that. So a crash
//! anywhere leaves no cluster, or the one; and founders that name different ones found nothing. A broker whose disk
//! was emptied meets peers that belong to the cluster, and joins it as a new voter.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::join_all;
use ottla_core::BrokerId;
use tracing::{info, warn};

use super::door::Door;
use super::network;
use super::wire::proto;
use crate::config;
use crate::controller::peers::Peers;

/// How long a node may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Between rounds, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// How often to say why nothing happens.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What a broker is to do at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// The cluster.
    pub cluster_id: String,
    /// The way in.
    pub way: Way,
    /// Where the quorum may be found, besides the members that the log names.
    pub via: Vec<String>,
    /// This node is a founding voter: it is to vote from the beginning.
    pub is_founder: bool,
}

/// The way into a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The log is there.
    Resume,
    /// Begin a quorum of one.
    Found,
    /// Be taken in by a quorum.
    Join,
}

impl Entrance {
    /// The way into a cluster of one.
    pub fn alone(cluster_id: String) -> Self {
        Self { cluster_id, way: Way::Found, via: Vec::new(), is_founder: false }
    }
}

/// Why a broker has no place in the cluster (exit code 3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Configuration or disks say one cluster, the others another.
    #[error("the quorum belongs to cluster {found}, this broker to {expected}")]
    OtherCluster {
        /// This broker's cluster.
        expected: String,
        /// The quorum's.
        found: String,
    },
    /// The addresses lead to different clusters.
    #[error("the addresses of the quorum lead to different clusters: {}", .0.join(", "))]
    TwoClusters(Vec<String>),
    /// The leader sends this node away.
    #[error("{0}")]
    SentAway(String),
    /// The cluster runs with a feature level that this release does not know.
    #[error("the metadata log holds what only a newer Ottla understands")]
    LeftBehind,
}

/// What a broker knows of itself before it looks around.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// `node.id`.
    pub me: BrokerId,
    /// How to come to a quorum.
    pub quorum: config::Quorum,
    /// The cluster that the disks belong to.
    pub on_disk: Option<String>,
    /// `cluster.id`.
    pub configured: Option<String>,
    /// Whether the metadata log holds anything.
    pub has_log: bool,
}

/// Whether a metadata log in `folder` holds anything; it need not be there.
pub fn has_log(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let is_log = name.to_str().is_some_and(|name| name.ends_with(".log") || name == "snapshot");
        is_log && entry.metadata().is_ok_and(|metadata| metadata.len() > 0)
    })
}

impl Newcomer {
    fn known(&self) -> Option<&String> {
        self.configured.as_ref().or(self.on_disk.as_ref())
    }

    /// Where others may be, with the ids that they should have.
    fn others(&self) -> Vec<(Option<BrokerId>, String)> {
        match &self.quorum {
            config::Quorum::Alone => Vec::new(),
            config::Quorum::Founding(voters) => voters
                .iter()
                .filter(|voter| voter.id != self.me)
                .map(|voter| (Some(voter.id), voter.address.clone()))
                .collect(),
            config::Quorum::Joining(servers) => servers.iter().map(|server| (None, server.clone())).collect(),
        }
    }

    fn is_founder(&self) -> bool {
        matches!(&self.quorum, config::Quorum::Founding(voters) if voters.iter().any(|voter| voter.id == self.me))
    }

    fn founds(&self) -> bool {
        match &self.quorum {
            config::Quorum::Alone => true,
            config::Quorum::Founding(voters) => voters.iter().map(|voter| voter.id).min() == Some(self.me),
            config::Quorum::Joining(_) => false,
        }
    }
}

/// Finds the way in; waits for as long as there is none, and says what it tried.
pub async fn find(newcomer: &Newcomer, peers: &Peers, door: &Door) -> Result<Entrance, Refusal> {
    let others = newcomer.others();
    let entrance = |cluster_id, way| Entrance {
        cluster_id,
        way,
        via: others.iter().map(|(_, address)| address.clone()).collect(),
        is_founder: newcomer.is_founder(),
    };
    if newcomer.has_log {
        let cluster_id = newcomer.known().cloned().unwrap_or_default();
        door.belongs_to(&cluster_id);
        return Ok(entrance(cluster_id, Way::Resume));
    }
    if let Some(cluster_id) = newcomer.on_disk.as_ref().filter(|_| !newcomer.founds()) {
        // It was taken in, or about to be: the cluster exists.
        door.belongs_to(cluster_id);
    }
    let mut pace = Pace::new();
    loop {
        let answers = join_all(others.iter().map(|(id, address)| ask(newcomer.me, *id, address, peers, door))).await;
        let found: BTreeSet<&String> =
            answers.iter().flatten().map(|answer| &answer.cluster_id).filter(|id| !id.is_empty()).collect();
        if found.len() > 1 {
            return Err(Refusal::TwoClusters(found.into_iter().cloned().collect()));
        }
        if let Some(cluster_id) = found.first() {
            let found = (*cluster_id).clone();
            if let Some(expected) = newcomer.known().filter(|known| **known != found) {
                return Err(Refusal::OtherCluster { expected: expected.clone(), found });
            }
            info!(cluster = %found, "joining a cluster");
            return Ok(entrance(found, Way::Join));
        }
        if newcomer.founds() && answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.agrees)) {
            let cluster_id = newcomer.known().cloned().unwrap_or_else(crate::controller::new_cluster_id);
            return Ok(entrance(cluster_id, Way::Found));
        }
        let reasons = others.iter().zip(&answers).map(|((_, address), answer)| match answer {
            Ok(answer) if !answer.agrees && newcomer.is_founder() => format!("{address} names other founding voters"),
            Ok(_) => format!("{address} belongs to no cluster yet"),
            Err(reason) => format!("{address}: {reason}"),
        });
        pace.wait("waiting for a metadata quorum", || reasons.collect::<Vec<_>>().join("; ")).await;
    }
}

async fn ask(
    me: BrokerId,
    expected: Option<BrokerId>,
    address: &str,
    peers: &Peers,
    door: &Door,
) -> Result<proto::DiscoverResponse, String> {
    let request = proto::DiscoverRequest { node: me.0, founders: door.founders() };
    let mut client = network::client(peers, address).map_err(|error| error.to_string())?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.discover(request)).await;
    let answer = answer.map_err(|_| "no answer".to_owned())?.map_err(|status| reason(&status))?.into_inner();
    if answer.node == me.0 {
        return Err("that is this broker itself".to_owned());
    }
    match expected.filter(|expected| expected.0 != answer.node) {
        Some(expected) => Err(format!("that is node {}, not {expected}", answer.node)),
        None => Ok(answer),
    }
}

/// What a person can use of a failed call.
pub(super) fn reason(status: &tonic::Status) -> String {
    let mut deepest: &dyn std::error::Error = status;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let text = deepest.to_string();
    if text.is_empty() { status.message().to_owned() } else { text }
}

/// Waits between rounds, longer each time, and says now and then why.
pub(super) struct Pace {
    pause: Duration,
    said: Option<Instant>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { pause: PAUSES.0, said: Some(Instant::now()) }
    }

    pub(super) async fn wait(&mut self, what: &str, tried: impl FnOnce() -> String) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            warn!(tried = %tried(), "{what}");
            self.said = Some(Instant::now());
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
    }
}
