//! The metadata log: a Raft log between voters and learners, at the level that the controller relies on.
//!
//! One leader a term, elected by a majority of voters whose logs are not ahead of its own; entries committed by a
//! majority are never lost; a deposed leader may not know it yet; learners lag. An election is one step here: how
//! votes travel is openraft's matter and not simulated.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ottla_core::metadata::{Entry, Image};

/// A voter or learner: a broker and the number of its disk, since an emptied disk is another voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeKey {
    /// The broker's place.
    pub broker: usize,
    /// How often its disk has been replaced.
    pub disk: u32,
}

/// What an entry of the log holds.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A leader's first entry: its reign begins.
    Blank,
    /// The voters from here on.
    Voters(Vec<NodeKey>),
    /// Decisions of a controller, and the cluster as it was to the controller that made them.
    Decided(Entry, Rc<Image>),
}

/// An entry of the log.
#[derive(Clone, Debug)]
pub struct RaftEntry {
    /// The term it was written in.
    pub term: u64,
    /// The broker that led it.
    pub leader: usize,
    /// What it holds.
    pub payload: Payload,
}

/// What is on a node's disk.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// The latest term it has heard of.
    pub term: u64,
    /// The log; its first entry has index 0.
    pub log: Vec<Rc<RaftEntry>>,
}

impl Durable {
    /// The voters as of the last entry that names them.
    pub fn voters(&self) -> &[NodeKey] {
        let named = self.log.iter().rev().find_map(|entry| match &entry.payload {
            Payload::Voters(voters) => Some(voters.as_slice()),
            Payload::Blank | Payload::Decided(..) => None,
        });
        named.unwrap_or_default()
    }

    /// What makes one log more up to date than another.
    pub fn freshness(&self) -> (u64, usize) {
        (self.log.last().map_or(0, |entry| entry.term), self.log.len())
    }
}

/// How far a peer is, as its leader knows.
#[derive(Clone, Copy, Debug)]
struct Progress {
    key: NodeKey,
    next: usize,
    matched: usize,
}

#[derive(Debug)]
enum Role {
    Follower { leader: Option<usize> },
    Leader { peers: BTreeMap<usize, Progress>, first: usize },
}

/// What nodes say to each other.
#[derive(Clone, Debug)]
pub enum RaftMessage {
    /// The leader's entries after the first `after`, and how many are committed.
    Append {
        /// The leader's term.
        term: u64,
        /// How many entries come before.
        after: usize,
        /// The term of the last of them.
        after_term: u64,
        /// The entries.
        entries: Vec<Rc<RaftEntry>>,
        /// How many are committed.
        committed: usize,
    },
    /// The answer.
    Appended {
        /// The term of the answering node.
        term: u64,
        /// Who it is.
        key: NodeKey,
        /// How many entries it shares with the leader for sure, or the most that it could.
        upto: usize,
        /// Whether it took the entries.
        taken: bool,
    },
}

/// A running node of the metadata log.
#[derive(Debug)]
pub struct RaftNode {
    key: NodeKey,
    role: Role,
    committed: usize,
    /// When it last heard from a leader, or became one.
    pub heard: Duration,
}

impl RaftNode {
    /// A node that has just started and has applied the first `committed` entries before.
    pub fn started(key: NodeKey, committed: usize, now: Duration) -> Self {
        Self { key, role: Role::Follower { leader: None }, committed, heard: now }
    }

    /// How many entries it knows to be committed.
    pub fn committed(&self) -> usize {
        self.committed
    }

    /// Whether it takes itself for the leader.
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// Index of its own first entry, if it takes itself for the leader.
    pub fn reign(&self) -> Option<usize> {
        match self.role {
            Role::Leader { first, .. } => Some(first),
            Role::Follower { .. } => None,
        }
    }

    /// The broker that it takes for the leader.
    pub fn leader(&self) -> Option<usize> {
        match self.role {
            Role::Leader { .. } => Some(self.key.broker),
            Role::Follower { leader } => leader,
        }
    }

    /// It has won `term`.
    pub fn lead(&mut self, disk: &mut Durable, term: u64, now: Duration) {
        disk.term = term;
        let first = disk.log.len();
        disk.log.push(Rc::new(RaftEntry { term, leader: self.key.broker, payload: Payload::Blank }));
        self.role = Role::Leader { peers: BTreeMap::new(), first };
        self.heard = now;
        self.commit(disk);
    }

    /// It has voted for somebody in `term`.
    pub fn follow(&mut self, disk: &mut Durable, term: u64, now: Duration) {
        disk.term = term;
        self.role = Role::Follower { leader: None };
        self.heard = now;
    }

    /// Appends an entry as the leader; its index.
    pub fn propose(&mut self, disk: &mut Durable, payload: Payload) -> usize {
        let index = disk.log.len();
        disk.log.push(Rc::new(RaftEntry { term: disk.term, leader: self.key.broker, payload }));
        self.commit(disk);
        index
    }

    /// What to send to the node on `broker`, at most `most` entries.
    pub fn append_for(&mut self, disk: &Durable, broker: usize, most: usize) -> Option<RaftMessage> {
        let Role::Leader { peers, .. } = &mut self.role else { return None };
        let after = peers.get(&broker).map_or(disk.log.len(), |peer| peer.next).min(disk.log.len());
        let until = (after + most).min(disk.log.len());
        let after_term = after.checked_sub(1).map_or(0, |last| disk.log[last].term);
        let entries = disk.log[after..until].to_vec();
        Some(RaftMessage::Append { term: disk.term, after, after_term, entries, committed: self.committed })
    }

    /// Takes a message from the node on `from`; the answer, if there is one, and whether more has to be sent.
    pub fn take(
        &mut self,
        disk: &mut Durable,
        from: usize,
        message: RaftMessage,
        now: Duration,
    ) -> (Option<RaftMessage>, bool) {
        match message {
            RaftMessage::Append { term, after, after_term, entries, committed } => {
                (Some(self.appended(disk, from, (term, after, after_term), entries, committed, now)), false)
            }
            RaftMessage::Appended { term, key, upto, taken } => {
                if term > disk.term {
                    disk.term = term;
                    self.role = Role::Follower { leader: None };
                    return (None, false);
                }
                (None, term == disk.term && self.progressed(disk, from, key, upto, taken))
            }
        }
    }

    fn appended(
        &mut self,
        disk: &mut Durable,
        from: usize,
        (term, after, after_term): (u64, usize, u64),
        entries: Vec<Rc<RaftEntry>>,
        committed: usize,
        now: Duration,
    ) -> RaftMessage {
        let key = self.key;
        if term < disk.term {
            return RaftMessage::Appended { term: disk.term, key, upto: 0, taken: false };
        }
        disk.term = term;
        self.role = Role::Follower { leader: Some(from) };
        self.heard = now;
        let fits = after == 0 || disk.log.get(after - 1).is_some_and(|entry| entry.term == after_term);
        if !fits {
            return RaftMessage::Appended { term, key, upto: disk.log.len().min(after - 1), taken: false };
        }
        let upto = after + entries.len();
        for (index, entry) in (after..).zip(entries) {
            match disk.log.get(index) {
                Some(known) if known.term == entry.term => {}
                _ => {
                    assert!(index >= self.committed, "a committed entry is never replaced");
                    disk.log.truncate(index);
                    disk.log.push(entry);
                }
            }
        }
        self.committed = self.committed.max(committed.min(upto));
        RaftMessage::Appended { term, key, upto, taken: true }
    }

    fn progressed(&mut self, disk: &Durable, from: usize, key: NodeKey, upto: usize, taken: bool) -> bool {
        let Role::Leader { peers, .. } = &mut self.role else { return false };
        let peer = peers.entry(from).or_insert(Progress { key, next: upto, matched: 0 });
        if peer.key != key {
            *peer = Progress { key, next: 0, matched: 0 };
        }
        if taken {
            peer.matched = peer.matched.max(upto);
            peer.next = peer.matched;
        } else {
            peer.next = upto.max(peer.matched);
        }
        let more = peer.next < disk.log.len();
        self.commit(disk);
        more
    }

    /// Commits what a majority of the voters has, if it ends with an entry of this term.
    fn commit(&mut self, disk: &Durable) {
        let Role::Leader { peers, .. } = &self.role else { return };
        let voters = disk.voters();
        let has = |voter: &NodeKey| {
            if *voter == self.key {
                return disk.log.len();
            }
            peers.get(&voter.broker).filter(|peer| peer.key == *voter).map_or(0, |peer| peer.matched)
        };
        let mut counts: Vec<usize> = voters.iter().map(has).collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let Some(upto) = counts.get(voters.len() / 2).copied() else { return };
        if upto > self.committed && disk.log[upto - 1].term == disk.term {
            self.committed = upto;
        }
    }
}
