//! A broker: the machine with its disk and clocks, and the process on it while there is one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::sessions::{SessionId, Sessions};
use ottla_core::controller::{Command, PreviousStop, Response};
use ottla_core::metadata::{Entry, Image};
use ottla_core::partition::{IsrProposal, NextFetch};
use ottla_core::{BrokerEpoch, DirectoryId, LogIndex, Now, Timestamp};
use uuid::Uuid;

use crate::disk::Disk;
use crate::message::{AskError, Tp};
use crate::raft::RaftNode;
use crate::replica::Replica;

/// A machine.
#[derive(Debug)]
pub struct Machine {
    /// Its place: also the `node.id` of its broker.
    pub id: usize,
    /// What it keeps.
    pub disk: Disk,
    /// The broker, while it runs.
    pub process: Option<Process>,
    /// How many processes there have been.
    pub processes: u64,
    /// The kernel's boot.
    pub boot: u64,
    /// The kernel runs: it answers for a process that is gone.
    pub is_powered: bool,
    /// The process is stopped (SIGSTOP) until then.
    pub paused_until: Option<Duration>,
    /// How far its monotonic clock is ahead of the simulation's.
    pub uptime: Duration,
    /// How far its wall clock is off, in milliseconds.
    pub wall_error: i64,
    /// A flush takes this long on top, until a moment.
    pub slow_disk: Option<(Duration, Duration)>,
    /// The next flush in that log directory fails.
    pub refuses_flush: Option<usize>,
    /// There is no space left until then.
    pub full_until: Option<Duration>,
}

/// Why a question was put to the controller.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// To begin this uptime.
    Register,
    /// To be unfenced, or to stop.
    Heartbeat,
    /// To change an ISR.
    Isr(Tp, IsrProposal),
    /// To say that so many log directories have failed.
    Failed(usize),
    /// To say in which directories replicas lie.
    Placed(BTreeMap<Tp, DirectoryId>),
    /// The controller's own, or an administrator's.
    Other,
}

/// A question to the controller.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Why.
    pub purpose: Purpose,
    /// The answer, until this broker's own image has what it says.
    pub answer: Option<(LogIndex, Box<Response>)>,
}

/// A command that waits for its decision, with whom to answer.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The broker that asked.
    pub from: usize,
    /// Its question.
    pub id: u64,
    /// The command.
    pub command: Command,
}

/// An entry that was decided and is not committed yet.
#[derive(Debug)]
pub struct InFlight {
    /// The entry and what it was decided on, until it is handed to the log.
    pub entry: Option<(Entry, Rc<Image>)>,
    /// Its index; `usize::MAX` until then.
    pub index: usize,
    /// Its term.
    pub term: u64,
    /// Since when it is out.
    pub since: Duration,
    /// The commands in it and what they come to.
    pub decided: Vec<(Pending, Result<Response, AskError>)>,
}

/// The controller's driver on one broker.
#[derive(Debug, Default)]
pub struct Driver {
    /// Commands to decide.
    pub waiting: VecDeque<Pending>,
    /// The entry that is out.
    pub in_flight: Option<InFlight>,
    /// The sessions of the reign that began at an index.
    pub sessions: Option<(usize, Sessions)>,
    /// Sessions that are over: what was under way on their connections does not arrive.
    pub closed: BTreeSet<SessionId>,
}

/// The fetches of one broker from another, and their session.
#[derive(Debug, Default)]
pub struct Fetcher {
    /// The process of the leader's machine that has the session.
    pub with: Option<u64>,
    /// What the session was told last.
    pub told: BTreeMap<Tp, NextFetch>,
    /// Requests without an answer.
    pub out: BTreeMap<u64, Vec<(Tp, NextFetch)>>,
    /// A timer will fetch anew.
    pub due: bool,
}

/// A fetch that waits at its leader for something to send.
#[derive(Debug)]
pub struct Parked {
    /// The request.
    pub id: u64,
    /// What it wants.
    pub parts: Vec<(Tp, NextFetch)>,
}

/// A broker's running process.
#[derive(Debug)]
pub struct Process {
    /// Which of its machine's.
    pub number: u64,
    /// Drawn at start.
    pub incarnation: Uuid,
    /// How the one before ended.
    pub previous: PreviousStop,
    /// This uptime, once registered.
    pub epoch: Option<BrokerEpoch>,
    /// Its node of the metadata log.
    pub raft: RaftNode,
    /// The cluster as of what it knows to be committed.
    pub committed: Image,
    /// How many entries of the log that covers.
    pub applied: usize,
    /// The cluster as it shows it.
    pub published: Arc<Image>,
    /// The cluster as its replicas know it.
    pub local: Image,
    /// It has been in service in this uptime.
    pub serving: bool,
    /// It hands over and then stops.
    pub stopping: bool,
    /// Its replicas.
    pub replicas: BTreeMap<Tp, Replica>,
    /// Logs that await a flush.
    pub unflushed: BTreeSet<Tp>,
    /// A pass of the flusher is under way or due.
    pub flushing: bool,
    /// Its fetches, by leader.
    pub fetchers: BTreeMap<usize, Fetcher>,
    /// Fetches parked here, by follower.
    pub parked: BTreeMap<usize, Parked>,
    /// The latest fetch of each follower, and its uptime.
    pub heard: BTreeMap<usize, (BrokerEpoch, u64)>,
    /// The controller.
    pub driver: Driver,
    /// Its session: with whom, in which of its processes, and its number.
    pub session: Option<(usize, u64, SessionId)>,
    /// Questions without an answer.
    pub asks: BTreeMap<u64, Ask>,
    /// Log directories that have failed.
    pub offline: BTreeSet<usize>,
    /// Of how many of them the controller knows.
    pub told_offline: usize,
    /// Where replicas lie that the metadata has elsewhere.
    pub misplaced: BTreeMap<Tp, DirectoryId>,
}

impl Machine {
    /// A machine with empty disks for so many log directories.
    pub fn new(id: usize, directories: usize, uptime: Duration) -> Self {
        Self {
            id,
            disk: Disk::new(directories),
            process: None,
            processes: 0,
            boot: 1,
            is_powered: true,
            paused_until: None,
            uptime,
            wall_error: 0,
            slow_disk: None,
            refuses_flush: None,
            full_until: None,
        }
    }

    /// Its clocks at a moment of the simulation.
    pub fn now(&self, clock: Duration) -> Now {
        let wall = 1_700_000_000_000 + clock.as_millis() as i64 + self.wall_error;
        Now { monotonic: clock + self.uptime, wall: Timestamp(wall) }
    }

    /// Whether the process runs and is not stopped.
    pub fn is_awake(&self) -> bool {
        self.process.is_some() && self.paused_until.is_none()
    }

    /// Starts a process; what it finds on the disk is all that it knows.
    pub fn start(&mut self, clock: Duration, incarnation: Uuid) -> &mut Process {
        self.processes += 1;
        let previous = self.disk.look_back(self.boot);
        let (covered, image) = (self.disk.snapshot.0, self.disk.snapshot.1.clone());
        self.process.insert(Process {
            number: self.processes,
            incarnation,
            previous,
            epoch: None,
            raft: RaftNode::started(self.disk.key(self.id), covered, clock),
            committed: image,
            applied: covered,
            published: Arc::default(),
            local: Image::default(),
            serving: false,
            stopping: false,
            replicas: BTreeMap::new(),
            unflushed: BTreeSet::new(),
            flushing: false,
            fetchers: BTreeMap::new(),
            parked: BTreeMap::new(),
            heard: BTreeMap::new(),
            driver: Driver::default(),
            session: None,
            asks: BTreeMap::new(),
            offline: BTreeSet::new(),
            told_offline: 0,
            misplaced: BTreeMap::new(),
        })
    }

    /// Whether the next process will say that what was not flushed may be lost.
    pub(crate) fn has_losses_to_report(&self) -> bool {
        self.disk.directories().iter().any(|directory| directory.is_distrusted(self.boot))
    }

    /// The controller knows how the process before ended.
    pub(crate) fn stop_reported(&mut self) {
        let none = BTreeSet::new();
        let offline = self.process.as_ref().map_or(&none, |process| &process.offline);
        self.disk.stop_reported(self.boot, offline);
    }

    /// Whether there is no space left.
    pub fn is_full(&self, clock: Duration) -> bool {
        self.full_until.is_some_and(|until| clock < until)
    }
}
