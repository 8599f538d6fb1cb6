//! The answer to a fetch.

use std::collections::HashMap;

use bytes::Bytes;
use ottla_protocol::codec::Records;
use ottla_protocol::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch,
    PartitionData,
};
use ottla_protocol::{ApiKey, ErrorCode};
use uuid::Uuid;

use super::plan::{Item, Plan, ReadResult, bytes_of};
use super::session::Told;
use crate::api::error;
use crate::api::files::{Files, answer_when_warm};
use crate::net::Step;
use crate::replica::{Error, Read};

/// Which request an answer is for.
#[derive(Clone, Copy)]
pub(super) struct Exchange {
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) read_committed: bool,
    pub(super) is_replica: bool,
}

impl Exchange {
    /// An answer that is an error as a whole.
    pub(super) fn refuse(self, error_code: ErrorCode) -> Step {
        // Before version 7 there is no place for it; such a client has no session to be wrong about.
        self.encode(&FetchResponse { error_code, ..FetchResponse::default() }, Files::default())
    }

    /// The same error for the whole and for every partition.
    pub(super) fn refuse_everything(self, request: &FetchRequest, code: ErrorCode) -> Step {
        let topic = |topic: &ottla_protocol::messages::fetch::FetchTopic| FetchableTopicResponse {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions: topic.partitions.iter().map(|p| self.failed(p.partition, code)).collect(),
        };
        let responses = request.topics.iter().map(topic).collect();
        self.encode(&FetchResponse { error_code: code, responses, ..FetchResponse::default() }, Files::default())
    }

    /// The answer to `plan` with what its reads came to.
    pub(super) fn answer(self, plan: Plan, results: Vec<ReadResult>) -> Step {
        plan.count_throttled(&results);
        plan.note_unread(&results);
        let throttle_time_ms = plan.count_consumed(&results);
        let mut files = Files::default();
        let mut topics = TopicList::default();
        for (item, result) in plan.items.iter().zip(results) {
            let told = result.as_ref().map_or(Told::NOTHING, Told::of);
            let has_news = result
                .as_ref()
                .map_or(true, |read| read.records.is_some() || read.diverging.is_some() || read.preferred.is_some());
            if !plan.session.tell(&item.wanted, told, has_news) {
                continue;
            }
            topics.push(item, self.partition(item, result, &mut files));
        }
        let response = FetchResponse {
            throttle_time_ms,
            session_id: plan.session.id,
            node_endpoints: plan.leaders_of(&topics.list),
            responses: topics.list,
            ..FetchResponse::default()
        };
        self.encode(&response, files)
    }

    fn partition(self, item: &Item, result: ReadResult, files: &mut Files) -> PartitionData {
        let index = item.wanted.partition;
        if let (Some(partition), bytes @ 1.., false) = (&item.partition, bytes_of(&result), self.is_replica) {
            partition.counters().bytes_out.inc_by(bytes as u64);
        }
        match result {
            Ok(read) => self.found(index, read, files),
            Err(error) => {
                let mut data = self.failed(index, error::of_replica(&error));
                match error {
                    Error::NotLeader { leader, epoch } => {
                        data.current_leader = LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 };
                    }
                    // Kafka's followers ask for it by ListOffsets.
                    Error::OffsetOutOfRange { start, .. } if self.is_replica => data.log_start_offset = start.0,
                    _ => {}
                }
                data
            }
        }
    }

    fn found(self, index: i32, read: Read, files: &mut Files) -> PartitionData {
        let records = read.records.map_or_else(Records::default, |slice| files.records(slice));
        let diverging_epoch = read
            .diverging
            .map_or_else(EpochEndOffset::default, |end| EpochEndOffset { epoch: end.epoch.0, end_offset: end.end.0 });
        PartitionData {
            high_watermark: read.high_watermark.0,
            last_stable_offset: if self.read_committed { read.end.0 } else { read.high_watermark.0 },
            aborted_transactions: self.read_committed.then(|| read.aborted.iter().map(aborted).collect()),
            log_start_offset: read.log_start.0,
            diverging_epoch,
            preferred_read_replica: read.preferred.map_or(-1, |id| id.0),
            records: Some(records),
            ..self.empty(index)
        }
    }

    fn failed(self, index: i32, error_code: ErrorCode) -> PartitionData {
        PartitionData { error_code, high_watermark: -1, ..self.empty(index) }
    }

    fn empty(self, partition_index: i32) -> PartitionData {
        PartitionData {
            partition_index,
            aborted_transactions: self.read_committed.then(Vec::new),
            records: Some(Records::default()),
            ..PartitionData::default()
        }
    }

    fn encode(self, response: &FetchResponse, files: Files) -> Step {
        match files.response(ApiKey::Fetch, self.version, self.correlation_id, response) {
            Ok(response) => answer_when_warm(response),
            Err(reason) => Step::Close(reason),
        }
    }
}

fn aborted(transaction: &ottla_storage::AbortedTransaction) -> AbortedTransaction {
    AbortedTransaction { producer_id: transaction.producer.0, first_offset: transaction.first_offset.0 }
}

/// The topics of an answer, each once, in the order of their first partition.
#[derive(Default)]
struct TopicList {
    list: Vec<FetchableTopicResponse>,
    places: HashMap<(Bytes, Uuid), usize>,
}

impl TopicList {
    fn push(&mut self, item: &Item, data: PartitionData) {
        let (topic, topic_id) = (&item.wanted.topic, item.wanted.topic_id);
        let is_same = |last: &FetchableTopicResponse| last.topic == *topic && last.topic_id == topic_id;
        if let Some(last) = self.list.last_mut().filter(|last| is_same(last)) {
            return last.partitions.push(data);
        }
        let place = *self.places.entry((topic.as_bytes().clone(), topic_id)).or_insert_with(|| {
            self.list.push(FetchableTopicResponse { topic: topic.clone(), topic_id, partitions: Vec::new() });
            self.list.len() - 1
        });
        self.list[place].partitions.push(data);
    }
}
