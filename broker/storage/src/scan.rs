//! Walks the batch headers of a segment's file, and checks the checksum of a batch in it.
//!
//! Must not read more of a batch than its header, except to check it.

use std::fs::File;
use std::io;
use std::ops::Range;

use ottla_records::{BatchHeader, Crc, HEADER_LEN, crc_start};

use crate::file::{FileSlice, read_at};

/// Why a walk stopped before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("byte {position}: {reason}")]
    Invalid { position: u64, reason: ottla_records::Error },
}

/// A batch in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

impl Found {
    /// Where the next batch begins.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.header.total_len() as u64
    }
}

const WINDOW: usize = 4096;

/// The headers of the batches within `position..end`. Small batches share a read, large ones are stepped over.
pub(crate) struct Walk<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    window_start: u64,
    window_len: usize,
    window: [u8; WINDOW],
}

impl<'a> Walk<'a> {
    pub(crate) fn new(file: &'a File, position: u64, end: u64) -> Self {
        Self { file, position, end, window_start: 0, window_len: 0, window: [0; WINDOW] }
    }

    /// The next batch; none at the end. The range must end with a whole batch.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, WalkError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let position = self.position;
        let invalid = |reason| WalkError::Invalid { position, reason };
        let header = BatchHeader::parse(self.header_bytes()?).map_err(invalid)?;
        let available = self.end - position;
        if header.total_len() as u64 > available {
            let (needed, available) = (header.total_len(), available as usize);
            return Err(invalid(ottla_records::Error::Incomplete { needed, available }));
        }
        let found = Found { position, header };
        self.position = found.end();
        Ok(Some(found))
    }

    fn header_bytes(&mut self) -> io::Result<&[u8]> {
        let wanted = HEADER_LEN.min((self.end - self.position) as usize);
        let inside = self.position >= self.window_start
            && self.position + wanted as u64 <= self.window_start + self.window_len as u64;
        if !inside {
            let len = WINDOW.min((self.end - self.position) as usize);
            self.window_len = read_at(self.file, &mut self.window[..len], self.position)?;
            self.window_start = self.position;
        }
        let at = (self.position - self.window_start) as usize;
        Ok(&self.window[at..(at + wanted).min(self.window_len)])
    }
}

/// The batches of a [`FileSlice`] in order, by their headers alone, and where in the slice each lies. What is no whole batch
/// ends them: of a slice that a truncation has cut, or that ends within a batch.
pub struct Headers<'a> {
    walk: Walk<'a>,
    start: u64,
}

impl<'a> Headers<'a> {
    pub(crate) fn of(slice: &'a FileSlice) -> Self {
        let (start, end) = (slice.position, slice.position + slice.len as u64);
        Self { walk: Walk::new(&slice.file, start, end), start }
    }
}

impl Iterator for Headers<'_> {
    type Item = io::Result<(Range<usize>, BatchHeader)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.walk.next() {
            Ok(found) => found.map(|found| {
                let (begin, end) = (found.position - self.start, found.end() - self.start);
                Ok((begin as usize..end as usize, found.header))
            }),
            Err(WalkError::Invalid { .. }) => None,
            Err(WalkError::Io(error)) => Some(Err(error)),
        }
    }
}

/// Reads the batch that `found` describes and checks its checksum. `buffer` is the piece size.
pub(crate) fn verify(file: &File, found: &Found, buffer: &mut [u8]) -> Result<(), WalkError> {
    let mut crc = Crc::new();
    let mut position = found.position + crc_start() as u64;
    while position < found.end() {
        let len = buffer.len().min((found.end() - position) as usize);
        let got = read_at(file, &mut buffer[..len], position)?;
        if got == 0 {
            let available = (position - found.position) as usize;
            let reason = ottla_records::Error::Incomplete { needed: found.header.total_len(), available };
            return Err(WalkError::Invalid { position: found.position, reason });
        }
        crc.update(&buffer[..got]);
        position += got as u64;
    }
    let (expected, actual) = (found.header.crc, crc.value());
    if expected == actual {
        return Ok(());
    }
    Err(WalkError::Invalid { position: found.position, reason: ottla_records::Error::Crc { expected, actual } })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use ottla_records::{BatchBuilder, Compression};

    use super::*;

    fn batch(base: i64, bytes: usize) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(0, None, Some(&vec![b'v'; bytes]), &[]);
        builder.build(base).to_vec()
    }

    fn found(slice: &FileSlice) -> Vec<(Range<usize>, i64)> {
        slice.headers().map(Result::unwrap).map(|(range, header)| (range, header.base_offset)).collect()
    }

    #[test]
    fn the_headers_of_a_slice_are_found_whatever_lies_between_and_a_cut_batch_ends_them() {
        let before = batch(0, 10);
        let batches: Vec<_> = [10, 3 * WINDOW, 0, WINDOW - 100, 50, 50].into_iter().zip(1..).collect();
        let batches: Vec<_> = batches.into_iter().map(|(bytes, base)| batch(base, bytes)).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[&before[..], &batches.concat()].concat()).unwrap();
        let len = batches.concat().len();
        let slice = FileSlice { file: Arc::new(file), position: before.len() as u64, len };

        let mut expected = Vec::new();
        for (batch, base) in batches.iter().zip(1..) {
            let begin = expected.last().map_or(0, |(range, _): &(Range<usize>, i64)| range.end);
            expected.push((begin..begin + batch.len(), base));
        }
        assert_eq!(found(&slice), expected);
        let last = expected.last().unwrap().0.clone();
        for end in [last.end - 1, last.start + HEADER_LEN, last.start + HEADER_LEN - 1, last.start + 1] {
            assert_eq!(found(&slice.part(0..end)), expected[..5], "cut at {end}");
        }
        assert_eq!(found(&slice.part(last.clone())), [(0..last.len(), 6)]);

        slice.file.set_len(slice.position + last.start as u64 + 20).unwrap();
        assert_eq!(found(&slice), expected[..5], "a file that ends before the slice does");
    }
}
