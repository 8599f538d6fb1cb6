//! What the tests of cleaning share: keyed batches, a clean driven to its end, and a log as a map of its keys.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use ottla_core::{LeaderEpoch, Offset, Producer, ProducerEpoch, ProducerId};
use ottla_records::{
    Attributes, BatchBuilder, BatchHeader, Compression, Limits, Marker, ProducerStamp, Record, RecordReader,
};
use ottla_storage::{Clean, CleanLimits, CleanStats, Log, LogConfig, LogReader, MarkerOf};

use super::{append, now, read_all};

pub const LIMITS: CleanLimits = CleanLimits { dedupe_buffer: 1 << 20, load_factor: 0.9, io_buffer: 4096 };

/// A log that is cleaned whenever anything is dirty, segment by segment as a test rolls them.
pub fn compacted() -> LogConfig {
    LogConfig {
        compact: true,
        delete: false,
        min_dirty_ratio: 0.0,
        delete_retention: Duration::from_millis(1000),
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

/// Appends a batch of its own.
pub fn write(log: &mut Log, records: &[(&str, Option<&str>)]) {
    append(log, &keyed(Compression::None, 500, records));
}

/// What [`entries`] tells of a record.
pub fn entry(offset: i64, key: &str, value: Option<&str>) -> (i64, String, Option<String>) {
    (offset, key.into(), value.map(str::to_owned))
}

/// Goes on whatever is moved.
pub fn unhurried(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A batch of these keys and values, all stamped `timestamp`; no value makes a tombstone.
pub fn keyed(codec: Compression, timestamp: i64, records: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    for (key, value) in records {
        builder.append(timestamp, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    }
    builder.build(0).to_vec()
}

/// Appends a record of a transaction of the producer `id`; no value makes a tombstone.
pub fn transactional(log: &mut Log, id: i64, sequence: i32, key: &str, value: Option<&str>) {
    let stamp = ProducerStamp { id, epoch: 0, base_sequence: sequence };
    let attributes = Attributes::default().transactional();
    let mut builder = BatchBuilder::new(Compression::None).with_producer(stamp).with_attributes(attributes);
    builder.append(500, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    append(log, &builder.build(0));
}

/// Ends the transaction of the producer `id`.
pub fn end(log: &mut Log, id: i64, commit: bool) {
    let marker = Marker { commit, coordinator_epoch: 1 };
    let producer = Producer { id: ProducerId(id), epoch: ProducerEpoch(0) };
    let of = MarkerOf { producer, in_next_epoch: false, marker };
    log.append_marker(of, LeaderEpoch(1), now(500)).unwrap();
}

/// Begins a clean of everything below the log end, and reads its keys; none if nothing is due.
pub fn begin(log: &mut Log, limits: CleanLimits, at: i64) -> Option<Clean> {
    let mut clean = log.begin_clean(log.log_end(), limits, now(at)).unwrap()?;
    clean.read_keys(&mut unhurried).unwrap();
    Some(clean)
}

/// Cleans the log as long as something is due at the time `at`; gives what the last clean did.
pub fn clean(log: &mut Log, at: i64) -> Option<CleanStats> {
    clean_within(log, LIMITS, at)
}

pub fn clean_within(log: &mut Log, limits: CleanLimits, at: i64) -> Option<CleanStats> {
    let mut stats = None;
    while let Some(mut clean) = begin(log, limits, at) {
        while let Some(cleaned) = clean.next_segment(&mut unhurried).unwrap() {
            assert!(log.replace_segments(&mut clean, cleaned).unwrap());
        }
        log.end_clean(&clean);
        stats = Some(clean.stats());
    }
    stats
}

/// The headers of all batches.
pub fn headers(log: &Log) -> Vec<BatchHeader> {
    read_all(&log.reader()).iter().map(|batch| BatchHeader::parse(batch).unwrap()).collect()
}

/// Every record, in the order of the log.
pub fn records(reader: &LogReader) -> Vec<Record> {
    let mut all = Vec::new();
    for batch in read_all(reader) {
        let mut records = RecordReader::new(&batch, Limits::default()).unwrap();
        all.extend(std::iter::from_fn(|| records.next_record().unwrap()));
    }
    all
}

/// Offset, key and value of every record.
pub fn entries(log: &Log) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let entry = |record: Record| (record.offset, text(record.key.unwrap()), record.value.map(text));
    records(&log.reader()).into_iter().map(entry).collect()
}

/// The last record of every key.
pub fn newest(records: &[Record]) -> BTreeMap<Vec<u8>, Record> {
    records.iter().map(|record| (record.key.clone().unwrap(), record.clone())).collect()
}

/// Reading from any offset gives the records from there on.
pub fn assert_reads_from_everywhere(log: &Log) {
    let (reader, all) = (log.reader(), headers(log));
    for offset in log.log_start().0..log.log_end().0 {
        let expected = all.iter().find(|header| header.last_offset() >= offset).map(|header| header.base_offset);
        let slice = reader.read(Offset(offset), 1 << 20, reader.log_end(), true).unwrap();
        let found = slice.map(|slice| BatchHeader::parse(&slice.read().unwrap()).unwrap().base_offset);
        assert_eq!(found, expected, "offset {offset}");
    }
}
