//! Answers on their way out: bytes, and ranges of files that the kernel sends by itself.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

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
    pub bytes: Vec<u8>,
    /// Files and the position in `bytes` before which each goes, ascending.
    pub files: Vec<(usize, FilePart)>,
}

impl From<Vec<u8>> for Response {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, files: Vec::new() }
    }
}

/// What has been answered and not yet been taken by the socket.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// Positions in `bytes`, and the file that goes before it.
    files: VecDeque<(usize, FilePart)>,
}

/// Answers smaller than this are joined into one write.
const JOIN: usize = 64 << 10;

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.files.is_empty()
    }

    /// Whether no more should be added before some has been sent.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() - self.sent >= JOIN || !self.files.is_empty()
    }

    pub(super) fn push(&mut self, response: Response) {
        if self.is_empty() {
            self.sent = 0;
            self.bytes = response.bytes;
            self.files.extend(response.files);
            return;
        }
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&response.bytes);
        self.files.extend(response.files.into_iter().map(|(at, part)| (base + at, part)));
    }

    /// Sends until all is gone or the socket takes no more ([`io::ErrorKind::WouldBlock`]).
    pub(super) fn try_send(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.is_empty() {
            let until = self.files.front().map_or(self.bytes.len(), |(at, _)| *at);
            if self.sent < until {
                let more = !self.files.is_empty();
                self.sent += send(stream, &self.bytes[self.sent..until], more)?;
            } else if let Some((_, part)) = self.files.front_mut() {
                send_file(stream, part)?;
                if part.len == 0 {
                    self.files.pop_front();
                }
            }
        }
        self.bytes.clear();
        self.sent = 0;
        if self.bytes.capacity() > JOIN {
            self.bytes = Vec::new();
        }
        Ok(())
    }
}

/// Sends `bytes`; `more` tells the kernel that a file follows, so that both share packets.
fn send(stream: &TcpStream, bytes: &[u8], more: bool) -> io::Result<usize> {
    if !more {
        return stream.try_write(bytes);
    }
    stream.try_io(Interest::WRITABLE, || {
        rustix::net::send(stream.as_fd(), bytes, SendFlags::MORE | SendFlags::NOSIGNAL).map_err(io::Error::from)
    })
}

/// Sends as much of `part` as the socket takes and moves its start on.
fn send_file(stream: &TcpStream, part: &mut FilePart) -> io::Result<()> {
    let mut offset = part.offset;
    let count = usize::try_from(part.len).unwrap_or(usize::MAX);
    let sent = stream.try_io(Interest::WRITABLE, || {
        rustix::fs::sendfile(stream.as_fd(), part.file.as_fd(), Some(&mut offset), count).map_err(io::Error::from)
    })?;
    if sent == 0 {
        // The file ends before the range does: what was promised in the header cannot be sent any more.
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a log segment is shorter than its index says"));
    }
    part.offset += sent as u64;
    part.len -= sent as u64;
    Ok(())
}
