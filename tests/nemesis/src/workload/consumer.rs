//! Consumers without a group: they follow one partition, each poll where the last one ended.

use std::time::{Duration, Instant};

use anyhow::ensure;
use ottla_protocol::messages::fetch::PartitionData;
use ottla_records::{Batch, Limits, RecordReader, batches};

use super::ask::{Asker, Isolation};
use super::{Payload, Place, Shared};
use crate::history::{Event, Latest, Read, Recorder, Run, Watermarks};

/// Follows a partition until told to stop.
pub(super) async fn follow(shared: Shared, name: String, place: Place) -> anyhow::Result<()> {
    let asker = shared.asker().await?;
    let mut offset = 0;
    while !shared.stopped() {
        match poll(&asker, &shared.recorder, &name, &place, offset).await {
            Ok(read) => {
                offset = next_offset(&read);
                shared.recorder.record(Event::Read(read));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    Ok(())
}

/// Asks for the latest offset of a partition again and again.
pub(super) async fn watch_end(shared: Shared, place: Place) -> anyhow::Result<()> {
    let asker = shared.asker().await?;
    while !shared.stopped() {
        let invoked = shared.recorder.now();
        if let Ok(told) = asker.latest(&place).await {
            let (partition, offset, epoch, completed) = (place.number, told.answer, told.epoch, shared.recorder.now());
            shared.recorder.record(Event::Latest(Latest { partition, offset, epoch, invoked, completed }));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Reads a partition from its start to its high watermark, as whoever comes later would.
pub async fn read_to_end(asker: &Asker, recorder: &Recorder, place: &Place, within: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    let mut offset = 0;
    loop {
        match poll(asker, recorder, "final", place, offset).await {
            Ok(read) => {
                offset = next_offset(&read);
                let end = read.marks.high;
                recorder.record(Event::Final(read));
                if offset >= end {
                    return Ok(());
                }
            }
            Err(error) => {
                let Place { topic, index, .. } = place;
                ensure!(Instant::now() < deadline, "{topic}-{index} cannot be read at {offset}: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// One fetch. An error of any kind has no say in the history: it makes no claim about records.
pub(super) async fn poll(
    asker: &Asker,
    recorder: &Recorder,
    reader: &str,
    place: &Place,
    offset: i64,
) -> anyhow::Result<Read> {
    let invoked = recorder.now();
    let told = asker.fetch(place, offset, Isolation::Uncommitted).await?;
    let completed = recorder.now();
    let (answer, epoch, partition) = (told.answer, told.epoch, place.number);
    let (marks, runs) = (marks(&answer), runs(&answer, partition, offset));
    Ok(Read { reader: reader.to_owned(), partition, offset, epoch, invoked, completed, marks, runs })
}

/// What an answer says of the log.
pub(super) fn marks(answer: &PartitionData) -> Watermarks {
    Watermarks { high: answer.high_watermark, stable: answer.last_stable_offset, start: answer.log_start_offset }
}

/// The offset after the last record of a read.
pub(super) fn next_offset(read: &Read) -> i64 {
    read.runs.last().map_or(read.offset, |run| run.offset + i64::from(run.count))
}

/// The records of an answer from `from` on; a batch that cannot be read is a run without a writer.
fn runs(answer: &PartitionData, partition: i32, from: i64) -> Vec<Run> {
    let mut runs = Vec::new();
    let Some(bytes) = answer.records.as_ref().and_then(|records| records.as_bytes()) else { return runs };
    for batch in batches(bytes) {
        // The last batch of an answer may be cut.
        let Ok(batch) = batch else { break };
        add_batch(&mut runs, &batch, partition, from);
    }
    runs
}

/// Adds the records of a batch from `from` on.
pub(super) fn add_batch(runs: &mut Vec<Run>, batch: &Batch<'_>, partition: i32, from: i64) {
    let (epoch, first) = (batch.header.leader_epoch, batch.header.base_offset.max(from));
    let readable = ottla_records::verify_crc(batch.bytes).ok().map(|()| batch.bytes);
    let Some(Ok(mut reader)) = readable.map(|bytes| RecordReader::new(bytes, Limits::default())) else {
        return add(runs, first, epoch, None);
    };
    while let Ok(Some(record)) = reader.next_record() {
        let payload = record.value.as_deref().and_then(Payload::decode);
        if record.offset >= from {
            add(runs, record.offset, epoch, payload.filter(|payload| payload.partition == partition));
        }
    }
}

fn add(runs: &mut Vec<Run>, offset: i64, epoch: i32, payload: Option<Payload>) {
    if let (Some(last), Some(payload)) = (runs.last_mut(), payload)
        && last.writer == Some(payload.writer)
        && last.first + u64::from(last.count) == payload.number
        && last.offset + i64::from(last.count) == offset
        && last.epoch == epoch
    {
        last.count += 1;
        return;
    }
    let (writer, first) = payload.map_or((None, 0), |payload| (Some(payload.writer), payload.number));
    runs.push(Run { offset, writer, first, count: 1, epoch });
}
