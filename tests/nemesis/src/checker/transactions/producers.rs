//! Who may still write: an instance whose successor has begun may not.

use super::ledger::{Fate, Ledger, acked, fate};

/// Commits and appends that were asked for after another instance of the producer had begun, and were acked.
pub(super) fn zombies(ledger: &Ledger<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for transaction in ledger.transactions.values() {
        let (id, producer, began) = (transaction.id, transaction.producer, transaction.began);
        let fence = |invoked| ledger.begun_between(producer, began, invoked);
        for append in transaction.appends.iter().filter(|append| acked(&append.outcome).is_some()) {
            if let Some(fence) = fence(append.invoked) {
                found.push(format!("transaction {id} of producer {producer}: {append:?} was acked after {fence:?}"));
            }
        }
        let committed = transaction.end.as_ref().filter(|_| fate(transaction) == Fate::Committed);
        if let Some((end, fence)) = committed.and_then(|end| Some((end, fence(end.invoked)?))) {
            found.push(format!("transaction {id} of producer {producer}: {end:?} was acked after {fence:?}"));
        }
    }
    found
}
