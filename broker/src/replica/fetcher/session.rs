//! One incremental fetch session as its follower keeps it (KIP-227): what the leader knows, and what to tell it next.
//!
//! Two requests may be out. The second is an update: it asks for no bytes, only tells what has been flushed since. The
//! leader has it take the place of a fetch that is parked, and otherwise answers it at once, so that records already on
//! their way are not sent twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_core::Offset;
use ottla_core::partition::{EpochEnd, NextFetch};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Records;
use ottla_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData, ReplicaState,
};
use tracing::debug;
use uuid::Uuid;

use super::{Context, Followed};
use crate::replica::{Fetched, Partition};

/// A partition that the leader knows to be wanted.
struct Entry {
    handle: u64,
    partition: Arc<Partition>,
    asked: NextFetch,
    /// The request that first asked for records in this place; answers to earlier ones are for another.
    since: u64,
    /// The leader did not take it: it has to be named again, though nothing else may have changed.
    is_refused: bool,
}

/// The session.
#[derive(Default)]
pub(super) struct Session {
    /// 0 before the leader has given one.
    id: i32,
    /// Of the next request.
    epoch: i32,
    /// Number of the next request, never reused.
    request: u64,
    entries: HashMap<(Uuid, i32), Entry>,
    keys: HashMap<u64, (Uuid, i32)>,
    /// When partitions that rest are to be looked at again.
    resting: HashMap<u64, Duration>,
}

/// What an answer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brought {
    /// Neither records nor errors.
    Nothing,
    /// Few records; the end of the flush of each of them will be told.
    LittleToFlush,
    /// Records or errors.
    News,
}

/// Up to so many bytes of an answer are little: its leader had no more, and is not likely to have as much again soon.
const LITTLE: usize = 32 << 10;

/// What is asked next, sorted by topic.
#[derive(Default)]
struct Changes {
    wanted: HashMap<Uuid, Vec<FetchPartition>>,
    forgotten: HashMap<Uuid, Vec<i32>>,
}

impl Session {
    /// Whether the leader has given the session its number: before that only one request can be out.
    pub(super) fn is_open(&self) -> bool {
        self.id != 0
    }

    /// When the first of the partitions that rest has to be looked at again.
    pub(super) fn resumes_at(&self) -> Option<Duration> {
        self.resting.values().min().copied()
    }

    /// The next request and its number: with what has changed, and for records unless it `is_update`. None if nothing
    /// is wanted, or an update has nothing to tell.
    pub(super) fn next(
        &mut self,
        followed: &Followed,
        context: &Context,
        is_update: bool,
    ) -> Option<(u64, FetchRequest)> {
        let changes = self.changes(followed, context, is_update);
        let unchanged = changes.wanted.is_empty() && changes.forgotten.is_empty();
        if (is_update && unchanged) || (self.entries.is_empty() && changes.forgotten.is_empty()) {
            return None;
        }
        let number = self.request;
        self.request += 1;
        let topic = |(topic_id, partitions)| FetchTopic { topic_id, partitions, ..FetchTopic::default() };
        let forgotten = |(topic_id, partitions)| ForgottenTopic { topic_id, partitions, ..ForgottenTopic::default() };
        let request = FetchRequest {
            replica_state: ReplicaState { replica_id: context.me.0, replica_epoch: context.epoch.0 },
            max_wait_ms: context.settings.max_wait.as_millis() as i32,
            min_bytes: 1,
            max_bytes: if is_update { 0 } else { context.settings.max_bytes },
            session_id: self.id,
            session_epoch: self.epoch,
            topics: changes.wanted.into_iter().map(topic).collect(),
            forgotten_topics_data: changes
                .forgotten
                .into_iter()
                .filter(|(_, some)| !some.is_empty())
                .map(forgotten)
                .collect(),
            ..FetchRequest::default()
        };
        self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        Some((number, request))
    }

    fn changes(&mut self, followed: &Followed, context: &Context, is_update: bool) -> Changes {
        let now = context.clock.now();
        let mut touched = std::mem::take(&mut *followed.touched.lock());
        // An update that always had something to tell would follow upon the one before without a pause.
        let outside = if is_update { HashSet::new() } else { followed.outside.lock().clone() };
        touched.extend(&outside);
        touched.extend(self.resting.iter().filter(|(_, at)| **at <= now.monotonic).map(|(handle, _)| *handle));
        let mut changes = Changes::default();
        for handle in touched {
            self.resting.remove(&handle);
            let partition = followed.partitions.lock().get(&handle).cloned();
            let next = partition.as_ref().map_or(Err(None), |partition| partition.next_fetch(followed.leader, now));
            match (partition, next) {
                (Some(partition), Ok(next)) => {
                    let key = (partition.topic_id().0, partition.id().partition);
                    let told = self.entries.get(&key).filter(|entry| !entry.is_refused).map(|entry| &entry.asked);
                    if next.is_to_be_named(told, !outside.contains(&handle)) {
                        self.want(handle, partition, next, context, &mut changes);
                    }
                }
                (_, rest) => {
                    if let Err(Some(at)) = rest {
                        self.resting.insert(handle, at);
                    }
                    self.forget(handle, &mut changes);
                }
            }
        }
        changes
    }

    fn want(
        &mut self,
        handle: u64,
        partition: Arc<Partition>,
        next: NextFetch,
        context: &Context,
        changes: &mut Changes,
    ) {
        let key = (partition.topic_id().0, partition.id().partition);
        let mut since = self.request;
        if let Some(entry) = self.entries.get(&key)
            && (NextFetch { flushed: next.flushed, log_start: next.log_start, ..entry.asked }) == next
        {
            since = entry.since;
        }
        // It may have been forgotten just before, under the handle of a replica that has gone: the leader forgets last.
        if let Some(forgotten) = changes.forgotten.get_mut(&key.0) {
            forgotten.retain(|partition| *partition != key.1);
        }
        changes.wanted.entry(key.0).or_default().push(FetchPartition {
            partition: key.1,
            current_leader_epoch: next.leader_epoch.0,
            fetch_offset: next.offset.0,
            last_fetched_epoch: next.last_fetched_epoch.0,
            log_start_offset: next.log_start.0,
            partition_max_bytes: context.settings.partition_max_bytes,
            flushed_offset: next.flushed.0,
            ..FetchPartition::default()
        });
        self.keys.insert(handle, key);
        self.entries.insert(key, Entry { handle, partition, asked: next, since, is_refused: false });
    }

    fn forget(&mut self, handle: u64, changes: &mut Changes) {
        let Some(key) = self.keys.remove(&handle) else { return };
        if self.entries.get(&key).is_some_and(|entry| entry.handle == handle) {
            self.entries.remove(&key);
            changes.forgotten.entry(key.0).or_default().push(key.1);
        }
    }

    /// The answer to request `number`; the error if the session is over.
    pub(super) fn answered(
        &mut self,
        number: u64,
        response: FetchResponse,
        followed: &Followed,
        context: &Context,
    ) -> Result<Brought, ErrorCode> {
        if response.error_code.is_error() {
            return Err(response.error_code);
        }
        if self.id == 0 {
            // Without a number every fetch would have to name all partitions.
            self.id = if response.session_id == 0 {
                return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
            } else {
                response.session_id
            };
        }
        let (mut bytes, mut any_error, mut all_to_flush) = (0, false, true);
        for topic in response.responses {
            for data in topic.partitions {
                let brought = data.records.as_ref().map_or(0, Records::len);
                bytes += brought;
                any_error |= data.error_code.is_error();
                let Some(entry) = self.entries.get_mut(&(topic.topic_id, data.partition_index)) else { continue };
                if entry.since <= number {
                    entry.is_refused = data.error_code.is_error();
                    let fetched = fetched(&entry.partition, &data);
                    let to_flush = entry.partition.fetched(&entry.asked, &fetched, context.clock.now());
                    all_to_flush &= to_flush || brought == 0;
                    followed.touched.lock().insert(entry.handle);
                }
            }
        }
        Ok(match bytes {
            0 if !any_error => Brought::Nothing,
            1..=LITTLE if all_to_flush && !any_error => Brought::LittleToFlush,
            _ => Brought::News,
        })
    }
}

fn fetched<'a>(partition: &Partition, data: &'a PartitionData) -> Fetched<'a> {
    let log_start = Offset(data.log_start_offset);
    match data.error_code {
        ErrorCode::NONE if data.diverging_epoch.end_offset >= 0 => {
            let end = &data.diverging_epoch;
            Fetched::Diverging(EpochEnd { epoch: end.epoch.into(), end: Offset(end.end_offset) })
        }
        ErrorCode::NONE => {
            let bytes = data.records.as_ref().and_then(Records::as_bytes);
            let bytes: &[u8] = bytes.map_or(&[], |bytes| bytes);
            Fetched::Records { bytes, high_watermark: Offset(data.high_watermark), log_start }
        }
        ErrorCode::OFFSET_OUT_OF_RANGE => Fetched::OutOfRange { log_start },
        code => {
            debug!(partition = %partition.id(), %code, "the leader refuses a fetch");
            Fetched::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_core::{BrokerEpoch, BrokerId};
    use ottla_protocol::messages::fetch::FetchableTopicResponse;

    use super::super::Settings;
    use super::*;
    use crate::testing::{TestCluster, eventually};

    #[tokio::test]
    async fn what_the_leader_did_not_take_is_named_again_though_nothing_has_changed() {
        let cluster = TestCluster::start(2, &[]).await;
        cluster.create_topic("t", &[1, 2], &[]).await;
        let broker = &cluster.broker(2).running.broker;
        let context = Context {
            me: broker.id(),
            epoch: BrokerEpoch(1),
            listener: String::new(),
            controller: broker.controller.clone(),
            clock: *broker.replicas.clock(),
            settings: Settings::read(&broker.config),
        };
        let partition = cluster.replica(2, "t");
        let follows = || partition.next_fetch(BrokerId(1), context.clock.now()).is_ok();
        eventually("it follows", follows).await;
        let followed = Followed::new(BrokerId(1));
        followed.insert(&partition);
        let mut session = Session::default();
        let next = |session: &mut Session| {
            session.next(&followed, &context, false).map(|(number, request)| (number, request.topics.len()))
        };
        assert_eq!(next(&mut session), Some((0, 1)));
        let error_code = ErrorCode::UNKNOWN_LEADER_EPOCH;
        let topic = FetchableTopicResponse {
            topic_id: partition.topic_id().0,
            partitions: vec![PartitionData { error_code, ..PartitionData::default() }],
            ..FetchableTopicResponse::default()
        };
        let refused = FetchResponse { session_id: 7, responses: vec![topic], ..FetchResponse::default() };
        assert_eq!(session.answered(0, refused, &followed, &context), Ok(Brought::News));
        eventually("its pause is over before the next request is made", follows).await;
        assert_eq!(next(&mut session), Some((1, 1)), "the leader may have forgotten it");
        let taken = FetchResponse { session_id: 7, ..FetchResponse::default() };
        assert_eq!(session.answered(1, taken, &followed, &context), Ok(Brought::Nothing));
        followed.notify(partition.handle());
        assert_eq!(next(&mut session), Some((2, 0)), "it has been named and not refused");
    }
}
