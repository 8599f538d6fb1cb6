//! A producer with acks=all that sends one batch after another to one partition.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, Error};
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_records::{BatchBuilder, Compression, ProducerStamp};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::{Load, Payload, Place, Shared};
use crate::history::{Event, Outcome, Produce, Writer};
use crate::process::quick_client;

/// How long a writer tries one call.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long the broker may wait for replicas before it says that it did.
const TIME_OUT: Duration = Duration::from_millis(1400);

/// Writes until told to stop.
pub(super) async fn run(
    shared: Shared,
    writer: Writer,
    place: Place,
    load: Load,
    mut random: StdRng,
) -> anyhow::Result<()> {
    let client = shared.client(quick_client(DEADLINE)).await?;
    let pace = Duration::from_secs_f64(1.0 / load.calls_per_second);
    let mut next_call = Instant::now() + pace.mul_f64(random.random());
    let mut next_record = 0;
    let mut stamp = None;
    while !shared.stopped() {
        tokio::time::sleep_until(next_call).await;
        next_call = (next_call + pace).max(Instant::now());
        if writer.idempotent && stamp.is_none() {
            stamp = new_producer(&client).await;
            continue;
        }
        let count = random.random_range(1..=load.most_records);
        let batch = batch(&writer, next_record, count, stamp);
        let invoked = shared.recorder.now();
        let answer = client.produce(place.topic, place.index, batch, -1, TIME_OUT).await;
        let outcome = outcome(answer.map(|answer| (answer.error_code, answer.base_offset)));
        stamp = match &outcome {
            // Whether the broker has it is open, so the next sequence number is too: only a new producer id is safe.
            Outcome::Unknown(_) => None,
            _ => stamp.map(|stamp| ProducerStamp { base_sequence: stamp.base_sequence + count.cast_signed(), ..stamp }),
        };
        let completed = shared.recorder.now();
        let call = Produce { writer: writer.id, first: next_record, count, invoked, completed, outcome };
        shared.recorder.record(Event::Produce(call));
        next_record += u64::from(count);
    }
    Ok(())
}

fn outcome(answer: Result<(ErrorCode, i64), Error>) -> Outcome {
    match answer {
        Ok((ErrorCode::NONE, offset)) if offset >= 0 => Outcome::Acked(offset),
        Ok((ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER, _)) => Outcome::Duplicate,
        Ok((code, _)) => Outcome::Unknown(format!("{code:?}")),
        Err(error) => Outcome::Unknown(error.to_string()),
    }
}

async fn new_producer(client: &Client) -> Option<ProducerStamp> {
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
    match client.send_any(&request).await {
        Ok(InitProducerIdResponse { error_code: ErrorCode::NONE, producer_id, producer_epoch, .. }) => {
            Some(ProducerStamp { id: producer_id, epoch: producer_epoch, base_sequence: 0 })
        }
        // Fewer ids than asked for are no harm: the writer asks again.
        _ => None,
    }
}

fn batch(writer: &Writer, first: u64, count: u32, stamp: Option<ProducerStamp>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some(stamp) = stamp {
        builder = builder.with_producer(stamp);
    }
    for number in first..first + u64::from(count) {
        let payload = Payload { writer: writer.id, partition: writer.partition, number };
        builder.append(1_000_000, None, Some(&payload.encode()), &[]);
    }
    builder.build(0)
}
