//! What transactions promise (C10), judged from what their producers were told and what readers were given.
//!
//! Kafka's transactions are atomic and, once over, seen as they ended; they are not isolated from each other. Appends of
//! two transactions may interleave in every partition in any order, since nobody holds locks: write cycles (G0) are no
//! violation, and are counted.

mod copies;
mod cycles;
mod evidence;
mod ledger;
mod producers;
mod reads;
mod traces;
mod verdicts;

#[cfg(test)]
mod tests;

use super::Violation;
use crate::history::History;
use ledger::Ledger;
use traces::Traces;

/// How much of transactions a history holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    /// Transactional producers.
    pub producers: u64,
    /// Transactions whose commit was acked.
    pub committed: u64,
    /// Those by the rules of version 1 among them.
    pub committed_by_version_1: u64,
    /// Transactions whose abort was acked.
    pub aborted: u64,
    /// Commits that were refused after another instance had begun.
    pub fenced: u64,
    /// Commits that were refused without another instance: the coordinator had aborted the transaction.
    pub timed_out: u64,
    /// Commits whose outcome the producer was not told.
    pub open: u64,
    /// Of these, those that readers found committed.
    pub open_committed: u64,
    /// Copying transactions that readers found committed.
    pub copying: u64,
    /// Records of all transactions in the final logs.
    pub kept: u64,
    /// Records that readers of committed records were given.
    pub read: u64,
    /// Groups of committed transactions that follow each other in a circle over their partitions (G0), and how many
    /// transactions are in them.
    pub write_cycles: u64,
    /// See `write_cycles`.
    pub in_write_cycles: u64,
}

/// Judges the transactions of a history; one without transactional producers has no violation.
pub(super) fn check(history: &History) -> (Vec<Violation>, Transactions) {
    let ledger = Ledger::of(history);
    let traces = Traces::of(&ledger);
    let mut violations = Vec::new();
    let mut found = |property: &'static str, whats: Vec<String>| {
        violations.extend(whats.into_iter().map(|what| Violation { property, what }));
    };
    found("C10 no phantom, nothing twice", traces.strangers.clone());
    found("C10 one transaction of a producer after the other", traces.disorder.clone());
    found("C10 all or nothing", verdicts::torn(&ledger, &traces));
    found("C10 no acked commit lost", verdicts::lost(&ledger, &traces));
    found("C10 nothing aborted is committed", verdicts::unasked(&ledger, &traces));
    found("C10 no aborted read (G1a)", reads::aborted(&ledger, &traces));
    found("C10 no read before the commit (G1b)", reads::early(&ledger));
    found("C10 committed records are read, once and as they were written", reads::differing(&ledger, &traces));
    found("C10 reads follow each other", reads::gaps(&ledger));
    found("C10 last stable offset", reads::unstable(&ledger, &traces));
    found("C10 last stable offset", reads::marks_that_go_back(&ledger));
    found("C10 zombies are fenced", producers::zombies(&ledger));
    found("C10 each record is copied once", copies::not_once(&ledger, &traces));
    found("C10 no information flows back (G1c)", copies::circular(&ledger, &traces));
    found("liveness", evidence::never_back(&ledger));
    found("harness", evidence::missing(&ledger, &traces));
    (violations, evidence::counts(&ledger, &traces))
}
