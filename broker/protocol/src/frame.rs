//! What goes around a message: the size prefix and the headers.

use crate::ApiKey;
use crate::codec::{DecodeError, EncodeError, Encoded, Message, Reader, Request, Str, Writer};

/// Why a size prefix is refused; the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// No frame is empty or of negative size.
    #[error("a frame cannot have {0} bytes")]
    NotPositive(i32),
    /// Larger than the receiver allows (`socket.request.max.bytes`).
    #[error("a frame of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// The size claimed.
        size: usize,
        /// The limit.
        limit: usize,
    },
}

/// The size of the frame that follows its four-byte prefix, if it is within `limit`.
pub fn frame_size(prefix: [u8; 4], limit: usize) -> Result<usize, SizeError> {
    let claimed = i32::from_be_bytes(prefix);
    match usize::try_from(claimed) {
        Err(_) | Ok(0) => Err(SizeError::NotPositive(claimed)),
        Ok(size) if size > limit => Err(SizeError::TooLarge { size, limit }),
        Ok(size) => Ok(size),
    }
}

/// The header of a request, version 1 (before the flexible versions of its API) or 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API, as a number since it may be one that we do not know.
    pub api_key: i16,
    /// The version of the request, and of the response expected.
    pub api_version: i16,
    /// The client's own number, returned in the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Str>,
}

impl RequestHeader {
    /// The fewest bytes of a header: key, version and correlation id.
    pub const LEAST_SIZE: usize = 8;

    /// Reads a header. `is_flexible` says whether a key and version have the tagged fields of header version 2.
    pub fn read(reader: &mut Reader, is_flexible: impl FnOnce(i16, i16) -> bool) -> Result<Self, DecodeError> {
        let (api_key, api_version) = (reader.i16()?, reader.i16()?);
        let correlation_id = reader.i32()?;
        // The client id never became compact, so that a broker can read it before it knows the version.
        let client_id = reader.string(false)?;
        if is_flexible(api_key, api_version) {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    /// Reads a header of any API that [`crate::messages`] has; of others, and of versions they lack, as version 1.
    pub fn read_known(reader: &mut Reader) -> Result<Self, DecodeError> {
        Self::read(reader, |key, version| {
            ApiKey::from_number(key).is_some_and(|key| crate::messages::is_flexible(key, version))
        })
    }

    /// The API, if clients may call it.
    pub fn key(&self) -> Option<ApiKey> {
        ApiKey::from_number(self.api_key)
    }

    /// Writes the header.
    pub fn write(&self, writer: &mut Writer, flexible: bool) -> Result<(), EncodeError> {
        writer.i16(self.api_key);
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        writer.string(self.client_id.as_ref().map(|id| &id.as_bytes()[..]), false)?;
        if flexible {
            writer.unsigned_varint(0);
        }
        Ok(())
    }
}

/// The version of the response header that goes with `key` at `version`: 1 where the message is flexible, else 0. That
/// of ApiVersions is always 0, since a client must be able to read it whatever the broker is (KIP-511).
pub fn response_header_version(key: ApiKey, version: i16) -> i16 {
    match key {
        ApiKey::ApiVersions => 0,
        _ => i16::from(crate::messages::is_flexible(key, version)),
    }
}

/// A whole request frame: size, header and message.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&Str>,
) -> Result<Encoded, EncodeError> {
    let mut writer = Writer::new();
    writer.i32(0);
    let api_key = R::KEY.number();
    let header = RequestHeader { api_key, api_version: version, correlation_id, client_id: client_id.cloned() };
    header.write(&mut writer, R::is_flexible(version))?;
    request.encode(&mut writer, version)?;
    finish(writer)
}

/// A whole response frame: size (which counts external records), response header of version 0 or 1, and message.
pub fn encode_response<M: Message>(
    correlation_id: i32,
    header_version: i16,
    message: &M,
    version: i16,
) -> Result<Encoded, EncodeError> {
    let mut writer = Writer::with_capacity(512);
    writer.i32(0);
    writer.i32(correlation_id);
    if header_version > 0 {
        writer.unsigned_varint(0);
    }
    message.encode(&mut writer, version)?;
    finish(writer)
}

/// Fills in the size at the front.
fn finish(mut writer: Writer) -> Result<Encoded, EncodeError> {
    let size = writer.total_length() - 4;
    let size = i32::try_from(size).map_err(|_| EncodeError::LengthTooLarge(size))?;
    writer.patch_i32(0, size);
    Ok(writer.finish())
}

/// Reads a response header of version 0 or 1: the correlation id.
pub fn read_response_header(reader: &mut Reader, header_version: i16) -> Result<i32, DecodeError> {
    let correlation_id = reader.i32()?;
    if header_version > 0 {
        reader.tagged_fields(|_, _| Ok(false))?;
    }
    Ok(correlation_id)
}
