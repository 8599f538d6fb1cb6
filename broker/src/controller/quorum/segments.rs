//! The files of the metadata log: frames appended to numbered segments, and read back at the start.
//!
//! Synchronous, and used by the log's own writer thread. It must not know what frames mean beyond their kind.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use super::frame::{self, Kind};

/// A segment is closed once it is longer than this.
const SEGMENT_BYTES: u64 = 8 << 20;

/// Where a frame lies.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub segment: u64,
    file: Arc<File>,
    offset: u64,
    length: usize,
}

impl Position {
    /// Length of the frame in bytes.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The frame's payload, read from the file and checked.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.length];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        let payload = frame::payload(&bytes).map(<[u8]>::to_vec);
        payload.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a damaged entry in the metadata log"))
    }
}

/// A frame found at the start.
pub(super) struct Found {
    pub kind: Kind,
    pub payload: Vec<u8>,
    pub at: Position,
}

/// The segments of one metadata log.
pub(super) struct Segments {
    folder: PathBuf,
    /// Those before the active one, with their files.
    closed: BTreeMap<u64, Arc<File>>,
    active: u64,
    file: Arc<File>,
    /// Length of the active segment; all of it is on disk between writes.
    length: u64,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// What had been flushed is not what it was.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where.
        reason: String,
    },
}

impl Segments {
    /// Opens the segments in `folder`, made if it is not there, and returns every frame in order. Cuts off a torn tail.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Found>), SegmentError> {
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        let mut found = Vec::new();
        let mut files = BTreeMap::new();
        let numbers = numbers(folder)?;
        for (index, number) in numbers.iter().enumerate() {
            let is_last = index + 1 == numbers.len();
            let file = read_segment(folder, *number, is_last, &mut found)?;
            files.insert(*number, file);
        }
        let mut segments = match files.pop_last() {
            Some((active, file)) => {
                let path = segment_path(folder, active);
                let length = file.metadata().map_err(io_error(&path))?.len();
                Self { folder: folder.to_owned(), closed: files, active, file, length }
            }
            None => Self::first(folder)?,
        };
        segments.roll_if_full()?;
        Ok((segments, found))
    }

    fn first(folder: &Path) -> Result<Self, SegmentError> {
        let file = create(folder, 0)?;
        Ok(Self { folder: folder.to_owned(), closed: BTreeMap::new(), active: 0, file, length: 0 })
    }

    /// Appends frames and flushes them; returns where each lies. After an error nothing may be written any more: what
    /// the disk holds is not known.
    pub(super) fn append(&mut self, frames: &[(Kind, Vec<u8>)]) -> Result<Vec<Position>, SegmentError> {
        self.roll_if_full()?;
        let mut buffer = Vec::new();
        let mut positions = Vec::with_capacity(frames.len());
        for (kind, payload) in frames {
            let start = buffer.len();
            frame::write(&mut buffer, *kind, payload, self.length);
            let (offset, length) = (self.length + start as u64, buffer.len() - start);
            positions.push(Position { segment: self.active, file: Arc::clone(&self.file), offset, length });
        }
        let path = segment_path(&self.folder, self.active);
        (&*self.file).write_all(&buffer).map_err(io_error(&path))?;
        self.file.sync_data().map_err(io_error(&path))?;
        self.length += buffer.len() as u64;
        Ok(positions)
    }

    /// Begins a new segment, so that the present one can be deleted; `head` is what must not be lost with those before.
    pub(super) fn roll(&mut self, head: &[(Kind, Vec<u8>)]) -> Result<(), SegmentError> {
        let next = self.active + 1;
        let file = create(&self.folder, next)?;
        let closed = std::mem::replace(&mut self.file, file);
        self.closed.insert(std::mem::replace(&mut self.active, next), closed);
        self.length = 0;
        self.append(head).map(|_| ())
    }

    /// Whether the active segment is long enough to be worth a new one when what it holds is not needed.
    pub(super) fn is_worth_rolling(&self) -> bool {
        self.length > SEGMENT_BYTES / 32
    }

    /// Whether there are segments with numbers below `first_needed`.
    pub(super) fn has_before(&self, first_needed: u64) -> bool {
        self.closed.keys().next().is_some_and(|oldest| *oldest < first_needed)
    }

    /// Deletes the closed segments with numbers below `first_needed`.
    pub(super) fn delete_before(&mut self, first_needed: u64) -> Result<(), SegmentError> {
        // The oldest first: a frame that takes entries back must not go before the entries.
        while let Some(entry) = self.closed.first_entry().filter(|entry| *entry.key() < first_needed) {
            let path = segment_path(&self.folder, *entry.key());
            fs::remove_file(&path).map_err(io_error(&path))?;
            entry.remove();
        }
        Ok(())
    }

    /// Number of the active segment.
    pub(super) fn active(&self) -> u64 {
        self.active
    }

    fn roll_if_full(&mut self) -> Result<(), SegmentError> {
        if self.length > SEGMENT_BYTES { self.roll(&[]) } else { Ok(()) }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SegmentError {
    let path = path.to_owned();
    |source| SegmentError::Io { path, source }
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.log"))
}

fn numbers(folder: &Path) -> Result<Vec<u64>, SegmentError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error(folder))? {
        let name = entry.map_err(io_error(folder))?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log"));
        numbers.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn create(folder: &Path, number: u64) -> Result<Arc<File>, SegmentError> {
    let path = segment_path(folder, number);
    let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path).map_err(io_error(&path))?;
    let folder_file = File::open(folder).map_err(io_error(folder))?;
    folder_file.sync_all().map_err(io_error(folder))?;
    Ok(Arc::new(file))
}

fn read_segment(folder: &Path, number: u64, is_last: bool, found: &mut Vec<Found>) -> Result<Arc<File>, SegmentError> {
    let path = segment_path(folder, number);
    let file = OpenOptions::new().read(true).append(true).open(&path).map_err(io_error(&path))?;
    let bytes = fs::read(&path).map_err(io_error(&path))?;
    let damaged = |reason: String| SegmentError::Damaged { path: path.clone(), reason };
    let (frames, end) = frame::scan(&bytes).map_err(|reason| damaged(reason.to_string()))?;
    if end < bytes.len() {
        // A segment is flushed before the next one is begun.
        if !is_last {
            return Err(damaged(format!("damaged at byte {end}, though a later segment was begun")));
        }
        warn!(segment = %path.display(), from = end, bytes = bytes.len() - end, "cutting off a torn tail");
        file.set_len(end as u64).map_err(io_error(&path))?;
        file.sync_all().map_err(io_error(&path))?;
    }
    let file = Arc::new(file);
    found.extend(frames.into_iter().map(|frame| Found {
        kind: frame.kind,
        payload: frame.payload.to_vec(),
        at: Position {
            segment: number,
            file: Arc::clone(&file),
            offset: frame.offset as u64,
            length: frame.end - frame.offset,
        },
    }));
    Ok(file)
}
