//! Reading, writing and removing files, wherever they lie.

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::error::io_error;
use crate::scan::Headers;

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

    /// Its batches, by their headers: read through a small window, which steps over the records.
    pub fn headers(&self) -> Headers<'_> {
        Headers::of(self)
    }

    /// The part `range` of it, in bytes.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        Self { file: Arc::clone(&self.file), position: self.position + range.start as u64, len: range.len() }
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
