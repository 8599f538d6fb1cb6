//! The few requests that everybody makes, for one partition or topic at a time.

use std::time::Duration;

use bytes::Bytes;

use super::route::Route;
use super::{Client, Error, Outgoing};
use crate::ErrorCode;
use crate::codec::Records;
use crate::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use crate::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::messages::produce::{PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData};

/// How much a fetch may bring and how long it may wait.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// How long the broker may wait for `min_bytes`.
    pub max_wait: Duration,
    /// The fewest bytes worth an answer.
    pub min_bytes: i32,
    /// The most bytes; at least one batch is returned whatever its size.
    pub max_bytes: i32,
    /// Whether to read only what transactions have committed.
    pub read_committed: bool,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self { max_wait: Duration::from_millis(500), min_bytes: 1, max_bytes: 1 << 20, read_committed: false }
    }
}

/// The last version of Produce and of Fetch that names topics; later ones have their ids.
const LAST_BY_NAME: i16 = 12;

/// A duration as the protocol has it.
fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn malformed(what: String) -> Error {
    Error::Broker { what, code: ErrorCode::UNKNOWN_SERVER_ERROR }
}

impl Client {
    /// Appends a record batch to a partition. `acks` is 0, 1 or −1 (all in-sync replicas); with 0 there is no answer, and
    /// the default is returned. A retry may append twice unless the batch has a producer id and sequence.
    pub async fn produce(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: i16,
        timeout: Duration,
    ) -> Result<PartitionProduceResponse, Error> {
        let build = |topic_id| {
            let data = PartitionProduceData { index: partition, records: Some(Records::Bytes(batch.clone())) };
            let topic_data = TopicProduceData { name: topic.into(), topic_id, partition_data: vec![data] };
            let request = ProduceRequest {
                acks,
                timeout_ms: milliseconds(timeout),
                topic_data: vec![topic_data],
                ..Default::default()
            };
            Outgoing { is_answered: acks != 0, ..Outgoing::with_topic(request, topic_id, LAST_BY_NAME) }
        };
        let response = self.send(Route::Leader { topic, partition }, build).await?;
        if acks == 0 {
            return Ok(PartitionProduceResponse { index: partition, ..Default::default() });
        }
        let partitions = response.responses.into_iter().flat_map(|topic| topic.partition_responses);
        partitions.into_iter().next().ok_or_else(|| malformed(format!("produce to {topic}-{partition}")))
    }

    /// Reads a partition from `offset` on.
    pub async fn fetch(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        limits: FetchLimits,
    ) -> Result<PartitionData, Error> {
        let build = |topic_id| {
            let asked = FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: limits.max_bytes,
                ..Default::default()
            };
            let request = FetchRequest {
                max_wait_ms: milliseconds(limits.max_wait),
                min_bytes: limits.min_bytes,
                max_bytes: limits.max_bytes,
                isolation_level: i8::from(limits.read_committed),
                topics: vec![FetchTopic { topic: topic.into(), topic_id, partitions: vec![asked] }],
                ..Default::default()
            };
            Outgoing::with_topic(request, topic_id, LAST_BY_NAME)
        };
        let response = self.send(Route::Leader { topic, partition }, build).await?;
        if response.error_code.is_error() {
            return Err(Error::Broker { what: format!("fetch of {topic}-{partition}"), code: response.error_code });
        }
        let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
        partitions.into_iter().next().ok_or_else(|| malformed(format!("fetch of {topic}-{partition}")))
    }

    /// The offset of the first record with at least `timestamp`, or that of a mark: −1 the end, −2 the start, −3 the
    /// record of the greatest timestamp. −1 if there is none.
    pub async fn list_offset(&self, topic: &str, partition: i32, timestamp: i64) -> Result<i64, Error> {
        let asked = ListOffsetsPartition { partition_index: partition, timestamp, ..Default::default() };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name: topic.into(), partitions: vec![asked] }],
            ..Default::default()
        };
        let response = self.send_to_leader(topic, partition, &request).await?;
        let what = || format!("offset of {topic}-{partition}");
        let found = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let found = found.ok_or_else(|| malformed(what()))?;
        found.error_code.ok().map_err(|code| Error::Broker { what: what(), code })?;
        Ok(found.offset)
    }

    /// Creates a topic; −1 partitions or replicas mean the cluster's default.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replicas: i16,
        configs: &[(&str, &str)],
    ) -> Result<(), Error> {
        let config =
            |(name, value): &(&str, &str)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) };
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: replicas,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let timeout_ms = milliseconds(self.config.request_timeout / 2);
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms, ..Default::default() };
        let response = self.send_to_controller(&request).await?;
        let code = response.topics.first().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |topic| topic.error_code);
        code.ok().map_err(|code| Error::Broker { what: format!("creation of topic {name}"), code })
    }
}
