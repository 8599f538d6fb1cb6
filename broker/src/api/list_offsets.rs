//! ListOffsets (KIP-79, KIP-734, KIP-1005, KIP-1023): the ends of logs, and offsets by timestamp.
//!
//! A look-up by timestamp finds the batch by the index and then the record inside it, decompressing no more than a
//! bounded part of it.

use std::collections::HashSet;

use ottla_core::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use ottla_records::{Limits, RecordReader};
use ottla_storage::TimestampHit;

use super::{Context, error};
use crate::replica::{Error, Partition};

/// Timestamps that mean something else, with the first version that has them.
const SPECIAL: [(i64, i16); 6] =
    [(LATEST, 1), (EARLIEST, 1), (MAX_TIMESTAMP, 7), (EARLIEST_LOCAL, 8), (-5, 9), (-6, 11)];
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;

/// How far a batch is decompressed in search of a record. A batch that holds more gives its own first offset, from
/// which a consumer finds the record all the same.
const SEARCH: Limits = Limits { decompressed: 16 << 20, record: 1 << 20 };

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
    let at = |offset: Offset| Found {
        offset: offset.0,
        timestamp: -1,
        epoch: partition.epoch_at(offset).map_or(-1, |epoch| epoch.0),
    };
    match wanted.timestamp {
        LATEST => {
            let watermark = partition.established_high_watermark()?;
            Ok(at(if read_committed { partition.last_stable()?.min(watermark) } else { watermark }))
        }
        EARLIEST | EARLIEST_LOCAL => Ok(at(partition.reader().log_start())),
        MAX_TIMESTAMP => search(&partition, partition.reader().batch_of_max_timestamp()?, None, read_committed),
        timestamp if timestamp >= 0 => {
            let hit = partition.reader().offset_for_timestamp(Timestamp(timestamp))?;
            search(&partition, hit, Some(timestamp), read_committed)
        }
        // Tiered storage, which there is none of.
        _ => Ok(NOTHING),
    }
}

/// The first record of the batch whose timestamp is at least `timestamp`, or the batch's largest if there is none given.
/// Records that consumers do not see yet are not found.
fn search(
    partition: &Partition,
    hit: Option<TimestampHit>,
    timestamp: Option<i64>,
    read_committed: bool,
) -> Result<Found, Error> {
    let Some(hit) = hit else { return Ok(NOTHING) };
    let wanted = timestamp.unwrap_or(hit.max_timestamp.0);
    let (offset, timestamp) = record_at(&hit, wanted, partition.reader().log_start());
    let end = if read_committed { partition.last_stable()? } else { partition.high_watermark() };
    if Offset(offset) >= end {
        return Ok(NOTHING);
    }
    let epoch = partition.epoch_at(Offset(offset)).map_or(-1, |epoch| epoch.0);
    Ok(Found { offset, timestamp, epoch })
}

/// Offset and timestamp of the first record at or after `wanted`; where the batch cannot be searched, of the batch.
fn record_at(hit: &TimestampHit, wanted: i64, log_start: Offset) -> (i64, i64) {
    let of_batch = (hit.base_offset.0.max(log_start.0), hit.max_timestamp.0);
    let Ok(bytes) = hit.batch.read() else { return of_batch };
    let Ok(mut records) = RecordReader::new(&bytes, SEARCH) else { return of_batch };
    while let Ok(Some(record)) = records.next_meta() {
        if record.timestamp >= wanted && record.offset >= log_start.0 {
            return (record.offset, record.timestamp);
        }
    }
    of_batch
}
