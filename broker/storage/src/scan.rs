//! Walks the batch headers of a segment's file, and checks the checksum of a batch in it.
//!
//! Must not read more of a batch than its header, except to check it.

use std::fs::File;
use std::io;

use ottla_records::{BatchHeader, Crc, HEADER_LEN, crc_start};

use crate::file::read_at;

/// Why a walk stopped before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("byte {position}: {reason}")]
    Invalid { position: u64, reason: ottla_records::Error },
}

/// A batch in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

impl Found {
    /// Where the next batch begins.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.header.total_len() as u64
    }
}

const WINDOW: usize = 4096;

/// The headers of the batches within `position..end`. Small batches share a read, large ones are stepped over.
pub(crate) struct Walk<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    window_start: u64,
    window_len: usize,
    window: [u8; WINDOW],
}

impl<'a> Walk<'a> {
    pub(crate) fn new(file: &'a File, position: u64, end: u64) -> Self {
        Self { file, position, end, window_start: 0, window_len: 0, window: [0; WINDOW] }
    }

    /// The next batch; none at the end. The range must end with a whole batch.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, WalkError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let position = self.position;
        let invalid = |reason| WalkError::Invalid { position, reason };
        let header = BatchHeader::parse(self.header_bytes()?).map_err(invalid)?;
        let available = self.end - position;
        if header.total_len() as u64 > available {
            let (needed, available) = (header.total_len(), available as usize);
            return Err(invalid(ottla_records::Error::Incomplete { needed, available }));
        }
        let found = Found { position, header };
        self.position = found.end();
        Ok(Some(found))
    }

    fn header_bytes(&mut self) -> io::Result<&[u8]> {
        let wanted = HEADER_LEN.min((self.end - self.position) as usize);
        let inside = self.position >= self.window_start
            && self.position + wanted as u64 <= self.window_start + self.window_len as u64;
        if !inside {
            let len = WINDOW.min((self.end - self.position) as usize);
            self.window_len = read_at(self.file, &mut self.window[..len], self.position)?;
            self.window_start = self.position;
        }
        let at = (self.position - self.window_start) as usize;
        Ok(&self.window[at..(at + wanted).min(self.window_len)])
    }
}

/// Reads the batch that `found` describes and checks its checksum. `buffer` is the piece size.
pub(crate) fn verify(file: &File, found: &Found, buffer: &mut [u8]) -> Result<(), WalkError> {
    let mut crc = Crc::new();
    let mut position = found.position + crc_start() as u64;
    while position < found.end() {
        let len = buffer.len().min((found.end() - position) as usize);
        let got = read_at(file, &mut buffer[..len], position)?;
        if got == 0 {
            let available = (position - found.position) as usize;
            let reason = ottla_records::Error::Incomplete { needed: found.header.total_len(), available };
            return Err(WalkError::Invalid { position: found.position, reason });
        }
        crc.update(&buffer[..got]);
        position += got as u64;
    }
    let (expected, actual) = (found.header.crc, crc.value());
    if expected == actual {
        return Ok(());
    }
    Err(WalkError::Invalid { position: found.position, reason: ottla_records::Error::Crc { expected, actual } })
}
