//! A connection for one kind of request, driven by its one user: no task stands between it and the socket.
//!
//! Answers are read into memory that is used again once the answer before has been dropped.

use std::collections::VecDeque;
use std::marker::PhantomData;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connection::{check_order, room};
use super::error::Closed;
use super::peer::Peer;
use super::{ClientConfig, Error};
use crate::codec::Request;
use crate::frame;

/// Memory beyond this is given back after the answer that needed it.
const KEPT: usize = 1 << 20;

/// An open connection; it closes when dropped.
#[derive(Debug)]
pub struct DirectConnection<R> {
    stream: TcpStream,
    peer: Peer,
    version: i16,
    max_response_size: usize,
    input: BytesMut,
    /// What the socket has not taken yet.
    output: BytesMut,
    next_correlation_id: i32,
    /// Correlation ids of what is to be answered.
    asked: VecDeque<i32>,
    of: PhantomData<fn(R)>,
}

impl<R: Request> DirectConnection<R> {
    /// Connects to a broker, at the highest version of `R` that both ends have.
    pub async fn open(host: &str, port: u16, config: &ClientConfig) -> Result<Self, Error> {
        let (stream, input, peer) = super::handshake::open(host, port, config).await?;
        Ok(Self {
            version: peer.version::<R>(i16::MAX)?,
            stream,
            peer,
            max_response_size: config.max_response_size,
            input,
            output: BytesMut::new(),
            next_correlation_id: 1,
            asked: VecDeque::new(),
            of: PhantomData,
        })
    }

    /// The broker's address, `host:port`.
    pub fn address(&self) -> &str {
        &self.peer.address
    }

    /// Sends a request, as far as the socket takes it at once; the rest goes while [`DirectConnection::receive`] waits.
    pub fn send(&mut self, request: &R) -> Result<(), Error> {
        let id = self.next_correlation_id;
        self.next_correlation_id = id.wrapping_add(1);
        let frame = self.peer.encode(request, self.version, id)?;
        self.asked.push_back(id);
        let mut rest = &frame[..];
        while self.output.is_empty() && !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(written) => rest.advance(written),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.peer.disconnected(error.to_string())),
            }
        }
        self.output.extend_from_slice(rest);
        Ok(())
    }

    /// The answer to the oldest request that has none yet. Nothing is lost when the wait for it is given up.
    pub async fn receive(&mut self) -> Result<R::Response, Error> {
        let frame = self.next_frame().await.map_err(|closed| self.peer.disconnected(closed.to_string()))?;
        self.peer.decode::<R>(frame, self.version)
    }

    async fn next_frame(&mut self) -> Result<Bytes, Closed> {
        loop {
            let missing = match self.input.first_chunk() {
                None => 4 - self.input.len(),
                Some(size) => {
                    let end = 4 + frame::frame_size(*size, self.max_response_size)?;
                    if self.input.len() >= end {
                        return self.take_frame(end);
                    }
                    end - self.input.len()
                }
            };
            self.input.reserve(room(missing));
            let (mut reader, mut writer) = self.stream.split();
            tokio::select! {
                biased;
                written = writer.write_buf(&mut self.output), if !self.output.is_empty() => {
                    written?;
                }
                read = reader.read_buf(&mut self.input) => if read? == 0 {
                    return Err(Closed::ByPeer);
                }
            }
        }
    }

    fn take_frame(&mut self, end: usize) -> Result<Bytes, Closed> {
        let mut frame = self.input.split_to(end).freeze();
        frame.advance(4);
        if end > KEPT {
            self.input = BytesMut::from(&self.input[..]);
        }
        check_order(&frame, self.asked.pop_front().ok_or(Closed::Unasked)?)?;
        Ok(frame)
    }
}
