//! How long a directory of many partitions takes to open: after a clean stop, and after a killed process.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Now, Timestamp, TopicId, TopicName, TopicPartition};
use ottla_records::{BatchBuilder, Compression};
use ottla_storage::{FileCache, FlushListener, Flushed, Identity, LoadOptions, Log, LogConfig, LogDir, LogDirOptions};
use uuid::Uuid;

struct Nobody;

impl FlushListener for Nobody {
    fn on_flushed(&self, _: &[Flushed]) {}
    fn on_directory_failed(&self, _: &Path, _: &str) {}
}

fn now() -> Now {
    Now { monotonic: Duration::ZERO, wall: Timestamp(1) }
}

fn open(path: &Path) -> LogDir {
    let options = LogDirOptions {
        path: path.to_owned(),
        free_space_reserve: 0,
        cache: FileCache::new(512),
        listener: Arc::new(Nobody),
    };
    let identity = Identity { cluster_id: "c".into(), node_id: BrokerId(1) };
    LogDir::open(options, &identity, DirectoryId(Uuid::from_u128(1))).unwrap()
}

fn load(dir: &LogDir) -> Vec<Log> {
    let config = Arc::new(LogConfig::default());
    let give = |_: &TopicName| Arc::clone(&config);
    let loaded = dir.load(&LoadOptions { threads: 2, config: &give, verify_all: false, now: now() }).unwrap();
    loaded.into_iter().map(|l| l.log.unwrap().0).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap();
    let path = Path::new(&path);
    let partitions: i32 = arguments.next().unwrap().parse().unwrap();
    let begun = Instant::now();
    let dir = open(path);
    let opened = begun.elapsed();
    let mut logs = load(&dir);
    println!("open {:.1} ms, load of {} logs {:.1} ms", ms(opened), logs.len(), ms(begun.elapsed() - opened));
    if logs.is_empty() {
        for n in 0..partitions {
            let partition = TopicPartition::new(TopicName::new("t").unwrap(), n);
            let config = Arc::new(LogConfig::default());
            logs.push(dir.create(partition, TopicId(Uuid::from_u128(3)), config, n as u64, now()).unwrap());
        }
    }
    let end = arguments.next();
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1, None, Some(&[7; 100]), &[]);
    let batch = builder.build(0);
    let written = if arguments.next().as_deref() == Some("write") { &mut logs[..] } else { &mut [] };
    for log in written {
        log.append_as_leader(&batch, LeaderEpoch(1), now()).unwrap();
    }
    match end.as_deref() {
        Some("kill") => std::process::abort(),
        _ => {
            let begun = Instant::now();
            dir.close(logs, std::iter::empty(), BrokerEpoch(1), now()).unwrap();
            println!("close {:.1} ms", ms(begun.elapsed()));
        }
    }
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}
