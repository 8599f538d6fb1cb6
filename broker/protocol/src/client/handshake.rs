//! Opening a connection: resolve, connect, and learn which versions the broker serves.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connection::read_frame;
use super::error::Closed;
use super::peer::Peer;
use super::{ClientConfig, Error};
use crate::codec::{DecodeError, Message, Reader, Request, Str};
use crate::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::{ApiKey, ErrorCode, frame};

/// Connects to the first address of `host` that answers. Gives what was read beyond the versions, too.
pub(super) async fn open(host: &str, port: u16, config: &ClientConfig) -> Result<(TcpStream, BytesMut, Peer), Error> {
    let address = format!("{host}:{port}");
    let opened = async {
        let mut stream = connect(host, port, &address, config).await?;
        let (buffer, peer) = negotiate(&mut stream, &address, config).await?;
        Ok((stream, buffer, peer))
    };
    match tokio::time::timeout(config.connect_timeout, opened).await {
        Ok(opened) => opened,
        Err(_) => Err(Error::Connect { address, source: Arc::new(io::ErrorKind::TimedOut.into()) }),
    }
}

async fn connect(host: &str, port: u16, address: &str, config: &ClientConfig) -> Result<TcpStream, Error> {
    let resolved = config.resolver.resolve(host, port).await;
    let resolved = resolved.map_err(|source| Error::Resolve { host: host.to_owned(), source: Arc::new(source) })?;
    let mut last = Error::NoAddress(format!(" for {host}"));
    for socket_address in resolved {
        match TcpStream::connect(socket_address).await {
            Ok(stream) => {
                // Requests are written whole: waiting for more to send only delays them.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(source) => last = Error::Connect { address: address.to_owned(), source: Arc::new(source) },
        }
    }
    Err(last)
}

/// Negotiates versions on a fresh stream.
pub(super) async fn negotiate<S>(
    stream: &mut S,
    address: &str,
    config: &ClientConfig,
) -> Result<(BytesMut, Peer), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = BytesMut::new();
    let newest = *ApiVersionsRequest::VERSIONS.end();
    let mut response = ask(stream, &mut buffer, newest, address, config).await?;
    if response.error_code == ErrorCode::UNSUPPORTED_VERSION {
        // KIP-511: the answer has the range of ApiVersions itself; brokers older than that have version 0.
        let served = response.api_keys.iter().find(|api| api.api_key == ApiKey::ApiVersions.number());
        let version = served.map_or(0, |api| api.max_version.clamp(0, newest));
        response = ask(stream, &mut buffer, version, address, config).await?;
    }
    if response.error_code.is_error() {
        let what = format!("versions of {address}");
        return Err(Error::Broker { what, code: response.error_code });
    }
    let versions = response.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
    Ok((buffer, Peer::new(address.to_owned(), versions.collect(), config)))
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
    version: i16,
    address: &str,
    config: &ClientConfig,
) -> Result<ApiVersionsResponse, Error> {
    let request = ApiVersionsRequest {
        client_software_name: Str::from_static("ottla"),
        client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
    };
    let encoded = frame::encode_request(&request, version, 0, Some(&config.client_id))?;
    let exchange = async {
        stream.write_all(&encoded.bytes).await?;
        read_frame(stream, buffer, config.max_response_size).await
    };
    let answer = exchange
        .await
        .map_err(|closed: Closed| Error::Disconnected { address: address.to_owned(), reason: closed.to_string() })?;
    decode(answer, version).map_err(|source| Error::Decode {
        address: address.to_owned(),
        api: ApiVersionsRequest::KEY,
        source,
    })
}

/// Reads the answer to a question of `version`; a refusal always has the shape of version 0.
fn decode(answer: Bytes, version: i16) -> Result<ApiVersionsResponse, DecodeError> {
    let mut reader = Reader::new(answer);
    frame::read_response_header(&mut reader, 0)?;
    let body = reader.position();
    let is_refusal = ErrorCode(reader.i16()?) == ErrorCode::UNSUPPORTED_VERSION;
    reader.set_position(body);
    ApiVersionsResponse::decode(&mut reader, if is_refusal { 0 } else { version })
}
