//! The buffer that messages are written to.

use bytes::{BufMut, Bytes, BytesMut};

use super::EncodeError;

/// A place in an encoded message where `len` bytes from elsewhere (a range of a log file) are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many of the encoded bytes go before.
    pub position: usize,
    /// Whatever the encoder's caller wrote into [`Records::External`](super::Records::External).
    pub token: u32,
    /// Bytes to send here.
    pub len: usize,
}

/// An encoded message: `bytes`, with the content of each of the `cuts` interleaved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Everything but the external bytes.
    pub bytes: Bytes,
    /// In ascending position.
    pub cuts: Vec<Cut>,
}

impl Encoded {
    /// Bytes that will be sent in all.
    pub fn total_length(&self) -> usize {
        self.bytes.len() + self.cuts.iter().map(|cut| cut.len).sum::<usize>()
    }
}

/// Writes Kafka's primitive types.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    cuts: Vec<Cut>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::with_capacity(256)
    }

    /// An empty writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(capacity), cuts: Vec::new() }
    }

    /// The encoded message.
    pub fn finish(self) -> Encoded {
        Encoded { bytes: self.buffer.freeze(), cuts: self.cuts }
    }

    /// Bytes written so far, without external ones.
    pub fn position(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes that will be sent for what was written so far.
    pub fn total_length(&self) -> usize {
        self.buffer.len() + self.cuts.iter().map(|cut| cut.len).sum::<usize>()
    }

    /// Overwrites four bytes written earlier.
    pub(crate) fn patch_i32(&mut self, position: usize, value: i32) {
        self.buffer[position..position + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// INT8.
    #[inline]
    pub fn i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    /// INT16.
    #[inline]
    pub fn i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    /// UINT16.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.buffer.put_u16(value);
    }

    /// INT32.
    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    /// UINT32.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32(value);
    }

    /// INT64.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    /// FLOAT64.
    #[inline]
    pub fn f64(&mut self, value: f64) {
        self.buffer.put_f64(value);
    }

    /// Bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// UNSIGNED_VARINT.
    #[inline]
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// COMPACT length: one more than the length, 0 for null.
    #[inline]
    pub fn compact_length(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        match length {
            None => self.unsigned_varint(0),
            Some(length) if length > i32::MAX as usize => return Err(EncodeError::LengthTooLarge(length)),
            Some(length) => self.unsigned_varint(length as u32 + 1),
        }
        Ok(())
    }

    /// The length before bytes, records or an array.
    #[inline]
    pub fn length(&mut self, length: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        if flexible {
            return self.compact_length(length);
        }
        match length {
            None => self.i32(-1),
            Some(length) => self.i32(i32::try_from(length).map_err(|_| EncodeError::LengthTooLarge(length))?),
        }
        Ok(())
    }

    /// STRING, NULLABLE_STRING or their COMPACT forms.
    #[inline]
    pub fn string(&mut self, text: Option<&[u8]>, flexible: bool) -> Result<(), EncodeError> {
        let length = text.map(<[u8]>::len);
        if let Some(length) = length.filter(|length| *length > i16::MAX as usize) {
            return Err(EncodeError::LengthTooLarge(length));
        }
        if flexible {
            self.compact_length(length)?;
        } else {
            self.i16(length.map_or(-1, |length| length as i16));
        }
        self.raw(text.unwrap_or_default());
        Ok(())
    }

    /// Leaves a place for `len` bytes from elsewhere.
    pub fn external(&mut self, len: usize, token: u32) {
        self.cuts.push(Cut { position: self.buffer.len(), token, len });
    }

    /// A tagged field: its tag, its size, and what `content` writes (which must not be external).
    pub fn tagged_field(
        &mut self,
        tag: u32,
        content: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.unsigned_varint(tag);
        let start = self.buffer.len();
        content(self)?;
        let end = self.buffer.len();
        self.unsigned_varint(u32::try_from(end - start).map_err(|_| EncodeError::LengthTooLarge(end - start))?);
        let size_length = self.buffer.len() - end;
        self.buffer[start..].rotate_right(size_length);
        Ok(())
    }
}
