//! The loads: each drives connections from threads of its own and counts.

pub mod e2e;
pub mod fetch;
pub mod produce;
pub mod serial;
pub mod warm;

use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use hdrhistogram::Histogram;
use ottla_protocol::messages::ProduceRequest;
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_records::{BatchBuilder, Compression};
use rand::RngCore;

use crate::cell::Measure;
use crate::server::{Server, cpu_seconds};
use crate::wire;

/// The version of Produce that is sent: the last one that names topics.
pub const PRODUCE_VERSION: i16 = 12;
/// The version of Fetch that is sent: the last one that names topics.
pub const FETCH_VERSION: i16 = 12;

/// A batch of `records` records with random values of `size` bytes each, keys and framing included.
pub fn batch(records: usize, size: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let mut value = vec![0; size.saturating_sub(10)];
    rand::rng().fill_bytes(&mut value);
    for _ in 0..records {
        builder.append(0, None, Some(&value), &[]);
    }
    builder.build(0)
}

/// A produce frame for one partition.
pub fn produce_frame(topic: &str, partition: i32, batch: Bytes, acks: i16) -> anyhow::Result<Bytes> {
    let data = PartitionProduceData { index: partition, records: Some(batch.into()) };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..TopicProduceData::default() };
    let request = ProduceRequest { acks, timeout_ms: 10_000, topic_data: vec![topic], ..ProduceRequest::default() };
    wire::encode(&request, PRODUCE_VERSION)
}

/// An empty histogram of microseconds up to a minute.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

/// Processor and wall time at the start of a cell.
pub struct Clock<'a> {
    server: &'a Server,
    began: Instant,
    cpu: f64,
    own: f64,
}

impl<'a> Clock<'a> {
    /// Starts.
    pub fn start(server: &'a Server) -> anyhow::Result<Self> {
        let own = cpu_seconds(std::process::id())?;
        Ok(Self { server, began: Instant::now(), cpu: server.cpu_seconds()?, own })
    }

    /// The figures since the start, for so many requests, records and bytes.
    pub fn stop(&self, requests: u64, records: u64, bytes: u64, latency: Histogram<u64>) -> anyhow::Result<Measure> {
        let seconds = self.began.elapsed().as_secs_f64();
        Ok(Measure {
            bytes: bytes as f64 / seconds,
            records: records as f64 / seconds,
            cpu: self.server.cpu_seconds()? - self.cpu,
            seconds,
            requests,
            own_cpu: cpu_seconds(std::process::id())? - self.own,
            latency,
        })
    }
}

/// Fails if an answer says that the records of any partition were not taken.
pub fn check_all(answer: Bytes) -> anyhow::Result<()> {
    let response = wire::decode::<ProduceRequest>(answer, PRODUCE_VERSION)?;
    ensure!(!response.responses.is_empty(), "produce was not answered");
    for partition in response.responses.iter().flat_map(|topic| &topic.partition_responses) {
        ensure!(partition.error_code.is_none(), "produce failed: {:?}", partition.error_code);
    }
    Ok(())
}
