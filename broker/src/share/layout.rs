//! Where the batches of a read lie, in offsets and in bytes, and which of them belong to aborted transactions.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use ottla_core::share::partition::{Acquired, Extent, Reach};
use ottla_core::{Offset, ProducerId};
use ottla_records::{BatchHeader, Marker};
use ottla_storage::{AbortedTransaction, FileSlice};

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
    /// Looks at the headers in `slice` as far as `reach` covers them, which bounds what is kept of them; a cut batch at the
    /// end is none. `aborted` are the transactions that the log knows to have been aborted there. May wait for the disk.
    pub fn of(slice: &FileSlice, aborted: &[AbortedTransaction], reach: Reach) -> io::Result<Self> {
        let (mut transactions, mut layout) = (Transactions::new(aborted), Self::default());
        for found in slice.headers() {
            let (range, header) = found?;
            let extent = Extent { first: Offset(header.base_offset), last: Offset(header.last_offset()) };
            let first = layout.extents.first().map_or(extent.first, |first| first.first);
            if !reach.covers(first, extent.first) {
                break;
            }
            let marker = if header.attributes.is_control() { marker(slice.part(range.clone()))? } else { None };
            if transactions.is_aborted(&header, marker) {
                layout.aborted.push(extent);
            }
            layout.extents.push(extent);
            layout.ends.push(range.end);
        }
        Ok(layout)
    }

    /// The bytes of the batches that `acquired` lie in, from the first of them to the last.
    pub fn bytes_of(&self, acquired: &[Acquired]) -> Range<usize> {
        let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else { return 0..0 };
        let before = self.extents.iter().take_while(|extent| extent.last < first.first).count();
        let upto = self.extents.iter().take_while(|extent| extent.first <= last.last).count();
        let begin = before.checked_sub(1).map_or(0, |index| self.ends[index]);
        let end = upto.checked_sub(1).map_or(0, |index| self.ends[index]);
        begin..end.max(begin)
    }
}

fn marker(batch: FileSlice) -> io::Result<Option<Marker>> {
    Ok(Marker::read(&batch.read()?).unwrap_or(None))
}

/// The aborted transactions of a read, as its batches pass by.
struct Transactions {
    /// Those that begin further on, by their first offset.
    ahead: std::iter::Peekable<std::vec::IntoIter<(Offset, ProducerId)>>,
    /// The producers of those that have begun and not ended.
    open: BTreeSet<ProducerId>,
}

impl Transactions {
    fn new(aborted: &[AbortedTransaction]) -> Self {
        let mut ahead: Vec<_> = aborted.iter().map(|one| (one.first_offset, one.producer)).collect();
        ahead.sort_unstable();
        Self { ahead: ahead.into_iter().peekable(), open: BTreeSet::new() }
    }

    /// Whether the next batch is part of one. `marker` is what a control batch says.
    fn is_aborted(&mut self, header: &BatchHeader, marker: Option<Marker>) -> bool {
        while let Some((_, begun)) = self.ahead.next_if(|(first, _)| first.0 <= header.last_offset()) {
            self.open.insert(begun);
        }
        let producer = ProducerId(header.producer_id);
        if marker.is_some_and(|marker| !marker.commit) {
            self.open.remove(&producer);
        }
        !header.attributes.is_control() && header.attributes.is_transactional() && self.open.contains(&producer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use ottla_records::{Attributes, BatchBuilder, Compression, ProducerStamp, batches};

    use super::*;

    const EVERYTHING: Reach = Reach::new(Offset::ZERO, u64::MAX);

    fn slice(bytes: &[u8]) -> FileSlice {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before").unwrap();
        file.write_all(bytes).unwrap();
        FileSlice { file: Arc::new(file), position: 6, len: bytes.len() }
    }

    /// The layout of `bytes` that are all there.
    fn of_bytes(bytes: &[u8], aborted: &[AbortedTransaction]) -> Layout {
        let (mut transactions, mut layout, mut end) = (Transactions::new(aborted), Layout::default(), 0);
        for batch in batches(bytes).map_while(Result::ok) {
            let extent = Extent { first: Offset(batch.header.base_offset), last: Offset(batch.header.last_offset()) };
            end += batch.bytes.len();
            layout.ends.push(end);
            layout.extents.push(extent);
            let is_control = batch.header.attributes.is_control();
            let marker = is_control.then(|| Marker::read(batch.bytes).unwrap()).flatten();
            if transactions.is_aborted(&batch.header, marker) {
                layout.aborted.push(extent);
            }
        }
        layout
    }

    fn batch(base: i64, records: usize) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::None);
        (0..records).for_each(|_| builder.append(0, None, Some(b"value"), &[]));
        builder.build(base).to_vec()
    }

    fn of_transaction(id: i64, base: i64, bytes: usize) -> Vec<u8> {
        let stamp = ProducerStamp { id, epoch: 0, base_sequence: 0 };
        let attributes = Attributes::default().transactional();
        let mut builder = BatchBuilder::new(Compression::None).with_producer(stamp).with_attributes(attributes);
        builder.append(0, None, Some(&vec![7; bytes]), &[]);
        builder.build(base).to_vec()
    }

    fn end_of(id: i64, base: i64, commit: bool) -> Vec<u8> {
        let mut batch = Marker { commit, coordinator_epoch: 3 }.batch(id, 0, 0).to_vec();
        ottla_records::set_base_offset(&mut batch, base);
        batch
    }

    fn extent(first: i64, last: i64) -> Extent {
        Extent { first: Offset(first), last: Offset(last) }
    }

    #[test]
    fn the_bytes_are_those_of_the_batches_that_were_acquired() {
        let parts = [batch(0, 2), batch(2, 3), batch(5, 1)];
        let layout = Layout::of(&slice(&parts.concat()), &[], EVERYTHING).unwrap();
        assert_eq!(layout.extents, [extent(0, 1), extent(2, 4), extent(5, 5)]);
        let acquired = |first, last| Acquired { first: Offset(first), last: Offset(last), count: 1 };
        let begin = parts[0].len();
        assert_eq!(layout.bytes_of(&[acquired(3, 3)]), begin..begin + parts[1].len());
        assert_eq!(layout.bytes_of(&[acquired(1, 1), acquired(5, 5)]), 0..begin + parts[1].len() + parts[2].len());
        assert_eq!(layout.bytes_of(&[]), 0..0);
    }

    #[test]
    fn what_the_reach_does_not_cover_is_not_looked_at() {
        let all = slice(&(0..100).flat_map(|base| batch(10 + base, 1)).collect::<Vec<_>>());
        let layout = Layout::of(&all, &[], Reach::new(Offset(10), 3)).unwrap();
        assert_eq!(layout.extents, [extent(10, 10), extent(11, 11), extent(12, 12)]);
        let layout = Layout::of(&all, &[], Reach::new(Offset(2), 1)).unwrap();
        assert_eq!(layout.extents, [extent(10, 10)], "the log begins there");
    }

    #[test]
    fn a_file_is_laid_out_as_the_bytes_in_it_wherever_they_end() {
        let all = [
            of_transaction(1, 0, 10),
            of_transaction(2, 1, 100_000),
            batch(2, 3),
            end_of(1, 5, false),
            of_transaction(1, 6, 10),
            end_of(2, 7, false),
            end_of(1, 8, true),
            of_transaction(2, 9, 200_000),
            of_transaction(3, 10, 10),
            end_of(2, 11, false),
        ];
        let transaction = |producer, first_offset| AbortedTransaction {
            producer: ProducerId(producer),
            first_offset: Offset(first_offset),
        };
        let aborted = [transaction(2, 9), transaction(1, 0), transaction(2, 1)];
        let bytes = all.concat();
        let layout = Layout::of(&slice(&bytes), &aborted, EVERYTHING).unwrap();
        assert_eq!(layout.aborted, [extent(0, 0), extent(1, 1), extent(9, 9)]);
        let ends: Vec<usize> = all
            .iter()
            .scan(0, |end, batch| {
                *end += batch.len();
                Some(*end)
            })
            .collect();
        assert_eq!(layout.ends, ends);
        let cuts = ends.iter().flat_map(|end| [end - 1, *end, end + 1, end + 60, end + 61]).chain([0, 1]);
        for cut in cuts.filter(|cut| *cut <= bytes.len()) {
            let (cut, all) = (&bytes[..cut], slice(&bytes).part(0..cut));
            assert_eq!(
                Layout::of(&all, &aborted, EVERYTHING).unwrap(),
                of_bytes(cut, &aborted),
                "cut at {}",
                cut.len()
            );
        }
    }
}
