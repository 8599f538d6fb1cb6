//! Appending a large batch piece by piece as it arrives: each piece is written at the tail and checked on the way, and
//! the end offset is published only when all of it is there and its checksum holds.

use std::sync::{Arc, Weak};

use ottla_core::{LeaderEpoch, Now};
use ottla_records::{BatchHeader, Crc, HEADER_LEN, TimestampType, crc_start};

use super::append::{Head, set_crc};
use super::{AppendInfo, Log};
use crate::file::write_at;
use crate::{Error, Result};

/// Where a streamed batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOrigin {
    /// A client: the batch gets its offsets and this leader epoch.
    Leader(LeaderEpoch),
    /// The partition's leader: the batch is taken as it is.
    Follower,
}

/// How a streamed append begins.
#[derive(Debug)]
pub enum StreamStart {
    /// Pieces may be written.
    Ready(Box<StreamedAppend>),
    /// The batch is in the log already; its bytes are to be thrown away.
    Duplicate(AppendInfo),
}

/// A streamed append under way. Dropping it aborts it: the next append cuts what was written.
#[derive(Debug)]
pub struct StreamedAppend {
    header: BatchHeader,
    head: Head,
    received: usize,
    position: u64,
    checks: Checks,
    alive: Arc<()>,
}

struct Checks {
    /// Of the bytes as they came.
    received: Crc,
    /// Of the bytes as they are stored, where the header is rewritten under the checksum (LogAppendTime).
    stored: Option<Crc>,
    expected: u32,
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl StreamedAppend {
    /// Bytes of the batch that are still to come.
    pub fn missing(&self) -> usize {
        self.header.total_len() - self.received
    }
}

impl Log {
    /// Begins to append the batch that starts with `head`, the [`HEADER_LEN`] bytes of its header. All bytes after the
    /// header are then given to [`Log::write_stream`] in order; 128 to 256 KiB at a time are best.
    pub fn begin_stream(&mut self, head: &[u8; HEADER_LEN], origin: StreamOrigin, now: Now) -> Result<StreamStart> {
        let mut header = BatchHeader::parse(head)?;
        let expected = header.crc;
        self.check_append(header.total_len())?;
        let mut received = Crc::new();
        received.update(&head[crc_start()..]);
        let mut stored = None;
        let mut head = *head;
        match origin {
            StreamOrigin::Follower => self.check_continues(&header)?,
            StreamOrigin::Leader(epoch) => {
                if let Some(duplicate) = self.find_duplicate(&header)? {
                    return Ok(StreamStart::Duplicate(duplicate));
                }
                head = self.leader_head(&head, &mut header, epoch, now);
                if self.config.timestamp_type == TimestampType::LogAppendTime {
                    let mut crc = Crc::new();
                    crc.update(&head[crc_start()..]);
                    stored = Some(crc);
                }
            }
        }
        self.roll_if_needed(&header, now)?;
        let alive = Arc::new(());
        self.stream = Some(Arc::downgrade(&alive));
        let position = self.active().size;
        let checks = Checks { received, stored, expected };
        let stream = StreamedAppend { header, head, received: HEADER_LEN, position, checks, alive };
        Ok(StreamStart::Ready(Box::new(stream)))
    }

    /// Writes the next piece. On an error the append is over and its bytes are cut.
    pub fn write_stream(&mut self, stream: &mut StreamedAppend, piece: &[u8]) -> Result<()> {
        self.check_stream(stream)?;
        if piece.len() > stream.missing() {
            let (announced, given) = (stream.header.total_len(), stream.received + piece.len());
            self.end_stream()?;
            return Err(Error::StreamLength { announced, given });
        }
        stream.checks.received.update(piece);
        if let Some(stored) = &mut stream.checks.stored {
            stored.update(piece);
        }
        let active = self.active();
        // The header goes with the first piece, in one call.
        let first = stream.received == HEADER_LEN;
        let (head, at): (&[u8], _) =
            if first { (&stream.head, stream.position) } else { (&[], stream.position + stream.received as u64) };
        if let Err(error) = self.write_behind(&active, at, head, piece) {
            self.stream = None;
            return Err(error);
        }
        stream.received += piece.len();
        Ok(())
    }

    /// Ends the append: publishes the batch if all of it came and its checksum holds, else cuts it.
    pub fn finish_stream(&mut self, mut stream: Box<StreamedAppend>) -> Result<AppendInfo> {
        self.check_stream(&stream)?;
        if let Err(error) = self.complete(&mut stream) {
            self.end_stream()?;
            return Err(error);
        }
        self.stream = None;
        self.publish(&stream.header, stream.position)?;
        Ok(self.info(&stream.header))
    }

    /// Gives up: cuts what was written.
    pub fn abort_stream(&mut self, stream: Box<StreamedAppend>) -> Result<()> {
        if self.check_stream(&stream).is_ok() { self.end_stream() } else { Ok(()) }
    }

    fn complete(&mut self, stream: &mut StreamedAppend) -> Result<()> {
        if stream.missing() > 0 {
            return Err(Error::StreamLength { announced: stream.header.total_len(), given: stream.received });
        }
        let (expected, actual) = (stream.checks.expected, stream.checks.received.value());
        if expected != actual {
            return Err(ottla_records::Error::Crc { expected, actual }.into());
        }
        let unwritten = stream.received == HEADER_LEN;
        if let Some(stored) = &stream.checks.stored {
            set_crc(&mut stream.head, &mut stream.header, stored.value());
        }
        if unwritten || stream.checks.stored.is_some() {
            let active = self.active();
            let written = write_at(&*active.segment.file()?, &stream.head, &[], stream.position);
            written.map_err(|e| self.shared.dir.write_failed(active.segment.io("write", e)))?;
        }
        Ok(())
    }

    fn check_stream(&self, stream: &StreamedAppend) -> Result<()> {
        self.shared.check_usable()?;
        let current = self.stream.as_ref().is_some_and(|s| Weak::ptr_eq(s, &Arc::downgrade(&stream.alive)));
        if current { Ok(()) } else { Err(Error::StreamUnderWay) }
    }

    pub(super) fn stream_is_alive(&self) -> bool {
        self.stream.as_ref().is_some_and(|s| s.strong_count() > 0)
    }

    /// Ends a streamed append, wanted or abandoned: cuts what it has written.
    pub(crate) fn end_stream(&mut self) -> Result<()> {
        if self.stream.take().is_none() { Ok(()) } else { self.cut_tail() }
    }
}
