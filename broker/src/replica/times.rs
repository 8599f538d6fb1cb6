//! Records by their timestamps. The index gives the batch; the record inside it is found by decompressing no more than a
//! bounded part of it. Reads files, so it is called off the async threads.

use ottla_core::{Offset, Timestamp};
use ottla_records::{Limits, RecordReader};
use ottla_storage::TimestampHit;

use super::{Error, Partition};

/// How far a batch is decompressed in search of a record. A batch that holds more gives its own first offset, from
/// which a consumer finds the record all the same.
const SEARCH: Limits = Limits { decompressed: 16 << 20, record: 1 << 20 };

/// The first record of `partition` whose timestamp is at least `since`: its offset and timestamp.
pub fn record_since(
    partition: &Partition,
    since: Timestamp,
    read_committed: bool,
) -> Result<Option<(Offset, Timestamp)>, Error> {
    let Some(hit) = partition.reader().offset_for_timestamp(since)? else { return Ok(None) };
    within_view(partition, record_at(&hit, since, partition.reader().log_start()), read_committed)
}

/// The first record of `partition` with the largest timestamp of all: its offset and timestamp.
pub fn newest_record(partition: &Partition, read_committed: bool) -> Result<Option<(Offset, Timestamp)>, Error> {
    let Some(hit) = partition.reader().batch_of_max_timestamp()? else { return Ok(None) };
    within_view(partition, record_at(&hit, hit.max_timestamp, partition.reader().log_start()), read_committed)
}

/// Records that consumers do not see yet are not found.
fn within_view(
    partition: &Partition,
    found: (Offset, Timestamp),
    read_committed: bool,
) -> Result<Option<(Offset, Timestamp)>, Error> {
    let end = if read_committed { partition.last_stable()? } else { partition.high_watermark() };
    Ok((found.0 < end).then_some(found))
}

/// Offset and timestamp of the first record at or after `since`; where the batch cannot be searched, of the batch.
fn record_at(hit: &TimestampHit, since: Timestamp, log_start: Offset) -> (Offset, Timestamp) {
    let of_batch = (hit.base_offset.max(log_start), hit.max_timestamp);
    let Ok(bytes) = hit.batch.read() else { return of_batch };
    let Ok(mut records) = RecordReader::new(&bytes, SEARCH) else { return of_batch };
    while let Ok(Some(record)) = records.next_meta() {
        if record.timestamp >= since.0 && record.offset >= log_start.0 {
            return (Offset(record.offset), Timestamp(record.timestamp));
        }
    }
    of_batch
}
