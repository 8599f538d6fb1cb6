//! Records as their bytes lie in a batch, for whoever keeps some of them and drops the others.

use std::io::Read;

use super::RecordReader;
use crate::{Error, varint};

/// A record of which only the key has been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// Absolute offset.
    pub offset: i64,
    /// Timestamp in milliseconds; the batch's, where the broker stamps.
    pub timestamp: i64,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// Whether there is a value; a record with a key and without one is a tombstone.
    pub has_value: bool,
    /// Key, value and headers as they are encoded.
    pub(crate) body: &'a [u8],
}

impl<'a> RawRecord<'a> {
    fn parse(offset: i64, timestamp: i64, body: &'a [u8]) -> Result<Self, Error> {
        let mut rest = body;
        let key = blob(&mut rest)?;
        let has_value = blob(&mut rest)?.is_some();
        Ok(Self { offset, timestamp, key, has_value, body })
    }

    /// Whether it deletes its key.
    pub fn is_tombstone(&self) -> bool {
        self.key.is_some() && !self.has_value
    }
}

/// Takes a nullable length and as many bytes from the front of `rest`.
fn blob<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Error> {
    const INVALID: Error = Error::Invalid("a field is longer than its record");
    let len = varint::take(rest).ok_or(INVALID)?;
    if len < 0 {
        return Ok(None);
    }
    let (bytes, behind) = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len)).ok_or(INVALID)?;
    *rest = behind;
    Ok(Some(bytes))
}

impl RecordReader<'_> {
    /// The next record, whose bytes are put into `buffer`. `None` after the last one.
    pub fn next_raw<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<Option<RawRecord<'b>>, Error> {
        let Some((offset, timestamp)) = self.begin()? else { return Ok(None) };
        let len = self.end_of_record - self.consumed;
        if len > self.limits.record as u64 {
            return Err(Error::TooLarge { limit: self.limits.record as u64 });
        }
        buffer.clear();
        // Grows as bytes arrive: a truncated stream never costs what it claims.
        match (&mut self.source).take(len).read_to_end(buffer) {
            Ok(count) if count as u64 == len => self.consumed += len,
            Ok(_) => return Err(Error::Invalid("its records are cut short")),
            Err(source) => return Err(Error::Decompress { codec: self.codec, source }),
        }
        RawRecord::parse(offset, timestamp, buffer).map(Some)
    }
}
