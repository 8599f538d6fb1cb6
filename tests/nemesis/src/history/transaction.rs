//! What transactional producers did, and what readers saw of it.

use serde::{Deserialize, Serialize};

use super::event::{Micros, Outcome, Read};

/// A transactional producer; the number of its records' writer is that of the transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transactor {
    /// Its number.
    pub id: u32,
    /// The version of transactions by whose rules it works: 1 or 2 (KIP-890).
    pub version: i16,
    /// Whether its transactions copy what is committed in one partition to another.
    pub copies: bool,
}

/// A producer id and its epoch.
pub type Session = (i64, i16);

/// An InitProducerId that was acked: an instance of the producer begins, and every earlier one is fenced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The transactional producer.
    #[serde(rename = "p")]
    pub producer: u32,
    /// What it was given.
    #[serde(rename = "s")]
    pub session: Session,
    /// When it was asked.
    #[serde(rename = "i")]
    pub invoked: Micros,
    /// When the answer came.
    #[serde(rename = "c")]
    pub completed: Micros,
}

/// A produce call in a transaction, with all of its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// The number of its first record; those of a transaction are numbered from 0 without gaps.
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
    /// How it ended; a refusal is `Unknown`, since an earlier attempt may have been taken.
    #[serde(rename = "o")]
    pub outcome: Outcome,
}

/// How an EndTxn ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// It was acked.
    #[serde(rename = "a")]
    Acked,
    /// No attempt was taken: each was answered, the last one with this error, which no ending transaction gets.
    #[serde(rename = "r")]
    Refused(String),
    /// Whatever else: only readers can tell.
    #[serde(rename = "u")]
    Unknown(String),
}

/// An EndTxn, with all of its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Commit, or abort.
    #[serde(rename = "k")]
    pub commit: bool,
    /// When the first attempt began.
    #[serde(rename = "i")]
    pub invoked: Micros,
    /// When the answer came.
    #[serde(rename = "c")]
    pub completed: Micros,
    /// How it ended.
    #[serde(rename = "o")]
    pub outcome: Decision,
}

/// What a transaction copies: the committed records within some offsets, one for one, in their order. The group's next
/// offset is part of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The partition that is read.
    #[serde(rename = "p")]
    pub partition: i32,
    /// The first offset.
    #[serde(rename = "f")]
    pub from: i64,
    /// The offset behind the last, which is committed for the group.
    #[serde(rename = "n")]
    pub next: i64,
}

/// A transaction as its producer knows it. It asks to commit only if every append was acked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its number, unique in the run, which is in every record it sends. Those of a producer rise as they begin.
    #[serde(rename = "t")]
    pub id: u32,
    /// The transactional producer.
    #[serde(rename = "p")]
    pub producer: u32,
    /// The producer id and epoch of its records.
    #[serde(rename = "s")]
    pub session: Session,
    /// When it began.
    #[serde(rename = "b")]
    pub began: Micros,
    /// What it copies, if it does.
    #[serde(rename = "y")]
    pub copied: Option<Copied>,
    /// What it appended, in this order.
    #[serde(rename = "x")]
    pub appends: Vec<Append>,
    /// How the producer ended it; `None` if it left that to the coordinator.
    #[serde(rename = "e")]
    pub end: Option<End>,
}

/// The marker of a transaction's end in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Its offset.
    #[serde(rename = "o")]
    pub offset: i64,
    /// The producer id and epoch that it has: with version 2 the epoch after that of the transaction's records.
    #[serde(rename = "s")]
    pub session: Session,
    /// Committed, or aborted.
    #[serde(rename = "k")]
    pub commit: bool,
}

/// A read of a partition that transactions write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// What was asked and answered, with the records that the reader was given.
    #[serde(rename = "r")]
    pub read: Read,
    /// Whether it is a reader of committed records, who passes over what the answer says to be aborted.
    #[serde(rename = "k")]
    pub committed: bool,
    /// The markers in the answer.
    #[serde(rename = "m")]
    pub markers: Vec<Marker>,
    /// Where the reader goes on: behind the last batch of the answer.
    #[serde(rename = "n")]
    pub next: i64,
}
