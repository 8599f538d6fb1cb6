//! The sparse indexes of a segment: `.index` (offset → position) and `.timeindex` (timestamp → offset).
//!
//! Entries are appended to memory and written to the file a few hundred at a time; look-ups search the file by binary
//! search, so nothing of a sealed segment's index stays in memory. Nothing here is trusted: the batch at the position
//! that a look-up gives is compared with the entry, and an index that lies is built anew from the log.

use std::io;
use std::sync::Arc;

use crate::file::{CachedFile, read_at, write_at};

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

/// Entries that wait in memory before they are written together.
const BATCH: usize = 256;

/// An index file with its unwritten end.
#[derive(Debug)]
pub(crate) struct Index<E> {
    file: Arc<CachedFile>,
    on_disk: usize,
    pending: Vec<E>,
}

impl<E: Entry> Index<E> {
    /// An index without entries; what the file holds is overwritten by and by.
    pub(crate) fn empty(file: Arc<CachedFile>) -> Self {
        Self { file, on_disk: 0, pending: Vec::new() }
    }

    /// Looks at the file's length. An error if it is missing; false if it cannot be an index.
    pub(crate) fn load(&mut self) -> io::Result<bool> {
        let len = self.file.open(false)?.metadata()?.len() as usize;
        self.on_disk = len / E::SIZE;
        self.pending.clear();
        Ok(len.is_multiple_of(E::SIZE))
    }

    /// Forgets all entries, on disk too.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.on_disk = 0;
        self.pending = Vec::new();
        match self.file.open(false) {
            Ok(file) => file.set_len(0),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.on_disk + self.pending.len()
    }

    pub(crate) fn push(&mut self, entry: E) {
        self.pending.push(entry);
        if self.pending.len() >= BATCH
            && let Err(error) = self.write_out()
        {
            // The entries stay in memory; sealing the segment tries again, and the log is what counts.
            tracing::warn!(path = %self.file.path().display(), %error, "index entries not written yet");
        }
    }

    /// Writes what waits in memory; makes the file if there is none.
    pub(crate) fn write_out(&mut self) -> io::Result<()> {
        let file = self.file.open(true)?;
        let mut bytes = Vec::with_capacity(self.pending.len() * E::SIZE);
        for entry in &self.pending {
            entry.encode(&mut bytes);
        }
        let at = self.on_disk * E::SIZE;
        write_at(&file, &[], &bytes, at as u64)?;
        self.on_disk += self.pending.len();
        self.pending = Vec::new();
        Ok(())
    }

    /// Writes everything and cuts the file to its entries: the segment will get no more.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.file.open(true)?.set_len((self.on_disk * E::SIZE) as u64)
    }

    pub(crate) fn get(&self, n: usize) -> io::Result<E> {
        if let Some(entry) = n.checked_sub(self.on_disk).and_then(|n| self.pending.get(n)) {
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

    /// Number of leading entries for which `before` holds; it must hold for a prefix.
    pub(crate) fn partition_point(&self, before: impl Fn(&E) -> bool) -> io::Result<usize> {
        if let Some(first) = self.pending.first()
            && before(first)
        {
            return Ok(self.on_disk + self.pending.partition_point(before));
        }
        let (mut low, mut high) = (0, self.on_disk);
        while low < high {
            let middle = low.midpoint(high);
            if before(&self.get(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The last entry of the prefix for which `before` holds.
    pub(crate) fn floor(&self, before: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        self.partition_point(before)?.checked_sub(1).map(|n| self.get(n)).transpose()
    }

    /// Forgets the entries for which `keep` does not hold; it must hold for a prefix.
    pub(crate) fn truncate(&mut self, keep: impl Fn(&E) -> bool) -> io::Result<()> {
        let len = self.partition_point(keep)?;
        self.pending.truncate(len.saturating_sub(self.on_disk));
        if len < self.on_disk {
            self.on_disk = len;
            self.file.open(true)?.set_len((len * E::SIZE) as u64)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileCache;
    use crate::names::Kind;

    fn index_in(folder: &std::path::Path) -> Index<OffsetEntry> {
        Index::empty(CachedFile::new(&FileCache::new(8), &folder.into(), 0, Kind::OffsetIndex))
    }

    #[test]
    fn look_ups_see_entries_on_disk_and_in_memory_alike() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = index_in(folder.path());
        for n in 0..1000 {
            index.push(OffsetEntry { offset: 10 * n + 9, position: 100 * n });
        }
        assert_eq!(index.on_disk, 768);
        for offset in [0, 8, 9, 10, 5000, 7679, 7680, 9998, 9999, 20_000] {
            let found = index.floor(|e| e.offset <= offset).unwrap();
            assert_eq!(
                found.map(|e| e.offset),
                (offset + 1).checked_div(10).and_then(|n| (n.min(1000) * 10).checked_sub(1))
            );
        }
        index.truncate(|e| e.offset < 5000).unwrap();
        assert_eq!((index.len(), index.last().unwrap().unwrap().offset), (500, 4999));
        index.push(OffsetEntry { offset: 6000, position: 1 });
        index.seal().unwrap();
        assert_eq!(std::fs::metadata(index.file.path()).unwrap().len(), 501 * 8);
        let mut again = index_in(folder.path());
        assert!(again.load().unwrap());
        assert_eq!(again.last().unwrap(), Some(OffsetEntry { offset: 6000, position: 1 }));
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
