//! Puts a cleaned segment in the place of those it was made of, so that a crash at any moment leaves the old ones or the
//! new one. The names are Kafka's, so that either recovers what the other has left half done.
//!
//! The order is what it rests on. What was cleaned becomes `.swap` as a whole, the `.log` last; then the old segments
//! go, the lowest first, so that what is left of them is never without a record that makes one of theirs obsolete;
//! then the new files get their names, the `.log` last again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::io_error;
use crate::file::remove;
use crate::names::{self, CLEANED_SUFFIX, DELETED_SUFFIX, Kind, SWAP_SUFFIX};
use crate::scan::Walk;
use crate::{Error, Result};

/// The files of a segment in the order in which they get a new name.
const KINDS: [Kind; 4] = [Kind::OffsetIndex, Kind::TimeIndex, Kind::AbortedIndex, Kind::Log];
/// The same in the order in which they go: an index without a log counts for nothing.
const GOING: [Kind; 4] = [Kind::Log, Kind::OffsetIndex, Kind::TimeIndex, Kind::AbortedIndex];

/// A new name for a file. One that is not there is passed over: not every segment has every file.
type Rename = (PathBuf, PathBuf);

/// The exchange of some segments for the cleaned one.
pub(crate) struct Exchange<'a> {
    folder: &'a Path,
    /// What was cleaned becomes `.swap`.
    swap: Vec<Rename>,
    /// The old segments go, and the new one comes.
    replace: Vec<Rename>,
}

/// Why an exchange did not come about.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing has changed.
    Undone(Error),
    /// Only a start can tell what has.
    HalfDone(Error),
}

impl<'a> Exchange<'a> {
    /// The cleaned segment at `base` in `folder` is to take the place of the segments at `old`.
    pub(crate) fn new(folder: &'a Path, base: i64, old: &[i64]) -> Self {
        let path = |base, kind, suffix| names::with_suffix(&names::segment_path(folder, base, kind), suffix);
        let rename = |base, kind, from, to| (path(base, kind, from), path(base, kind, to));
        let swap = KINDS.iter().map(|kind| rename(base, *kind, CLEANED_SUFFIX, SWAP_SUFFIX)).collect();
        let going = old.iter().flat_map(|old| GOING.iter().map(|kind| rename(*old, *kind, "", DELETED_SUFFIX)));
        let coming = KINDS.iter().map(|kind| rename(base, *kind, SWAP_SUFFIX, ""));
        Self { folder, swap, replace: going.chain(coming).collect() }
    }

    /// Does it; gives the files that are to be removed in the end.
    pub(crate) fn perform(&self) -> std::result::Result<Vec<PathBuf>, Failure> {
        for (n, (from, to)) in self.swap.iter().enumerate() {
            if let Err(error) = rename(from, to) {
                // An index whose log has not come so far would be put beside the old log by the next start.
                let undone = self.swap[..n].iter().try_for_each(|(_, to)| remove(to));
                return Err(undone.map_or_else(Failure::HalfDone, |()| Failure::Undone(error)));
            }
        }
        // What was done before is on disk before what is done after.
        let synced = File::open(self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(io_error("flush", self.folder)).map_err(Failure::HalfDone)?;
        let mut gone = Vec::new();
        for (from, to) in &self.replace {
            if rename(from, to).map_err(Failure::HalfDone)? && names::has_suffix(to, DELETED_SUFFIX) {
                gone.push(to.clone());
            }
        }
        Ok(gone)
    }
}

/// Whether there was a file to rename.
fn rename(from: &Path, to: &Path) -> Result<bool> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(io_error("rename", from)(e)),
    }
}

/// The files of a folder that a clean may have left behind.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    cleaned: BTreeSet<(i64, Kind)>,
    swap: BTreeMap<i64, Vec<Kind>>,
}

impl Leftovers {
    /// Takes note of the file called `name`, if it is one of them.
    pub(crate) fn note(&mut self, name: &str) -> bool {
        if let Some(file) = name.strip_suffix(CLEANED_SUFFIX).and_then(names::parse_segment_name) {
            self.cleaned.insert(file);
            return true;
        }
        let Some((base, kind)) = name.strip_suffix(SWAP_SUFFIX).and_then(names::parse_segment_name) else {
            return false;
        };
        self.swap.entry(base).or_default().push(kind);
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cleaned.is_empty() && self.swap.is_empty()
    }

    /// Finishes what has got as far as a whole `.swap`, and throws the rest away. `bases` are those of the segments in
    /// the folder.
    pub(crate) fn recover(&self, folder: &Path, bases: &[i64]) -> Result<()> {
        let path = |base, kind, suffix| names::with_suffix(&names::segment_path(folder, base, kind), suffix);
        for (base, kinds) in &self.swap {
            let is_partial = self.cleaned.iter().any(|(cleaned, _)| cleaned == base);
            let has_log = kinds.contains(&Kind::Log);
            if is_partial || (!has_log && !bases.contains(base)) {
                kinds.iter().try_for_each(|kind| remove(&path(*base, *kind, SWAP_SUFFIX)))?;
                continue;
            }
            if has_log {
                retire_old(folder, *base, bases)?;
            }
            // Without the log: Kafka gives it its name first.
            for kind in KINDS.iter().filter(|kind| kinds.contains(kind)) {
                rename(&path(*base, *kind, SWAP_SUFFIX), &path(*base, *kind, ""))?;
            }
        }
        self.cleaned.iter().try_for_each(|(base, kind)| remove(&path(*base, *kind, CLEANED_SUFFIX)))
    }
}

/// Removes the segments in whose place the `.swap` at `base` comes. Those behind its last record may stay: all that makes
/// their records obsolete is still there too.
fn retire_old(folder: &Path, base: i64, bases: &[i64]) -> Result<()> {
    let swapped = names::with_suffix(&names::segment_path(folder, base, Kind::Log), SWAP_SUFFIX);
    let end = end_of(&swapped, base)?;
    for old in bases.iter().filter(|old| **old == base || (base..end).contains(*old)) {
        GOING.iter().try_for_each(|kind| remove(&names::segment_path(folder, *old, *kind)))?;
    }
    Ok(())
}

/// The offset after the last record of the segment in `path`.
fn end_of(path: &Path, base: i64) -> Result<i64> {
    let file = File::open(path).map_err(io_error("open", path))?;
    let size = file.metadata().map_err(io_error("stat", path))?.len();
    let mut walk = Walk::new(&file, 0, size);
    let mut end = base;
    // It was whole before it got this name; what is wrong with it since, recovery finds.
    while let Ok(Some(found)) = walk.next() {
        end = found.header.next_offset();
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A folder with these files, recovered; what is left in it.
    fn recovered(files: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let (mut leftovers, mut bases) = (Leftovers::default(), Vec::new());
        for name in files {
            let (base, rest) = name.split_once('.').unwrap();
            let name = format!("{base:0>20}.{rest}");
            std::fs::write(folder.path().join(&name), b"").unwrap();
            if let Some((base, Kind::Log)) = names::parse_segment_name(&name) {
                bases.push(base);
            }
            leftovers.note(&name);
        }
        leftovers.recover(folder.path(), &bases).unwrap();
        names(folder.path()).into_iter().map(|name| name.trim_start_matches('0').to_owned()).collect()
    }

    #[test]
    fn what_is_not_whole_is_thrown_away() {
        assert_eq!(recovered(&["7.log", "7.index", "7.log.cleaned", "7.index.cleaned"]), ["7.index", "7.log"]);
        assert_eq!(recovered(&["7.log", "7.index.swap", "7.log.cleaned"]), ["7.log"]);
        // As Kafka renames: the log first.
        assert_eq!(recovered(&["7.log", "7.log.swap", "7.index.cleaned"]), ["7.log"]);
        assert_eq!(recovered(&["7.log", "9.index.swap"]), ["7.log"]);
    }

    #[test]
    fn what_is_whole_takes_its_place() {
        assert_eq!(recovered(&["7.log", "7.txnindex", "7.log.swap", "7.index.swap"]), ["7.index", "7.log"]);
        assert_eq!(recovered(&["7.log.swap", "7.txnindex", "7.index"]), ["7.index", "7.log", "7.txnindex"]);
        assert_eq!(
            recovered(&["7.log", "7.txnindex.swap"]),
            ["7.log", "7.txnindex"],
            "Kafka's log has its name already"
        );
    }
}
