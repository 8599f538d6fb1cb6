//! A connection that sends what it is told.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::codec::{Message as _, Reader, Request};
use ottla_protocol::frame::{encode_request, read_response_header, response_header_version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.0.write_all(&encode_request(request, version, 7, None).unwrap().bytes).await.unwrap();
        let frame = self.frame().await.expect("the broker closed the connection");
        let mut reader = Reader::new(frame);
        let id = read_response_header(&mut reader, response_header_version(R::KEY, version)).unwrap();
        assert_eq!(id, 7);
        R::Response::decode(&mut reader, version).unwrap()
    }

    async fn frame(&mut self) -> Option<Bytes> {
        let read = tokio::time::timeout(Duration::from_secs(20), async {
            let mut size = [0; 4];
            self.0.read_exact(&mut size).await.ok()?;
            let mut frame = vec![0; i32::from_be_bytes(size) as usize];
            self.0.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        });
        read.await.expect("the broker neither answers nor closes")
    }

    /// Reads until the broker has closed the connection, giving up `within` that time. The bytes it sent, and whether it
    /// closed.
    pub(crate) async fn drain(&mut self, within: Duration) -> (usize, bool) {
        let mut count = 0;
        let closed = tokio::time::timeout(within, async {
            let mut piece = vec![0; 16 << 10];
            while let Ok(read @ 1..) = self.0.read(&mut piece).await {
                count += read;
            }
        });
        let closed = closed.await.is_ok();
        (count, closed)
    }
}
