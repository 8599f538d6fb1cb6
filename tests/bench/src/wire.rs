//! One blocking connection: frames are encoded before the clock starts, answers read into one buffer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use ottla_protocol::codec::{Encoded, Message, Reader, Request};
use ottla_protocol::frame;

/// No answer takes longer; a cell then fails instead of hanging.
const TIME_OUT: Duration = Duration::from_secs(60);
const BUFFER: usize = 1 << 20;

/// A client connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIME_OUT))?;
        Ok(Self { stream, buffer: vec![0; BUFFER], start: 0, end: 0 })
    }

    /// A second handle for a thread that only writes.
    pub fn writer(&self) -> anyhow::Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }

    /// Sends a whole frame.
    pub fn send(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(frame)?)
    }

    /// Reads one answer, without its size.
    pub fn receive(&mut self) -> anyhow::Result<Bytes> {
        let size = self.size()?;
        let mut answer = vec![0; size];
        let have = size.min(self.end - self.start);
        answer[..have].copy_from_slice(&self.buffer[self.start..self.start + have]);
        self.start += have;
        self.stream.read_exact(&mut answer[have..])?;
        Ok(answer.into())
    }

    /// Reads one answer and throws it away, keeping its first bytes (64 at most). Returns its size.
    pub fn discard(&mut self, head: &mut [u8; 64]) -> anyhow::Result<usize> {
        let size = self.size()?;
        let mut left = size;
        let mut kept = 0;
        while left > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let count = left.min(self.end - self.start);
            let keep = count.min(64 - kept);
            head[kept..kept + keep].copy_from_slice(&self.buffer[self.start..self.start + keep]);
            kept += keep;
            self.start += count;
            left -= count;
        }
        Ok(size)
    }

    /// Sends a request and reads its answer.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<R::Response> {
        self.send(&encode(request, version)?)?;
        let answer = self.receive()?;
        decode::<R>(answer, version)
    }

    fn size(&mut self) -> anyhow::Result<usize> {
        while self.end - self.start < 4 {
            self.fill()?;
        }
        let mut prefix = [0; 4];
        prefix.copy_from_slice(&self.buffer[self.start..self.start + 4]);
        self.start += 4;
        Ok(frame::frame_size(prefix, 1 << 30)?)
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let count = self.stream.read(&mut self.buffer[self.end..])?;
        ensure!(count > 0, "the server closed the connection");
        self.end += count;
        Ok(())
    }
}

/// A whole frame for `request`.
pub fn encode<R: Request>(request: &R, version: i16) -> anyhow::Result<Bytes> {
    let client = "ottla-bench".into();
    let Encoded { bytes, .. } = frame::encode_request(request, version, 1, Some(&client))?;
    Ok(bytes)
}

/// The message in an answer to a request of type `R`.
pub fn decode<R: Request>(answer: Bytes, version: i16) -> anyhow::Result<R::Response> {
    let mut reader = Reader::new(answer);
    frame::read_response_header(&mut reader, frame::response_header_version(R::KEY, version))?;
    Ok(R::Response::decode(&mut reader, version)?)
}
