//! Writes the topic, batch after batch, as an idempotent producer: what is sent again counts once.

use std::time::SystemTime;

use anyhow::ensure;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::Client;
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::script::BATCH;
use super::{PATIENCE, Script, TOPIC};
use crate::process::Cluster;

/// The producer.
pub(super) struct Writer {
    client: Client,
    /// Its id and epoch.
    producer: (i64, i16),
}

impl Writer {
    pub(super) async fn new(cluster: &Cluster) -> anyhow::Result<Self> {
        let client = cluster.client(PATIENCE).await?;
        let request =
            InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
        let InitProducerIdResponse { error_code, producer_id, producer_epoch, .. } = client.send_any(&request).await?;
        ensure!(error_code == ErrorCode::NONE, "no producer id is given: {error_code:?}");
        Ok(Self { client, producer: (producer_id, producer_epoch) })
    }

    /// Goes on with a broker that has been started anew.
    pub(super) async fn reconnect(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        self.client = cluster.client(PATIENCE).await?;
        Ok(())
    }

    /// Writes a batch; gives how many records there are then.
    pub(super) async fn write(&self, script: &Script, batch: u64) -> anyhow::Result<u64> {
        let offset = batch * BATCH;
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let records = script.batch(offset, since_epoch.as_millis() as i64, self.producer);
        let answer = self.client.produce(TOPIC, 0, records, -1, PATIENCE).await?;
        ensure!(answer.error_code == ErrorCode::NONE, "batch {batch} is refused: {:?}", answer.error_code);
        ensure!(answer.base_offset == offset as i64, "batch {batch} is at {}, not at {offset}", answer.base_offset);
        Ok((offset + BATCH).min(script.records))
    }
}
