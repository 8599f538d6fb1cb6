//! ShareFetch (KIP-932, KIP-1206, KIP-1222): records for a member of a share group, by long poll where there are none, and
//! before that what it says of those that it has.

mod fetching;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use ottla_protocol::codec::{DecodeError, Message as _, Reader};
use ottla_protocol::frame::RequestHeader;
use ottla_protocol::messages::share_fetch::{
    AcquiredRecords, FetchPartition, LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareFetchRequest,
    ShareFetchResponse, ShareFetchableTopicResponse,
};
use ottla_protocol::{ApiKey, ErrorCode};
use tokio::time::Instant;

use self::fetching::{Given, Wish, fetch};
use super::files::{Files, warmed};
use super::share_groups::{Said, Unserved, lock_millis, member_of, say};
use super::stopwatch::Stopwatch;
use super::{Context, leaders};
use crate::net::{FuturePending, Step};
use crate::share::{At, FINAL, INITIAL, take_leave};

/// Answers with what the member may have. Records that it is given and that cannot be sent come free again with the end of
/// its session, since its connection is closed then, or with the end of their lock if its session goes on with another one.
pub(super) fn handle(context: Context, header: &RequestHeader, mut reader: Reader) -> Result<Step, DecodeError> {
    let (version, correlation_id) = (header.api_version, header.correlation_id);
    let mut stopwatch = Stopwatch::of(&context);
    let request = stopwatch.time(|| ShareFetchRequest::decode(&mut reader, version))?;
    Ok(Step::Wait(FuturePending::boxed(async move {
        let mut files = Files::default();
        let response = stopwatch.answer(&context, answer(&context, request, &mut files)).await;
        match files.response(ApiKey::ShareFetch, version, correlation_id, &response) {
            Ok(response) => Step::Answer(warmed(response).await),
            Err(reason) => Step::Close(reason),
        }
    })))
}

async fn answer(context: &Context, request: ShareFetchRequest, files: &mut Files) -> ShareFetchResponse {
    let response = match serve(context, request, files).await {
        Ok(response) => response,
        Err(error_code) => ShareFetchResponse { error_code, ..ShareFetchResponse::default() },
    };
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    if response.error_code != ErrorCode::NONE || partitions.any(|data| data.error_code != ErrorCode::NONE) {
        context.broker.replicas.metrics().share.failed_fetches.inc();
    }
    response
}

async fn serve(
    context: &Context,
    request: ShareFetchRequest,
    files: &mut Files,
) -> Result<ShareFetchResponse, ErrorCode> {
    let member = member_of(context, request.group_id.as_ref(), request.member_id.as_ref())?;
    let (epoch, renews) = (request.share_session_epoch, request.is_renew_ack);
    let wish = wish_of(context, &request);
    let named = request.topics.into_iter().flat_map(|topic| {
        let partitions = topic.partitions.into_iter();
        partitions.map(move |partition| ((topic.topic_id, partition.partition_index), partition))
    });
    let said_of = |partition: FetchPartition| -> Vec<Said> {
        let said = partition.acknowledgement_batches.into_iter();
        said.map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types)).collect()
    };
    let named: Vec<(At, Vec<Said>)> = named.map(|(at, partition)| (at, said_of(partition))).collect();
    if epoch == INITIAL && named.iter().any(|(_, said)| !said.is_empty()) {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    let forgotten = request.forgotten_topics_data.iter();
    let forgotten = forgotten.flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index)));
    let added = named.iter().map(|(at, _)| *at);
    let most = context.broker.delivery_settings.max_sessions;
    let sessions = &context.broker.share_sessions;
    let partitions = sessions.fetch(&member, epoch, added, forgotten, &context.peer, most)?;
    context.broker.deliveries.look_after();

    let mut answers = Answers::default();
    for (at, _) in &named {
        answers.of(*at);
    }
    let said = named.into_iter().filter(|(_, said)| !said.is_empty());
    let by = &member;
    let said = said.map(|(at, said)| async move { (at, say(context, by, at, said, renews).await) });
    for (at, result) in join_all(said).await {
        answers.said(at, result);
    }
    if epoch == FINAL {
        take_leave(&context.broker, &member, sessions.end(&member)).await;
    } else if !renews {
        for (at, found) in fetch(context, &member, &partitions, &wish).await {
            answers.found(at, found, files);
        }
    }
    Ok(answers.response(context, &member.0))
}

fn wish_of(context: &Context, request: &ShareFetchRequest) -> Wish {
    let most_at_once = context.broker.quotas.most_consumed_at_once(context.client_name());
    let most = context.broker.config.storage.fetch_max_bytes.min(most_at_once);
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(most);
    Wish {
        max_bytes,
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
        max_records: u64::try_from(request.max_records).unwrap_or(0),
        batch_size: u64::try_from(request.batch_size).unwrap_or(0),
        is_strict: request.share_acquire_mode == 1,
        deadline: Instant::now() + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
    }
}

/// The answers by partition.
#[derive(Default)]
struct Answers {
    partitions: BTreeMap<At, PartitionData>,
    /// Bytes of their records.
    bytes: usize,
}

impl Answers {
    fn of(&mut self, at: At) -> &mut PartitionData {
        self.partitions.entry(at).or_insert_with(|| PartitionData {
            partition_index: at.1,
            current_leader: LeaderIdAndEpoch { leader_id: -1, leader_epoch: -1 },
            ..PartitionData::default()
        })
    }

    fn said(&mut self, at: At, result: Result<(), Unserved>) {
        if let Err(Unserved { code, leader }) = result {
            let data = self.of(at);
            data.acknowledge_error_code = code;
            point_to(data, leader);
        }
    }

    fn found(&mut self, at: At, found: Result<Given, Unserved>, files: &mut Files) {
        self.bytes += found.as_ref().map_or(0, |given| given.records.len);
        let data = self.of(at);
        match found {
            Ok(Given { records, acquired }) => {
                data.records = files.records(records);
                let acquired = acquired.into_iter().map(|one| AcquiredRecords {
                    first_offset: one.first.0,
                    last_offset: one.last.0,
                    delivery_count: i16::try_from(one.count).unwrap_or(i16::MAX),
                });
                data.acquired_records = acquired.collect();
            }
            Err(Unserved { code, leader }) => {
                data.error_code = code;
                point_to(data, leader);
            }
        }
    }

    fn response(self, context: &Context, group: &str) -> ShareFetchResponse {
        let pointed_to: Vec<i32> =
            self.partitions.values().map(|data| data.current_leader.leader_id).filter(|id| *id >= 0).collect();
        let mut responses: Vec<ShareFetchableTopicResponse> = Vec::new();
        for ((topic_id, _), data) in self.partitions {
            match responses.last_mut().filter(|last| last.topic_id == topic_id) {
                Some(last) => last.partitions.push(data),
                None => responses.push(ShareFetchableTopicResponse { topic_id, partitions: vec![data] }),
            }
        }
        let endpoint = |leaders::Address { id, host, port, rack }| NodeEndpoint { node_id: id, host, port, rack };
        let addresses = leaders::addresses(&context.broker.image(), &context.peer.listener, pointed_to);
        let throttle_time_ms = context.broker.quotas.consumed(&context.peer, context.client_name(), self.bytes);
        ShareFetchResponse {
            throttle_time_ms,
            acquisition_lock_timeout_ms: lock_millis(context, group),
            responses,
            node_endpoints: addresses.into_iter().map(endpoint).collect(),
            ..ShareFetchResponse::default()
        }
    }
}

fn point_to(data: &mut PartitionData, leader: Option<(i32, i32)>) {
    if let Some((leader_id, leader_epoch)) = leader {
        data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
    }
}
