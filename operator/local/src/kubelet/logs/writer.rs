//! Writes what one run of a container says, with the time before each line, within a bound on disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use k8s_openapi::jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;
use tracing::warn;

use super::rotated;

/// A file that reaches this size becomes the rotated one, replacing that; so a run keeps between one and two of these.
const ROTATE_AT: u64 = 32 << 20;
/// A longer line is cut into several.
const MAX_LINE: usize = 16 << 10;

/// The log of one run.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    size: u64,
    line: Vec<u8>,
    more: watch::Sender<()>,
}

impl Writer {
    pub(super) fn create(path: PathBuf, more: watch::Sender<()>) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(&path)?;
        Ok(Self { path, file, size: 0, line: Vec::new(), more })
    }

    /// Writes all that comes out of `output`, to its end.
    pub async fn copy(mut self, mut output: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; 8 << 10];
        // Reading goes on when the disk is full, or the container would stop at a full pipe.
        let mut complained = false;
        loop {
            let read = match output.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            if let Err(error) = self.write(&chunk[..read])
                && !std::mem::replace(&mut complained, true)
            {
                warn!(path = %self.path.display(), %error, "container log not written");
            }
        }
        let _ = self.finish_line();
        let _ = self.more.send(());
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let line_end = bytes.iter().position(|byte| *byte == b'\n');
            let room = MAX_LINE - self.line.len();
            match line_end {
                Some(at) if at <= room => {
                    self.line.extend_from_slice(&bytes[..at]);
                    bytes = &bytes[at + 1..];
                    self.end_line()?;
                }
                _ => {
                    let taken = room.min(bytes.len());
                    self.line.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if self.line.len() == MAX_LINE && !bytes.is_empty() {
                        self.end_line()?;
                    }
                }
            }
        }
        let _ = self.more.send(());
        Ok(())
    }

    fn finish_line(&mut self) -> io::Result<()> {
        if self.line.is_empty() { Ok(()) } else { self.end_line() }
    }

    fn end_line(&mut self) -> io::Result<()> {
        if self.size >= ROTATE_AT {
            fs::rename(&self.path, rotated(&self.path))?;
            self.file = File::options().create(true).append(true).open(&self.path)?;
            self.size = 0;
        }
        let mut whole = format!("{:.9} ", Timestamp::now()).into_bytes();
        whole.append(&mut self.line);
        whole.push(b'\n');
        self.file.write_all(&whole)?;
        self.size += whole.len() as u64;
        Ok(())
    }
}
