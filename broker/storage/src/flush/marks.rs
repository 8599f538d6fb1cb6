//! `.ottla-flushed`: how far each log has been flushed, kept up to date after every pass.
//!
//! Recovery must tell a torn tail, which it cuts, from damage to what was acked, which it must not cut. Kafka's
//! recovery points say so only as of the last checkpoint. This file is written without a sync of its own: after a
//! killed process it is exact, and after a power loss it is at worst a few seconds old, which weakens the detection of
//! damage but never calls sound data damaged. A mark, where there is one, goes before the checkpoint: a truncation
//! lowers it, durably.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use ottla_core::{Offset, TopicName, TopicPartition};
use ottla_records::crc32c;
use parking_lot::Mutex;

use crate::Result;
use crate::error::io_error;
use crate::file::write_at;
use crate::shared::LogShared;

const FILE: &str = ".ottla-flushed";
/// crc u32, offset i64, partition i32, name length u8, name.
const RECORD: usize = 288;
const NAME: usize = 17;
/// Bytes of records that are written together.
const PIECE: usize = 64 << 10;

/// The open file and who has which place in it.
pub(crate) struct FlushMarks {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    /// Bytes of the file that somebody has, or has had.
    len: usize,
    /// Records of the last run, until their logs take them over.
    found: HashMap<TopicPartition, usize>,
    free: Vec<usize>,
}

impl FlushMarks {
    /// Opens the marks of `dir` and gives what the last run wrote.
    pub(crate) fn open(dir: &Path) -> Result<(Self, HashMap<TopicPartition, Offset>)> {
        let path = dir.join(FILE);
        let content = std::fs::read(&path).unwrap_or_default();
        let mut offsets = HashMap::new();
        let mut inner_found = HashMap::new();
        for (n, record) in content.chunks_exact(RECORD).enumerate() {
            if let Some((partition, offset)) = parse(record) {
                offsets.insert(partition.clone(), offset);
                inner_found.insert(partition, n * RECORD);
            }
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(io_error("open", &path))?;
        let len = content.len() / RECORD * RECORD;
        let inner = Mutex::new(Inner { file, len, found: inner_found, free: Vec::new() });
        Ok((Self { path, inner }, offsets))
    }

    /// Empties the file, once all that it says is in the recovery points.
    pub(crate) fn clear(&self) -> Result<()> {
        let mut inner = self.inner.lock();
        let unused: Vec<usize> = inner.found.drain().map(|(_, at)| at).collect();
        inner.free.extend(unused);
        inner.file.set_len(0).and_then(|()| inner.file.sync_data()).map_err(io_error("empty", &self.path))
    }

    /// Writes the flushed offsets of `logs`. A failure only weakens the detection of damage.
    pub(crate) fn update(&self, logs: &[&LogShared]) {
        let mut inner = self.inner.lock();
        let mut places: Vec<(usize, &LogShared)> = logs.iter().map(|log| (inner.slot(log), *log)).collect();
        places.sort_unstable_by_key(|(at, _)| *at);
        if let Err(error) = inner.write(&places) {
            tracing::warn!(path = %self.path.display(), %error, "flush marks not written");
        }
    }

    /// Writes the flushed offset of `log` durably, before a truncation.
    pub(crate) fn lower(&self, log: &LogShared) -> Result<()> {
        self.update(&[log]);
        self.sync()
    }

    /// Makes the marks durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.inner.lock().file.sync_data().map_err(io_error("flush", &self.path))
    }

    /// Forgets `log`, which is deleted.
    pub(crate) fn forget(&self, log: &LogShared) {
        let mut inner = self.inner.lock();
        let Ok(at) = usize::try_from(log.mark.swap(-1, Ordering::AcqRel)) else { return };
        inner.free.push(at);
        if let Err(error) = write_at(&inner.file, &[], &[0; RECORD], at as u64) {
            tracing::warn!(path = %self.path.display(), %error, "flush mark not removed");
        }
    }
}

impl Inner {
    fn slot(&mut self, log: &LogShared) -> usize {
        if let Ok(at) = usize::try_from(log.mark.load(Ordering::Acquire)) {
            return at;
        }
        let at = self.found.remove(&log.partition).or_else(|| self.free.pop()).unwrap_or_else(|| {
            let at = self.len;
            self.len += RECORD;
            at
        });
        log.mark.store(at as i64, Ordering::Release);
        at
    }

    /// Writes the records of logs whose places ascend, those next to one another together.
    fn write(&self, places: &[(usize, &LogShared)]) -> std::io::Result<()> {
        let mut records = Vec::with_capacity(PIECE.min(places.len() * RECORD));
        for run in places.chunk_by(|(one, _), (next, _)| one + RECORD == *next) {
            for piece in run.chunks(PIECE / RECORD) {
                records.clear();
                for (_, log) in piece {
                    records.extend_from_slice(&encode(&log.partition, log.flushed.load(Ordering::Acquire)));
                }
                let first = piece.first().map_or(0, |(at, _)| *at);
                write_at(&self.file, &[], &records, first as u64)?;
            }
        }
        Ok(())
    }
}

fn encode(partition: &TopicPartition, offset: i64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let name = partition.topic.as_str().as_bytes();
    record[4..12].copy_from_slice(&offset.to_be_bytes());
    record[12..16].copy_from_slice(&partition.partition.to_be_bytes());
    // A topic name has at most 249 bytes.
    record[16] = name.len() as u8;
    record[NAME..NAME + name.len()].copy_from_slice(name);
    let crc = crc32c(&record[4..]);
    record[..4].copy_from_slice(&crc.to_be_bytes());
    record
}

fn parse(record: &[u8]) -> Option<(TopicPartition, Offset)> {
    let (crc, rest) = record.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*crc) != crc32c(rest) {
        return None;
    }
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (partition, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first()?;
    let name = std::str::from_utf8(rest.get(..usize::from(*length))?).ok()?;
    let partition = TopicPartition::new(TopicName::new(name).ok()?, i32::from_be_bytes(*partition));
    Some((partition, Offset(i64::from_be_bytes(*offset))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_a_torn_one_does_not() {
        let partition = TopicPartition::new(TopicName::new(&"n".repeat(249)).unwrap(), 7);
        let mut record = encode(&partition, 123);
        assert_eq!(parse(&record), Some((partition, Offset(123))));
        record[100] ^= 1;
        assert_eq!(parse(&record), None);
        assert_eq!(parse(&[0; RECORD]), None);
    }
}
