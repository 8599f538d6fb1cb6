//! Open files, shared by everyone who needs them and closed when too many are open.
//!
//! An idle partition holds none. Whoever works with a file holds an `Arc` of it, so closing one here never pulls it
//! away from a reader.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::names::{self, Kind};

/// The process's open files of segments: at most `capacity`, the least recently used closed first (by the clock
/// algorithm, so that a use costs one flag).
#[derive(Debug)]
pub struct FileCache {
    capacity: usize,
    open: Mutex<VecDeque<(Weak<SegmentFiles>, Part)>>,
}

impl FileCache {
    /// A cache that holds up to `capacity` open files.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity: capacity.max(4), open: Mutex::new(VecDeque::new()) })
    }

    fn admit(&self, file: &CachedFile) {
        let mut open = self.open.lock();
        open.push_back((Arc::downgrade(&file.files), file.part));
        // Two rounds at most: the first clears the flags of recent use.
        for _ in 0..2 * open.len() {
            if open.len() <= self.capacity {
                break;
            }
            let Some((oldest, part)) = open.pop_front() else { break };
            let Some(files) = oldest.upgrade() else { continue };
            let candidate = files.held(part);
            if candidate.used.swap(false, Ordering::Relaxed) {
                open.push_back((oldest, part));
            } else if let Some(mut slot) = candidate.slot.try_lock() {
                if !candidate.retired.load(Ordering::Relaxed) {
                    *slot = None;
                }
            } else {
                open.push_back((oldest, part));
            }
        }
    }
}

/// Which of a segment's files that are kept open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The batches.
    Log,
    /// Where offsets are.
    OffsetIndex,
    /// Where timestamps are.
    TimeIndex,
}

impl Part {
    pub(crate) const ALL: [Self; 3] = [Self::Log, Self::OffsetIndex, Self::TimeIndex];

    fn kind(self) -> Kind {
        match self {
            Self::Log => Kind::Log,
            Self::OffsetIndex => Kind::OffsetIndex,
            Self::TimeIndex => Kind::TimeIndex,
        }
    }
}

/// What a segment's files are opened by, in one piece of memory: there are very many segments.
#[derive(Debug)]
struct SegmentFiles {
    cache: Arc<FileCache>,
    folder: Arc<Path>,
    base_offset: i64,
    /// A clean writes them; they get their names when they take the place of others.
    are_cleaned: bool,
    held: [Held; Part::ALL.len()],
}

impl SegmentFiles {
    fn held(&self, part: Part) -> &Held {
        &self.held[part as usize]
    }
}

/// One file, while it is open.
#[derive(Debug, Default)]
struct Held {
    slot: Mutex<Option<Arc<File>>>,
    used: AtomicBool,
    /// Another file is about to have its name.
    retired: AtomicBool,
}

/// One file of a segment, opened when needed. Clones are the same file.
#[derive(Clone, Debug)]
pub(crate) struct CachedFile {
    files: Arc<SegmentFiles>,
    part: Part,
}

impl CachedFile {
    /// The `.log` file of the segment at `base_offset` in `folder`.
    pub(crate) fn log(cache: &Arc<FileCache>, folder: &Arc<Path>, base_offset: i64) -> Self {
        Self::named(cache, folder, base_offset, false)
    }

    /// The `.log` file of one that a clean writes.
    pub(crate) fn cleaned(cache: &Arc<FileCache>, folder: &Arc<Path>, base_offset: i64) -> Self {
        Self::named(cache, folder, base_offset, true)
    }

    fn named(cache: &Arc<FileCache>, folder: &Arc<Path>, base_offset: i64, are_cleaned: bool) -> Self {
        let (cache, folder, held) = (Arc::clone(cache), Arc::clone(folder), Default::default());
        let files = Arc::new(SegmentFiles { cache, folder, base_offset, are_cleaned, held });
        Self { files, part: Part::Log }
    }

    /// Another file of the same segment.
    pub(crate) fn beside(&self, part: Part) -> Self {
        Self { files: Arc::clone(&self.files), part }
    }

    fn held(&self) -> &Held {
        self.files.held(self.part)
    }

    pub(crate) fn path(&self) -> PathBuf {
        let path = names::segment_path(&self.files.folder, self.files.base_offset, self.part.kind());
        if self.files.are_cleaned { names::with_suffix(&path, names::CLEANED_SUFFIX) } else { path }
    }

    /// The open file. `create` makes it if it is missing.
    pub(crate) fn open(&self, create: bool) -> io::Result<Arc<File>> {
        let held = self.held();
        let file = {
            let mut slot = held.slot.lock();
            held.used.store(true, Ordering::Relaxed);
            if let Some(file) = &*slot {
                return Ok(Arc::clone(file));
            }
            if held.retired.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let options = OpenOptions::new().read(true).write(true).create(create).truncate(false).to_owned();
            Arc::clone(slot.insert(Arc::new(options.open(self.path())?)))
        };
        self.files.cache.admit(self);
        Ok(file)
    }

    pub(crate) fn close(&self) {
        *self.held().slot.lock() = None;
    }

    /// Another file gets the name of this one: whoever still reads this one goes on with it as it was, and nobody opens
    /// the other by mistake.
    pub(crate) fn retire(&self) -> io::Result<()> {
        let held = self.held();
        let mut slot = held.slot.lock();
        if slot.is_none() {
            match OpenOptions::new().read(true).write(true).open(self.path()) {
                Ok(file) => *slot = Some(Arc::new(file)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        held.retired.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// No other file has got its name after all.
    pub(crate) fn unretire(&self) {
        // Opened for what did not happen, it is known to no cache that would close it.
        *self.held().slot.lock() = None;
        self.held().retired.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileSlice;
    use crate::file::{read_at, write_at};

    #[test]
    fn files_beyond_the_capacity_are_closed_and_opened_again_when_needed() {
        let folder = tempfile::tempdir().unwrap();
        let path: Arc<Path> = folder.path().into();
        let cache = FileCache::new(4);
        let files: Vec<_> = (0..20).map(|i| CachedFile::log(&cache, &path, i)).collect();
        for (i, file) in files.iter().enumerate() {
            write_at(&file.open(true).unwrap(), b"n", &[i as u8], 0).unwrap();
        }
        let open = files.iter().filter(|f| f.held().slot.lock().is_some()).count();
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
        let old = CachedFile::log(&cache, &path, 0);
        let absent = old.beside(Part::TimeIndex);
        write_at(&old.open(true).unwrap(), b"", b"old", 0).unwrap();
        old.close();
        old.retire().unwrap();
        absent.retire().unwrap();
        std::fs::write(folder.path().join("new"), b"new").unwrap();
        for file in [&old, &absent] {
            std::fs::copy(folder.path().join("new"), folder.path().join("n")).unwrap();
            std::fs::rename(folder.path().join("n"), file.path()).unwrap();
        }
        let others: Vec<_> = (1..20).map(|i| CachedFile::log(&cache, &path, i)).collect();
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
        let file = CachedFile::log(&FileCache::new(4), &folder.path().into(), 0);
        let held = file.open(true).unwrap();
        write_at(&held, b"", b"abc", 0).unwrap();
        file.close();
        assert_eq!(FileSlice { file: held, position: 1, len: 9 }.read().unwrap(), b"bc");
    }
}
