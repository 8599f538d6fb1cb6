//! One writer for each partition: a record at a time, repeated until it is acked, so that its order is known.
//!
//! Every attempt is its own call, so that what a cluster refuses is counted and not hidden by a client that tries again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, ClientConfig};
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_records::{BatchBuilder, Compression, ProducerStamp};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::payload::Run;
use super::tally::Tally;

/// For one attempt.
const ATTEMPT: Duration = Duration::from_secs(3);
/// How long a broker may wait for replicas before it says that it did: less than an attempt.
const REPLICAS: Duration = Duration::from_millis(2500);
/// Before another attempt.
const BREATH: Duration = Duration::from_millis(20);
/// How long an unacked record is still tried once the writer is to stop.
const LAST_RECORD: Duration = Duration::from_secs(30);

/// What one writer is to do.
pub struct Writer {
    pub bootstrap: String,
    pub topic: String,
    pub partition: i32,
    pub run: Run,
    /// Between two records.
    pub pause: Duration,
    /// How many; without a number until `stop`.
    pub records: Option<u64>,
    pub stop: CancellationToken,
}

impl Writer {
    /// Writes; what was acked and refused.
    pub async fn run(self) -> Tally {
        let mut tally = Tally::default();
        let Some(client) = self.connect(&mut tally).await else { return tally };
        let mut stamp = None;
        let (mut number, mut next) = (0, Instant::now());
        while self.records.is_none_or(|records| number < records) {
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = sleep_until(next) => {}
            }
            next = (next + self.pause).max(Instant::now());
            if !self.write(&client, number, &mut stamp, &mut tally).await {
                break;
            }
            number += 1;
        }
        tally
    }

    /// Connects, again and again until told to stop. A client of its own: a broker answers one connection in order.
    async fn connect(&self, tally: &mut Tally) -> Option<Client> {
        // No second attempt fits into the deadline: every one is ours to count.
        let config = ClientConfig {
            connect_timeout: Duration::from_secs(1),
            request_timeout: ATTEMPT,
            deadline: ATTEMPT,
            retry_backoff: ATTEMPT * 2,
            retry_backoff_max: ATTEMPT * 2,
            ..ClientConfig::new("ottla-check")
        };
        loop {
            match Client::connect(self.bootstrap.split(',').map(|s| s.trim().to_owned()), config.clone()).await {
                Ok(client) => return Some(client),
                Err(error) => tally.refused(error.to_string()),
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = sleep(BREATH) => {}
            }
        }
    }

    /// Sends a record until it is acked; false if it is given up because the writer is to stop.
    async fn write(&self, client: &Client, number: u64, stamp: &mut Option<ProducerStamp>, tally: &mut Tally) -> bool {
        let began = Instant::now();
        let mut stopping = None;
        loop {
            match self.attempt(client, number, stamp).await {
                Ok(()) => {
                    tally.acked(self.partition, 1, began.elapsed());
                    return true;
                }
                Err(what) => tally.refused(what),
            }
            if self.stop.is_cancelled() && stopping.get_or_insert_with(Instant::now).elapsed() > LAST_RECORD {
                return false;
            }
            sleep(BREATH).await;
        }
    }

    async fn attempt(&self, client: &Client, number: u64, stamp: &mut Option<ProducerStamp>) -> Result<(), String> {
        let current = match *stamp {
            Some(stamp) => stamp,
            None => *stamp.insert(new_producer(client).await?),
        };
        let batch = self.batch(number, current);
        let answer = client.produce(&self.topic, self.partition, batch, -1, REPLICAS).await;
        match answer.map(|answer| answer.error_code).map_err(|error| error.to_string())? {
            ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => {
                let base_sequence = current.base_sequence.wrapping_add(1) & i32::MAX;
                *stamp = Some(ProducerStamp { base_sequence, ..current });
                Ok(())
            }
            code => {
                // The broker knows another state of this producer: only a new one is safe, and may write twice.
                let unknown = [
                    ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
                    ErrorCode::UNKNOWN_PRODUCER_ID,
                    ErrorCode::INVALID_PRODUCER_EPOCH,
                ];
                if unknown.contains(&code) {
                    *stamp = None;
                }
                Err(code.to_string())
            }
        }
    }

    fn batch(&self, number: u64, stamp: ProducerStamp) -> Bytes {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut builder = BatchBuilder::new(Compression::None).with_producer(stamp);
        builder.append(
            i64::try_from(now).unwrap_or(i64::MAX),
            None,
            Some(&self.run.value(self.partition, number)),
            &[],
        );
        builder.build(0)
    }
}

async fn new_producer(client: &Client) -> Result<ProducerStamp, String> {
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
    match client.send_any(&request).await.map_err(|error| error.to_string())? {
        InitProducerIdResponse { error_code: ErrorCode::NONE, producer_id, producer_epoch, .. } => {
            Ok(ProducerStamp { id: producer_id, epoch: producer_epoch, base_sequence: 0 })
        }
        refused => Err(format!("producer id: {}", refused.error_code)),
    }
}
