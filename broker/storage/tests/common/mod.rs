//! What the tests of the log share: batches, a directory with a listener, reading a log back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod cleaning;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ottla_core::{
    BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Now, Offset, Timestamp, TopicId, TopicName, TopicPartition,
};
use ottla_records::{Batch, BatchBuilder, Compression, ProducerStamp, batches, verify_crc};
use ottla_storage::{
    FileCache, FlushListener, Flushed, Identity, LoadOptions, LoadedLog, Log, LogConfig, LogDir, LogDirOptions,
    LogReader,
};
use uuid::Uuid;

/// Remembers what the flusher reports.
#[derive(Default)]
pub struct Recorder {
    state: Mutex<(HashMap<TopicPartition, Offset>, Option<String>)>,
    changed: Condvar,
}

impl FlushListener for Recorder {
    fn on_flushed(&self, pass: &[Flushed]) {
        let mut state = self.state.lock().unwrap();
        for flushed in pass {
            state.0.insert(flushed.partition.clone(), flushed.end);
        }
        self.changed.notify_all();
    }

    fn on_directory_failed(&self, _: &Path, reason: &str) {
        self.state.lock().unwrap().1 = Some(reason.to_owned());
        self.changed.notify_all();
    }
}

impl Recorder {
    /// Waits until `partition` is flushed up to `end`.
    pub fn wait_flushed(&self, partition: &TopicPartition, end: Offset) {
        let state = self.state.lock().unwrap();
        let waiting =
            |s: &mut (HashMap<TopicPartition, Offset>, Option<String>)| s.0.get(partition).is_none_or(|e| *e < end);
        let (_state, timeout) = self.changed.wait_timeout_while(state, Duration::from_secs(10), waiting).unwrap();
        assert!(!timeout.timed_out(), "{partition} is not flushed to {end}");
    }

    pub fn failure(&self) -> Option<String> {
        self.state.lock().unwrap().1.clone()
    }
}

/// A folder for tests that only pretend to lose power: in memory where there is such a file system.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A directory under test.
pub struct Bench {
    pub dir: Option<LogDir>,
    pub recorder: Arc<Recorder>,
}

pub fn now(ms: i64) -> Now {
    Now { monotonic: Duration::from_millis(ms.max(0) as u64), wall: Timestamp(ms) }
}

pub fn partition(topic: &str, n: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), n)
}

pub fn identity() -> Identity {
    Identity { cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".into(), node_id: BrokerId(1) }
}

pub fn options(path: &Path, recorder: &Arc<Recorder>) -> LogDirOptions {
    let listener: Arc<dyn FlushListener> = Arc::clone(recorder) as _;
    LogDirOptions { path: path.to_owned(), free_space_reserve: 0, cache: FileCache::new(64), listener }
}

impl Bench {
    pub fn open(path: &Path) -> Self {
        let recorder = Arc::new(Recorder::default());
        let dir = LogDir::open(options(path, &recorder), &identity(), DirectoryId(Uuid::from_u128(7))).unwrap();
        Self { dir: Some(dir), recorder }
    }

    pub fn dir(&self) -> &LogDir {
        self.dir.as_ref().unwrap()
    }

    pub fn create(&self, topic: &str, config: LogConfig) -> Log {
        let id = TopicId(Uuid::from_u128(99));
        self.dir().create(partition(topic, 0), id, Arc::new(config), 5, now(0)).unwrap()
    }

    pub fn load(&self, config: &LogConfig, verify_all: bool) -> Vec<LoadedLog> {
        let config = Arc::new(config.clone());
        let give = |_: &TopicName| Arc::clone(&config);
        let options = LoadOptions { threads: 2, config: &give, verify_all, now: now(0) };
        self.dir().load(&options).unwrap()
    }

    /// Loads the only log of the directory.
    pub fn load_one(&self, config: &LogConfig) -> Log {
        let mut loaded = self.load(config, false);
        assert_eq!(loaded.len(), 1);
        loaded.remove(0).log.unwrap().0
    }

    pub fn flush(&self, log: &mut Log) {
        log.request_flush();
        self.recorder.wait_flushed(log.partition(), log.log_end());
    }

    pub fn close(mut self, logs: Vec<Log>) {
        self.dir.take().unwrap().close(logs, std::iter::empty(), BrokerEpoch(3), now(0)).unwrap();
    }
}

/// A batch of `records` records whose values are `size` bytes and tell `seed`; timestamps `from`, `from + 1`, ….
pub fn batch(records: i64, size: usize, seed: u64, from: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None);
    fill(&mut builder, records, size, seed, from);
    builder.build(0).to_vec()
}

pub fn producer_batch(id: i64, epoch: i16, base_sequence: i32, records: i64) -> Vec<u8> {
    let stamp = ProducerStamp { id, epoch, base_sequence };
    let mut builder = BatchBuilder::new(Compression::None).with_producer(stamp);
    fill(&mut builder, records, 10, id as u64, 1000);
    builder.build(0).to_vec()
}

fn fill(builder: &mut BatchBuilder, records: i64, size: usize, seed: u64, from: i64) {
    for n in 0..records {
        let word = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(n as u64).to_le_bytes();
        let value: Vec<u8> = word.iter().copied().cycle().take(size).collect();
        builder.append(from + n, None, Some(&value), &[]);
    }
}

pub fn append(log: &mut Log, batch: &[u8]) -> ottla_storage::AppendInfo {
    log.append_as_leader(batch, LeaderEpoch(1), now(1000)).unwrap()
}

/// Every batch from the log start to the end, each with its checksum verified, as stored.
pub fn read_all(reader: &LogReader) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut offset = reader.log_start();
    while let Some(slice) = reader.read(offset, 1 << 20, reader.log_end(), true).unwrap() {
        let bytes = slice.read().unwrap();
        assert_eq!(bytes.len(), slice.len);
        for found in batches(&bytes) {
            let Batch { header, bytes } = found.unwrap();
            verify_crc(bytes).unwrap();
            assert!(header.last_offset() >= offset.0);
            offset = Offset(header.next_offset());
            out.push(bytes.to_vec());
        }
    }
    assert_eq!(offset, reader.log_end());
    out
}

pub fn small_segments(bytes: u32) -> LogConfig {
    LogConfig { segment_bytes: bytes, index_interval_bytes: 200, ..LogConfig::default() }
}
