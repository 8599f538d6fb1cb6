//! A bounded reader of Kafka's primitive types, for the records of the coordinators' topics and for the topics of a
//! consumer's subscription. Nothing is allocated before its length is known to fit what remains.

use std::ops::RangeInclusive;

use bytes::Bytes;

/// Why a record of a coordinator's topic cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It ends in the middle of a field, or a length is larger than what remains.
    #[error("the record is cut short or a length in it is wrong")]
    Truncated,
    /// A text is not UTF-8.
    #[error("a text in the record is not UTF-8")]
    NotUtf8,
    /// A field that may not be null is.
    #[error("a field of the record is null")]
    UnexpectedNull,
    /// The value has a version this release does not know.
    #[error("the value has the unknown version {0}")]
    UnknownValueVersion(i16),
    /// The record names an impossible topic.
    #[error("the record names an invalid topic")]
    InvalidTopic,
    /// The record has a transaction or a delivery in a state this release does not know.
    #[error("the record has the unknown state {0}")]
    UnknownState(i8),
    /// The record names offsets that are no range, or a count below 0.
    #[error("the record names impossible offsets")]
    InvalidOffsets,
}

/// Reads a slice from its front.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Compact lengths and tagged fields (KIP-482).
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: false }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, RecordError> {
        self.array().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, RecordError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, RecordError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, RecordError> {
        self.array().map(i64::from_be_bytes)
    }

    /// The version in front of a value: one of `known`, and flexible from `flexible_from` on.
    pub(crate) fn value_version(&mut self, known: RangeInclusive<i16>, flexible_from: i16) -> Result<i16, RecordError> {
        let version = self.i16()?;
        if !known.contains(&version) {
            return Err(RecordError::UnknownValueVersion(version));
        }
        self.flexible = version >= flexible_from;
        Ok(version)
    }

    pub(crate) fn string(&mut self) -> Result<String, RecordError> {
        self.nullable_string()?.ok_or(RecordError::UnexpectedNull)
    }

    pub(crate) fn nullable_string(&mut self) -> Result<Option<String>, RecordError> {
        let length = if self.flexible { self.compact_length()? } else { length(self.i16()?.into())? };
        let Some(length) = length else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| RecordError::NotUtf8)?;
        Ok(Some(text.to_owned()))
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, RecordError> {
        self.nullable_bytes()?.ok_or(RecordError::UnexpectedNull)
    }

    /// Bytes that may be null.
    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<Bytes>, RecordError> {
        let Some(length) = self.length()? else { return Ok(None) };
        self.take(length).map(|bytes| Some(Bytes::copy_from_slice(bytes)))
    }

    /// The count of an array whose elements take at least `least` bytes each.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize, RecordError> {
        self.nullable_count(least)?.ok_or(RecordError::UnexpectedNull)
    }

    /// The same of an array that may be null.
    pub(crate) fn nullable_count(&mut self, least: usize) -> Result<Option<usize>, RecordError> {
        // A compact element may be shorter than one with fixed lengths, never shorter than a byte per field.
        let least = if self.flexible { 1 } else { least };
        let count = self.length()?;
        if count.is_some_and(|count| count > self.rest.len() / least) { Err(RecordError::Truncated) } else { Ok(count) }
    }

    /// Passes over the tagged fields that end a flexible struct.
    pub(crate) fn end_of_struct(&mut self) -> Result<(), RecordError> {
        self.tagged(|_, _| Ok(()))
    }

    /// Gives the tagged fields that end a flexible struct to `field`, by tag; what it does not read is passed over.
    pub(crate) fn tagged(
        &mut self,
        mut field: impl FnMut(u32, &mut Self) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()?;
            let value = self.take(usize::try_from(size).map_err(|_| RecordError::Truncated)?)?;
            field(tag, &mut Self { rest: value, flexible: true })?;
        }
        Ok(())
    }

    fn length(&mut self) -> Result<Option<usize>, RecordError> {
        if self.flexible { self.compact_length() } else { length(self.i32()?) }
    }

    fn compact_length(&mut self) -> Result<Option<usize>, RecordError> {
        let value = self.varint()?;
        value.checked_sub(1).map(|length| usize::try_from(length).map_err(|_| RecordError::Truncated)).transpose()
    }

    fn varint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RecordError::Truncated)
    }
}

fn length(value: i32) -> Result<Option<usize>, RecordError> {
    match value {
        -1 => Ok(None),
        _ => usize::try_from(value).map(Some).map_err(|_| RecordError::Truncated),
    }
}
