//! Which batches belong to aborted transactions, and which markers nothing needs any more. Pure: fed with the headers of
//! a log in order.

use std::collections::{BTreeMap, HashMap, HashSet};

use ottla_records::{BatchHeader, Marker};

use crate::aborted::Aborted;

/// The transactions that a clean passes through.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Aborted transactions that begin further on, by their first offset.
    ahead: BTreeMap<i64, Aborted>,
    /// By their producer, those that have begun and whose marker has not come; and whether there are batches of them.
    aborted: HashMap<i64, (Aborted, bool)>,
    /// Producers with batches of a transaction that is committed further on.
    committed: HashSet<i64>,
}

/// What a marker is still good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarkerUse {
    /// No batch of its transaction is left: it may go once every reader has had time to see it.
    pub(crate) is_obsolete: bool,
    /// The entry that the index of aborted transactions must have for it.
    pub(crate) index: Option<Aborted>,
}

impl Transactions {
    /// Takes note of aborted transactions with batches ahead; some may be known already.
    pub(crate) fn expect(&mut self, aborted: impl IntoIterator<Item = Aborted>) {
        for one in aborted {
            let has_begun = self.aborted.get(&one.producer).is_some_and(|(known, _)| known.first == one.first);
            if !has_begun {
                self.ahead.insert(one.first, one);
            }
        }
    }

    /// A batch with records, or what is left of one: whether it was aborted.
    pub(crate) fn is_aborted(&mut self, header: &BatchHeader) -> bool {
        self.begin_until(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((_, has_batches)) => {
                *has_batches = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// A control batch, with the marker in it if there is one.
    pub(crate) fn end(&mut self, header: &BatchHeader, marker: Option<Marker>) -> MarkerUse {
        self.begin_until(header.last_offset());
        let producer = header.producer_id;
        match marker {
            Some(Marker { commit: true, .. }) => {
                MarkerUse { is_obsolete: !self.committed.remove(&producer), index: None }
            }
            Some(Marker { commit: false, .. }) => match self.aborted.remove(&producer) {
                Some((aborted, true)) => MarkerUse { is_obsolete: false, index: Some(aborted) },
                _ => MarkerUse { is_obsolete: true, index: None },
            },
            // One that was emptied has done its work; of another kind nothing is known here.
            None => MarkerUse { is_obsolete: header.record_count == 0, index: None },
        }
    }

    fn begin_until(&mut self, offset: i64) {
        while let Some(first) = self.ahead.first_entry().filter(|first| *first.key() <= offset) {
            let aborted = first.remove();
            self.aborted.entry(aborted.producer).or_insert((aborted, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_records::{Attributes, BatchBuilder, Compression, ProducerStamp};

    const COMMIT: Marker = Marker { commit: true, coordinator_epoch: 0 };
    const ABORT: Marker = Marker { commit: false, coordinator_epoch: 0 };

    fn data(producer: i64, offset: i64) -> BatchHeader {
        let stamp = ProducerStamp { id: producer, epoch: 0, base_sequence: 0 };
        let attributes = Attributes::default().transactional();
        let mut builder = BatchBuilder::new(Compression::None).with_producer(stamp).with_attributes(attributes);
        builder.append(0, Some(b"k"), None, &[]);
        BatchHeader::parse(&builder.build(offset)).unwrap()
    }

    fn control(marker: Marker, producer: i64, offset: i64) -> BatchHeader {
        let header = BatchHeader::parse(&marker.batch(producer, 0, 0)).unwrap();
        BatchHeader { base_offset: offset, ..header }
    }

    fn aborted(producer: i64, first: i64, last: i64) -> Aborted {
        Aborted { producer, first, last, last_stable: last + 1 }
    }

    #[test]
    fn batches_of_aborted_transactions_are_told_from_others_of_their_producer() {
        let mut transactions = Transactions::default();
        let second = aborted(1, 10, 12);
        transactions.expect([second]);
        assert!(!transactions.is_aborted(&data(1, 5)), "of the transaction before");
        assert_eq!(
            transactions.end(&control(COMMIT, 1, 6), Some(COMMIT)),
            MarkerUse { is_obsolete: false, index: None }
        );
        assert!(transactions.is_aborted(&data(1, 10)));
        transactions.expect([second]);
        assert!(!transactions.is_aborted(&data(2, 11)), "of another producer");
        assert!(transactions.is_aborted(&data(1, 11)));
        let end = transactions.end(&control(ABORT, 1, 12), Some(ABORT));
        assert_eq!(end, MarkerUse { is_obsolete: false, index: Some(second) });
        assert!(!transactions.is_aborted(&data(1, 13)), "of the transaction behind");
    }

    #[test]
    fn a_marker_whose_batches_have_all_gone_is_obsolete() {
        const OBSOLETE: MarkerUse = MarkerUse { is_obsolete: true, index: None };
        let mut transactions = Transactions::default();
        transactions.expect([aborted(1, 10, 12)]);
        assert_eq!(transactions.end(&control(ABORT, 1, 12), Some(ABORT)), OBSOLETE);
        assert_eq!(transactions.end(&control(COMMIT, 2, 13), Some(COMMIT)), OBSOLETE);
        let emptied = BatchHeader { record_count: 0, ..control(COMMIT, 3, 14) };
        assert_eq!(transactions.end(&emptied, None), OBSOLETE);
        let unknown = transactions.end(&control(COMMIT, 3, 15), None);
        assert!(!unknown.is_obsolete, "of a kind that is not known here");
    }

    #[test]
    fn a_batch_that_is_no_part_of_a_transaction_is_never_aborted() {
        let mut transactions = Transactions::default();
        transactions.expect([aborted(1, 10, 20)]);
        let mut header = data(1, 11);
        header.attributes = Attributes::default();
        assert!(!transactions.is_aborted(&header));
    }
}
