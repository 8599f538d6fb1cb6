//! `<20-digit offset>.txnindex`: the aborted transactions whose marker lies in a segment, in Kafka's format.
//!
//! It counts only below the newest producer snapshot, before which it is synced; what lies above is written anew when the
//! producers are read. So a torn or stale end does no harm.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::checkpoint::{Sync, replace_file};
use crate::error::io_error;
use crate::names::{self, Kind};
use crate::producers::Ended;

const VERSION: i16 = 0;
const ENTRY: usize = 34;

/// An aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) last_stable: i64,
}

impl From<Ended> for Aborted {
    fn from(ended: Ended) -> Self {
        let Ended { producer, first, last, last_stable, .. } = ended;
        Self { producer, first, last, last_stable }
    }
}

impl Aborted {
    fn encode(self) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[..2].copy_from_slice(&VERSION.to_be_bytes());
        for (field, at) in [self.producer, self.first, self.last, self.last_stable].into_iter().zip((2..).step_by(8)) {
            entry[at..at + 8].copy_from_slice(&field.to_be_bytes());
        }
        entry
    }

    /// None if the bytes are no entry of a version known here.
    fn decode(entry: &[u8]) -> Option<Self> {
        let (version, mut rest) = entry.split_first_chunk::<2>()?;
        let mut field = || {
            let (field, behind) = rest.split_first_chunk::<8>()?;
            rest = behind;
            Some(i64::from_be_bytes(*field))
        };
        let (producer, first, last, last_stable) = (field()?, field()?, field()?, field()?);
        let known = i16::from_be_bytes(*version) == VERSION && first <= last;
        known.then_some(Self { producer, first, last, last_stable })
    }
}

/// The indexes of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AbortedIndexes {
    /// Base offsets of segments that have one.
    bases: BTreeSet<i64>,
    /// Those that were written to and are not synced.
    dirty: BTreeSet<i64>,
}

impl AbortedIndexes {
    /// Those in `folder`, without what lies from `until` on.
    pub(crate) fn open(folder: &Path, until: i64) -> Result<Self> {
        let mut indexes = Self::default();
        for entry in std::fs::read_dir(folder).map_err(io_error("list", folder))? {
            let name = entry.map_err(io_error("list", folder))?.file_name();
            let parsed = name.to_str().and_then(names::parse_segment_name);
            let Some((base, Kind::AbortedIndex)) = parsed else { continue };
            let (all, bytes) = read(folder, base)?;
            let kept: Vec<Aborted> = all.into_iter().take_while(|aborted| aborted.last < until).collect();
            if kept.len() * ENTRY != bytes {
                let content: Vec<u8> = kept.iter().flat_map(|aborted| aborted.encode()).collect();
                replace_file(&path(folder, base), &content, Sync::Now)?;
            }
            if !kept.is_empty() {
                indexes.bases.insert(base);
            }
        }
        Ok(indexes)
    }

    /// Adds a transaction whose marker lies in the segment at `base`.
    pub(crate) fn push(&mut self, folder: &Path, base: i64, aborted: Aborted) -> Result<()> {
        let path = path(folder, base);
        let work = || OpenOptions::new().create(true).append(true).open(&path)?.write_all(&aborted.encode());
        work().map_err(io_error("write", &path))?;
        self.bases.insert(base);
        self.dirty.insert(base);
        Ok(())
    }

    /// The segments at `old` have become the one at `base`, whose index has entries or not.
    pub(crate) fn replaced(&mut self, old: &[i64], base: i64, has_entries: bool) {
        for old in old {
            self.bases.remove(old);
            self.dirty.remove(old);
        }
        if has_entries {
            self.bases.insert(base);
        }
    }

    /// Makes all that was added durable.
    pub(crate) fn sync(&mut self, folder: &Path) -> Result<()> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        while let Some(base) = self.dirty.pop_first() {
            let path = path(folder, base);
            match File::open(&path).and_then(|file| file.sync_data()) {
                // Its segment was deleted meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                result => result.map_err(io_error("flush", &path))?,
            }
        }
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("flush", folder))
    }

    /// The aborted transactions that have a record within `from..upper`; `first_base` is the segment that holds `from`.
    pub(crate) fn overlapping(&self, folder: &Path, first_base: i64, from: i64, upper: i64) -> Result<Vec<Aborted>> {
        let mut found = Vec::new();
        for base in self.bases.range(first_base..) {
            let (all, _) = read(folder, *base)?;
            found.extend(all.iter().filter(|aborted| aborted.last >= from && aborted.first < upper));
            // Whatever ends later begins behind what was stable then.
            if all.last().is_some_and(|aborted| aborted.last_stable >= upper) {
                break;
            }
        }
        Ok(found)
    }
}

/// Writes an index durably; for one that no reader knows yet.
pub(crate) fn write_all(path: &Path, entries: &[Aborted]) -> Result<()> {
    let content: Vec<u8> = entries.iter().flat_map(|aborted| aborted.encode()).collect();
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(&content)?;
        file.sync_all()
    };
    write().map_err(io_error("write", path))
}

fn path(folder: &Path, base: i64) -> PathBuf {
    names::segment_path(folder, base, Kind::AbortedIndex)
}

/// The entries of an index up to the first that is none, and the bytes of the file.
fn read(folder: &Path, base: i64) -> Result<(Vec<Aborted>, usize)> {
    let path = path(folder, base);
    match std::fs::read(&path) {
        Ok(bytes) => Ok((bytes.chunks(ENTRY).map_while(Aborted::decode).collect(), bytes.len())),
        // Its segment was deleted meanwhile.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok((Vec::new(), 0)),
        Err(error) => Err(io_error("read", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(first: i64, last: i64, last_stable: i64) -> Aborted {
        Aborted { producer: 7, first, last, last_stable }
    }

    fn filled(folder: &Path) -> AbortedIndexes {
        let mut indexes = AbortedIndexes::default();
        indexes.push(folder, 0, aborted(3, 10, 11)).unwrap();
        indexes.push(folder, 0, aborted(5, 20, 12)).unwrap();
        indexes.push(folder, 100, aborted(12, 130, 131)).unwrap();
        indexes.sync(folder).unwrap();
        indexes
    }

    #[test]
    fn an_entry_has_the_bytes_that_kafka_writes() {
        let entry = aborted(3, 10, 11).encode();
        let fields = [7i64, 3, 10, 11].map(i64::to_be_bytes).concat();
        assert_eq!(entry[..], [&[0, 0], &fields[..]].concat());
        assert_eq!(Aborted::decode(&entry), Some(aborted(3, 10, 11)));
        assert_eq!(Aborted::decode(&entry[..33]), None);
    }

    #[test]
    fn a_range_has_the_transactions_that_overlap_it() {
        let folder = tempfile::tempdir().unwrap();
        let indexes = filled(folder.path());
        let firsts = |base, from, upper| -> Vec<i64> {
            indexes.overlapping(folder.path(), base, from, upper).unwrap().iter().map(|a| a.first).collect()
        };
        assert_eq!(firsts(0, 0, 4), [3]);
        assert_eq!(firsts(0, 0, 200), [3, 5, 12]);
        assert_eq!(firsts(0, 11, 13), [5, 12], "one that ends in a later segment may begin here");
        assert_eq!(firsts(100, 131, 200), Vec::<i64>::new());
    }

    #[test]
    fn what_lies_above_the_snapshot_is_left_out_and_so_is_a_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let all = filled(folder.path());
        assert_eq!(AbortedIndexes::open(folder.path(), 131).unwrap(), all);
        let path = path(folder.path(), 100);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &[0; 9]].concat()).unwrap();
        assert_eq!(AbortedIndexes::open(folder.path(), 131).unwrap(), all);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        let below = AbortedIndexes::open(folder.path(), 15).unwrap();
        assert_eq!(below.overlapping(folder.path(), 0, 0, 200).unwrap(), [aborted(3, 10, 11)]);
    }
}
