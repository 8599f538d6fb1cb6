//! Answers on their way out: bytes, and ranges of files that the kernel sends by itself.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A range of a file, sent as it is.
#[derive(Clone, Debug)]
pub struct FilePart {
    /// The open file.
    pub file: Arc<File>,
    /// First byte to send.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// One answer, with its size prefix.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The bytes, the file parts left out.
    pub bytes: Bytes,
    /// Files and the position in `bytes` before which each goes, ascending.
    pub files: Vec<(usize, FilePart)>,
}

impl From<Bytes> for Response {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, files: Vec::new() }
    }
}

/// What has been answered and not yet been taken by the socket.
#[derive(Debug, Default)]
pub(super) struct Output {
    parts: VecDeque<Part>,
    /// Bytes in `parts`, files left out.
    buffered: usize,
}

#[derive(Debug)]
enum Part {
    Bytes(Bytes),
    File(FilePart),
}

/// Bytes of answers that are collected before they are sent.
const COLLECT: usize = 64 << 10;
/// Buffers that one system call takes.
const VECTOR: usize = 16;

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether no more should be added before some has been sent.
    pub(super) fn is_full(&self) -> bool {
        self.buffered >= COLLECT || self.parts.len() >= VECTOR
    }

    pub(super) fn push(&mut self, response: Response) {
        let mut bytes = response.bytes;
        self.buffered += bytes.len();
        let mut taken = 0;
        for (at, file) in response.files {
            self.push_bytes(bytes.split_to(at - taken));
            taken = at;
            self.parts.push_back(Part::File(file));
        }
        self.push_bytes(bytes);
    }

    fn push_bytes(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.parts.push_back(Part::Bytes(bytes));
        }
    }

    /// Sends until all is gone or the socket takes no more ([`io::ErrorKind::WouldBlock`]).
    pub(super) fn try_send(&mut self, stream: &TcpStream) -> io::Result<()> {
        loop {
            match self.parts.front_mut() {
                None => return Ok(()),
                Some(Part::Bytes(_)) => self.send_bytes(stream)?,
                Some(Part::File(part)) => {
                    send_file(stream, part)?;
                    if part.len == 0 {
                        self.parts.pop_front();
                    }
                }
            }
        }
    }

    /// Sends the bytes in front of the next file with one call; tells the kernel when a file follows, so that both
    /// share packets.
    fn send_bytes(&mut self, stream: &TcpStream) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); VECTOR];
        let mut count = 0;
        let mut file_follows = false;
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) if count < VECTOR => {
                    slices[count] = IoSlice::new(bytes);
                    count += 1;
                }
                Part::Bytes(_) => break,
                Part::File(_) => {
                    file_follows = true;
                    break;
                }
            }
        }
        let flags = if file_follows { SendFlags::MORE | SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL };
        let mut sent = stream.try_io(Interest::WRITABLE, || {
            let mut control = rustix::net::SendAncillaryBuffer::default();
            rustix::net::sendmsg(stream.as_fd(), &slices[..count], &mut control, flags).map_err(io::Error::from)
        })?;
        self.buffered -= sent;
        while sent > 0 {
            let Some(Part::Bytes(bytes)) = self.parts.front_mut() else { break };
            let now = sent.min(bytes.len());
            bytes.advance(now);
            sent -= now;
            if bytes.is_empty() {
                self.parts.pop_front();
            }
        }
        Ok(())
    }
}

/// Sends as much of `part` as the socket takes and moves its start on.
fn send_file(stream: &TcpStream, part: &mut FilePart) -> io::Result<()> {
    let mut offset = part.offset;
    let count = usize::try_from(part.len).unwrap_or(usize::MAX);
    let sent = stream.try_io(Interest::WRITABLE, || {
        rustix::fs::sendfile(stream.as_fd(), part.file.as_fd(), Some(&mut offset), count).map_err(io::Error::from)
    })?;
    if sent == 0 && part.len > 0 {
        // The file ends before the range does: what was promised in the header cannot be sent any more.
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a log segment was cut while it was being sent"));
    }
    part.offset += sent as u64;
    part.len -= sent as u64;
    Ok(())
}
