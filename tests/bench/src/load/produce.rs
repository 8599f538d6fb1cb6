//! Pipelined produce: two connections, five requests in flight on each, batches encoded beforehand.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Clock, batch, check_all, histogram, produce_frame};
use crate::cell::Measure;
use crate::server::Server;
use crate::wire::Connection;

const CONNECTIONS: usize = 2;
/// As many as Kafka's clients keep in flight by default.
const IN_FLIGHT: usize = 5;
/// One answer of so many is checked.
const SAMPLED: u64 = 1024;

/// Sends batches of `records` × `size` bytes round robin over the partitions for `length`.
pub fn run(
    server: &Server,
    topic: &str,
    records: usize,
    size: usize,
    partitions: i32,
    acks: i16,
    length: Duration,
) -> anyhow::Result<Measure> {
    server.create_topic(topic, partitions)?;
    let batch = batch(records, size);
    let frames: Vec<Vec<Bytes>> = (0..CONNECTIONS)
        .map(|connection| {
            (0..partitions)
                .filter(|partition| *partition as usize % CONNECTIONS == connection)
                .map(|partition| produce_frame(topic, partition, batch.clone(), acks))
                .collect::<anyhow::Result<_>>()
        })
        .collect::<anyhow::Result<_>>()?;
    // A first round makes the files, so that the load measures appends.
    for frames in &frames {
        pipeline(server.address, frames, Instant::now() + Duration::from_secs(30), frames.len() as u64, SAMPLED)?;
    }
    let clock = Clock::start(server)?;
    let deadline = Instant::now() + length;
    let sent = in_parallel(server.address, &frames, deadline)?;
    clock.stop(sent, sent * records as u64, sent * batch.len() as u64, histogram())
}

/// Sends the frames of each connection over and over until the deadline; returns how many requests were acked.
pub fn in_parallel<F>(address: SocketAddr, frames: &[F], deadline: Instant) -> anyhow::Result<u64>
where
    F: AsRef<[Bytes]> + Sync,
{
    std::thread::scope(|scope| {
        let load = |frames: &'_ F| pipeline(address, frames.as_ref(), deadline, u64::MAX, SAMPLED);
        let threads: Vec<_> = frames.iter().map(|frames| scope.spawn(move || load(frames))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the loads do not panic")).sum()
    })
}

/// Keeps requests in flight until the deadline or `most` requests; returns how many were acked. One answer of `checked`
/// is decoded whole: where they are many, to decode each would be the load generator's cost, not the broker's.
pub fn pipeline(
    address: SocketAddr,
    frames: &[Bytes],
    deadline: Instant,
    most: u64,
    checked: u64,
) -> anyhow::Result<u64> {
    let mut connection = Connection::open(address)?;
    let mut frames = frames.iter().cycle();
    let (mut sent, mut acked) = (0u64, 0u64);
    let mut head = [0; 64];
    loop {
        let going = sent < most && Instant::now() < deadline;
        if going && sent - acked < IN_FLIGHT as u64 {
            connection.send(frames.next().expect("there is a frame for each connection"))?;
            sent += 1;
        } else if acked < sent {
            if acked.is_multiple_of(checked) {
                check_all(connection.receive()?)?;
            } else {
                connection.discard(&mut head)?;
            }
            acked += 1;
        } else {
            return Ok(acked);
        }
    }
}
