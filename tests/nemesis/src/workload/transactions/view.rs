//! Readers of what transactions wrote: of all of it, and of what is committed, which they tell as Kafka's consumers do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::ensure;
use ottla_protocol::messages::fetch::PartitionData;
use ottla_records::{Batch, batches};

use crate::history::{Event, Marker, Read, Recorder, Run, View};
use crate::workload::ask::{Asker, Isolation};
use crate::workload::consumer::{add_batch, marks};
use crate::workload::{Place, Shared};

/// Follows a partition until told to stop.
pub(in crate::workload) async fn follow(shared: Shared, place: Place, isolation: Isolation) -> anyhow::Result<()> {
    let asker = shared.asker().await?;
    let reader = format!("reader of {isolation:?} records");
    let mut offset = 0;
    while !shared.stopped() {
        match look(&asker, &shared.recorder, &reader, &place, (offset, isolation)).await {
            Ok(view) => {
                offset = view.next;
                shared.recorder.record(Event::View(view));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    Ok(())
}

/// Reads a partition from its start to its high watermark, as whoever comes later would. A reader of committed records
/// gets there once no transaction is open.
pub async fn view_to_end(
    asker: &Asker,
    recorder: &Recorder,
    place: &Place,
    isolation: Isolation,
    within: Duration,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    let Place { topic, index, .. } = place;
    let reader = format!("final reader of {isolation:?} records");
    let mut offset = 0;
    loop {
        let what = match look(asker, recorder, &reader, place, (offset, isolation)).await {
            Ok(view) => {
                let marks = view.read.marks;
                offset = view.next;
                recorder.record(Event::FinalView(view));
                if offset >= marks.high {
                    return Ok(());
                }
                format!("{marks:?}")
            }
            Err(error) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                error.to_string()
            }
        };
        ensure!(
            Instant::now() < deadline,
            "{topic}-{index} cannot be read to its end as {isolation:?}: at {offset}, {what}"
        );
    }
}

/// One fetch. An error of any kind has no say in the history: it makes no claim about records.
pub(super) async fn look(
    asker: &Asker,
    recorder: &Recorder,
    reader: &str,
    place: &Place,
    (offset, isolation): (i64, Isolation),
) -> anyhow::Result<View> {
    let invoked = recorder.now();
    let told = asker.fetch(place, offset, isolation).await?;
    let completed = recorder.now();
    let Contents { runs, markers, next } = contents(&told.answer, place.number, (offset, isolation));
    let (reader, partition, epoch, marks) = (reader.to_owned(), place.number, told.epoch, marks(&told.answer));
    let read = Read { reader, partition, offset, epoch, invoked, completed, marks, runs };
    Ok(View { read, committed: isolation == Isolation::Committed, markers, next })
}

/// What a reader takes from an answer.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    runs: Vec<Run>,
    markers: Vec<Marker>,
    next: i64,
}

fn contents(answer: &PartitionData, partition: i32, (from, isolation): (i64, Isolation)) -> Contents {
    let mut found = Contents { runs: Vec::new(), markers: Vec::new(), next: from };
    let Some(bytes) = answer.records.as_ref().and_then(|records| records.as_bytes()) else { return found };
    let mut aborted = Aborted::of(answer);
    for batch in batches(bytes) {
        // The last batch of an answer may be cut.
        let Ok(batch) = batch else { break };
        let is_aborted = aborted.has(&batch);
        found.next = batch.header.next_offset();
        if batch.header.attributes.is_control() {
            let marker = marker(&batch).filter(|marker| marker.offset >= from);
            if let Some(Marker { session, commit: false, .. }) = marker {
                aborted.end(session.0);
            }
            found.markers.extend(marker);
        } else if isolation == Isolation::Uncommitted || !is_aborted {
            add_batch(&mut found.runs, &batch, partition, from);
        }
    }
    found
}

fn marker(batch: &Batch<'_>) -> Option<Marker> {
    let read = ottla_records::Marker::read(batch.bytes).ok().flatten()?;
    let session = (batch.header.producer_id, batch.header.producer_epoch);
    Some(Marker { offset: batch.header.base_offset, session, commit: read.commit })
}

/// The aborted transactions of an answer, as a consumer goes through its batches.
struct Aborted {
    /// Producers by the first offsets of their aborted transactions that are still ahead.
    ahead: BTreeMap<i64, Vec<i64>>,
    /// Producers in the midst of one.
    producers: BTreeSet<i64>,
}

impl Aborted {
    fn of(answer: &PartitionData) -> Self {
        let mut ahead: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for aborted in answer.aborted_transactions.iter().flatten() {
            ahead.entry(aborted.first_offset).or_default().push(aborted.producer_id);
        }
        Self { ahead, producers: BTreeSet::new() }
    }

    /// Whether a batch is part of one.
    fn has(&mut self, batch: &Batch<'_>) -> bool {
        while let Some(first) = self.ahead.first_entry().filter(|first| *first.key() <= batch.header.last_offset()) {
            self.producers.extend(first.remove());
        }
        batch.header.attributes.is_transactional() && self.producers.contains(&batch.header.producer_id)
    }

    /// The marker of one has come.
    fn end(&mut self, producer: i64) {
        self.producers.remove(&producer);
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::codec::Records;
    use ottla_protocol::messages::fetch::AbortedTransaction;
    use ottla_records::{Attributes, BatchBuilder, Compression, ProducerStamp, set_base_offset};

    use super::*;
    use crate::workload::Payload;

    fn data(producer: i64, writer: u32, offset: i64) -> Vec<u8> {
        let mut batch = BatchBuilder::new(Compression::None)
            .with_producer(ProducerStamp { id: producer, epoch: 0, base_sequence: 0 })
            .with_attributes(Attributes::default().transactional());
        batch.append(0, None, Some(&Payload { writer, partition: 3, number: 0 }.encode()), &[]);
        batch.build(offset).to_vec()
    }

    fn end(producer: i64, commit: bool, offset: i64) -> Vec<u8> {
        let mut batch = ottla_records::Marker { commit, coordinator_epoch: 0 }.batch(producer, 1, 0).to_vec();
        set_base_offset(&mut batch, offset);
        batch
    }

    /// Producer 7 aborts, then commits; producer 8 commits.
    fn answer() -> PartitionData {
        let bytes = [data(7, 0, 0), data(8, 1, 1), end(7, false, 2), data(7, 2, 3), end(8, true, 4), end(7, true, 5)];
        PartitionData {
            aborted_transactions: Some(vec![AbortedTransaction { producer_id: 7, first_offset: 0 }]),
            records: Some(Records::Bytes(bytes.concat().into())),
            ..PartitionData::default()
        }
    }

    #[test]
    fn a_reader_of_committed_records_passes_over_the_transaction_that_was_aborted_and_no_other() {
        let run = |offset, writer| Run { offset, writer: Some(writer), first: 0, count: 1, epoch: -1 };
        let all = contents(&answer(), 3, (0, Isolation::Uncommitted));
        assert_eq!(all.runs, [run(0, 0), run(1, 1), run(3, 2)]);
        let committed = contents(&answer(), 3, (0, Isolation::Committed));
        assert_eq!(committed.runs, [run(1, 1), run(3, 2)]);
        assert_eq!((all.next, committed.next), (6, 6));
        let ends = [(2, 7, false), (4, 8, true), (5, 7, true)];
        let marker = |(offset, producer, commit)| Marker { offset, session: (producer, 1), commit };
        assert_eq!(committed.markers, ends.map(marker));
        assert_eq!(all.markers, ends.map(marker));
    }

    #[test]
    fn an_answer_without_records_leaves_the_reader_where_it_is() {
        let found = contents(&PartitionData::default(), 3, (9, Isolation::Committed));
        assert_eq!(found, Contents { runs: Vec::new(), markers: Vec::new(), next: 9 });
    }
}
