//! What lies in the folder of a log, once that is put in order which a clean, a deletion or a checkpoint has left half done.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use crate::Result;
use crate::clean::swap::Leftovers;
use crate::error::io_error;
use crate::file::remove;
use crate::names::{self, Kind};
use crate::shared::DirShared;

#[derive(Default)]
pub(super) struct Files {
    /// Base offset → bytes of the `.log` file.
    pub(super) segments: BTreeMap<i64, u64>,
    pub(super) snapshots: Vec<i64>,
    /// Base offsets of which there is an index.
    pub(super) indexed: HashSet<i64>,
    /// Base offsets of which there is an index of aborted transactions.
    aborted: Vec<i64>,
    /// There is a checkpoint of the leader epochs.
    pub(super) epochs: bool,
    /// Offsets may have gaps.
    pub(super) gaps: bool,
    /// What a clean was about when it was interrupted.
    leftovers: Leftovers,
}

/// Lists the folder, and removes what an interrupted deletion or checkpoint has left.
fn list(dir: &DirShared, folder: &Path) -> Result<Files> {
    let mut files = Files::default();
    for entry in std::fs::read_dir(folder).map_err(io_error("list", folder))? {
        let entry = entry.map_err(io_error("list", folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(names::DELETED_SUFFIX) || name.ends_with(".tmp") {
            dir.queue.remove([entry.path()]);
            continue;
        }
        match names::parse_segment_name(&name) {
            Some((base, Kind::Log)) => {
                let size = entry.metadata().map_err(io_error("stat", &entry.path()))?.len();
                files.segments.insert(base, size);
            }
            Some((offset, Kind::Snapshot)) => files.snapshots.push(offset),
            Some((base, Kind::OffsetIndex | Kind::TimeIndex)) => drop(files.indexed.insert(base)),
            // What it lacks or has too much of is known once the producers are read.
            Some((base, Kind::AbortedIndex)) => files.aborted.push(base),
            None if name == names::LEADER_EPOCHS => files.epochs = true,
            None if name == names::GAPS => files.gaps = true,
            None => drop(files.leftovers.note(&name)),
        }
    }
    files.snapshots.sort_unstable();
    Ok(files)
}

/// Puts the folder in order, and lists it.
pub(super) fn find(dir: &DirShared, folder: &Path) -> Result<Files> {
    let mut files = list(dir, folder)?;
    if !files.leftovers.is_empty() {
        let bases: Vec<i64> = files.segments.keys().copied().collect();
        files.leftovers.recover(folder, &bases)?;
        files = list(dir, folder)?;
    }
    for orphan in files.aborted.iter().filter(|base| !files.segments.contains_key(base)) {
        // Of a segment that went in the midst of a clean.
        remove(&names::segment_path(folder, *orphan, Kind::AbortedIndex))?;
    }
    Ok(files)
}
