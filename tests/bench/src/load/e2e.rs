//! End to end: 100-byte records at a steady rate, from the scheduled moment of sending to the consumer's hands.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use ottla_protocol::messages::FetchRequest;
use ottla_records::{Limits, RecordReader, batches};

use super::fetch::fetch_frame;
use super::{Clock, FETCH_VERSION, histogram, produce_frame};
use crate::cell::Measure;
use crate::server::Server;
use crate::wire::{self, Connection};

const PER_SECOND: u32 = 1_000;

/// Produces at the rate for `length` and measures what the consumer sees. The null server has no log to follow: there,
/// the round trip of the produce request is what is measured, at the same rate.
pub fn run(server: &Server, topic: &str, acks: i16, length: Duration) -> anyhow::Result<Measure> {
    server.create_topic(topic, 1)?;
    let count = (length.as_secs_f64() * f64::from(PER_SECOND)) as u64;
    let clock = Clock::start(server)?;
    let base = Instant::now() + Duration::from_millis(50);
    let latency = if server.kind.is_null() {
        round_trips(server, topic, acks, base, count)?
    } else {
        std::thread::scope(|scope| {
            let pace = Pace { base, per_second: f64::from(PER_SECOND), count, records: 1 };
            let frame = produce_frame(topic, 0, super::batch(1, 100), acks)?;
            let producer = scope.spawn(move || produce(server.address, &frame, pace));
            let consumer = scope.spawn(move || consume(server.address, topic, pace));
            producer.join().expect("the loads do not panic")?;
            consumer.join().expect("the loads do not panic")
        })?
    };
    clock.stop(count, count, count * 100, latency)
}

/// When batches are due.
#[derive(Clone, Copy)]
pub struct Pace {
    /// When the first is due.
    pub base: Instant,
    /// Batches per second.
    pub per_second: f64,
    /// Batches.
    pub count: u64,
    /// Records of a batch.
    pub records: u64,
}

impl Pace {
    fn scheduled(&self, index: u64) -> Instant {
        self.base + Duration::from_secs_f64(index as f64 / self.per_second)
    }
}

/// Sends batches of `records` × `size` bytes to partition 0 at a steady rate; the time from when each was due to when a
/// consumer had it.
pub fn steady(
    address: SocketAddr,
    topic: &str,
    (records, size): (usize, usize),
    per_second: f64,
    length: Duration,
) -> anyhow::Result<Histogram<u64>> {
    let base = Instant::now() + Duration::from_millis(50);
    let count = (length.as_secs_f64() * per_second) as u64;
    let pace = Pace { base, per_second, count, records: records as u64 };
    let frame = produce_frame(topic, 0, super::batch(records, size), -1)?;
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || produce(address, &frame, pace));
        let consumer = scope.spawn(move || consume(address, topic, pace));
        producer.join().expect("the loads do not panic")?;
        consumer.join().expect("the loads do not panic")
    })
}

/// Sleeps until just before, then spins: a sleep alone wakes up to 0.1 ms late, which would be counted.
fn wait_until(moment: Instant) {
    const SPIN: Duration = Duration::from_micros(150);
    if let Some(early) = moment.checked_duration_since(Instant::now() + SPIN) {
        std::thread::sleep(early);
    }
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
}

fn produce(address: SocketAddr, frame: &[u8], pace: Pace) -> anyhow::Result<()> {
    let mut connection = Connection::open(address)?;
    let mut writer = connection.writer()?;
    std::thread::scope(|scope| {
        let acks = scope.spawn(move || {
            let mut head = [0; 64];
            (0..pace.count).try_for_each(|_| connection.discard(&mut head).map(drop))
        });
        for index in 0..pace.count {
            wait_until(pace.scheduled(index));
            std::io::Write::write_all(&mut writer, frame)?;
        }
        acks.join().expect("the loads do not panic")
    })
}

fn consume(address: SocketAddr, topic: &str, pace: Pace) -> anyhow::Result<Histogram<u64>> {
    let mut connection = Connection::open(address)?;
    let mut latency = histogram();
    let mut offset = 0;
    while offset < pace.count * pace.records {
        connection.send(&fetch_frame(topic, 0, offset as i64, 1 << 20, 1, 500)?)?;
        let answer = connection.receive()?;
        let arrived = Instant::now();
        let response = wire::decode::<FetchRequest>(answer, FETCH_VERSION)?;
        let partition = response.responses.first().and_then(|topic| topic.partitions.first());
        let partition = partition.context("the answer lacks the partition")?;
        ensure!(partition.error_code == ottla_protocol::ErrorCode::NONE, "fetch failed: {:?}", partition.error_code);
        let Some(records) = partition.records.as_ref().and_then(|records| records.as_bytes()) else { continue };
        for batch in batches(records) {
            // The last batch may be cut.
            let Ok(batch) = batch else { break };
            let mut reader = RecordReader::new(batch.bytes, Limits::default())?;
            while let Some(meta) = reader.next_meta()? {
                ensure!(meta.offset == offset as i64, "offset {} came instead of {offset}", meta.offset);
                let took = arrived.saturating_duration_since(pace.scheduled(offset / pace.records));
                latency.record((took.as_micros() as u64).max(1))?;
                offset += 1;
            }
        }
    }
    Ok(latency)
}

fn round_trips(server: &Server, topic: &str, acks: i16, base: Instant, count: u64) -> anyhow::Result<Histogram<u64>> {
    let pace = Pace { base, per_second: f64::from(PER_SECOND), count, records: 1 };
    let frame = produce_frame(topic, 0, super::batch(1, 100), acks)?;
    let mut connection = Connection::open(server.address)?;
    let (mut latency, mut head) = (histogram(), [0; 64]);
    for index in 0..count {
        wait_until(pace.scheduled(index));
        connection.send(&frame)?;
        connection.discard(&mut head)?;
        latency.record((pace.scheduled(index).elapsed().as_micros() as u64).max(1))?;
    }
    Ok(latency)
}
