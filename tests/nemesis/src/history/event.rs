//! The events of a history. Field names are short in the file, since it has one line for every call.

use serde::{Deserialize, Serialize};

use super::transaction::{Begun, Transaction, Transactor, View};

/// Microseconds since the history began.
pub type Micros = u64;

/// A partition of the run, of whatever topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its number, by which the other events name it.
    pub number: i32,
    /// Its topic.
    pub topic: String,
    /// Its index in the topic.
    pub index: i32,
    /// The brokers that have a replica of it.
    pub brokers: Vec<usize>,
}

/// A producer that writes to one partition, one call at a time. Its records are numbered from 0 without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Its number, which is in every record it sends.
    pub id: u32,
    /// The partition.
    pub partition: i32,
    /// Whether the broker removes its duplicates.
    pub idempotent: bool,
}

/// How a produce call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Acked at this offset.
    #[serde(rename = "a")]
    Acked(i64),
    /// Acked as a duplicate whose offset the broker no longer knows.
    #[serde(rename = "d")]
    Duplicate,
    /// Whatever else: the records may be there or not.
    #[serde(rename = "u")]
    Unknown(String),
}

/// A produce call, acks=all, with all of its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Produce {
    /// Who sent it.
    #[serde(rename = "w")]
    pub writer: u32,
    /// The number of its first record.
    #[serde(rename = "f")]
    pub first: u64,
    /// How many records.
    #[serde(rename = "n")]
    pub count: u32,
    /// When the first attempt began.
    #[serde(rename = "i")]
    pub invoked: Micros,
    /// When the answer came.
    #[serde(rename = "c")]
    pub completed: Micros,
    /// How it ended.
    #[serde(rename = "o")]
    pub outcome: Outcome,
}

/// Records of one writer that follow each other in a log, numbers and offsets both without gaps, appended in one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Offset of the first.
    #[serde(rename = "o")]
    pub offset: i64,
    /// Their writer; `None` if a record was not what any writer writes.
    #[serde(rename = "w")]
    pub writer: Option<u32>,
    /// The number of the first.
    #[serde(rename = "f")]
    pub first: u64,
    /// How many.
    #[serde(rename = "n")]
    pub count: u32,
    /// The leader epoch of their batches.
    #[serde(rename = "e")]
    pub epoch: i32,
}

/// What a partition's leader said of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks {
    /// The high watermark.
    #[serde(rename = "h")]
    pub high: i64,
    /// The last stable offset.
    #[serde(rename = "s")]
    pub stable: i64,
    /// The log start offset.
    #[serde(rename = "b")]
    pub start: i64,
}

/// A fetch that was answered without an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Who read. Its reads of a partition follow each other, until it is given the partition anew.
    #[serde(rename = "r")]
    pub reader: String,
    /// The partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// The offset asked for.
    #[serde(rename = "o")]
    pub offset: i64,
    /// The leader epoch that the request named, so that of the leader who answered.
    #[serde(rename = "e")]
    pub epoch: i32,
    /// When it was asked.
    #[serde(rename = "i")]
    pub invoked: Micros,
    /// When the answer came.
    #[serde(rename = "c")]
    pub completed: Micros,
    /// The answer's watermarks.
    #[serde(rename = "m")]
    pub marks: Watermarks,
    /// The records from `offset` on.
    #[serde(rename = "x")]
    pub runs: Vec<Run>,
}

/// A ListOffsets of the latest offset that was answered without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// The answer.
    #[serde(rename = "o")]
    pub offset: i64,
    /// The leader epoch that the request named, so that of the leader who answered.
    #[serde(rename = "e")]
    pub epoch: i32,
    /// When it was asked.
    #[serde(rename = "i")]
    pub invoked: Micros,
    /// When the answer came.
    #[serde(rename = "c")]
    pub completed: Micros,
}

/// An OffsetCommit of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The group.
    #[serde(rename = "g")]
    pub group: String,
    /// The partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// The offset.
    #[serde(rename = "o")]
    pub offset: i64,
    /// When it was sent.
    #[serde(rename = "i")]
    pub invoked: Micros,
    /// When the answer came.
    #[serde(rename = "c")]
    pub completed: Micros,
    /// Whether the answer was a success; if not, it may be stored all the same.
    #[serde(rename = "a")]
    pub acked: bool,
}

/// An OffsetFetch of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The group.
    #[serde(rename = "g")]
    pub group: String,
    /// The partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// The answer; −1 for none.
    #[serde(rename = "o")]
    pub offset: i64,
    /// When it was asked.
    #[serde(rename = "i")]
    pub invoked: Micros,
    /// When the answer came.
    #[serde(rename = "c")]
    pub completed: Micros,
}

/// A fault that was done and ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What, and to whom.
    pub name: String,
    /// When it began to be felt.
    pub began: Micros,
    /// When it was taken back: processes started or thawed, cuts healed.
    pub healed: Micros,
    /// When all replicas were in sync again.
    pub recovered: Micros,
    /// What shows that it took effect; a run with a fault that has nothing to show fails.
    pub evidence: String,
    /// The brokers whose processes ended by it, where nothing else was done.
    pub killed: Vec<usize>,
}

/// A batch in a replica's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its first offset.
    #[serde(rename = "o")]
    pub offset: i64,
    /// The offset after its last.
    #[serde(rename = "e")]
    pub end: i64,
    /// A checksum over all of its bytes.
    #[serde(rename = "c")]
    pub checksum: u32,
}

/// A replica's files, read after the broker stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaLog {
    /// The broker.
    pub broker: usize,
    /// The partition.
    pub partition: i32,
    /// Its batches in the order of the files.
    pub batches: Vec<Batch>,
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A partition that the run has.
    Partition(Partition),
    /// A writer that the run has.
    Writer(Writer),
    /// A produce call.
    #[serde(rename = "P")]
    Produce(Produce),
    /// A read of a consumer or a member of a group.
    #[serde(rename = "R")]
    Read(Read),
    /// A read of the whole log after all else; there is a series of them for every partition.
    #[serde(rename = "F")]
    Final(Read),
    /// The latest offset.
    #[serde(rename = "L")]
    Latest(Latest),
    /// A commit.
    #[serde(rename = "C")]
    Commit(Commit),
    /// A read of a commit.
    #[serde(rename = "G")]
    Committed(Committed),
    /// A fault.
    Fault(Fault),
    /// What a broker has on its disk.
    Replica(ReplicaLog),
    /// A transactional producer that the run has.
    Transactor(Transactor),
    /// A transactional producer has begun, and whoever was it before is fenced.
    #[serde(rename = "B")]
    Begun(Begun),
    /// A transaction.
    #[serde(rename = "T")]
    Transaction(Transaction),
    /// A read of a partition that transactions write to.
    #[serde(rename = "V")]
    View(View),
    /// A read of the whole of such a partition after all else; there are two series for each, one of what is committed.
    #[serde(rename = "W")]
    FinalView(View),
    /// Something that did not come about in time, such as a cluster that is whole again.
    Stuck(String),
}
