//! Throughput, processor time and latency of acks=all with three replicas.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;

use super::table::Figures;
use super::{Bench, Kind};
use crate::load::{batch, check_all, e2e, histogram, produce, produce_frame, warm};
use crate::wire::Connection;

const PARTITIONS: i32 = 3;
const RECORDS: usize = 64;
const SIZE: usize = 1024;

/// Names of figures that have goals.
pub(super) const THROUGHPUT: &str = "64 KiB batches, MB/s";
pub(super) const CPU: &str = "64 KiB batches, processor time of the three per 1 KiB record, µs";
pub(super) const SERIAL: &str = "serial 1 KiB, p50, ms";
pub(super) const SERIAL_CPU: &str = "serial 1 KiB, processor time of the three per record, µs";
/// Median and 99th percentile.
pub(super) const STEADY: [&str; 2] = ["e2e 100 B at 1 k/s, p50, ms", "e2e 100 B at 1 k/s, p99, ms"];
const HALF: [&str; 2] = ["e2e 64 KiB batches at half of max, p50, ms", "e2e 64 KiB batches at half of max, p99, ms"];

/// All figures.
pub(super) fn measure(bench: &Bench<'_>, length: Duration) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    warm(bench)?;
    let throughput = throughput(bench, length, &mut figures)?;
    settle();
    serial(bench, length, &mut figures)?;
    end_to_end(bench, STEADY, (1, 100), 1_000.0, length, &mut figures)?;
    let half = throughput / 2.0 / (RECORDS * SIZE) as f64;
    settle();
    end_to_end(bench, HALF, (RECORDS, SIZE), half, length, &mut figures)?;
    let memory: u64 =
        bench.cluster.brokers.iter().map(|broker| broker.process.memory()).sum::<anyhow::Result<u64>>()?;
    figures.add("memory of the three after it, MiB", (memory >> 20) as f64);
    Ok(figures)
}

/// Until the cluster gains nothing more: minutes of a virtual machine, seconds of Ottla.
fn warm(bench: &Bench<'_>) -> anyhow::Result<()> {
    let turn = Duration::from_secs(if bench.kind == Kind::Kafka { 5 } else { 1 });
    let leaders = bench.topic_with(warm::TOPIC, PARTITIONS, 3, &warm::BOUNDED)?;
    warm::until_steady(&format!("{:?}", bench.kind), || produce_all(&leaders, warm::TOPIC, turn))
}

/// One connection per partition, to its leader; returns the batches acked.
pub(super) fn produce_all(leaders: &[SocketAddr], topic: &str, length: Duration) -> anyhow::Result<u64> {
    let batch = batch(RECORDS, SIZE);
    let deadline = Instant::now() + length;
    std::thread::scope(|scope| {
        let load = |(partition, leader): (usize, &SocketAddr)| {
            let (batch, leader) = (batch.clone(), *leader);
            scope.spawn(move || {
                let frames: [Bytes; 1] = [produce_frame(topic, partition as i32, batch, -1)?];
                produce::pipeline(leader, &frames, deadline, u64::MAX, 1)
            })
        };
        let threads: Vec<_> = leaders.iter().enumerate().map(load).collect();
        threads.into_iter().map(|thread| thread.join().expect("the loads do not panic")).sum::<anyhow::Result<u64>>()
    })
}

/// Batches of 16 KiB to a thousand partitions in turn, on one connection to each broker.
pub(super) fn measure_partitions(bench: &Bench<'_>, length: Duration) -> anyhow::Result<Figures> {
    const RECORDS: usize = 16;
    let leaders = bench.topic("many", 1000, 3)?;
    let batch = batch(RECORDS, SIZE);
    let mut frames: BTreeMap<SocketAddr, Vec<Bytes>> = BTreeMap::new();
    for (partition, leader) in leaders.iter().enumerate() {
        frames.entry(*leader).or_default().push(produce_frame("many", partition as i32, batch.clone(), -1)?);
    }
    let load = |length: Duration, most: fn(usize) -> u64| -> anyhow::Result<u64> {
        let deadline = Instant::now() + length;
        std::thread::scope(|scope| {
            let one = |(leader, frames): (&SocketAddr, &Vec<Bytes>)| {
                let (leader, frames) = (*leader, frames.clone());
                scope.spawn(move || produce::pipeline(leader, &frames, deadline, most(frames.len()), 1))
            };
            let threads: Vec<_> = frames.iter().map(one).collect();
            threads.into_iter().map(|thread| thread.join().expect("the loads do not panic")).sum()
        })
    };
    // A first turn makes the files.
    load(Duration::from_secs(60), |partitions| partitions as u64)?;
    let (began, cpu) = (Instant::now(), bench.cluster.cpu_seconds()?);
    let batches = load(length, |_| u64::MAX)? as f64;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = bench.cluster.cpu_seconds()? - cpu;
    let mut figures = Figures::default();
    figures.add("1000 partitions × 16 KiB, MB/s", batches * (RECORDS * SIZE) as f64 / seconds / 1e6);
    figures.add(
        "1000 partitions × 16 KiB, processor time of the three per 1 KiB record, µs",
        cpu * 1e6 / (batches * RECORDS as f64),
    );
    Ok(figures)
}

/// What a load left in the page cache is written out before the next: else the kernel makes the writers of that one wait.
fn settle() {
    rustix::fs::sync();
}

fn throughput(bench: &Bench<'_>, length: Duration, figures: &mut Figures) -> anyhow::Result<f64> {
    let leaders = bench.topic("throughput", PARTITIONS, 3)?;
    // Before the clock starts: the first appends to a new partition make files, and cost Kafka milliseconds each.
    produce_all(&leaders, "throughput", length)?;
    settle();
    let (began, cpu) = (Instant::now(), bench.cluster.cpu_seconds()?);
    let batches = produce_all(&leaders, "throughput", length)? as f64;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = bench.cluster.cpu_seconds()? - cpu;
    let bytes = batches * (RECORDS * SIZE) as f64;
    figures.add(THROUGHPUT, bytes / seconds / 1e6);
    figures.add(CPU, cpu * 1e6 / (batches * RECORDS as f64));
    Ok(bytes / seconds)
}

fn serial(bench: &Bench<'_>, length: Duration, figures: &mut Figures) -> anyhow::Result<()> {
    let leaders = bench.topic("serial", 1, 3)?;
    let frame = produce_frame("serial", 0, batch(1, SIZE), -1)?;
    let mut connection = Connection::open(leaders[0])?;
    let mut latency = histogram();
    let mut one = |latency: &mut Histogram<u64>| -> anyhow::Result<()> {
        let began = Instant::now();
        connection.send(&frame)?;
        let answer = connection.receive()?;
        latency.record((began.elapsed().as_micros() as u64).max(1))?;
        check_all(answer)
    };
    let warm = Instant::now() + Duration::from_secs(1);
    while Instant::now() < warm {
        one(&mut latency)?;
    }
    latency.clear();
    let cpu = bench.cluster.cpu_seconds()?;
    let deadline = Instant::now() + length;
    while Instant::now() < deadline {
        one(&mut latency)?;
    }
    let cpu = bench.cluster.cpu_seconds()? - cpu;
    figures.add(SERIAL, latency.value_at_quantile(0.5) as f64 / 1e3);
    figures.add("serial 1 KiB, p99, ms", latency.value_at_quantile(0.99) as f64 / 1e3);
    figures.add(SERIAL_CPU, cpu * 1e6 / latency.len() as f64);
    Ok(())
}

fn end_to_end(
    bench: &Bench<'_>,
    names: [&str; 2],
    of: (usize, usize),
    per_second: f64,
    length: Duration,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    // The first topic is for warming: a cold path is not what is asked for.
    let mut latency = histogram();
    for (turn, length) in [(0, Duration::from_secs(1)), (1, length)] {
        let topic = format!("e2e-{}-{turn}", of.0);
        let leaders = bench.topic(&topic, 1, 3)?;
        latency = e2e::steady(leaders[0], &topic, of, per_second, length)?;
    }
    for (name, quantile) in names.into_iter().zip([0.5, 0.99]) {
        figures.add(name, latency.value_at_quantile(quantile) as f64 / 1e3);
    }
    Ok(())
}
