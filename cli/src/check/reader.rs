//! Reading a range of a partition.

use std::ops::Range;

use anyhow::{Context as _, bail};
use ottla_protocol::client::{Client, FetchLimits};
use ottla_protocol::codec::Records;
use ottla_records::{Limits, Record, RecordReader, batches};

/// Hands every record of `offsets` in a partition to `each`, in order.
///
/// # Errors
/// A fetch that fails or is refused within the client's deadline, or a batch that cannot be read.
pub async fn read(
    client: &Client,
    topic: &str,
    partition: i32,
    offsets: Range<i64>,
    mut each: impl FnMut(&Record),
) -> anyhow::Result<()> {
    let mut next = offsets.start;
    while next < offsets.end {
        let what = || format!("fetch from {topic}-{partition} at offset {next}");
        let fetched = client.fetch(topic, partition, next, FetchLimits::default()).await.with_context(what)?;
        if fetched.error_code.is_error() {
            bail!("{} was refused: {}", what(), fetched.error_code);
        }
        let Some(Records::Bytes(bytes)) = fetched.records else { continue };
        for batch in batches(&bytes) {
            // A range that ends within a batch is no error.
            let Ok(batch) = batch else { break };
            let mut records = RecordReader::new(batch.bytes, Limits::default())?;
            while let Some(record) = records.next_record()? {
                if (next..offsets.end).contains(&record.offset) {
                    each(&record);
                }
            }
            // Compaction leaves gaps: a batch covers more offsets than it has records.
            next = next.max(batch.header.next_offset());
        }
    }
    Ok(())
}
