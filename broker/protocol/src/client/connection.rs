//! One connection to one broker: requests go out as they come, answers come back in the same order.
//!
//! One task owns the stream. It must not wait for room to write before it reads, or both ends could wait for each other.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::error::Closed;
use super::peer::Peer;
use super::{ClientConfig, Error};
use crate::codec::Request;
use crate::frame;

/// Requests that may wait to be written before callers wait.
const QUEUE: usize = 64;

/// The most that is reserved ahead of the bytes of a response.
const READ_AHEAD: usize = 1 << 20;

/// A handle on an open connection; the connection closes when the last one is dropped and all is written.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    peer: Peer,
    request_timeout: Duration,
    next_correlation_id: AtomicI32,
    calls: mpsc::Sender<Call>,
    task: AbortHandle,
    closed: Arc<OnceLock<String>>,
}

/// Bounds of a connection's task.
#[derive(Clone, Copy)]
struct Limits {
    response_size: usize,
    write_time: Duration,
}

/// A frame to write, and where its answer goes; nowhere if none will come.
struct Call {
    frame: Bytes,
    answer: Option<Pending>,
}

struct Pending {
    correlation_id: i32,
    answer: oneshot::Sender<Bytes>,
}

impl Connection {
    /// Connects to a broker and learns which versions it serves.
    pub async fn open(host: &str, port: u16, config: &ClientConfig) -> Result<Self, Error> {
        let (stream, buffer, peer) = super::handshake::open(host, port, config).await?;
        Ok(Self::start(stream, buffer, peer, config))
    }

    /// Starts the task of a stream on which versions are negotiated. `buffer` has what was read beyond that.
    pub(super) fn start<S>(stream: S, buffer: BytesMut, peer: Peer, config: &ClientConfig) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (calls, queue) = mpsc::channel(QUEUE);
        let closed = Arc::new(OnceLock::new());
        let task = tokio::spawn({
            let (address, closed) = (peer.address.clone(), closed.clone());
            let limits = Limits { response_size: config.max_response_size, write_time: config.request_timeout };
            async move {
                run(stream, buffer, queue, limits, |reason| {
                    tracing::debug!(%address, %reason, "connection closed");
                    let _ = closed.set(reason.to_string());
                })
                .await;
            }
        });
        let shared = Shared {
            peer,
            request_timeout: config.request_timeout,
            next_correlation_id: AtomicI32::new(1),
            calls,
            task: task.abort_handle(),
            closed,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The broker's address, `host:port`.
    pub fn address(&self) -> &str {
        &self.shared.peer.address
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.get().is_some() || self.shared.calls.is_closed()
    }

    /// The highest version of `R`, up to `max_version`, that both ends have.
    pub fn version<R: Request>(&self, max_version: i16) -> Result<i16, Error> {
        self.shared.peer.version::<R>(max_version)
    }

    /// Sends a request at the highest version up to `max_version`, and waits for its answer.
    pub async fn call<R: Request>(&self, request: &R, max_version: i16) -> Result<R::Response, Error> {
        let version = self.version::<R>(max_version)?;
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            self.enqueue(request, version, Some(answer)).await?;
            answered.await.map_err(|_| self.disconnected())
        };
        let Ok(outcome) = tokio::time::timeout(self.shared.request_timeout, exchange).await else {
            // Whatever is behind this request would wait as long: nobody should.
            let _ = self.shared.closed.set("a request timed out".to_owned());
            self.shared.task.abort();
            return Err(Error::RequestTimedOut { address: self.address().to_owned(), api: R::KEY });
        };
        self.shared.peer.decode::<R>(outcome?, version)
    }

    /// Sends a request that the broker does not answer: Produce with acks=0.
    pub async fn post<R: Request>(&self, request: &R, max_version: i16) -> Result<(), Error> {
        let version = self.version::<R>(max_version)?;
        self.enqueue(request, version, None).await
    }

    async fn enqueue<R: Request>(
        &self,
        request: &R,
        version: i16,
        answer: Option<oneshot::Sender<Bytes>>,
    ) -> Result<(), Error> {
        let correlation_id = self.shared.next_correlation_id.fetch_add(1, Ordering::Relaxed);
        let frame = self.shared.peer.encode(request, version, correlation_id)?;
        let answer = answer.map(|answer| Pending { correlation_id, answer });
        let call = Call { frame, answer };
        self.shared.calls.send(call).await.map_err(|_| self.disconnected())
    }

    fn disconnected(&self) -> Error {
        self.shared.peer.disconnected(self.shared.closed.get().cloned().unwrap_or_default())
    }
}

/// Serves the stream until it fails, and says why before the callers that wait learn of it.
async fn run<S>(
    stream: S,
    buffer: BytesMut,
    mut queue: mpsc::Receiver<Call>,
    limits: Limits,
    on_close: impl FnOnce(Closed),
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let (sent, mut pending) = mpsc::unbounded_channel();
    let closed = tokio::select! {
        closed = write_requests(writer, &mut queue, sent, limits.write_time) => closed,
        closed = read_answers(reader, buffer, &mut pending, limits.response_size) => closed,
    };
    on_close(closed);
}

async fn write_requests(
    mut writer: impl AsyncWrite + Unpin,
    queue: &mut mpsc::Receiver<Call>,
    sent: mpsc::UnboundedSender<Pending>,
    write_time: Duration,
) -> Closed {
    while let Some(call) = queue.recv().await {
        // Noted before it is written, so that the answer always finds it.
        if let Some(pending) = call.answer
            && sent.send(pending).is_err()
        {
            break;
        }
        match tokio::time::timeout(write_time, writer.write_all(&call.frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return Closed::NotReading,
        }
    }
    Closed::Unused
}

async fn read_answers(
    mut reader: impl AsyncRead + Unpin,
    mut buffer: BytesMut,
    pending: &mut mpsc::UnboundedReceiver<Pending>,
    limit: usize,
) -> Closed {
    loop {
        let frame = match read_frame(&mut reader, &mut buffer, limit).await {
            Ok(frame) => frame,
            Err(closed) => return closed,
        };
        let Ok(next) = pending.try_recv() else { return Closed::Unasked };
        if let Err(closed) = check_order(&frame, next.correlation_id) {
            return closed;
        }
        // A caller that no longer waits is no reason to stop.
        let _ = next.answer.send(frame);
    }
}

/// Checks that `frame` answers the request that is next to be answered.
pub(super) fn check_order(frame: &[u8], expected: i32) -> Result<(), Closed> {
    let got = frame.first_chunk().map_or(-1, |id| i32::from_be_bytes(*id));
    if got == expected { Ok(()) } else { Err(Closed::OutOfOrder { expected, got }) }
}

/// Reads a frame. Memory is taken as bytes arrive, not as the size claims.
pub(super) async fn read_frame(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    limit: usize,
) -> Result<Bytes, Closed> {
    fill(reader, buffer, 4).await?;
    let size = frame::frame_size([buffer[0], buffer[1], buffer[2], buffer[3]], limit)?;
    buffer.advance(4);
    fill(reader, buffer, size).await?;
    Ok(buffer.split_to(size).freeze())
}

/// What to make room for when so many bytes are missing: not as many as the size claims before they arrive.
pub(super) fn room(missing: usize) -> usize {
    missing.clamp(4096, READ_AHEAD)
}

/// Reads until `buffer` has `length` bytes.
async fn fill(reader: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut, length: usize) -> Result<(), Closed> {
    while buffer.len() < length {
        buffer.reserve(room(length - buffer.len()));
        if reader.read_buf(buffer).await? == 0 {
            return Err(Closed::ByPeer);
        }
    }
    Ok(())
}
