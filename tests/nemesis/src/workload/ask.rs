//! What is asked of a partition's leader by consumers, each time naming the leader epoch that the metadata has.
//!
//! A leader refuses another epoch than its own (KIP-320), so it is known which term an answer without an error is of.

use std::time::Duration;

use anyhow::{Context, ensure};
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{BrokerId, Client, ClientConfig, TopicMetadata};
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{FetchRequest, ListOffsetsRequest};

use super::Place;
use crate::process::quick_client;

/// For the first connection.
const CONNECTING: Duration = Duration::from_secs(30);
/// For one question, and the pause before a second attempt at it: there is none, since it would need newer metadata.
const ONCE: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_secs(2);
/// How long a broker may wait for records.
const MAX_WAIT_MS: i32 = 300;
const MAX_BYTES: i32 = 4 << 20;

/// What a reader wants to see, with the protocol's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Isolation {
    /// All that is below the high watermark.
    Uncommitted = 0,
    /// What transactions have committed, and what is part of none.
    Committed = 1,
}

/// An answer, and the leader epoch it was given in.
pub(super) struct Told<T> {
    pub(super) epoch: i32,
    pub(super) answer: T,
}

/// Asks leaders of partitions, once each time.
#[derive(Clone, Debug)]
pub struct Asker(Client);

impl Asker {
    /// One with connections and metadata of its own.
    pub async fn connect(bootstrap: impl IntoIterator<Item = String>) -> anyhow::Result<Self> {
        let config = ClientConfig { retry_backoff: PAUSE, retry_backoff_max: PAUSE, ..quick_client(CONNECTING) };
        Ok(Self(Client::connect(bootstrap, config).await?.with_deadline(ONCE)))
    }

    /// Reads from `offset` on. An error of any kind makes no claim about records.
    pub(super) async fn fetch(
        &self,
        place: &Place,
        offset: i64,
        isolation: Isolation,
    ) -> anyhow::Result<Told<PartitionData>> {
        let told = self.try_fetch(place, offset, isolation).await;
        self.learn(place, &told).await;
        told
    }

    /// The latest offset.
    pub(super) async fn latest(&self, place: &Place) -> anyhow::Result<Told<i64>> {
        let told = self.try_latest(place).await;
        self.learn(place, &told).await;
        told
    }

    async fn learn<T>(&self, place: &Place, told: &anyhow::Result<Told<T>>) {
        if told.is_err() {
            // If that fails too, the next call will.
            let _ = self.0.refresh_metadata(&[place.topic]).await;
        }
    }

    async fn try_fetch(&self, place: &Place, offset: i64, isolation: Isolation) -> anyhow::Result<Told<PartitionData>> {
        let topic = self.0.topic(place.topic).await?;
        let (leader, epoch) = leader(&topic, place)?;
        let asked = FetchPartition {
            partition: place.index,
            current_leader_epoch: epoch,
            fetch_offset: offset,
            partition_max_bytes: MAX_BYTES,
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: MAX_WAIT_MS,
            min_bytes: 1,
            max_bytes: MAX_BYTES,
            isolation_level: isolation as i8,
            topics: vec![FetchTopic { topic: place.topic.into(), topic_id: topic.id, partitions: vec![asked] }],
            ..Default::default()
        };
        let response = self.0.send_to(leader, &request).await?;
        ensure!(response.error_code == ErrorCode::NONE, "{:?}", response.error_code);
        let answer = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let answer = answer.context("the answer lacks the partition")?;
        ensure!(answer.error_code == ErrorCode::NONE, "{:?}", answer.error_code);
        Ok(Told { epoch, answer })
    }

    async fn try_latest(&self, place: &Place) -> anyhow::Result<Told<i64>> {
        let (leader, epoch) = leader(&self.0.topic(place.topic).await?, place)?;
        let asked = ListOffsetsPartition { partition_index: place.index, current_leader_epoch: epoch, timestamp: -1 };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name: place.topic.into(), partitions: vec![asked] }],
            ..Default::default()
        };
        let response = self.0.send_to(leader, &request).await?;
        let answer = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let answer = answer.context("the answer lacks the partition")?;
        ensure!(answer.error_code == ErrorCode::NONE, "{:?}", answer.error_code);
        Ok(Told { epoch, answer: answer.offset })
    }
}

/// The leader and its epoch, as the metadata has them.
fn leader(topic: &TopicMetadata, place: &Place) -> anyhow::Result<(BrokerId, i32)> {
    let known = topic.partitions.get(&place.index).context("the partition is unknown")?;
    Ok((known.leader.context("the partition has no leader")?, known.leader_epoch))
}
