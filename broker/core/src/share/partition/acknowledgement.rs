//! What a member says of records that it has.

use super::Error;
use super::run::length;
use crate::Offset;

/// What was done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no record at the offset.
    Gap,
    /// It is done with.
    Accept,
    /// It may be delivered again.
    Release,
    /// It must not be delivered again.
    Reject,
    /// More time is needed (KIP-1222).
    Renew,
}

impl Kind {
    fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Gap),
            1 => Some(Self::Accept),
            2 => Some(Self::Release),
            3 => Some(Self::Reject),
            4 => Some(Self::Renew),
            _ => None,
        }
    }
}

/// What a member says of consecutive offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub(super) first: Offset,
    pub(super) last: Offset,
    /// One for all offsets, or one for each.
    kinds: Vec<Kind>,
}

/// Of how many records it is said what was done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// They are done with.
    pub accepted: u64,
    /// They may be delivered again.
    pub released: u64,
    /// They must not be.
    pub rejected: u64,
    /// More time is needed.
    pub renewed: u64,
}

impl Tally {
    /// Of all that is said.
    pub fn of(said: &[Acknowledgement]) -> Self {
        let mut tally = Self::default();
        for (first, last, kind) in said.iter().flat_map(|one| one.ranges(Offset::ZERO)) {
            let count = match kind {
                Kind::Gap => continue,
                Kind::Accept => &mut tally.accepted,
                Kind::Release => &mut tally.released,
                Kind::Reject => &mut tally.rejected,
                Kind::Renew => &mut tally.renewed,
            };
            *count += length(first, last);
        }
        tally
    }
}

impl Acknowledgement {
    /// `codes` as on the wire, of the offsets `first` to `last`, inclusive: one for each of them or one for all.
    pub fn new(first: Offset, last: Offset, codes: &[i8]) -> Result<Self, Error> {
        let is_range = Offset::ZERO <= first && first <= last && last < Offset(i64::MAX);
        let is_for_each = || u64::try_from(codes.len()).is_ok_and(|count| count == length(first, last));
        if !is_range || !(codes.len() == 1 || is_for_each()) {
            return Err(Error::InvalidRequest);
        }
        let kinds: Option<Vec<Kind>> = codes.iter().map(|code| Kind::from_code(*code)).collect();
        Ok(Self { first, last, kinds: kinds.ok_or(Error::InvalidRequest)? })
    }

    /// Whether more time is asked for somewhere in it.
    pub fn renews(&self) -> bool {
        self.kinds.contains(&Kind::Renew)
    }

    /// What is said of which offsets from `start` on, in ranges as long as they go.
    pub(super) fn ranges(&self, start: Offset) -> Vec<(Offset, Offset, Kind)> {
        if let [kind] = self.kinds[..] {
            let first = self.first.max(start);
            return if first <= self.last { vec![(first, self.last, kind)] } else { Vec::new() };
        }
        let mut ranges: Vec<(Offset, Offset, Kind)> = Vec::new();
        for (offset, kind) in (self.first.0..).map(Offset).zip(&self.kinds).filter(|(offset, _)| *offset >= start) {
            match ranges.last_mut() {
                Some((_, last, same)) if same == kind => *last = offset,
                _ => ranges.push((offset, offset, *kind)),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_one_for_all_or_one_for_each_of_a_range() {
        let acknowledgement = |first, last, codes: &[i8]| Acknowledgement::new(Offset(first), Offset(last), codes);
        for (first, last, codes) in
            [(3, 2, &[1][..]), (-1, 2, &[1]), (0, 2, &[1, 1]), (0, 2, &[]), (0, 0, &[5]), (0, i64::MAX, &[1])]
        {
            assert_eq!(acknowledgement(first, last, codes), Err(Error::InvalidRequest), "{first} {last} {codes:?}");
        }
        let each = acknowledgement(5, 8, &[1, 1, 2, 1]).unwrap();
        let range = |first, last, kind| (Offset(first), Offset(last), kind);
        assert_eq!(
            each.ranges(Offset(6)),
            [range(6, 6, Kind::Accept), range(7, 7, Kind::Release), range(8, 8, Kind::Accept)]
        );
        let all = acknowledgement(5, 8, &[3]).unwrap();
        assert_eq!(all.ranges(Offset::ZERO), [range(5, 8, Kind::Reject)]);
        assert_eq!(all.ranges(Offset(9)), []);
        let gap = acknowledgement(9, 9, &[0]).unwrap();
        assert_eq!(Tally::of(&[each, all, gap]), Tally { accepted: 3, released: 1, rejected: 4, renewed: 0 });
    }
}
