//! What travels through the simulated network, and what waits in the queue of events.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_core::controller::sessions::SessionId;
use ottla_core::controller::{Command, Response};
use ottla_core::metadata::Image;
use ottla_core::partition::{EpochEnd, IsrProposal, NextFetch, RequiredAcks};
use ottla_core::{BrokerEpoch, LeaderEpoch, LogIndex, Offset, TopicId};

use crate::log::{Batch, Flush, NewBatch};
use crate::network::Node;
use crate::raft::RaftMessage;

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tp {
    /// The topic.
    pub topic: TopicId,
    /// Index.
    pub partition: i32,
}

impl Tp {
    /// A number for traces.
    pub fn number(&self) -> i64 {
        (self.topic.0.as_u128() % 1000) as i64 * 100 + i64::from(self.partition)
    }
}

/// Why a command has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The controller refused it.
    Refused(String),
    /// It may have been done or not: nobody leads, the leader was deposed, or no answer came.
    Unknown,
}

/// What a leader answers to a fetch, for one partition.
#[derive(Clone, Debug)]
pub enum Part {
    /// The logs agree up to the fetch offset; here is what comes after.
    Records {
        /// Batches from the offset on.
        batches: Vec<Batch>,
        /// The leader's high watermark.
        high_watermark: Offset,
    },
    /// Where the leader's log says that the last common epoch ends.
    Diverging(EpochEnd),
    /// The offset is not in the leader's log.
    OutOfRange,
    /// Not the leader, or in another term.
    Failed,
}

/// Why a produce request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProduceError {
    /// Try again, perhaps elsewhere.
    Retriable,
    /// A batch before this one is missing.
    OutOfOrder,
}

/// What nodes say to each other.
#[derive(Clone, Debug)]
pub enum Message {
    /// Of the metadata log.
    Raft(RaftMessage),
    /// A command for the controller.
    Ask {
        /// Numbers the question.
        id: u64,
        /// The command.
        command: Box<Command>,
    },
    /// The controller's answer.
    Answer {
        /// The question.
        id: u64,
        /// The response and the index as of which it holds.
        result: Result<(LogIndex, Box<Response>), AskError>,
    },
    /// A heartbeat of a session with the controller; the first opens it.
    SessionHeard {
        /// The session.
        session: SessionId,
        /// The broker's uptime.
        epoch: BrokerEpoch,
    },
    /// A connection that carried a session has broken.
    SessionClosed(SessionId),
    /// A follower fetches.
    Fetch {
        /// Numbers the request.
        id: u64,
        /// The follower's uptime.
        epoch: BrokerEpoch,
        /// What it wants.
        parts: Vec<(Tp, NextFetch)>,
        /// Those of which it says where it stands; of the others it said so before.
        named: BTreeSet<Tp>,
    },
    /// The leader's answer.
    Fetched {
        /// The request.
        id: u64,
        /// What was asked, each with its answer.
        parts: Vec<(Tp, Part)>,
    },
    /// A client sends a batch.
    Produce {
        /// Numbers the request.
        id: u64,
        /// Where to.
        tp: Tp,
        /// The `acks` it wants.
        acks: RequiredAcks,
        /// The batch.
        batch: NewBatch,
    },
    /// The answer: the offset, or why not.
    Produced {
        /// The request.
        id: u64,
        /// Base offset of the batch.
        result: Result<Offset, ProduceError>,
        /// The term in which the answering broker leads, if it does. No client sees it; the truth wants to know.
        leads: Option<LeaderEpoch>,
    },
    /// A consumer reads.
    Read {
        /// Numbers the request.
        id: u64,
        /// Which partition.
        tp: Tp,
        /// From where; −1 asks for the latest offset.
        offset: Offset,
    },
    /// What it read: batches and watermark.
    ReadDone {
        /// The request.
        id: u64,
        /// Batches below the watermark, and the watermark.
        result: Option<(Vec<Batch>, Offset)>,
        /// The term in which the answering broker leads, if it does. No client sees it; the truth wants to know.
        leads: Option<LeaderEpoch>,
    },
}

/// Something a process has asked its own timers to remind it of.
#[derive(Clone, Debug)]
pub enum Timer {
    /// A decided entry is handed to the metadata log.
    HandOver,
    /// The metadata log: heartbeats of a leader, patience of a follower.
    Raft,
    /// The controller: sessions, and commands that wait.
    Controller,
    /// A dial to another broker's CONTROLLER listener is due.
    Probe {
        /// The broker.
        broker: usize,
        /// The uptime in question.
        epoch: BrokerEpoch,
    },
    /// Registration and heartbeats.
    Life,
    /// The committed image may be made this broker's own.
    Publish(Arc<Image>),
    /// Fetch from the broker of that place.
    Fetch(usize),
    /// A fetch has had no answer.
    FetchLost(usize, u64),
    /// A parked fetch of the broker of that place has waited long enough.
    FetchParked(usize, u64),
    /// A pass of the flusher begins.
    Flush,
    /// It ends.
    Flushed(Vec<(Tp, Flush)>),
    /// What nobody asked to flush is flushed too, now and then, and watermarks are written down.
    Housekeeping,
    /// Leaders look for lagging followers.
    Lag,
    /// A question to the controller has had no answer.
    AskLost(u64),
    /// A proposal that may have got lost is sent again.
    ProposeAgain(Tp, LeaderEpoch, IsrProposal),
}

/// What happens next.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message arrives; it is lost if the process it was sent to is no more.
    Deliver {
        /// Sender.
        from: Node,
        /// Receiver.
        to: Node,
        /// The receiving process.
        process: u64,
        /// What it says.
        message: Message,
    },
    /// A timer of a process.
    Timer {
        /// The broker.
        broker: usize,
        /// The process that set it.
        process: u64,
        /// Which.
        timer: Timer,
    },
    /// A broker's process is started.
    Start(usize),
    /// A stopped process goes on.
    Resume(usize),
    /// A producer has something to do.
    Producer(usize),
    /// A consumer has something to do.
    Consumer(usize),
    /// A client's request has had no answer.
    ClientLost(u64),
    /// The administrator does something.
    Admin,
    /// The next fault.
    Fault,
    /// The weather of a cut network clears.
    Join,
}
