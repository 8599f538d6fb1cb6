//! A node says that it is there, until the leader has made of it what it should be, and again when no leader is heard.
//!
//! So a new node is taken in, a node with a new address is found again, and one whose disk has been retired learns it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::contact::leads;
use super::entrance::{Entrance, Pace, Refusal, Way, reason};
use super::types::VoterId;
use super::wire::proto::{self, join_response::Standing};
use super::{RaftLog, network, wire};
use crate::controller::peers::Peers;

/// How long the leader may take to take this node in.
const JOIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How often to look whether the leader is heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The file, beside the log, that says whose it is.
const FILE: &str = "voter";

/// Where this node stands with the leader.
pub(super) type Admission = Option<Result<(), Refusal>>;

/// Whose log lies in a folder, and whether the cluster has taken that voter in.
///
/// A log without the file is believed to be whose it says; so the file need not be flushed.
pub(super) struct Passport {
    path: PathBuf,
    pub joined: bool,
}

impl Passport {
    /// Reads the passport of the log in `folder`; the error is another voter's name.
    pub(super) fn read(folder: &Path, me: VoterId) -> Result<Self, String> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = text.lines();
        match lines.next().filter(|voter| !voter.is_empty()) {
            Some(voter) if voter != me.to_string() => Err(voter.to_owned()),
            _ => Ok(Self { path, joined: lines.next() == Some("joined") }),
        }
    }

    pub(super) fn write(&self, me: VoterId, joined: bool) -> io::Result<()> {
        fs::write(&self.path, format!("{me}\n{}\n", if joined { "joined" } else { "new" }))
    }
}

/// Asks to be taken in.
pub(super) struct Admittance {
    pub peers: Peers,
    pub me: VoterId,
    pub address: String,
    pub entrance: Entrance,
    pub passport: Passport,
    pub told: watch::Sender<Admission>,
}

impl Admittance {
    /// Runs until the log is gone, or the node is sent away.
    pub(super) async fn run(mut self, log: Weak<RaftLog>) {
        let mut pace = Pace::new();
        let mut is_done = false;
        loop {
            let Some(log) = log.upgrade() else { return };
            let is_led = leads(&log.raft.metrics().borrow()) || log.hears_leader();
            if is_done && is_led {
                drop(log);
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let tried = match self.ask_around(&log).await {
                Ok(Ok(Standing::Voter | Standing::Learner)) => {
                    is_done = true;
                    self.admitted();
                    pace = Pace::new();
                    "the leader is not heard".to_owned()
                }
                Ok(Ok(_)) => "this node is not a voter yet".to_owned(),
                Ok(Err(tried)) => tried,
                Err(refusal) => {
                    self.told.send_replace(Some(Err(refusal)));
                    return;
                }
            };
            drop(log);
            pace.wait("waiting for the leader of the metadata quorum", || tried).await;
        }
    }

    fn admitted(&mut self) {
        if !self.passport.joined {
            if let Err(error) = self.passport.write(self.me, true) {
                warn!(%error, "cannot note that this node was taken in");
            }
            self.passport.joined = true;
        }
        self.told.send_replace(Some(Ok(())));
    }

    /// Goes round once, wherever the addresses lead; the inner error says what was tried in vain.
    async fn ask_around(&self, log: &Arc<RaftLog>) -> Result<Result<Standing, String>, Refusal> {
        let members = log.members().all.into_iter().filter(|member| member.id != self.me);
        let mut left: Vec<String> =
            self.entrance.via.iter().cloned().chain(members.map(|member| member.address)).collect();
        let (mut asked, mut tried) = (BTreeSet::from([self.address.clone()]), Vec::new());
        if leads(&log.raft.metrics().borrow()) {
            let answer = log.take_in(self.me, self.request(log)).await;
            return Ok(Ok(answer.standing()));
        }
        while let Some(address) = left.pop() {
            if !asked.insert(address.clone()) {
                continue;
            }
            match self.ask(&address, self.request(log)).await {
                Ok(answer) => match answer.standing() {
                    standing @ (Standing::Voter | Standing::Learner | Standing::CatchingUp) => return Ok(Ok(standing)),
                    Standing::Retired | Standing::Lost | Standing::OtherCluster => {
                        return Err(Refusal::SentAway(answer.reason));
                    }
                    Standing::NotLeader if answer.leader.is_empty() => tried.push(format!("{address} knows no leader")),
                    Standing::NotLeader => left.push(answer.leader),
                    Standing::Unknown => tried.push(format!("{address}: {}", answer.reason)),
                },
                Err(reason) => tried.push(format!("{address}: {reason}")),
            }
        }
        Ok(Err(tried.join("; ")))
    }

    fn request(&self, log: &RaftLog) -> proto::JoinRequest {
        proto::JoinRequest {
            voter: Some(wire::voter_to_proto(&self.me)),
            address: self.address.clone(),
            cluster_id: self.entrance.cluster_id.clone(),
            joined: self.passport.joined,
            empty: self.entrance.way == Way::Join && log.is_empty(),
            wants_vote: self.entrance.is_founder && !self.passport.joined,
        }
    }

    async fn ask(&self, address: &str, request: proto::JoinRequest) -> Result<proto::JoinResponse, String> {
        let mut client = network::client(&self.peers, address).map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(JOIN_TIMEOUT, client.join(request)).await;
        Ok(answer.map_err(|_| "no answer".to_owned())?.map_err(|status| reason(&status))?.into_inner())
    }
}
