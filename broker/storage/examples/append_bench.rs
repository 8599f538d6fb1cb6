//! What the log costs: append throughput and CPU per GB for 64 KiB and 1 MiB batches, reads, and
//! the latency of a flush for one and for many dirty files.
//!
//! `cargo run --profile local -p ottla-storage --example append_bench -- [folder] [GiB per cell]`
#![allow(clippy::print_stdout, reason = "the figures are its output")]

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla_core::{
    BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Now, Offset, Timestamp, TopicId, TopicName, TopicPartition,
};
use ottla_records::{BatchBuilder, Compression, verify_crc};
use ottla_storage::{
    FileCache, FlushListener, Flushed, Identity, LoadOptions, Log, LogConfig, LogDir, LogDirOptions, Result,
};
use uuid::Uuid;

struct Listener(Mutex<Sender<usize>>);

impl FlushListener for Listener {
    fn on_flushed(&self, pass: &[Flushed]) {
        if let Ok(sender) = self.0.lock() {
            let _ = sender.send(pass.len());
        }
    }

    fn on_directory_failed(&self, _: &Path, reason: &str) {
        println!("failed: {reason}");
    }
}

const NOW: Now = Now { monotonic: Duration::ZERO, wall: Timestamp(1_700_000_000_000) };

fn batch(bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None);
    let value: Vec<u8> = (0..1000u32).map(|i| (i * 31) as u8).collect();
    for n in 0..bytes / 1024 {
        builder.append(1_700_000_000_000 + n as i64, None, Some(&value), &[]);
    }
    builder.build(0).to_vec()
}

/// User and system time of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |n: usize| fields.get(n).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn measure(name: &str, total: usize, mut work: impl FnMut() -> Result<usize>) -> Result<()> {
    let (start, before) = (Instant::now(), cpu());
    let mut done = 0;
    while done < total {
        done += work()?;
    }
    let (seconds, gigabytes) = (start.elapsed().as_secs_f64(), done as f64 / 1e9);
    println!("{name:<34} {:>7.0} MB/s {:>6.3} CPU-s/GB", done as f64 / 1e6 / seconds, (cpu() - before) / gigabytes);
    Ok(())
}

fn appends(dir: &LogDir, total: usize) -> Result<()> {
    let config = Arc::new(LogConfig::default());
    let mut n = 0;
    let mut fresh = || {
        n += 1;
        dir.create(partition("bench", n), TopicId(Uuid::from_u128(1)), Arc::clone(&config), 0, NOW)
    };
    for size in [4 << 10, 64 << 10, 1 << 20] {
        let batch = batch(size);
        measure(&format!("crc alone {} KiB", size >> 10), total, || {
            verify_crc(std::hint::black_box(&batch))?;
            Ok(batch.len())
        })?;
        let mut log = fresh()?;
        measure(&format!("append {} KiB, crc checked", size >> 10), total, || {
            verify_crc(&batch)?;
            log.append_as_leader(&batch, LeaderEpoch(0), NOW)?;
            Ok(batch.len())
        })?;
        read(&log, total)?;
        dir.delete(log)?;
    }
    Ok(())
}

/// The look-ups of fetches of 256 KiB, without moving the bytes.
fn read(log: &Log, total: usize) -> Result<()> {
    let (reader, end) = (log.reader(), log.log_end());
    let mut offset = Offset(0);
    let (before, mut reads) = (cpu(), 0u32);
    let mut bytes = 0;
    while bytes < total && offset < end {
        let Some(slice) = reader.read(offset, 256 << 10, end, true)? else { break };
        bytes += slice.len;
        reads += 1;
        // A record takes some 1.02 KiB.
        offset = offset.plus((slice.len / 1024) as i64);
    }
    let each = (cpu() - before) * 1e6 / f64::from(reads.max(1));
    println!("  locating a 256 KiB fetch in it   {each:>7.2} µs of CPU");
    Ok(())
}

fn partition(topic: &str, n: i32) -> TopicPartition {
    match TopicName::new(topic) {
        Ok(topic) => TopicPartition::new(topic, n),
        Err(_) => unreachable!("the name is valid"),
    }
}

fn flushes(dir: &LogDir, passes: &Receiver<usize>) -> Result<()> {
    let config = Arc::new(LogConfig::default());
    for (files, size, rounds) in [
        (1, 4 << 10, 300),
        (1, 1 << 20, 100),
        (8, 4 << 10, 50),
        (31, 4 << 10, 30),
        (100, 4 << 10, 20),
        (1000, 4 << 10, 5),
    ] {
        let batch = batch(size);
        let topic = format!("flush-{files}-{size}");
        let create = |n| dir.create(partition(&topic, n), TopicId(Uuid::from_u128(1)), Arc::clone(&config), 0, NOW);
        let mut logs = (0..files).map(create).collect::<Result<Vec<_>>>()?;
        let mut times = Vec::new();
        for _ in 0..=rounds {
            dir.pause_flusher(true);
            for log in &mut logs {
                log.append_as_leader(&batch, LeaderEpoch(0), NOW)?;
                log.request_flush();
            }
            let start = Instant::now();
            dir.pause_flusher(false);
            let mut flushed = 0;
            while flushed < files as usize {
                flushed += passes.recv_timeout(Duration::from_secs(60)).unwrap_or(files as usize);
            }
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        // The first one also makes the files.
        times.remove(0);
        times.sort_by(f64::total_cmp);
        let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
        println!("flush {files:>4} × {:>4} KiB   p50 {:>7.2} ms  p99 {:>7.2} ms", size >> 10, at(0.5), at(0.99));
    }
    Ok(())
}

/// Resident memory of this process in KiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0)
}

/// Creates many partitions with a little data, stops cleanly and not, and starts again.
fn many(folder: &str, count: i32) -> Result<()> {
    let config = Arc::new(LogConfig::default());
    let give = |_: &TopicName| Arc::clone(&config);
    let batch = batch(4 << 10);
    let (dir, _passes) = open(&format!("{folder}/many"))?;
    let start = Instant::now();
    let create = |n| dir.create(partition("many", n), TopicId(Uuid::from_u128(1)), Arc::clone(&config), 0, NOW);
    let mut logs = (0..count).map(create).collect::<Result<Vec<_>>>()?;
    println!("create {count} partitions             {:>7.3} s", start.elapsed().as_secs_f64());
    for log in &mut logs {
        log.append_as_leader(&batch, LeaderEpoch(0), NOW)?;
    }
    dir.close(logs, std::iter::empty(), BrokerEpoch(1), NOW)?;
    for stop in ["a clean stop", "a kill"] {
        let before = resident();
        let (dir, _passes) = open(&format!("{folder}/many"))?;
        let (start, cpu_before) = (Instant::now(), cpu());
        let loaded = dir.load(&LoadOptions { threads: 2, config: &give, verify_all: false, now: NOW })?;
        let (seconds, each) = (start.elapsed().as_secs_f64(), (resident() - before) / f64::from(count));
        println!(
            "start {} after {stop:<13}      {seconds:>7.3} s  {:.2} CPU-s  {each:.2} KiB each",
            loaded.len(),
            cpu() - cpu_before
        );
    }
    Ok(())
}

fn open(folder: &str) -> Result<(LogDir, Receiver<usize>)> {
    let (sender, passes) = channel();
    let options = LogDirOptions {
        path: folder.into(),
        free_space_reserve: 1 << 30,
        cache: FileCache::new(2000),
        listener: Arc::new(Listener(Mutex::new(sender))),
    };
    let identity = Identity { cluster_id: "bench".to_owned(), node_id: BrokerId(0) };
    Ok((LogDir::open(options, &identity, DirectoryId(Uuid::from_u128(1)))?, passes))
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "./append-bench".to_owned());
    let gigabytes: f64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(1.0);
    many(&folder, 10_000)?;
    let (dir, passes) = open(&folder)?;
    flushes(&dir, &passes)?;
    appends(&dir, (gigabytes * (1u64 << 30) as f64) as usize)
}
