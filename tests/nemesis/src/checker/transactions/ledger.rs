//! The transactions of a history sorted by what the checks ask for.

use std::collections::BTreeMap;

use crate::history::{Begun, Decision, End, Event, History, Micros, Outcome, Transaction, Transactor, View};

/// What a producer knows of the end of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The commit was acked.
    Committed,
    /// It was never asked to be committed, or no such request was taken.
    Aborted,
    /// The answer to its commit was lost: readers may find it either way.
    Open,
}

/// The fate as its producer knows it.
pub(super) fn fate(transaction: &Transaction) -> Fate {
    match &transaction.end {
        Some(End { commit: true, outcome: Decision::Acked, .. }) => Fate::Committed,
        Some(End { commit: true, outcome: Decision::Unknown(_), .. }) => Fate::Open,
        _ => Fate::Aborted,
    }
}

/// When the commit was asked for, if it was.
pub(super) fn asked(transaction: &Transaction) -> Option<Micros> {
    transaction.end.as_ref().filter(|end| end.commit).map(|end| end.invoked)
}

/// The events that concern transactions.
#[derive(Debug, Default)]
pub(super) struct Ledger<'h> {
    pub(super) transactors: BTreeMap<u32, &'h Transactor>,
    /// Of each producer, in the order of their answers.
    pub(super) begun: BTreeMap<u32, Vec<&'h Begun>>,
    pub(super) transactions: BTreeMap<u32, &'h Transaction>,
    /// Reads during the run, in their order.
    pub(super) views: Vec<&'h View>,
    /// Reads of the whole at the end.
    pub(super) finals: Vec<&'h View>,
    /// When the last fault had been taken back.
    pub(super) healed: Option<Micros>,
}

impl<'h> Ledger<'h> {
    pub(super) fn of(history: &'h History) -> Self {
        let mut ledger = Self::default();
        for event in &history.events {
            match event {
                Event::Transactor(transactor) => drop(ledger.transactors.insert(transactor.id, transactor)),
                Event::Begun(begun) => ledger.begun.entry(begun.producer).or_default().push(begun),
                Event::Transaction(transaction) => drop(ledger.transactions.insert(transaction.id, transaction)),
                Event::View(view) => ledger.views.push(view),
                Event::FinalView(view) => ledger.finals.push(view),
                Event::Fault(fault) => ledger.healed = ledger.healed.max(Some(fault.healed)),
                _ => {}
            }
        }
        ledger.begun.values_mut().for_each(|begun| begun.sort_by_key(|begun| begun.completed));
        ledger
    }

    /// Every read, during the run and at the end.
    pub(super) fn all_views(&self) -> impl Iterator<Item = &'h View> {
        self.views.iter().chain(&self.finals).copied()
    }

    /// The first instance of the producer that began between two moments.
    pub(super) fn begun_between(&self, producer: u32, after: Micros, before: Micros) -> Option<&'h Begun> {
        let begun = self.begun.get(&producer)?;
        let next = begun.partition_point(|begun| begun.completed <= after);
        begun.get(next).filter(|begun| begun.completed < before).copied()
    }
}

/// Whether an append was acked, and at which offset if that was told.
pub(super) fn acked(outcome: &Outcome) -> Option<Option<i64>> {
    match outcome {
        Outcome::Acked(offset) => Some(Some(*offset)),
        Outcome::Duplicate => Some(None),
        Outcome::Unknown(_) => None,
    }
}
