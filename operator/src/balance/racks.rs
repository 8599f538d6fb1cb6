//! Copies of a partition lie in different racks while there are enough of them.

use std::collections::BTreeMap;

use super::{Broker, Role};

/// The rack of each broker, and how large the racks are.
#[derive(Clone, Debug)]
pub(super) struct Racks {
    /// By position of the broker.
    of: Vec<usize>,
    /// Brokers that carry their share, by rack.
    sizes: Vec<usize>,
}

impl Racks {
    /// The racks of `brokers`; one without is a rack of its own.
    pub(super) fn new(brokers: &[Broker]) -> Self {
        let mut known = BTreeMap::new();
        let (mut of, mut sizes) = (Vec::with_capacity(brokers.len()), Vec::new());
        for broker in brokers {
            let mut fresh = || {
                sizes.push(0);
                sizes.len() - 1
            };
            let rack = match &broker.rack {
                Some(name) => *known.entry(name.clone()).or_insert_with(fresh),
                None => fresh(),
            };
            of.push(rack);
            sizes[rack] += usize::from(broker.role == Role::Member);
        }
        Self { of, sizes }
    }

    /// How many of `copies` copies may lie in one rack: the least with which all find a place.
    pub(super) fn cap(&self, copies: usize) -> usize {
        let room = |cap: usize| self.sizes.iter().map(|size| *size.min(&cap)).sum::<usize>();
        (1..copies).find(|cap| room(*cap) >= copies).unwrap_or(copies.max(1))
    }

    /// Whether a copy on `broker` would be one too many in its rack, beside `others`, of `copies` in all.
    pub(super) fn is_full(&self, broker: usize, others: impl Iterator<Item = usize>, copies: usize) -> bool {
        let rack = self.of[broker];
        others.filter(|other| self.of[*other] == rack).count() >= self.cap(copies)
    }

    /// Whether both are in one rack.
    pub(super) fn are_neighbours(&self, left: usize, right: usize) -> bool {
        self.of[left] == self.of[right]
    }

    /// The last position in `list` whose rack has more copies than it may.
    pub(super) fn crowded(&self, list: &[usize]) -> Option<usize> {
        let others = |position: usize| {
            let all = list.iter().enumerate();
            all.filter(move |(other, _)| *other != position).map(|(_, broker)| *broker)
        };
        (0..list.len()).rev().find(|position| self.is_full(list[*position], others(*position), list.len()))
    }
}

#[cfg(test)]
mod tests {
    use ottla_core::ids::BrokerId;

    use super::*;

    fn racks(names: &[Option<&str>]) -> Racks {
        let broker = |(id, rack): (i32, &Option<&str>)| Broker {
            id: BrokerId(id),
            rack: rack.map(Into::into),
            alive: true,
            role: Role::Member,
        };
        Racks::new(&(0..).zip(names).map(broker).collect::<Vec<_>>())
    }

    #[test]
    fn a_rack_takes_one_copy_while_racks_suffice_and_no_more_than_needed_then() {
        let racks = racks(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("b"), None]);
        assert_eq!([1, 2, 3, 4, 5, 6].map(|copies| racks.cap(copies)), [1, 1, 1, 2, 2, 3]);
        assert_eq!(racks.cap(9), 9, "more than there are brokers");
        assert_eq!(racks.crowded(&[0, 2, 5]), None);
        assert_eq!(racks.crowded(&[0, 1, 5]), Some(1));
        assert_eq!(racks.crowded(&[0, 1, 2, 5]), None);
    }
}
