//! Where the batches of a read lie, in offsets and in bytes, and which of them belong to aborted transactions.

use std::collections::BTreeSet;

use ottla_core::Offset;
use ottla_core::share::partition::{Acquired, Extent};
use ottla_records::{Marker, batches};
use ottla_storage::AbortedTransaction;

/// The batches of a read, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Their offsets.
    pub extents: Vec<Extent>,
    /// Those of aborted transactions.
    pub aborted: Vec<Extent>,
    /// Where each ends in the bytes.
    ends: Vec<usize>,
}

impl Layout {
    /// Looks at the headers in `bytes`; a cut batch at the end is none. `aborted` are the transactions that the log knows to
    /// have been aborted there.
    pub fn of(bytes: &[u8], aborted: &[AbortedTransaction]) -> Self {
        let mut upcoming: Vec<_> = aborted.iter().map(|one| (one.first_offset, one.producer)).collect();
        upcoming.sort_unstable();
        let mut upcoming = upcoming.into_iter().peekable();
        let (mut open, mut layout, mut end) = (BTreeSet::new(), Self::default(), 0);
        for batch in batches(bytes).map_while(Result::ok) {
            let header = &batch.header;
            let extent = Extent { first: Offset(header.base_offset), last: Offset(header.last_offset()) };
            end += batch.bytes.len();
            layout.extents.push(extent);
            layout.ends.push(end);
            let producer = ottla_core::ProducerId(header.producer_id);
            while let Some((_, begun)) = upcoming.next_if(|(first, _)| *first <= extent.last) {
                open.insert(begun);
            }
            if header.attributes.is_control() {
                if Marker::read(batch.bytes).is_ok_and(|marker| marker.is_some_and(|marker| !marker.commit)) {
                    open.remove(&producer);
                }
            } else if header.attributes.is_transactional() && open.contains(&producer) {
                layout.aborted.push(extent);
            }
        }
        layout
    }

    /// The bytes of the batches that `acquired` lie in, from the first of them to the last.
    pub fn bytes_of(&self, acquired: &[Acquired]) -> std::ops::Range<usize> {
        let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else { return 0..0 };
        let before = self.extents.iter().take_while(|extent| extent.last < first.first).count();
        let upto = self.extents.iter().take_while(|extent| extent.first <= last.last).count();
        let begin = before.checked_sub(1).map_or(0, |index| self.ends[index]);
        let end = upto.checked_sub(1).map_or(0, |index| self.ends[index]);
        begin..end.max(begin)
    }
}

#[cfg(test)]
mod tests {
    use ottla_records::{BatchBuilder, Compression};

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_batches_that_were_acquired() {
        let batch = |base: i64, records: usize| {
            let mut builder = BatchBuilder::new(Compression::None);
            (0..records).for_each(|_| builder.append(0, None, Some(b"value"), &[]));
            builder.build(base)
        };
        let parts = [batch(0, 2), batch(2, 3), batch(5, 1)];
        let layout = Layout::of(&parts.concat(), &[]);
        let extent = |first, last| Extent { first: Offset(first), last: Offset(last) };
        assert_eq!(layout.extents, [extent(0, 1), extent(2, 4), extent(5, 5)]);
        let acquired = |first, last| Acquired { first: Offset(first), last: Offset(last), count: 1 };
        let begin = parts[0].len();
        assert_eq!(layout.bytes_of(&[acquired(3, 3)]), begin..begin + parts[1].len());
        assert_eq!(layout.bytes_of(&[acquired(1, 1), acquired(5, 5)]), 0..begin + parts[1].len() + parts[2].len());
        assert_eq!(layout.bytes_of(&[]), 0..0);
    }
}
