//! Sends what fits nowhere to one broker, until it says so.

use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_records::{BatchBuilder, Compression};
use tokio::time::Instant;

use crate::process::Cluster;

/// Makes the topic that will be flooded, while there is room for it.
pub(super) async fn prepare(cluster: &Cluster, broker: usize) -> anyhow::Result<()> {
    cluster.make_topic(&topic(broker), &[broker], Duration::from_secs(10)).await
}

fn topic(broker: usize) -> String {
    format!("flood-{broker}")
}

/// Fills what a broker had taken in advance; returns its refusal.
pub(super) async fn until_refused(cluster: &Cluster, broker: usize, within: Duration) -> anyhow::Result<String> {
    let client = cluster.client(Duration::from_millis(400)).await?;
    let topic = topic(broker);
    let deadline = Instant::now() + within;
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

fn batch() -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1_000_000, None, Some(&vec![0x5a; 256 << 10]), &[]);
    builder.build(0)
}
