//! ListOffsets (KIP-79, KIP-734, KIP-1005, KIP-1023): the ends of logs, and offsets by timestamp.

use std::collections::HashSet;

use ottla_core::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

use super::{Context, error};
use crate::replica::{Error, newest_record, record_since};

/// Timestamps that mean something else, with the first version that has them.
const SPECIAL: [(i64, i16); 6] =
    [(LATEST, 1), (EARLIEST, 1), (MAX_TIMESTAMP, 7), (EARLIEST_LOCAL, 8), (-5, 9), (-6, 11)];
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;

/// What is found: offset, timestamp and leader epoch, −1 where there is none.
#[derive(Clone, Copy)]
struct Found {
    offset: i64,
    timestamp: i64,
    epoch: i32,
}

const NOTHING: Found = Found { offset: -1, timestamp: -1, epoch: -1 };

/// Answers for each partition. Searching reads files and unpacks batches, so it is done off the async threads, one
/// partition at a time, so that a request for many does not hold up the others.
pub(super) async fn handle(context: Context, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut seen = HashSet::new();
        let twice: HashSet<i32> =
            topic.partitions.iter().map(|p| p.partition_index).filter(|index| !seen.insert(*index)).collect();
        let mut told = HashSet::new();
        let mut partitions: Vec<ListOffsetsPartitionResponse> = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let index = wanted.partition_index;
            if !told.insert(index) {
                continue;
            }
            // One answer for all its mentions, as Kafka gives it.
            let found = if twice.contains(&index) {
                Err(ErrorCode::INVALID_REQUEST)
            } else {
                find_or_search(&context, &topic.name, wanted, request.isolation_level == 1).await
            };
            partitions.push(response(&context, index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

async fn find_or_search(
    context: &Context,
    topic: &Str,
    wanted: ListOffsetsPartition,
    read_committed: bool,
) -> Result<Found, ErrorCode> {
    if wanted.timestamp < 0 && wanted.timestamp != MAX_TIMESTAMP {
        return find(context, topic, &wanted, read_committed);
    }
    let (searching, topic) = (context.clone(), topic.clone());
    let found = context.broker.unpacking.apart(move || find(&searching, &topic, &wanted, read_committed)).await;
    found.unwrap_or(Err(ErrorCode::UNKNOWN_SERVER_ERROR))
}

/// Versions before 4 have no field for the epoch, and an encoder that will not lose one silently.
fn response(context: &Context, partition_index: i32, found: Result<Found, ErrorCode>) -> ListOffsetsPartitionResponse {
    let (found, error_code) = match found {
        Ok(found) => (found, ErrorCode::NONE),
        Err(code) => (NOTHING, code),
    };
    ListOffsetsPartitionResponse {
        partition_index,
        error_code,
        timestamp: found.timestamp,
        offset: found.offset,
        leader_epoch: if context.version < 4 { -1 } else { found.epoch },
    }
}

fn find(
    context: &Context,
    topic: &str,
    wanted: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<Found, ErrorCode> {
    let is_known = wanted.timestamp >= 0
        || SPECIAL.iter().any(|(timestamp, since)| wanted.timestamp == *timestamp && context.version >= *since);
    if !is_known {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    find_in(context, topic, wanted, read_committed).map_err(|error| error::of_replica(&error))
}

fn find_in(
    context: &Context,
    topic: &str,
    wanted: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<Found, Error> {
    let partition = context.broker.replica_by_name(topic, wanted.partition_index)?;
    partition.check_leader(LeaderEpoch(wanted.current_leader_epoch))?;
    let found = |(offset, timestamp): (Offset, Timestamp)| Found {
        offset: offset.0,
        timestamp: timestamp.0,
        epoch: partition.epoch_at(offset).map_or(-1, |epoch| epoch.0),
    };
    let at = |offset: Offset| found((offset, Timestamp::NONE));
    match wanted.timestamp {
        LATEST => {
            let watermark = partition.established_high_watermark()?;
            Ok(at(if read_committed { partition.last_stable()?.min(watermark) } else { watermark }))
        }
        EARLIEST | EARLIEST_LOCAL => Ok(at(partition.reader().log_start())),
        MAX_TIMESTAMP => Ok(newest_record(&partition, read_committed)?.map_or(NOTHING, found)),
        timestamp if timestamp >= 0 => {
            Ok(record_since(&partition, Timestamp(timestamp), read_committed)?.map_or(NOTHING, found))
        }
        // Tiered storage, which there is none of.
        _ => Ok(NOTHING),
    }
}
