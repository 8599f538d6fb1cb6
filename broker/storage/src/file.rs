//! Open files, shared by everyone who needs them and closed when too many are open.
//!
//! An idle partition holds none. Whoever works with a file holds an `Arc` of it, so closing one here never pulls it
//! away from a reader.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::Result;
use crate::error::io_error;
use crate::names::{self, Kind};

/// A range of a segment's file, ready for `pread` or `sendfile`. It stays readable after the segment is deleted; a
/// truncation may cut it short, and then reading it ends early.
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// The segment.
    pub file: Arc<File>,
    /// First byte.
    pub position: u64,
    /// Number of bytes: whole batches; 0 if there is nothing to read.
    pub len: usize,
}

impl FileSlice {
    /// Reads the whole range. For the bytes of a fetch use `sendfile`; this is for replays and tests.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len];
        let got = read_at(&self.file, &mut bytes, self.position)?;
        bytes.truncate(got);
        Ok(bytes)
    }
}

/// The process's open files of segments: at most `capacity`, the least recently used closed first (by the clock
/// algorithm, so that a use costs one flag).
#[derive(Debug)]
pub struct FileCache {
    capacity: usize,
    open: Mutex<VecDeque<Weak<CachedFile>>>,
}

impl FileCache {
    /// A cache that holds up to `capacity` open files.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity: capacity.max(4), open: Mutex::new(VecDeque::new()) })
    }

    fn admit(&self, file: &Arc<CachedFile>) {
        let mut open = self.open.lock();
        open.push_back(Arc::downgrade(file));
        // Two rounds at most: the first clears the flags of recent use.
        for _ in 0..2 * open.len() {
            if open.len() <= self.capacity {
                break;
            }
            let Some(oldest) = open.pop_front() else { break };
            let Some(candidate) = oldest.upgrade() else { continue };
            if candidate.used.swap(false, Ordering::Relaxed) {
                open.push_back(oldest);
            } else if let Some(mut slot) = candidate.slot.try_lock() {
                if !candidate.retired.load(Ordering::Relaxed) {
                    *slot = None;
                }
            } else {
                open.push_back(oldest);
            }
        }
    }
}

/// One file of a segment, opened when needed.
#[derive(Debug)]
pub(crate) struct CachedFile {
    cache: Arc<FileCache>,
    folder: Arc<Path>,
    base_offset: i64,
    kind: Kind,
    /// A clean writes it; it gets its name when it takes the place of others.
    is_cleaned: bool,
    slot: Mutex<Option<Arc<File>>>,
    used: AtomicBool,
    /// Another file is about to have its name.
    retired: AtomicBool,
}

impl CachedFile {
    pub(crate) fn new(cache: &Arc<FileCache>, folder: &Arc<Path>, base_offset: i64, kind: Kind) -> Arc<Self> {
        Self::named(cache, folder, base_offset, kind, false)
    }

    /// One that a clean writes.
    pub(crate) fn cleaned(cache: &Arc<FileCache>, folder: &Arc<Path>, base_offset: i64, kind: Kind) -> Arc<Self> {
        Self::named(cache, folder, base_offset, kind, true)
    }

    fn named(cache: &Arc<FileCache>, folder: &Arc<Path>, base_offset: i64, kind: Kind, is_cleaned: bool) -> Arc<Self> {
        Arc::new(Self {
            cache: Arc::clone(cache),
            folder: Arc::clone(folder),
            base_offset,
            kind,
            is_cleaned,
            slot: Mutex::new(None),
            used: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        let path = names::segment_path(&self.folder, self.base_offset, self.kind);
        if self.is_cleaned { names::with_suffix(&path, names::CLEANED_SUFFIX) } else { path }
    }

    /// The open file. `create` makes it if it is missing.
    pub(crate) fn open(self: &Arc<Self>, create: bool) -> io::Result<Arc<File>> {
        let file = {
            let mut slot = self.slot.lock();
            self.used.store(true, Ordering::Relaxed);
            if let Some(file) = &*slot {
                return Ok(Arc::clone(file));
            }
            if self.retired.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let options = OpenOptions::new().read(true).write(true).create(create).truncate(false).to_owned();
            Arc::clone(slot.insert(Arc::new(options.open(self.path())?)))
        };
        self.cache.admit(self);
        Ok(file)
    }

    pub(crate) fn close(&self) {
        *self.slot.lock() = None;
    }

    /// Another file gets the name of this one: whoever still reads this one goes on with it as it was, and nobody opens
    /// the other by mistake.
    pub(crate) fn retire(&self) -> io::Result<()> {
        let mut slot = self.slot.lock();
        if slot.is_none() {
            match OpenOptions::new().read(true).write(true).open(self.path()) {
                Ok(file) => *slot = Some(Arc::new(file)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        self.retired.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// No other file has got its name after all.
    pub(crate) fn unretire(&self) {
        // Opened for what did not happen, it is known to no cache that would close it.
        *self.slot.lock() = None;
        self.retired.store(false, Ordering::Relaxed);
    }
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Fills `buffer` from `position` on as far as the file goes; gives the number of bytes read.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Longest piece of a write: measured, a longer one costs twice the CPU for each byte.
const PIECE: usize = 256 << 10;

/// Writes `head` and `tail`, one after the other, at `position` with as few calls as possible.
pub(crate) fn write_at(file: &File, head: &[u8], tail: &[u8], position: u64) -> io::Result<()> {
    let total = head.len() + tail.len();
    let mut written = 0;
    while written < total {
        let rest_of_head = head.get(written..).unwrap_or_default();
        let rest_of_tail = &tail[written.saturating_sub(head.len())..];
        let rest_of_tail = &rest_of_tail[..rest_of_tail.len().min(PIECE)];
        let at = position + written as u64;
        match rustix::io::pwritev(file, &[IoSlice::new(rest_of_head), IoSlice::new(rest_of_tail)], at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beyond_the_capacity_are_closed_and_opened_again_when_needed() {
        let folder = tempfile::tempdir().unwrap();
        let path: Arc<Path> = folder.path().into();
        let cache = FileCache::new(4);
        let files: Vec<_> = (0..20).map(|i| CachedFile::new(&cache, &path, i, Kind::Log)).collect();
        for (i, file) in files.iter().enumerate() {
            write_at(&file.open(true).unwrap(), b"n", &[i as u8], 0).unwrap();
        }
        let open = files.iter().filter(|f| f.slot.lock().is_some()).count();
        assert!(open <= 5, "{open} files are open");
        for (i, file) in files.iter().enumerate() {
            let mut bytes = [0; 2];
            assert_eq!(read_at(&file.open(false).unwrap(), &mut bytes, 0).unwrap(), 2);
            assert_eq!(bytes, [b'n', i as u8]);
        }
    }

    #[test]
    fn a_retired_file_is_read_on_and_never_mistaken_for_its_successor() {
        let folder = tempfile::tempdir().unwrap();
        let path: Arc<Path> = folder.path().into();
        let cache = FileCache::new(4);
        let [old, absent] = [Kind::Log, Kind::TimeIndex].map(|kind| CachedFile::new(&cache, &path, 0, kind));
        write_at(&old.open(true).unwrap(), b"", b"old", 0).unwrap();
        old.close();
        old.retire().unwrap();
        absent.retire().unwrap();
        std::fs::write(folder.path().join("new"), b"new").unwrap();
        for file in [&old, &absent] {
            std::fs::copy(folder.path().join("new"), folder.path().join("n")).unwrap();
            std::fs::rename(folder.path().join("n"), file.path()).unwrap();
        }
        let others: Vec<_> = (1..20).map(|i| CachedFile::new(&cache, &path, i, Kind::Log)).collect();
        others.iter().for_each(|file| drop(file.open(true).unwrap()));
        let held = old.open(false).unwrap();
        assert_eq!(FileSlice { file: held, position: 0, len: 3 }.read().unwrap(), b"old");
        assert_eq!(absent.open(true).unwrap_err().kind(), io::ErrorKind::NotFound);
        [&old, &absent].iter().for_each(|file| file.unretire());
        for file in [old, absent] {
            assert_eq!(FileSlice { file: file.open(true).unwrap(), position: 0, len: 3 }.read().unwrap(), b"new");
        }
    }

    #[test]
    fn a_reader_keeps_its_file_when_the_cache_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = CachedFile::new(&FileCache::new(4), &folder.path().into(), 0, Kind::Log);
        let held = file.open(true).unwrap();
        write_at(&held, b"", b"abc", 0).unwrap();
        file.close();
        assert_eq!(FileSlice { file: held, position: 1, len: 9 }.read().unwrap(), b"bc");
    }
}
