//! Sends what fits nowhere to one broker, until it says so.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::Client;
use ottla_protocol::messages::CreateTopicsRequest;
use ottla_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use ottla_records::{BatchBuilder, Compression};
use tokio::time::Instant;

use crate::process::Cluster;

/// Makes the topic that will be flooded, while there is room for it.
pub(super) async fn prepare(cluster: &Cluster, broker: usize) -> anyhow::Result<()> {
    let client = cluster.client(Duration::from_secs(10)).await?;
    make_topic(&client, &topic(broker), broker).await?;
    client.list_offset(&topic(broker), 0, -1).await?;
    Ok(())
}

fn topic(broker: usize) -> String {
    format!("flood-{broker}")
}

/// Fills what a broker had taken in advance; returns its refusal.
pub(super) async fn until_refused(cluster: &Cluster, broker: usize) -> anyhow::Result<String> {
    let client = cluster.client(Duration::from_millis(400)).await?;
    let topic = topic(broker);
    let deadline = Instant::now() + Duration::from_secs(20);
    let batch = batch();
    loop {
        let answer = client.produce(&topic, 0, batch.clone(), -1, Duration::from_millis(300)).await;
        match answer {
            Ok(answer) if answer.error_code == ErrorCode::NONE => {}
            Ok(answer) => return Ok(format!("refused with {:?}", answer.error_code)),
            Err(error) => return Ok(format!("no answer: {error}")),
        }
        ensure!(Instant::now() < deadline, "broker {broker} still takes records though its disk is full");
    }
}

/// A topic with one replica, on that broker.
async fn make_topic(client: &Client, name: &str, broker: usize) -> anyhow::Result<()> {
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![broker as i32] };
    let config = CreatableTopicConfig { name: "min.insync.replicas".into(), value: Some("1".into()) };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        configs: vec![config],
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let response = client.send_to_controller(&request).await?;
    let code = response.topics.first().context("the answer lacks the topic")?.error_code;
    let there = matches!(code, ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS);
    ensure!(there, "cannot make {name}: {code:?}");
    Ok(())
}

fn batch() -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1_000_000, None, Some(&vec![0x5a; 256 << 10]), &[]);
    builder.build(0)
}
