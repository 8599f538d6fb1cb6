//! A checkpoint of one offset for each partition of a log directory, in Kafka's format.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ottla_core::{Offset, TopicPartition};
use parking_lot::Mutex;

use crate::checkpoint::{self, Sync};
use crate::{Error, Result};

/// The file. It is written by several threads, one at a time.
pub(crate) struct OffsetFile {
    path: PathBuf,
    writing: Mutex<()>,
}

impl OffsetFile {
    /// The file called `name` in `dir`, which need not be there yet.
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(name), writing: Mutex::default() }
    }

    /// Writes it anew.
    pub(crate) fn write(&self, offsets: impl Iterator<Item = (TopicPartition, Offset)>, sync: Sync) -> Result<()> {
        let _writing = self.writing.lock();
        checkpoint::write_offsets(&self.path, offsets, sync)
    }

    /// Durably lowers what it says of each partition to where its log ends, or before its log is cut there: the log may
    /// grow past it again with other records, and a process killed then would take those for what they are not.
    pub(crate) fn lower(&self, ends: &[(&TopicPartition, Offset)]) -> Result<()> {
        let _writing = self.writing.lock();
        let ends: HashMap<_, _> = ends.iter().copied().collect();
        let mut offsets = match checkpoint::read_offsets(&self.path) {
            Ok(offsets) => offsets,
            // Nothing that can be read counts at the next start.
            Err(Error::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut lowered = false;
        for (partition, known) in &mut offsets {
            if let Some(end) = ends.get(partition).filter(|end| *end < known) {
                (*known, lowered) = (*end, true);
            }
        }
        if !lowered {
            return Ok(());
        }
        checkpoint::write_offsets(&self.path, offsets.into_iter(), Sync::Now)
    }
}
