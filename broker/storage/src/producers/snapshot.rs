//! `<20-digit offset>.snapshot`: the producers as of an offset, in Kafka's format (ProducerSnapshot, version 1).

use std::path::Path;

use ottla_records::crc32c;

use super::{BatchMark, Producer, Producers};
use crate::Result;
use crate::checkpoint::{Sync, damaged, replace_file};
use crate::error::io_error;

const VERSION: i16 = 1;
const ENTRY: usize = 46;

/// Writes the snapshot. It is not synced: it can be built anew from the log.
pub(crate) fn write(producers: &Producers, path: &Path) -> Result<()> {
    let mut entries = Vec::with_capacity(4 + producers.map.len() * ENTRY);
    entries.extend_from_slice(&(producers.map.len() as i32).to_be_bytes());
    for (id, producer) in &producers.map {
        let none = BatchMark { last_sequence: -1, last_offset: -1, offset_delta: 0, timestamp: -1 };
        let last = producer.last().unwrap_or(&none);
        entries.extend_from_slice(&id.to_be_bytes());
        entries.extend_from_slice(&producer.epoch.to_be_bytes());
        entries.extend_from_slice(&last.last_sequence.to_be_bytes());
        entries.extend_from_slice(&last.last_offset.to_be_bytes());
        entries.extend_from_slice(&last.offset_delta.to_be_bytes());
        entries.extend_from_slice(&producer.last_timestamp.to_be_bytes());
        entries.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        entries.extend_from_slice(&producer.transaction_start.to_be_bytes());
    }
    let mut bytes = Vec::with_capacity(6 + entries.len());
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&crc32c(&entries).to_be_bytes());
    bytes.extend_from_slice(&entries);
    replace_file(path, &bytes, Sync::Later)
}

/// Reads a snapshot; [`crate::Error::Damaged`] if it is not a whole one.
pub(crate) fn read(path: &Path) -> Result<Producers> {
    let bytes = std::fs::read(path).map_err(io_error("read", path))?;
    parse(&bytes).ok_or_else(|| damaged(path, "it is not a whole producer snapshot of version 1"))
}

fn parse(bytes: &[u8]) -> Option<Producers> {
    let (version, rest) = bytes.split_first_chunk::<2>()?;
    let (crc, entries) = rest.split_first_chunk::<4>()?;
    if i16::from_be_bytes(*version) != VERSION || u32::from_be_bytes(*crc) != crc32c(entries) {
        return None;
    }
    let (count, entries) = entries.split_first_chunk::<4>()?;
    let mut producers = Producers::default();
    for entry in entries.chunks_exact(ENTRY) {
        let (id, producer) = parse_entry(entry)?;
        if producer.transaction_start >= 0 {
            producers.open.insert(producer.transaction_start, id);
        }
        producers.map.insert(id, producer);
    }
    let whole = entries.len() == usize::try_from(i32::from_be_bytes(*count)).ok()? * ENTRY;
    whole.then_some(producers)
}

fn parse_entry(entry: &[u8]) -> Option<(i64, Producer)> {
    let (id, rest) = entry.split_first_chunk::<8>()?;
    let (epoch, rest) = rest.split_first_chunk::<2>()?;
    let (sequence, rest) = rest.split_first_chunk::<4>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (delta, rest) = rest.split_first_chunk::<4>()?;
    let (timestamp, rest) = rest.split_first_chunk::<8>()?;
    let (coordinator, rest) = rest.split_first_chunk::<4>()?;
    let (transaction, _) = rest.split_first_chunk::<8>()?;
    let mut producer = Producer::new(i16::from_be_bytes(*epoch));
    producer.last_timestamp = i64::from_be_bytes(*timestamp);
    producer.coordinator_epoch = i32::from_be_bytes(*coordinator);
    producer.transaction_start = i64::from_be_bytes(*transaction);
    let last_offset = i64::from_be_bytes(*offset);
    if last_offset >= 0 {
        producer.push(BatchMark {
            last_sequence: i32::from_be_bytes(*sequence),
            last_offset,
            offset_delta: i32::from_be_bytes(*delta),
            timestamp: producer.last_timestamp,
        });
    }
    Some((i64::from_be_bytes(*id), producer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_comes_back_and_any_flipped_bit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000000000000000010.snapshot");
        let mut producers = Producers::default();
        for id in 0..3 {
            let mut producer = Producer::new(id as i16);
            producer.last_timestamp = 77;
            producer.push(BatchMark { last_sequence: 4, last_offset: 9, offset_delta: 1, timestamp: 77 });
            producers.map.insert(id, producer);
        }
        write(&producers, &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 10 + 3 * 46);
        assert_eq!(read(&path).unwrap(), producers);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert_eq!(parse(&broken), None, "byte {at}");
        }
    }

    #[test]
    fn an_empty_snapshot_is_ten_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        write(&Producers::default(), &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[..2], [0, 1]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 10);
        assert!(read(&path).unwrap().is_empty());
    }
}
