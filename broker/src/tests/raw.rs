//! A connection that sends what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::codec::{Message as _, Reader, Request};
use ottla_protocol::frame::{encode_request, read_response_header, response_header_version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(super) struct Raw {
    pub(super) stream: TcpStream,
    next: i32,
}

impl Raw {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, next: 1 }
    }

    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a request; gives its correlation id.
    pub(super) async fn send<R: Request>(&mut self, request: &R, version: i16) -> i32 {
        let id = self.next;
        self.next += 1;
        let encoded = encode_request(request, version, id, None).unwrap();
        self.send_bytes(&encoded.bytes).await;
        id
    }

    /// The next frame; none if the broker has closed the connection.
    pub(super) async fn frame(&mut self) -> Option<Bytes> {
        let read = tokio::time::timeout(Duration::from_secs(10), async {
            let mut size = [0; 4];
            self.stream.read_exact(&mut size).await.ok()?;
            let mut frame = vec![0; i32::from_be_bytes(size) as usize];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        });
        read.await.expect("the broker neither answers nor closes")
    }

    /// The next answer, which must be to `R` in `version`: its correlation id and itself.
    pub(super) async fn answer<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let mut reader = Reader::new(self.frame().await.expect("the broker closed the connection"));
        let id = read_response_header(&mut reader, response_header_version(R::KEY, version)).unwrap();
        (id, R::Response::decode(&mut reader, version).unwrap())
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let sent = self.send(request, version).await;
        let (id, response) = self.answer::<R>(version).await;
        assert_eq!(id, sent);
        response
    }
}
