//! Reads what a stopped broker has on its disk of the topic's partitions.

use std::fs;
use std::path::Path;

use anyhow::Context;
use ottla_records::{batches, crc32c};

use super::Place;
use crate::history::{Batch, ReplicaLog};

/// The replica of a partition in a broker's data folder; `None` if it has none.
pub fn read_replica(broker: usize, data: &Path, place: &Place) -> anyhow::Result<Option<ReplicaLog>> {
    let folder = data.join(format!("{}-{}", place.topic, place.index));
    if !folder.is_dir() {
        return Ok(None);
    }
    let entries = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let mut segments: Vec<_> =
        entries.into_iter().filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    segments.sort();
    let mut found = Vec::new();
    for segment in segments {
        let bytes = fs::read(&segment)?;
        for batch in batches(&bytes) {
            let batch = batch.with_context(|| format!("a damaged batch in {}", segment.display()))?;
            let (offset, end) = (batch.header.base_offset, batch.header.next_offset());
            found.push(Batch { offset, end, checksum: crc32c(batch.bytes) });
        }
    }
    Ok(Some(ReplicaLog { broker, partition: place.number, batches: found }))
}
