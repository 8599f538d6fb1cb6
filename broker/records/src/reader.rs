//! Reads the records of one batch as a stream, within limits, whatever the batch claims.

mod raw;

use std::io::{self, BufReader, Read, Write};

pub use raw::RawRecord;

use crate::{BatchHeader, Compression, Error, HEADER_LEN, TimestampType, varint};

/// How much one batch may make its reader hold or do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that the records may expand to, over the whole batch.
    pub decompressed: u64,
    /// Bytes of one record that are kept in memory by [`RecordReader::next_record`].
    pub record: usize,
}

impl Default for Limits {
    /// 128 MiB of records, a single one up to 64 MiB.
    fn default() -> Self {
        Self { decompressed: 128 << 20, record: 64 << 20 }
    }
}

/// Where a record stands and how large its parts are, without their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// Absolute offset.
    pub offset: i64,
    /// Timestamp in milliseconds; the batch's, where the broker stamps.
    pub timestamp: i64,
    /// Bytes of the key; `None` when it is null.
    pub key_len: Option<usize>,
}

/// A record with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Absolute offset.
    pub offset: i64,
    /// Timestamp in milliseconds; the batch's, where the broker stamps.
    pub timestamp: i64,
    /// The key, or null.
    pub key: Option<Vec<u8>>,
    /// The value, or null.
    pub value: Option<Vec<u8>>,
    /// Headers in order; keys may repeat.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// A streaming decoder of one batch's records.
pub struct RecordReader<'a> {
    header: BatchHeader,
    codec: Compression,
    source: BufReader<Box<dyn Read + 'a>>,
    limits: Limits,
    consumed: u64,
    left: i32,
    end_of_record: u64,
}

impl<'a> RecordReader<'a> {
    /// Reads the records of `batch`, one whole batch whose checksum the caller has checked.
    pub fn new(batch: &'a [u8], limits: Limits) -> Result<Self, Error> {
        let header = BatchHeader::parse(batch)?;
        let Some(payload) = batch.get(HEADER_LEN..header.total_len()) else {
            return Err(Error::Incomplete { needed: header.total_len(), available: batch.len() });
        };
        let codec = header.attributes.compression()?;
        let source = codec.reader(payload).map_err(|source| Error::Decompress { codec, source })?;
        Ok(Self {
            header,
            codec,
            source: BufReader::new(source),
            limits,
            consumed: 0,
            left: header.record_count,
            end_of_record: 0,
        })
    }

    /// The same, which also writes all that it unpacks to `copy`.
    pub fn copying(batch: &'a [u8], limits: Limits, copy: impl Write + 'a) -> Result<Self, Error> {
        let mut reader = Self::new(batch, limits)?;
        // Nothing has been read yet, so nothing that is buffered is lost.
        let source = std::mem::replace(&mut reader.source, BufReader::new(Box::new(io::empty())));
        reader.source = BufReader::new(Box::new(Copying { source: source.into_inner(), copy }));
        Ok(reader)
    }

    /// The next record's place and sizes; its bytes are passed over. `None` after the last one.
    pub fn next_meta(&mut self) -> Result<Option<RecordMeta>, Error> {
        let Some((offset, timestamp)) = self.begin()? else { return Ok(None) };
        let key_len = self.blob_len()?;
        let rest = self.end_of_record - self.consumed;
        self.skip(rest)?;
        Ok(Some(RecordMeta { offset, timestamp, key_len }))
    }

    /// The next record with its bytes. `None` after the last one.
    pub fn next_record(&mut self) -> Result<Option<Record>, Error> {
        let Some((offset, timestamp)) = self.begin()? else { return Ok(None) };
        if self.end_of_record - self.consumed > self.limits.record as u64 {
            return Err(Error::TooLarge { limit: self.limits.record as u64 });
        }
        let key = self.blob()?;
        let value = self.blob()?;
        let header_count = self.varint()?;
        // Each header takes at least two bytes, so the count is bounded by the record before it is believed.
        if header_count < 0 || header_count as u64 > (self.end_of_record - self.consumed) / 2 {
            return Err(Error::Invalid("its header count is impossible"));
        }
        let mut headers = Vec::new();
        for _ in 0..header_count {
            let key = self.blob()?.ok_or(Error::Invalid("a record header has no key"))?;
            headers.push((key, self.blob()?));
        }
        if self.consumed != self.end_of_record {
            return Err(Error::Invalid("a record's length does not match its fields"));
        }
        Ok(Some(Record { offset, timestamp, key, value, headers }))
    }

    /// Reads all records to the end and checks that the count and the last offset are as the header says.
    /// Returns the metas' maximum timestamp, or −1 for no records.
    pub fn check_all(mut self, mut each: impl FnMut(RecordMeta) -> Result<(), Error>) -> Result<i64, Error> {
        let mut max_timestamp = -1;
        while let Some(meta) = self.next_meta()? {
            max_timestamp = max_timestamp.max(meta.timestamp);
            each(meta)?;
        }
        let mut probe = [0u8];
        match self.source.read(&mut probe) {
            Ok(0) => Ok(max_timestamp),
            Ok(_) => Err(Error::Invalid("bytes follow its last record")),
            Err(source) => Err(Error::Decompress { codec: self.codec, source }),
        }
    }

    fn begin(&mut self) -> Result<Option<(i64, i64)>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.end_of_record = u64::MAX;
        let length = self.varint()?;
        if length < 6 {
            return Err(Error::Invalid("a record's length is less than its fields"));
        }
        self.end_of_record = self.consumed.saturating_add(length as u64);
        if self.end_of_record > self.limits.decompressed {
            return Err(Error::TooLarge { limit: self.limits.decompressed });
        }
        self.byte()?; // attributes: unused
        let timestamp_delta = self.varint()?;
        let offset_delta = self.varint()?;
        if offset_delta < 0 || offset_delta > i64::from(self.header.last_offset_delta) {
            return Err(Error::Invalid("a record's offset lies outside the batch"));
        }
        let timestamp = match self.header.attributes.timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp,
            TimestampType::CreateTime => self.header.base_timestamp.saturating_add(timestamp_delta),
        };
        Ok(Some((self.header.base_offset.saturating_add(offset_delta), timestamp)))
    }

    fn blob_len(&mut self) -> Result<Option<usize>, Error> {
        let len = self.varint()?;
        if len < 0 {
            return Ok(None);
        }
        if len as u64 > self.end_of_record - self.consumed {
            return Err(Error::Invalid("a field is longer than its record"));
        }
        Ok(Some(len as usize))
    }

    fn blob(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(len) = self.blob_len()? else { return Ok(None) };
        let mut out = Vec::new();
        // Grows as bytes arrive: a truncated stream never costs what it claims.
        let read = (&mut self.source).take(len as u64).read_to_end(&mut out);
        match read {
            Ok(count) if count == len => {
                self.consumed += len as u64;
                Ok(Some(out))
            }
            Ok(_) => Err(Error::Invalid("its records are cut short")),
            Err(source) => Err(Error::Decompress { codec: self.codec, source }),
        }
    }

    fn skip(&mut self, count: u64) -> Result<(), Error> {
        match io::copy(&mut (&mut self.source).take(count), &mut io::sink()) {
            Ok(skipped) if skipped == count => {
                self.consumed += count;
                Ok(())
            }
            Ok(_) => Err(Error::Invalid("its records are cut short")),
            Err(source) => Err(Error::Decompress { codec: self.codec, source }),
        }
    }

    fn varint(&mut self) -> Result<i64, Error> {
        let mut raw = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(varint::unzigzag(raw));
            }
        }
        Err(Error::Invalid("a variable-length integer has no end"))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        if self.consumed >= self.end_of_record {
            return Err(Error::Invalid("a record's length does not match its fields"));
        }
        let mut byte = [0u8];
        match self.source.read_exact(&mut byte) {
            Ok(()) => {
                self.consumed += 1;
                Ok(byte[0])
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(Error::Invalid("its records are cut short")),
            Err(source) => Err(Error::Decompress { codec: self.codec, source }),
        }
    }
}

/// Writes what is read from `source` to `copy`.
struct Copying<R, W> {
    source: R,
    copy: W,
}

impl<R: Read, W: Write> Read for Copying<R, W> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        self.copy.write_all(&out[..count])?;
        Ok(count)
    }
}
