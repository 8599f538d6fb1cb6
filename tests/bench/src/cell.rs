//! The cells of the table: what is sent, how large, and what is counted.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::disk;
use crate::load::{e2e, fetch, produce, serial};
use crate::server::Server;

/// How long a virtual machine runs a cell before it counts.
const WARMING: Duration = Duration::from_secs(10);

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// Pipelined produce requests of one batch: records per batch, bytes per record, partitions.
    Produce(usize, usize, i32),
    /// One produce request of 1 KiB at a time.
    Serial,
    /// Fetches of up to so many bytes from the page cache.
    Fetch(usize),
    /// 100-byte records at 1,000 per second, from the scheduled send to the consumer.
    EndToEnd,
}

/// What a run of a cell gave.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Bytes per second.
    pub bytes: f64,
    /// Records per second.
    pub records: f64,
    /// Processor seconds of the server, over the whole cell.
    pub cpu: f64,
    /// Seconds that the cell took.
    pub seconds: f64,
    /// Requests answered.
    pub requests: u64,
    /// Processor seconds of the load generator.
    pub own_cpu: f64,
    /// Latencies in microseconds.
    pub latency: Histogram<u64>,
}

impl Cell {
    /// Every cell, in the order of the table.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Produce(64, 1024, 2),
            Self::Produce(1024, 1024, 2),
            Self::Produce(8192, 1024, 2),
            Self::Produce(1000, 100, 2),
            Self::Produce(10, 100, 2),
            Self::Produce(16, 1024, 1000),
            Self::Serial,
            Self::Fetch(256 << 10),
            Self::Fetch(1 << 20),
            Self::EndToEnd,
        ]
    }

    /// Its name in the table.
    pub fn name(self) -> String {
        match self {
            Self::Produce(64, 1024, 2) => "produce, 64 KiB batches".into(),
            Self::Produce(1024, 1024, 2) => "produce, 1 MiB batches".into(),
            Self::Produce(8192, 1024, 2) => "produce, 8 MiB batches".into(),
            Self::Produce(records, 1024, partitions) => format!("produce, {partitions} partitions × {records} KiB"),
            Self::Produce(records, size, _) => format!("produce, {size} B × {records} per batch"),
            Self::Serial => "serial 1 KiB".into(),
            Self::Fetch(bytes) => format!("fetch, {} KiB", bytes >> 10),
            Self::EndToEnd => "e2e 100 B at 1 k/s".into(),
        }
    }

    /// Whether its figure of interest is a latency.
    pub fn is_latency(self) -> bool {
        matches!(self, Self::Serial | Self::EndToEnd)
    }

    /// Whether its records are small enough to be what is counted.
    pub fn counts_records(self) -> bool {
        matches!(self, Self::Produce(_, 100, _))
    }

    /// What performance is to be: against Kafka and the limit, in throughput or latency and in processor time.
    pub fn goal(self) -> &'static str {
        match self {
            Self::Produce(64, 1024, 2) => "≥ 2.7 × Kafka, ≥ 0.75 of the limit, CPU ≤ 0.42 × Kafka's",
            Self::Produce(1024, 1024, 2) => "≥ 1.7 ×, ≥ 0.8, CPU ≤ 0.6 ×",
            Self::Produce(1000, 100, 2) => "≥ 2.4 ×, ≥ 0.75, CPU ≤ 0.45 ×",
            Self::Produce(10, 100, 2) => "≥ 4 ×, ≥ 0.66, CPU ≤ 0.22 ×",
            Self::Produce(16, 1024, 1000) => "≥ 3 ×, ≤ 2.5 CPU-s/GB",
            Self::Produce(..) => "",
            Self::Serial => "p50 ≤ 80 µs, CPU ≤ 0.35 ×",
            Self::Fetch(bytes) if bytes < 1 << 20 => "≥ 2.3 ×, ≥ 0.8, ≤ 0.2 CPU-s/GB",
            Self::Fetch(_) => "≥ 1.0 ×, CPU ≤ 1.0 ×",
            Self::EndToEnd => "≤ 0.2 / 0.4 / 1 ms",
        }
    }

    /// Runs it for about `length`, as every server has done before with another topic. That one is gone, so that what is
    /// written now finds memory which the machine has already got from its host, and the disk is done with what was
    /// written and removed before: else the kernel makes the writers of this cell wait for it.
    pub fn measure(self, server: &Server, length: Duration) -> anyhow::Result<Measure> {
        let topic = format!("{}warm", self.topic());
        self.run(server, &topic, if server.kind.is_kafka() { length.max(WARMING) } else { length })?;
        server.delete_topic(&topic)?;
        disk::settle()?;
        self.run(server, &self.topic(), length)
    }

    /// Runs it for about `length`, once.
    pub fn measure_cold(self, server: &Server, length: Duration) -> anyhow::Result<Measure> {
        rustix::fs::sync();
        self.run(server, &self.topic(), length)
    }

    fn run(self, server: &Server, topic: &str, length: Duration) -> anyhow::Result<Measure> {
        // In fsync mode only acks=all waits for the disk, and that is what the mode is about.
        let acks = server.kind.acks();
        match self {
            Self::Produce(records, size, partitions) => {
                produce::run(server, topic, records, size, partitions, acks, length)
            }
            Self::Serial => serial::run(server, topic, acks, length),
            Self::Fetch(bytes) => fetch::run(server, topic, bytes, length),
            Self::EndToEnd => e2e::run(server, topic, acks, length),
        }
    }

    fn topic(self) -> String {
        self.name().chars().filter(char::is_ascii_alphanumeric).collect()
    }
}
