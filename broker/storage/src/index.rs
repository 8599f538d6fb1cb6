//! The sparse indexes of a segment: `.index` (offset → position) and `.timeindex` (timestamp → offset).
//!
//! Entries are appended to memory and written to the file a few hundred at a time; look-ups search the file by binary
//! search, so nothing of a sealed segment's index stays in memory. Nothing here is trusted: the batch at the position
//! that a look-up gives is compared with the entry, and an index that lies is built anew from the log.

use std::io;

use crate::cache::CachedFile;
use crate::file::{read_at, write_at};

/// One entry, as it lies on disk.
pub(crate) trait Entry: Copy + std::fmt::Debug {
    const SIZE: usize;
    fn encode(self, out: &mut Vec<u8>);
    fn decode(bytes: &[u8]) -> Self;
}

/// 8 bytes: last offset of a batch relative to the segment's base, and the position of that batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) offset: u32,
    pub(crate) position: u32,
}

/// 12 bytes: the largest timestamp so far, and the last offset, relative, of the first batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) offset: u32,
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        Self { offset: be_u32(bytes, 0), position: be_u32(bytes, 4) }
    }
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let timestamp = u64::from(be_u32(bytes, 0)) << 32 | u64::from(be_u32(bytes, 4));
        Self { timestamp: timestamp as i64, offset: be_u32(bytes, 8) }
    }
}

/// Entries that wait in memory before they are written together; as many again stay after that, because most reads
/// are near the end of a log.
const BATCH: usize = 256;
/// Bytes of the file that a look-up reads at once.
const BLOCK: usize = 4096;

/// An index file with its end in memory.
#[derive(Debug)]
pub(crate) struct Index<E> {
    file: CachedFile,
    /// Number of entries in the file.
    on_disk: usize,
    /// Number of the first entry of `tail`.
    tail_start: usize,
    /// The last entries, written or not; without gap behind `tail_start`.
    tail: Vec<E>,
}

impl<E: Entry> Index<E> {
    /// An index without entries; what the file holds is overwritten by and by.
    pub(crate) fn empty(file: CachedFile) -> Self {
        Self { file, on_disk: 0, tail_start: 0, tail: Vec::new() }
    }

    /// Looks at the file's length. An error if it is missing; false if it cannot be an index.
    pub(crate) fn load(&mut self) -> io::Result<bool> {
        let len = self.file.open(false)?.metadata()?.len() as usize;
        self.on_disk = len / E::SIZE;
        self.tail_start = self.on_disk;
        self.tail = Vec::new();
        Ok(len.is_multiple_of(E::SIZE))
    }

    /// Forgets all entries, on disk too.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        (self.on_disk, self.tail_start, self.tail) = (0, 0, Vec::new());
        match self.file.open(false) {
            Ok(file) => file.set_len(0),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tail_start + self.tail.len()
    }

    pub(crate) fn push(&mut self, entry: E) {
        self.tail.push(entry);
        if self.len() - self.on_disk < BATCH {
            return;
        }
        match self.write_out() {
            Ok(()) => {
                let kept = self.tail.len().min(BATCH);
                self.tail_start += self.tail.len() - kept;
                self.tail.drain(..self.tail.len() - kept);
            }
            // The entries stay in memory; sealing the segment tries again, and the log is what counts.
            Err(error) => {
                tracing::warn!(path = %self.file.path().display(), %error, "index entries not written yet");
            }
        }
    }

    /// Writes what is only in memory; makes the file if there is none.
    fn write_out(&mut self) -> io::Result<()> {
        let file = self.file.open(true)?;
        let new = &self.tail[self.on_disk - self.tail_start..];
        let mut bytes = Vec::with_capacity(new.len() * E::SIZE);
        for entry in new {
            entry.encode(&mut bytes);
        }
        write_at(&file, &[], &bytes, (self.on_disk * E::SIZE) as u64)?;
        self.on_disk = self.len();
        Ok(())
    }

    /// Writes everything and cuts the file to its entries: the segment will get no more.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.write_out()?;
        (self.tail_start, self.tail) = (self.on_disk, Vec::new());
        self.file.open(true)?.set_len((self.on_disk * E::SIZE) as u64)
    }

    pub(crate) fn get(&self, n: usize) -> io::Result<E> {
        if let Some(entry) = n.checked_sub(self.tail_start).and_then(|n| self.tail.get(n)) {
            return Ok(*entry);
        }
        let mut bytes = [0; 16];
        let bytes = &mut bytes[..E::SIZE];
        let got = read_at(&*self.file.open(false)?, bytes, (n * E::SIZE) as u64)?;
        if got < bytes.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(E::decode(bytes)) }
    }

    pub(crate) fn last(&self) -> io::Result<Option<E>> {
        self.len().checked_sub(1).map(|n| self.get(n)).transpose()
    }

    /// The last entry whose `key` is at most `target`; keys ascend.
    pub(crate) fn floor(&self, target: i64, key: impl Fn(&E) -> i64) -> io::Result<Option<E>> {
        if let Some(first) = self.tail.first()
            && key(first) <= target
        {
            let n = self.tail.partition_point(|e| key(e) <= target);
            return Ok(Some(self.tail[n - 1]));
        }
        self.search(target, &key).map(|(_, entry)| entry)
    }

    /// Searches the part of the file before the tail: the number of entries at or below `target`, and the last of them.
    fn search(&self, target: i64, key: &impl Fn(&E) -> i64) -> io::Result<(usize, Option<E>)> {
        let (mut low, mut high, mut floor) = (0, self.tail_start, None);
        let (mut low_key, mut high_key) = (0, self.tail.first().map_or(0, key));
        let mut buffer = [0; BLOCK];
        let mut step = 0;
        while low < high {
            // Entries are about evenly spread, so the first guess is mostly right; halving bounds the rest.
            let span = i128::from(high_key) - i128::from(low_key);
            let offset = (i128::from(target) - i128::from(low_key)).max(0) * (high - low) as i128;
            let guess = if step < 3 && span > 0 { low + (offset / span) as usize } else { low.midpoint(high) };
            let per_block = BLOCK / E::SIZE;
            let start = guess.saturating_sub(per_block / 2).clamp(low, (high - 1).max(low));
            let end = (start + per_block).min(high);
            let bytes = &mut buffer[..(end - start) * E::SIZE];
            if read_at(&*self.file.open(false)?, bytes, (start * E::SIZE) as u64)? < bytes.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let entry = |n: usize| E::decode(&bytes[n * E::SIZE..]);
            let (mut first, mut last) = (0, end - start);
            while first < last {
                let middle = first.midpoint(last);
                if key(&entry(middle)) <= target { first = middle + 1 } else { last = middle }
            }
            if first == 0 {
                (high, high_key) = (start, key(&entry(0)));
            } else {
                floor = Some(entry(first - 1));
                if first < end - start {
                    return Ok((start + first, floor));
                }
                (low, low_key) = (end, key(&entry(first - 1)));
            }
            step += 1;
        }
        Ok((low, floor))
    }

    /// Forgets the entries whose `key` is above `target`; keys ascend.
    pub(crate) fn truncate(&mut self, target: i64, key: impl Fn(&E) -> i64) -> io::Result<()> {
        let in_tail = self.tail.partition_point(|e| key(e) <= target);
        self.tail.truncate(in_tail);
        if in_tail == 0 {
            let (len, _) = self.search(target, &key)?;
            (self.tail_start, self.tail) = (len, Vec::new());
        }
        if self.len() < self.on_disk {
            self.on_disk = self.len();
            self.file.open(true)?.set_len((self.on_disk * E::SIZE) as u64)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileCache;
    use crate::cache::Part;

    fn index_in(folder: &std::path::Path) -> Index<OffsetEntry> {
        Index::empty(CachedFile::log(&FileCache::new(8), &folder.into(), 0).beside(Part::OffsetIndex))
    }

    #[test]
    fn look_ups_see_entries_on_disk_and_in_memory_alike() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = index_in(folder.path());
        for n in 0..1000 {
            index.push(OffsetEntry { offset: 10 * n + 9, position: 100 * n });
        }
        assert_eq!(index.on_disk, 768);
        let key = |e: &OffsetEntry| i64::from(e.offset);
        for target in (0..10_100).chain([20_000]) {
            let found = index.floor(target, key).unwrap().map(|e| i64::from(e.offset));
            let expected = ((target + 1) / 10).min(1000) * 10 - 1;
            assert_eq!(found, (expected >= 0).then_some(expected), "target {target}");
        }
        index.truncate(4999, key).unwrap();
        assert_eq!((index.len(), index.last().unwrap().unwrap().offset), (500, 4999));
        index.push(OffsetEntry { offset: 6000, position: 1 });
        index.seal().unwrap();
        assert_eq!(std::fs::metadata(index.file.path()).unwrap().len(), 501 * 8);
        let mut again = index_in(folder.path());
        assert!(again.load().unwrap());
        assert_eq!(again.last().unwrap(), Some(OffsetEntry { offset: 6000, position: 1 }));
    }

    #[test]
    fn unevenly_spread_entries_are_found_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = index_in(folder.path());
        let offsets: Vec<u32> = (0..5000u32).map(|n| n + if n % 1000 > 500 { n * 1000 } else { n / 10 }).collect();
        let mut sorted = offsets.clone();
        sorted.sort_unstable();
        sorted.dedup();
        for offset in &sorted {
            index.push(OffsetEntry { offset: *offset, position: 0 });
        }
        index.seal().unwrap();
        for target in sorted.iter().flat_map(|o| [i64::from(*o) - 1, i64::from(*o), i64::from(*o) + 1]) {
            let expected = sorted.partition_point(|o| i64::from(*o) <= target).checked_sub(1).map(|n| sorted[n]);
            let found = index.floor(target, |e| i64::from(e.offset)).unwrap();
            assert_eq!(found.map(|e| e.offset), expected, "target {target}");
        }
    }

    #[test]
    fn entries_lie_on_disk_as_kafka_reads_them() {
        let mut bytes = Vec::new();
        OffsetEntry { offset: 1, position: 0x0102_0304 }.encode(&mut bytes);
        assert_eq!(bytes, [0, 0, 0, 1, 1, 2, 3, 4]);
        bytes.clear();
        let entry = TimeEntry { timestamp: 1_700_000_000_123, offset: 7 };
        entry.encode(&mut bytes);
        assert_eq!(bytes, [0, 0, 1, 139, 207, 229, 104, 123, 0, 0, 0, 7]);
        assert_eq!(TimeEntry::decode(&bytes), entry);
    }
}
