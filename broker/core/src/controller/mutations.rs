//! What a client's commands cost it where quotas limit how fast it may change the cluster (KIP-599).

use super::Error;
use crate::metadata::{Image, Record};
use crate::quota::Exhausted;

/// How many partitions `records` make and delete of those in `image`.
pub fn mutations(image: &Image, records: &[Record]) -> usize {
    let of = |record: &Record| match record {
        Record::PartitionCreated { .. } => 1,
        Record::TopicDeleted { id } => image.topics().by_id(*id).map_or(0, |topic| topic.partitions.len()),
        _ => 0,
    };
    records.iter().map(of).sum()
}

impl From<Exhausted> for Error {
    fn from(_: Exhausted) -> Self {
        Self::ThrottlingQuotaExceeded
    }
}
