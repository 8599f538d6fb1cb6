//! Who believes to own what, and from when to when, with the times of one monotonic clock.
//!
//! A time is taken while the book is held, so that the order of two entries is the order of their times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::history::Micros;

/// The time in which a member believed that a partition was its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The id of the member; each life of a member has another.
    pub member: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// When the answer that gave it had come.
    pub from: Micros,
    /// When it was given up, before the coordinator was told; `None` while it is owned.
    pub to: Option<Micros>,
}

/// How things stand at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The moment.
    pub at: Micros,
    /// How many partitions somebody owns.
    pub owned: usize,
    /// How many tenures have begun or ended.
    pub changes: usize,
}

/// A handle on the tenures of a group; clones write into the same book.
#[derive(Clone, Debug)]
pub struct Ledger {
    began: Instant,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    tenures: Vec<Tenure>,
    /// By member, the tenure of each partition that it has.
    open: BTreeMap<Arc<str>, BTreeMap<i32, usize>>,
}

impl Ledger {
    /// An empty one, whose time begins now.
    pub fn begin() -> Self {
        Self { began: Instant::now(), book: Arc::default() }
    }

    /// The time.
    pub fn now(&self) -> Micros {
        self.began.elapsed().as_micros() as Micros
    }

    /// The member owns these from now on.
    pub fn take(&self, member: &Arc<str>, partitions: &BTreeSet<i32>) {
        let mut book = self.book();
        let now = self.now();
        for &partition in partitions {
            let number = book.tenures.len();
            book.tenures.push(Tenure { member: Arc::clone(member), partition, from: now, to: None });
            book.open.entry(Arc::clone(member)).or_default().insert(partition, number);
        }
    }

    /// The member owns these no more.
    pub fn release(&self, member: &Arc<str>, partitions: &BTreeSet<i32>) {
        let mut book = self.book();
        let now = self.now();
        for partition in partitions {
            let number = book.open.get_mut(member).and_then(|open| open.remove(partition));
            if let Some(number) = number {
                book.tenures[number].to = Some(now);
            }
        }
    }

    /// The member owns nothing more.
    pub fn release_all(&self, member: &Arc<str>) {
        let mut book = self.book();
        let now = self.now();
        for number in book.open.remove(member).unwrap_or_default().into_values() {
            book.tenures[number].to = Some(now);
        }
    }

    /// How things stand now.
    pub fn standing(&self) -> Standing {
        let book = self.book();
        let open = || book.open.values().flat_map(BTreeMap::keys);
        let owned = open().collect::<BTreeSet<_>>().len();
        Standing { at: self.now(), owned, changes: 2 * book.tenures.len() - open().count() }
    }

    /// All tenures so far, in the order of their beginnings.
    pub fn tenures(&self) -> Vec<Tenure> {
        self.book().tenures.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_ends_when_the_partition_is_given_up_or_the_member_is_gone() {
        let ledger = Ledger::begin();
        let (a, b) = ("a".into(), "b".into());
        ledger.take(&a, &[1, 2].into());
        ledger.release(&a, &[1].into());
        ledger.take(&b, &[1].into());
        let Standing { owned, changes, .. } = ledger.standing();
        assert_eq!((owned, changes), (2, 4));
        ledger.release_all(&a);
        let Standing { owned, changes, .. } = ledger.standing();
        assert_eq!((owned, changes), (1, 5));
        let tenures = ledger.tenures();
        let open: Vec<(&str, i32)> = tenures
            .iter()
            .filter(|tenure| tenure.to.is_none())
            .map(|tenure| (&*tenure.member, tenure.partition))
            .collect();
        assert_eq!(open, [("b", 1)]);
        assert!(tenures[0].to.unwrap() <= tenures[2].from);
    }
}
