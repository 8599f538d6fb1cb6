//! A follower that catches up, and a partition that moves to another broker under load.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::Client;
use ottla_protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use ottla_protocol::messages::{AlterPartitionReassignmentsRequest, ListPartitionReassignmentsRequest};

use super::Bench;
use super::table::Figures;
use crate::load::{batch, check_all, histogram, produce, produce_frame};
use crate::wire::Connection;

const BATCH: u64 = 1 << 20;
/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(180);

/// All figures, for so many MiB.
pub(super) fn measure(bench: &Bench<'_>, mebibytes: u64) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    catch_up(bench, mebibytes, &mut figures)?;
    reassign(bench, mebibytes, &mut figures)?;
    Ok(figures)
}

/// A third replica is added to two that are filled.
fn catch_up(bench: &Bench<'_>, mebibytes: u64, figures: &mut Figures) -> anyhow::Result<()> {
    const TOPIC: &str = "catch-up";
    let address = make_topic(bench, TOPIC, &[0, 1])?;
    fill(address, TOPIC, mebibytes)?;
    let seconds = move_to(bench, TOPIC, &[0, 1, 2])?;
    figures.add("catch-up of a new follower, MB/s", (mebibytes << 20) as f64 / 1e6 / seconds);
    Ok(())
}

/// One of two replicas moves, while records of 1 KiB are sent to another topic of the same brokers.
fn reassign(bench: &Bench<'_>, mebibytes: u64, figures: &mut Figures) -> anyhow::Result<()> {
    const TOPIC: &str = "moving";
    let address = make_topic(bench, TOPIC, &[0, 1])?;
    fill(address, TOPIC, mebibytes)?;
    let load = bench.topic("beside", 1, 3)?;
    // The first seconds are for warming, and for what was just written to reach the disk.
    paced(load[0], &AtomicBool::new(false), Duration::from_secs(5))?;
    let before = paced(load[0], &AtomicBool::new(false), Duration::from_secs(5))?;
    let stop = AtomicBool::new(false);
    let (seconds, during) = std::thread::scope(|scope| {
        let load = scope.spawn(|| paced(load[0], &stop, LIMIT));
        let seconds = move_to(bench, TOPIC, &[0, 2]);
        stop.store(true, Ordering::Relaxed);
        (seconds, load.join().expect("the loads do not panic"))
    });
    let ms = |latency: &Histogram<u64>| latency.value_at_quantile(0.99) as f64 / 1e3;
    figures.add(&format!("reassignment of {mebibytes} MiB, s"), seconds?);
    figures.add("producer's p99 before it, ms", ms(&before));
    figures.add("producer's p99 during it, ms", ms(&during?));
    Ok(())
}

/// 500 records of 1 KiB a second, one at a time, each timed from when it was due.
fn paced(address: SocketAddr, stop: &AtomicBool, length: Duration) -> anyhow::Result<Histogram<u64>> {
    let frame = produce_frame("beside", 0, batch(1, 1024), -1)?;
    let mut connection = Connection::open(address)?;
    let mut latency = histogram();
    let began = Instant::now();
    let mut due = began;
    while !stop.load(Ordering::Relaxed) && began.elapsed() < length {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.send(&frame)?;
        let answer = connection.receive()?;
        latency.record((due.elapsed().as_micros() as u64).max(1))?;
        check_all(answer)?;
        due += Duration::from_millis(2);
    }
    Ok(latency)
}

fn fill(address: SocketAddr, topic: &str, mebibytes: u64) -> anyhow::Result<()> {
    let frame = produce_frame(topic, 0, batch(1024, 1024), -1)?;
    let count = (mebibytes << 20) / BATCH;
    let sent = produce::pipeline(address, &[frame], Instant::now() + LIMIT, count, 1)?;
    ensure!(sent == count, "only {sent} of {count} batches were acked in time");
    Ok(())
}

/// Makes a topic of one partition with these replicas; the address of its leader.
fn make_topic(bench: &Bench<'_>, name: &str, replicas: &[usize]) -> anyhow::Result<SocketAddr> {
    bench.runtime.block_on(async {
        bench.cluster.make_topic(name, replicas, Duration::from_secs(30)).await?;
        bench.cluster.in_sync(&[name], Duration::from_secs(30)).await?;
        Ok(bench.cluster.brokers[bench.cluster.leader(name, 0).await?].address())
    })
}

/// Moves partition 0 to other replicas; the seconds until no move goes on.
fn move_to(bench: &Bench<'_>, topic: &str, replicas: &[i32]) -> anyhow::Result<f64> {
    bench.runtime.block_on(async {
        let client = bench.cluster.client(Duration::from_secs(30)).await?;
        let began = Instant::now();
        let partition = ReassignablePartition { partition_index: 0, replicas: Some(replicas.to_vec()) };
        let topics = vec![ReassignableTopic { name: topic.into(), partitions: vec![partition] }];
        let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
        let response = client.send_to_controller(&request).await?;
        ensure!(response.error_code == ErrorCode::NONE, "the move was refused: {:?}", response.error_code);
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        let bad = partitions.map(|partition| partition.error_code).find(|code| code.is_error());
        ensure!(bad.is_none(), "the move was refused: {bad:?}");
        while is_moving(&client).await? {
            ensure!(began.elapsed() < LIMIT, "{topic} still moves after {LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(began.elapsed().as_secs_f64())
    })
}

async fn is_moving(client: &Client) -> anyhow::Result<bool> {
    let response = client.send_to_controller(&ListPartitionReassignmentsRequest::default()).await?;
    ensure!(response.error_code == ErrorCode::NONE, "moves cannot be listed: {:?}", response.error_code);
    Ok(!response.topics.is_empty())
}
