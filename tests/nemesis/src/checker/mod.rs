//! Judges a history by what clients are promised; pure, so that a history can be judged anywhere and again.
//!
//! C1 no lost write · C2 one value per offset · C3 no duplicates with idempotence · C4 no phantom · C5 real-time order of
//! acks · C6 gap-free polls, per-producer order · C7 once read, the same for ever · C8 payloads intact, ends never go back · C9 committed offsets never regress, and skip nothing ·
//! C10 what transactions promise · B9 replicas are byte-identical.

mod ends;
mod facts;
mod groups;
mod log;
mod outages;
mod polls;
mod replicas;
mod transactions;
mod writes;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::history::{Event, History, Micros};
use facts::Facts;

pub use outages::{Outage, Wait};
pub use transactions::Transactions;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub property: &'static str,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.what)
    }
}

/// How much a history holds: a check of nothing proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Produce calls.
    pub calls: u64,
    /// Records that were acked.
    pub acked: u64,
    /// Calls whose outcome is open.
    pub unknown: u64,
    /// Records that consumers and members read.
    pub read: u64,
    /// Records in the final log.
    pub kept: u64,
    /// Acked commits.
    pub commits: u64,
    /// Faults.
    pub faults: u64,
    /// Replicas whose files were read.
    pub replicas: u64,
    /// ListOffsets that a leader answered behind its successor's back; see the module `ends`.
    pub outdated: u64,
}

/// The longest that a producer may wait for partitions which a killed broker neither led nor was needed for.
pub const NEEDLESS_WAIT: Micros = 500_000;

/// The verdict.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was broken; empty is what is hoped for.
    pub violations: Vec<Violation>,
    /// What was looked at.
    pub counts: Counts,
    /// What was looked at of transactions.
    pub transactions: Transactions,
    /// What each fault cost, in their order.
    pub outages: Vec<Outage>,
}

/// Judges a history; a wait where the killed broker was not needed may take up to `needless_wait`.
pub fn check(history: &History, needless_wait: Micros) -> Report {
    let facts = Facts::of(history);
    let (lost, ends) = (writes::lost(&facts), ends::that_go_back(&facts));
    let outages = outages::outages(&facts, &lost);
    let mut violations = Vec::new();
    let mut found = |property: &'static str, whats: Vec<String>| {
        violations.extend(whats.into_iter().map(|what| Violation { property, what }));
    };
    found("C1", lost.iter().map(String::from).collect());
    found("C2", log::two_values(&facts));
    found("C3", writes::duplicates(&facts));
    found("C4", writes::phantoms(&facts));
    found("C5", writes::out_of_real_time_order(&facts));
    found("C6", polls::gaps(&facts));
    found("C6", writes::out_of_producer_order(&facts));
    found("C7", log::read_and_gone(&facts));
    found("C8", log::damaged(&facts));
    found("C8", ends.violations);
    found("C8", ends::starts_that_go_back(&facts));
    found("C9", groups::regressions(&facts));
    found("C9", groups::skipped(&facts));
    found("B9", replicas::differences(&facts));
    let stuck = history.events.iter().filter_map(|event| match event {
        Event::Stuck(what) => Some(what.clone()),
        _ => None,
    });
    found("liveness", stuck.collect());
    found("liveness", outages::never_back(&facts));
    found("needless wait", outages::needless_waits(&outages, needless_wait));
    found("harness", without_evidence(&facts));
    found("harness", never_read(&facts));
    let (of_transactions, transactions) = transactions::check(history);
    violations.extend(of_transactions);
    let counts = Counts { outdated: ends.outdated, ..facts.counts() };
    Report { violations, counts, transactions, outages }
}

/// Faults that did nothing: the run did not test what it says.
fn without_evidence(facts: &Facts<'_>) -> Vec<String> {
    let silent = facts.faults.iter().filter(|fault| fault.evidence.is_empty());
    silent.map(|fault| format!("the fault '{}' has nothing to show that it took effect", fault.name)).collect()
}

/// Partitions that were not read at the end: nothing is known of their records.
fn never_read(facts: &Facts<'_>) -> Vec<String> {
    let written: std::collections::BTreeSet<i32> = facts.acked().map(|(writer, ..)| writer.partition).collect();
    let unread = written.into_iter().filter(|partition| !facts.logs.contains_key(partition));
    unread.map(|partition| format!("partition {partition} was never read at the end")).collect()
}
