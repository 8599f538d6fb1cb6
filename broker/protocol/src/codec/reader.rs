//! A bounded cursor over one frame.

use bytes::Bytes;

use super::{DecodeError, Str};

/// Reads Kafka's primitive types from a frame. A failed read may leave the position anywhere within the frame.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
    /// Next byte to read.
    position: usize,
    /// Where what is being read ends: the frame, or a tagged field in it.
    end: usize,
    memory: usize,
    memory_limit: usize,
}

impl Reader {
    /// What decoded structures may take unless [`Reader::with_memory_limit`] says otherwise: 64 MiB.
    pub const DEFAULT_MEMORY_LIMIT: usize = 64 << 20;

    /// Tagged fields that one structure may carry; Kafka itself has at most a handful.
    pub const MAX_TAGGED_FIELDS: u32 = 256;

    /// Reads a whole frame.
    pub fn new(frame: Bytes) -> Self {
        let end = frame.len();
        Self { bytes: frame, position: 0, end, memory: 0, memory_limit: Self::DEFAULT_MEMORY_LIMIT }
    }

    /// Bounds the memory of decoded structures (arrays of them; text, bytes and records are slices of the frame).
    #[must_use]
    pub fn with_memory_limit(mut self, limit: usize) -> Self {
        self.memory_limit = limit;
        self
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Goes back (or on) to a position that [`Reader::position`] gave.
    pub fn set_position(&mut self, position: usize) {
        self.position = position.min(self.bytes.len());
    }

    /// Bytes not read yet of the frame, or of the tagged field that is being read.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// Fails unless the whole frame was read. Kafka does not ask this of requests, so neither does the broker.
    pub fn expect_end(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes(left)),
        }
    }

    /// Charges the memory of `count` decoded elements of `size` bytes each to the budget.
    pub(super) fn charge(&mut self, count: usize, size: usize) -> Result<(), DecodeError> {
        self.memory = self.memory.saturating_add(count.saturating_mul(size));
        if self.memory > self.memory_limit {
            return Err(DecodeError::TooMuchMemory { limit: self.memory_limit });
        }
        Ok(())
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&[u8], DecodeError> {
        self.require(length)?;
        let start = self.position;
        self.position += length;
        Ok(&self.bytes[start..start + length])
    }

    #[inline]
    fn require(&self, length: usize) -> Result<(), DecodeError> {
        let remaining = self.remaining();
        if length <= remaining { Ok(()) } else { Err(DecodeError::Truncated { needed: length as u64, remaining }) }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut value = [0; N];
        value.copy_from_slice(self.take(N)?);
        Ok(value)
    }

    /// INT8.
    #[inline]
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    /// INT16.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// UINT16.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// INT32.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// UINT32.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// INT64.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// FLOAT64.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    /// The 16 bytes of a UUID.
    #[inline]
    pub fn uuid(&mut self) -> Result<uuid::Uuid, DecodeError> {
        Ok(uuid::Uuid::from_bytes(self.array()?))
    }

    /// UNSIGNED_VARINT: at most five bytes.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.array::<1>()?[0];
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::VarintTooLong);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// The next `length` bytes, shared with the frame.
    #[inline]
    pub fn bytes(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        self.require(length)?;
        let start = self.position;
        self.position += length;
        Ok(self.bytes.slice(start..start + length))
    }

    /// Passes over `length` bytes.
    #[inline]
    pub fn skip(&mut self, length: usize) -> Result<(), DecodeError> {
        self.require(length)?;
        self.position += length;
        Ok(())
    }

    /// COMPACT length: one more than the length, 0 for null.
    #[inline]
    pub fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let plus_one = self.unsigned_varint()?;
        match plus_one.checked_sub(1) {
            Some(length) if length > i32::MAX as u32 => Err(DecodeError::LengthTooLarge(u64::from(length))),
            length => Ok(length.map(|length| length as usize)),
        }
    }

    /// The length before bytes, records or an array; any negative one means null, as in Kafka.
    #[inline]
    pub fn length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible { self.compact_length() } else { Ok(usize::try_from(self.i32()?).ok()) }
    }

    /// STRING, NULLABLE_STRING or their COMPACT forms.
    #[inline]
    pub fn string(&mut self, flexible: bool) -> Result<Option<Str>, DecodeError> {
        let length = if flexible { self.compact_length()? } else { usize::try_from(self.i16()?).ok() };
        match length {
            None => Ok(None),
            Some(length) if length > i16::MAX as usize => Err(DecodeError::LengthTooLarge(length as u64)),
            Some(length) => {
                let text = Str::from_utf8_lossy(self.bytes(length)?);
                // Repairs lengthen it; what could not be written back is not taken either.
                if text.as_bytes().len() > i16::MAX as usize {
                    return Err(DecodeError::LengthTooLarge(text.as_bytes().len() as u64));
                }
                Ok(Some(text))
            }
        }
    }

    /// The number of elements of an array whose elements take at least `least` bytes each: checked against what remains.
    #[inline]
    pub fn array_length(&mut self, flexible: bool, least: usize) -> Result<Option<usize>, DecodeError> {
        let Some(count) = self.length(flexible)? else { return Ok(None) };
        let least = least.max(1);
        if count > self.remaining() / least {
            let needed = count as u64 * least as u64;
            return Err(DecodeError::Truncated { needed, remaining: self.remaining() });
        }
        Ok(Some(count))
    }

    /// Reads a tagged-field section. `known` reads the field of the tag it is given and says whether it knew it; the
    /// fields it does not know are skipped. It cannot read beyond the field.
    #[inline]
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.unsigned_varint()?;
        if count > Self::MAX_TAGGED_FIELDS {
            return Err(DecodeError::TooManyTaggedFields(count));
        }
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            self.require(size)?;
            let frame_end = std::mem::replace(&mut self.end, self.position + size);
            let is_known = known(self, tag);
            let left = self.remaining();
            self.end = frame_end;
            if is_known? && left > 0 {
                return Err(DecodeError::TaggedFieldSize { tag, size });
            }
            self.position += left;
        }
        Ok(())
    }
}
