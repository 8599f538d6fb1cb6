//! Fetches from the page cache: two connections read a topic of 256 MiB over and over.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::messages::FetchRequest;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};

use super::{Clock, FETCH_VERSION, batch, histogram, produce_frame};
use crate::cell::Measure;
use crate::server::Server;
use crate::wire::{self, Connection};

const CONNECTIONS: i32 = 2;
const BATCH_RECORDS: usize = 64;
const BATCHES: usize = 2048;

/// Fetches up to `bytes` per request for `length`.
pub fn run(server: &Server, topic: &str, bytes: usize, length: Duration) -> anyhow::Result<Measure> {
    server.create_topic(topic, CONNECTIONS)?;
    let batch = batch(BATCH_RECORDS, 1024);
    for partition in 0..CONNECTIONS {
        let frame = produce_frame(topic, partition, batch.clone(), 1)?;
        let mut connection = Connection::open(server.address)?;
        for _ in 0..BATCHES {
            connection.send(&frame)?;
            connection.receive()?;
        }
    }
    // In fsync mode consumers read what is flushed; acks=all of one more batch waits for it.
    for partition in 0..CONNECTIONS {
        let mut connection = Connection::open(server.address)?;
        connection.send(&produce_frame(topic, partition, batch.clone(), -1)?)?;
        connection.receive()?;
    }
    let per_request = (bytes / batch.len()).max(1);
    let clock = Clock::start(server)?;
    let deadline = Instant::now() + length;
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|partition| scope.spawn(move || read(server, topic, partition, bytes, per_request, deadline)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("the loads do not panic"))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let requests = counts.iter().map(|(requests, _)| requests).sum();
    let received: u64 = counts.iter().map(|(_, bytes)| bytes).sum();
    let records = received / batch.len() as u64 * BATCH_RECORDS as u64;
    clock.stop(requests, records, received, histogram())
}

fn read(
    server: &Server,
    topic: &str,
    partition: i32,
    bytes: usize,
    per_request: usize,
    deadline: Instant,
) -> anyhow::Result<(u64, u64)> {
    let frames: Vec<Bytes> = (0..BATCHES / per_request)
        .map(|index| fetch_frame(topic, partition, (index * per_request * BATCH_RECORDS) as i64, bytes, 1, 500))
        .collect::<anyhow::Result<_>>()?;
    let mut connection = Connection::open(server.address)?;
    let (mut requests, mut received, mut head) = (0, 0, [0; 64]);
    for frame in frames.iter().cycle() {
        connection.send(frame)?;
        received += connection.discard(&mut head)? as u64;
        requests += 1;
        if Instant::now() >= deadline {
            break;
        }
    }
    Ok((requests, received))
}

/// A fetch frame for one partition.
pub fn fetch_frame(
    topic: &str,
    partition: i32,
    offset: i64,
    bytes: usize,
    min_bytes: i32,
    max_wait_ms: i32,
) -> anyhow::Result<Bytes> {
    let partition = FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: bytes as i32,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        max_wait_ms,
        min_bytes,
        max_bytes: bytes as i32,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    wire::encode(&request, FETCH_VERSION)
}
