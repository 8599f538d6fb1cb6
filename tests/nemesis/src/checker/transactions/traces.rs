//! What the final logs hold of each transaction: where its records are, and the marker that ends them.

use std::collections::{BTreeMap, HashMap};

use super::ledger::Ledger;
use crate::history::{Marker, Run, Transaction, View};

/// One record: the transaction and the record's number in it.
pub(super) type Cell = (u32, u64);

/// What one partition holds of one transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// By number, the offset of each record.
    pub(super) offsets: BTreeMap<u64, i64>,
    /// The offset of the first.
    pub(super) first: i64,
    /// What ended it here.
    pub(super) marker: Option<Marker>,
}

/// The final log of one partition.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Its records by offset; `None` for one that nobody wrote.
    pub(super) records: BTreeMap<i64, Option<Cell>>,
    /// Its markers by offset.
    pub(super) markers: BTreeMap<i64, Marker>,
    /// The transactions in it.
    pub(super) traces: BTreeMap<u32, Trace>,
}

/// The final logs.
#[derive(Debug, Default)]
pub(super) struct Traces {
    pub(super) logs: BTreeMap<i32, Log>,
    /// Records that nobody wrote, or not there, or that are there twice.
    pub(super) strangers: Vec<String>,
    /// Transactions of a producer that overlap, or stand in another order than they were begun.
    pub(super) disorder: Vec<String>,
}

impl Traces {
    pub(super) fn of(ledger: &Ledger<'_>) -> Self {
        let mut found = Self::default();
        for view in ledger.finals.iter().filter(|view| !view.committed) {
            found.logs.entry(view.read.partition).or_default().add(view);
        }
        let (mut strangers, mut disorder) = (Vec::new(), Vec::new());
        for (partition, log) in &mut found.logs {
            Walk { ledger, partition: *partition, strangers: &mut strangers, disorder: &mut disorder }.trace(log);
        }
        Self { strangers, disorder, ..found }
    }

    /// The partitions of a transaction, with what they hold of it.
    pub(super) fn of_transaction(&self, id: u32) -> impl Iterator<Item = (i32, &Trace)> {
        self.logs.iter().filter_map(move |(partition, log)| Some((*partition, log.traces.get(&id)?)))
    }

    /// Whether readers find a transaction committed, anywhere.
    pub(super) fn is_committed(&self, id: u32) -> bool {
        self.of_transaction(id).any(|(_, trace)| trace.is_committed())
    }
}

impl Trace {
    pub(super) fn is_committed(&self) -> bool {
        self.marker.is_some_and(|marker| marker.commit)
    }
}

impl Log {
    fn add(&mut self, view: &View) {
        for run in &view.read.runs {
            self.records.extend(cells(run));
        }
        self.markers.extend(view.markers.iter().map(|marker| (marker.offset, *marker)));
    }
}

/// The records of a run with their offsets.
pub(super) fn cells(run: &Run) -> impl Iterator<Item = (i64, Option<Cell>)> {
    (0..run.count).map(|at| (run.offset + i64::from(at), run.writer.map(|id| (id, run.first + u64::from(at)))))
}

/// Goes through a log in the order of its offsets.
struct Walk<'w, 'h> {
    ledger: &'w Ledger<'h>,
    partition: i32,
    strangers: &'w mut Vec<String>,
    disorder: &'w mut Vec<String>,
}

impl Walk<'_, '_> {
    fn trace(&mut self, log: &mut Log) {
        let Log { records, markers, traces } = log;
        let mut markers = markers.iter().peekable();
        // By producer id, the transaction that is open.
        let mut open: HashMap<i64, u32> = HashMap::new();
        // By transactional producer, the last transaction that has begun.
        let mut latest: HashMap<u32, u32> = HashMap::new();
        for (offset, cell) in records.iter() {
            while let Some((_, marker)) = markers.next_if(|(at, _)| *at < offset) {
                end(&mut open, traces, marker);
            }
            match cell.and_then(|(id, number)| Some((self.ledger.transactions.get(&id).copied()?, number))) {
                Some((transaction, number)) => {
                    self.step(transaction, (*offset, number), &mut open, &mut latest, traces);
                }
                None => self.strangers.push(format!("partition {} has {cell:?} at {offset}", self.partition)),
            }
        }
        markers.for_each(|(_, marker)| end(&mut open, traces, marker));
    }

    fn step(
        &mut self,
        transaction: &Transaction,
        (offset, number): (i64, u64),
        open: &mut HashMap<i64, u32>,
        latest: &mut HashMap<u32, u32>,
        traces: &mut BTreeMap<u32, Trace>,
    ) {
        let (partition, id) = (self.partition, transaction.id);
        let is_sent = transaction.appends.iter().any(|append| {
            append.partition == partition && (append.first..append.first + u64::from(append.count)).contains(&number)
        });
        if !is_sent {
            self.strangers.push(format!("record {number} of transaction {id} was not sent to partition {partition}"));
        }
        match open.insert(transaction.session.0, id) {
            Some(before) if before == id => {}
            Some(before) => self.disorder.push(format!(
                "partition {partition}: transaction {id} begins at {offset}, when {before} of the same producer is open"
            )),
            None => {
                let before = latest.insert(transaction.producer, id).filter(|before| *before >= id);
                if let Some(before) = before {
                    let what =
                        format!("partition {partition}: transaction {id} goes on at {offset}, after {before} ended");
                    self.disorder.push(what);
                }
            }
        }
        let trace = traces.entry(id).or_insert_with(|| Trace { first: offset, ..Trace::default() });
        let last = trace.offsets.last_key_value().map(|(last, _)| *last);
        if last.is_some_and(|last| last >= number) {
            self.strangers.push(format!("partition {partition}: record {number} of {id} at {offset}, after {last:?}"));
        }
        trace.offsets.insert(number, offset);
    }
}

/// A marker ends the transaction of its producer that is open, if one is.
fn end(open: &mut HashMap<i64, u32>, traces: &mut BTreeMap<u32, Trace>, marker: &Marker) {
    if let Some(trace) = open.remove(&marker.session.0).and_then(|id| traces.get_mut(&id)) {
        trace.marker = Some(*marker);
    }
}
