//! A history sorted by what the checks ask for.

use std::collections::BTreeMap;

use super::Counts;
use super::log::Log;
use crate::history::{
    Commit, Committed, Event, Fault, History, Latest, Outcome, Partition, Produce, Read, ReplicaLog, Writer,
};

/// The events of a history by kind.
#[derive(Debug, Default)]
pub(super) struct Facts<'h> {
    pub(super) partitions: BTreeMap<i32, &'h Partition>,
    pub(super) writers: BTreeMap<u32, &'h Writer>,
    /// The calls of each writer in the order of their records.
    pub(super) calls: BTreeMap<u32, Vec<&'h Produce>>,
    pub(super) reads: Vec<&'h Read>,
    /// The whole log of each partition, as the final reads gave it.
    pub(super) logs: BTreeMap<i32, Log>,
    pub(super) finals: Vec<&'h Read>,
    pub(super) latest: Vec<&'h Latest>,
    pub(super) commits: Vec<&'h Commit>,
    pub(super) committed: Vec<&'h Committed>,
    pub(super) faults: Vec<&'h Fault>,
    pub(super) replicas: Vec<&'h ReplicaLog>,
}

impl<'h> Facts<'h> {
    pub(super) fn of(history: &'h History) -> Self {
        let mut facts = Self::default();
        for event in &history.events {
            match event {
                Event::Partition(partition) => drop(facts.partitions.insert(partition.number, partition)),
                Event::Writer(writer) => drop(facts.writers.insert(writer.id, writer)),
                Event::Produce(call) => facts.calls.entry(call.writer).or_default().push(call),
                Event::Read(read) => facts.reads.push(read),
                Event::Final(read) => {
                    facts.finals.push(read);
                    facts.logs.entry(read.partition).or_default().extend(read);
                }
                Event::Latest(latest) => facts.latest.push(latest),
                Event::Commit(commit) => facts.commits.push(commit),
                Event::Committed(committed) => facts.committed.push(committed),
                Event::Fault(fault) => facts.faults.push(fault),
                Event::Replica(replica) => facts.replicas.push(replica),
                Event::Stuck(_) => {}
                // These are a history of their own.
                Event::Transactor(_)
                | Event::Begun(_)
                | Event::Transaction(_)
                | Event::View(_)
                | Event::FinalView(_) => {}
            }
        }
        for calls in facts.calls.values_mut() {
            calls.sort_by_key(|call| call.first);
        }
        facts
    }

    /// Every read, of consumers and the final ones.
    pub(super) fn all_reads(&self) -> impl Iterator<Item = &'h Read> {
        self.reads.iter().chain(&self.finals).copied()
    }

    /// Every acked call whose offset is known, with its writer.
    pub(super) fn acked(&self) -> impl Iterator<Item = (&'h Writer, &'h Produce, i64)> {
        self.calls.iter().flat_map(|(id, calls)| {
            let writer = self.writers.get(id).copied();
            calls.iter().filter_map(move |call| match call.outcome {
                Outcome::Acked(offset) => Some((writer?, *call, offset)),
                _ => None,
            })
        })
    }

    /// The calls of all writers of a partition, in no order.
    pub(super) fn calls_to(&self, partition: i32) -> impl Iterator<Item = &'h Produce> {
        let writers = self.writers.values().filter(move |writer| writer.partition == partition);
        writers.filter_map(|writer| self.calls.get(&writer.id)).flatten().copied()
    }

    /// The call that sent a record, if any did.
    pub(super) fn call_of(&self, writer: u32, number: u64) -> Option<&'h Produce> {
        let calls = self.calls.get(&writer)?;
        let after = calls.partition_point(|call| call.first <= number);
        let call = calls[..after].last()?;
        (number < call.first + u64::from(call.count)).then_some(call)
    }

    pub(super) fn counts(&self) -> Counts {
        let calls = || self.calls.values().flatten();
        let is_unknown = |call: &&&Produce| matches!(call.outcome, Outcome::Unknown(_));
        let records = |read: &&Read| read.runs.iter().map(|run| u64::from(run.count)).sum::<u64>();
        Counts {
            calls: calls().count() as u64,
            acked: calls().filter(|call| !is_unknown(call)).map(|call| u64::from(call.count)).sum(),
            unknown: calls().filter(is_unknown).count() as u64,
            read: self.reads.iter().map(records).sum(),
            kept: self.finals.iter().map(records).sum(),
            commits: self.commits.iter().filter(|commit| commit.acked).count() as u64,
            faults: self.faults.len() as u64,
            replicas: self.replicas.len() as u64,
            outdated: 0,
        }
    }
}
