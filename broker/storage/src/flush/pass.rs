//! One pass of the flusher: everything that is queued, made durable together.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_core::Offset;

use super::Flushed;
use crate::error::io_error;
use crate::names::LEADER_EPOCHS;
use crate::shared::{DirShared, LogShared, Slot};
use crate::{Error, Result};

/// From this many dirty files on, one `syncfs` is cheaper than a `fdatasync` for each. Measured on ext4, the tenth part
/// of the passes that met no other load: 5 files 0.47 ms by four threads of `fdatasync`, 0.32 ms by `syncfs`; 10 files
/// 0.85 and 0.42 ms; 30 files 2.8 and 0.76 ms. Not lower, because `syncfs` also waits for what other programs have
/// written.
const SYNCFS_FROM: usize = 8;

/// One log's part of a pass.
struct Part {
    log: Arc<LogShared>,
    end: i64,
    generation: u32,
    segments: Vec<Slot>,
    /// Files were made or replaced in its folder.
    entries: bool,
}

/// Flushes `logs`; on failure the directory is offline and nothing is published.
pub(super) fn run(dir: &DirShared, logs: Vec<Arc<LogShared>>) {
    // The failure is told by the directory going offline.
    // The marks come before those who wait: what was acked must be known as flushed after a crash.
    if let Ok(flushed) = flush_now(dir, logs) {
        dir.listener.on_flushed(&flushed);
    }
}

/// Flushes `logs` on the caller's thread. A failure takes the directory offline.
pub(crate) fn flush_now(dir: &DirShared, logs: Vec<Arc<LogShared>>) -> Result<Vec<Flushed>> {
    let parts: Vec<Part> = logs.into_iter().map(collect).collect();
    flush(dir, &parts).inspect_err(|e| dir.fail(&e.to_string()))?;
    let flushed = parts.iter().filter_map(publish).collect();
    dir.marks.update(&parts.iter().map(|part| &*part.log).collect::<Vec<_>>());
    Ok(flushed)
}

/// What has to be flushed of `log`.
fn collect(log: Arc<LogShared>) -> Part {
    // From here on an append asks for the next pass.
    log.queued.store(false, Ordering::Release);
    let entries = log.entries_dirty.swap(false, Ordering::AcqRel);
    let (end, generation, segments) = {
        let view = log.view.read();
        let first = view.segment_of(log.flushed.load(Ordering::Acquire));
        (view.end, view.generation, view.segments[first..].to_vec())
    };
    Part { log, end, generation, segments, entries }
}

fn flush(dir: &DirShared, parts: &[Part]) -> Result<()> {
    let error = |source: std::io::Error| Error::Io { operation: "flush", path: dir.path.clone(), source };
    let entries = dir.entries_dirty.swap(false, Ordering::AcqRel);
    let few = if parts.len() < SYNCFS_FROM { open_files(parts)? } else { None };
    let Some(files) = few.filter(|files| files.len() < SYNCFS_FROM) else {
        return rustix::fs::syncfs(&dir.root).map_err(|e| error(e.into()));
    };
    if entries {
        dir.root.sync_all().map_err(error)?;
    }
    dir.helpers.sync_all(files).map_err(error)
}

/// The files to flush; none if there are too many to have them open.
fn open_files(parts: &[Part]) -> Result<Option<Vec<Arc<File>>>> {
    let mut files = Vec::with_capacity(parts.len());
    for part in parts {
        match open_part(part, &mut files) {
            Ok(()) => {}
            // Deleted or cut since it was queued: there is nothing left to flush.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if error.is_out_of_files() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(files))
}

fn open_part(part: &Part, files: &mut Vec<Arc<File>>) -> Result<()> {
    for slot in &part.segments {
        files.push(slot.segment.file()?);
    }
    if part.entries {
        files.extend(File::open(part.log.folder.join(LEADER_EPOCHS)).ok().map(Arc::new));
        files.push(Arc::new(File::open(&part.log.folder).map_err(io_error("open", &part.log.folder))?));
    }
    Ok(())
}

/// Raises the flushed offset, unless the log was truncated meanwhile: then another pass tells.
fn publish(part: &Part) -> Option<Flushed> {
    let log = &part.log;
    let view = log.view.read();
    if view.generation != part.generation {
        drop(view);
        log.request_flush();
        return None;
    }
    log.flushed.fetch_max(part.end, Ordering::AcqRel);
    Some(Flushed {
        partition: log.partition.clone(),
        handle: log.handle.load(Ordering::Acquire),
        end: Offset(part.end),
    })
}
