//! Load until a server gains nothing more from it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{batch, produce, produce_frame};
use crate::server::Server;

/// What is written for minutes must not fill the disk.
pub const BOUNDED: [(&str, &str); 3] =
    [("retention.bytes", "67108864"), ("segment.bytes", "67108864"), ("file.delete.delay.ms", "1000")];
/// The topic that takes it.
pub const TOPIC: &str = "warm";
const MOST: usize = 36;

/// A virtual machine compiles what it runs often, which takes minutes, with half a minute in between in which nothing seems
/// to happen: a server is warm once the last eight turns of load gave no tenth more than the best before them. Says what it
/// sees, for that takes a while. A turn returns the batches acked.
pub fn until_steady(name: &str, mut turn: impl FnMut() -> anyhow::Result<u64>) -> anyhow::Result<()> {
    let mut turns: Vec<f64> = Vec::new();
    while turns.len() < MOST && !is_steady(&turns) {
        turns.push(turn()? as f64);
    }
    eprintln!("{name}: {} turns until warm, batches in each: {turns:?}", turns.len());
    Ok(())
}

/// Batches of 64 KiB on two connections until nothing is gained.
pub fn warm(server: &Server) -> anyhow::Result<()> {
    const TURN: Duration = Duration::from_secs(5);
    server.create_topic_with(TOPIC, 2, &BOUNDED)?;
    let batch = batch(64, 1024);
    let frames: Vec<[Bytes; 1]> = (0..2)
        .map(|partition| Ok([produce_frame(TOPIC, partition, batch.clone(), 1)?]))
        .collect::<anyhow::Result<_>>()?;
    until_steady("Kafka", || {
        let deadline = Instant::now() + TURN;
        produce::in_parallel(server.address, &frames, deadline)
    })
}

/// Whether what the last turns gave is no gain on the turns before.
fn is_steady(turns: &[f64]) -> bool {
    const LAST: usize = 8;
    let best = |turns: &[f64]| turns.iter().copied().fold(0.0, f64::max);
    turns.len() > LAST && best(&turns[turns.len() - LAST..]) < 1.1 * best(&turns[..turns.len() - LAST])
}
