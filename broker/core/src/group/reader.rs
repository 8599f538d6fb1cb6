//! A bounded reader of Kafka's primitive types, for the values kept in `__consumer_offsets` and for the topics of a
//! consumer's subscription. Nothing is allocated before its length is known to fit what remains.

use bytes::Bytes;

use super::record::Error;

/// Reads a slice from its front.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Compact lengths and tagged fields (KIP-482).
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: false }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Error> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_be_bytes)
    }

    /// The version in front of a value: 0 to 4, from 4 on flexible.
    pub(super) fn value_version(&mut self) -> Result<i16, Error> {
        let version = self.i16()?;
        if !(0..=4).contains(&version) {
            return Err(Error::UnknownValueVersion(version));
        }
        self.flexible = version >= 4;
        Ok(version)
    }

    pub(super) fn string(&mut self) -> Result<String, Error> {
        self.nullable_string()?.ok_or(Error::UnexpectedNull)
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<String>, Error> {
        let length = if self.flexible { self.compact_length()? } else { length(self.i16()?.into())? };
        let Some(length) = length else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Error::NotUtf8)?;
        Ok(Some(text.to_owned()))
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Error> {
        let length = self.length()?.ok_or(Error::UnexpectedNull)?;
        self.take(length).map(Bytes::copy_from_slice)
    }

    /// The count of an array whose elements take at least `least` bytes each.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, Error> {
        // A compact element may be shorter than one with fixed lengths, never shorter than a byte per field.
        let least = if self.flexible { 1 } else { least };
        let count = self.length()?.ok_or(Error::UnexpectedNull)?;
        if count > self.rest.len() / least { Err(Error::Truncated) } else { Ok(count) }
    }

    /// Passes over the tagged fields that end a flexible struct.
    pub(super) fn end_of_struct(&mut self) -> Result<(), Error> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.take(usize::try_from(size).map_err(|_| Error::Truncated)?)?;
        }
        Ok(())
    }

    fn length(&mut self) -> Result<Option<usize>, Error> {
        if self.flexible { self.compact_length() } else { length(self.i32()?) }
    }

    fn compact_length(&mut self) -> Result<Option<usize>, Error> {
        let value = self.varint()?;
        value.checked_sub(1).map(|length| usize::try_from(length).map_err(|_| Error::Truncated)).transpose()
    }

    fn varint(&mut self) -> Result<u32, Error> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Truncated)
    }
}

fn length(value: i32) -> Result<Option<usize>, Error> {
    match value {
        -1 => Ok(None),
        _ => usize::try_from(value).map(Some).map_err(|_| Error::Truncated),
    }
}
