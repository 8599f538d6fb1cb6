//! One produce request of 1 KiB at a time: the round trip.

use std::time::{Duration, Instant};

use super::{Clock, batch, histogram, produce_frame};
use crate::cell::Measure;
use crate::server::Server;
use crate::wire::Connection;

/// Sends and waits, for `length`.
pub fn run(server: &Server, topic: &str, acks: i16, length: Duration) -> anyhow::Result<Measure> {
    server.create_topic(topic, 1)?;
    let batch = batch(1, 1024);
    let frame = produce_frame(topic, 0, batch.clone(), acks)?;
    let mut connection = Connection::open(server.address)?;
    let (mut latency, mut head) = (histogram(), [0; 64]);
    let clock = Clock::start(server)?;
    let deadline = Instant::now() + length;
    while Instant::now() < deadline {
        let began = Instant::now();
        connection.send(&frame)?;
        connection.discard(&mut head)?;
        latency.record(began.elapsed().as_micros() as u64)?;
    }
    let requests = latency.len();
    clock.stop(requests, requests, requests * batch.len() as u64, latency)
}
