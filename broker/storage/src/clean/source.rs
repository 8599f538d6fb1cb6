//! Reads the batches of a sealed segment one after another, each whole and with its checksum checked, in large pieces.

use std::fs::File;
use std::ops::ControlFlow;
use std::sync::Arc;

use ottla_records::{BatchHeader, HEADER_LEN, verify_crc};

use crate::file::read_at;
use crate::scan::WalkError;
use crate::segment::Segment;
use crate::shared::Slot;
use crate::{Error, Result};

/// Told how many bytes a clean has read or written; waits as long as the clean is to wait, or calls it off.
pub type Pace<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// Tells `pace` of `bytes`.
pub(crate) fn moved(pace: &mut Pace<'_>, bytes: usize) -> Result<()> {
    match pace(bytes as u64) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::CalledOff),
    }
}

/// The batches of a segment.
pub(crate) struct Source<'a> {
    segment: &'a Segment,
    file: Arc<File>,
    /// Where in the file the first byte of the buffer that has not been given out lies.
    position: u64,
    /// Where the batch that was given out last begins.
    last: u64,
    end: u64,
    buffer: Vec<u8>,
    given: usize,
    filled: usize,
    piece: usize,
}

impl<'a> Source<'a> {
    /// The batches from `position` on, a batch boundary; `piece` bytes are read at a time.
    pub(crate) fn new(slot: &'a Slot, position: u64, piece: usize) -> Result<Self> {
        let file = slot.segment.file()?;
        let piece = piece.max(HEADER_LEN);
        Ok(Self {
            segment: &slot.segment,
            file,
            position,
            last: position,
            end: slot.size,
            buffer: Vec::new(),
            given: 0,
            filled: 0,
            piece,
        })
    }

    /// The next batch; none at the end.
    pub(crate) fn next(&mut self, pace: &mut Pace<'_>) -> Result<Option<(BatchHeader, &[u8])>> {
        if self.position >= self.end {
            return Ok(None);
        }
        self.last = self.position;
        self.hold(HEADER_LEN, pace)?;
        let header = BatchHeader::parse(self.held()).map_err(|reason| self.invalid(reason))?;
        let len = header.total_len();
        self.hold(len, pace)?;
        let Some(batch) = self.held().get(..len) else {
            let available = self.held().len();
            return Err(self.invalid(ottla_records::Error::Incomplete { needed: len, available }));
        };
        verify_crc(batch).map_err(|reason| self.invalid(reason))?;
        let start = self.given;
        self.given += len;
        self.position += len as u64;
        Ok(Some((header, &self.buffer[start..start + len])))
    }

    /// Where in the file the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    fn held(&self) -> &[u8] {
        &self.buffer[self.given..self.filled]
    }

    /// Reads on until `len` bytes are held, or all that is left.
    fn hold(&mut self, len: usize, pace: &mut Pace<'_>) -> Result<()> {
        let left = self.end - self.position;
        // Never more than the file has, whatever a header claims.
        let wanted = left.min(len as u64) as usize;
        if self.filled - self.given >= wanted {
            return Ok(());
        }
        self.buffer.copy_within(self.given..self.filled, 0);
        self.filled -= self.given;
        self.given = 0;
        let size = left.min(self.piece.max(wanted) as u64) as usize;
        self.buffer.resize(size.max(self.filled), 0);
        let from = self.position + self.filled as u64;
        let got = read_at(&self.file, &mut self.buffer[self.filled..], from).map_err(|e| self.segment.io("read", e))?;
        self.filled += got;
        moved(pace, got)
    }

    /// The error that the batch given out last is not valid.
    pub(crate) fn invalid(&self, reason: ottla_records::Error) -> Error {
        self.segment.damaged(WalkError::Invalid { position: self.last, reason })
    }
}
