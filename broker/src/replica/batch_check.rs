//! What a producer's batch must be before it is stored. Looks at no more than it has to: headers, the checksum, and how
//! the lengths of uncompressed records chain; keys only where a compacted topic asks for them.

use bytes::Bytes;
use ottla_core::Timestamp;
use ottla_records::{
    BatchHeader, Compression, Error as BatchError, HEADER_LEN, Limits, RecordReader, TimestampType, crc_start, crc32c,
};

use super::TopicSettings;
use super::recompress::recompressed;

/// Why a batch is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not exactly one batch of magic 2.
    #[error("{0}")]
    NotOneBatch(&'static str),
    /// Bytes that are no batch at all.
    #[error("{0}")]
    Corrupt(String),
    /// A checksum that does not hold.
    #[error("the record batch is corrupt: its checksum does not hold")]
    Checksum,
    /// Larger than `max.message.bytes`.
    #[error("the batch has {size} bytes, max.message.bytes is {limit}")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A codec that this version of the request, or Kafka, does not have.
    #[error("the compression type is not supported here")]
    Compression,
    /// Fields or records that contradict each other.
    #[error("{0}")]
    Records(String),
    /// Single records that the topic does not take, the first thousand of them.
    #[error("{count} records are refused", count = .0.len())]
    Keyless(Vec<RecordError>),
    /// A timestamp outside what the topic takes.
    #[error("timestamp {timestamp} is outside of [{earliest}, {latest}]")]
    Timestamp {
        /// The timestamp.
        timestamp: i64,
        /// The earliest taken.
        earliest: i64,
        /// The latest taken.
        latest: i64,
    },
    /// A batch of a transaction in a request that names no transactional id.
    #[error("the batch is part of a transaction, and the request names no transactional id")]
    WithoutTransactionalId,
}

/// A record that is refused by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Its place in the batch.
    pub index: i32,
    /// What is wrong with it.
    pub message: &'static str,
}

impl Invalid {
    /// Whether Kafka finds it when it looks into the records, and then names the log start offset in its answer.
    pub fn is_of_records(&self) -> bool {
        matches!(self, Self::Records(_) | Self::Keyless(_) | Self::Timestamp { .. })
    }
}

/// A batch that may be stored.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Exactly one batch.
    pub batch: Bytes,
    /// Its header.
    pub header: BatchHeader,
}

/// How much a batch of a compacted topic, or one to be compressed anew, may expand to, as a multiple of
/// `max.message.bytes`, and at least.
const EXPANSION: (usize, usize) = (64, 16 << 20);

/// How many refused records of a batch are told one by one; the others fail with it all the same.
const REFUSED_MAX: usize = 1000;

/// Whether [`check_batch`] has to unpack `records`, which may take long.
pub fn has_to_unpack(records: &[u8], settings: &TopicSettings) -> bool {
    let codec = BatchHeader::parse(records).and_then(|header| header.attributes.compression());
    codec.is_ok_and(|codec| {
        let is_packed = codec != Compression::None;
        let is_repacked = settings.compression.is_some_and(|own| own != codec);
        is_repacked || (is_packed && settings.log.compact)
    })
}

/// Checks what a producer wants appended. `zstd_allowed`: from version 7 of the request on.
pub fn check_batch(
    records: Bytes,
    settings: &TopicSettings,
    zstd_allowed: bool,
    now: Timestamp,
) -> Result<Checked, Invalid> {
    let header = only_batch(&records)?;
    let batch = records.slice(..header.total_len());
    let codec = check_header(&header, zstd_allowed)?;
    if batch.len() > settings.max_message_bytes {
        return Err(Invalid::TooLarge { size: batch.len(), limit: settings.max_message_bytes });
    }
    if crc32c(&batch[crc_start()..]) != header.crc {
        return Err(Invalid::Checksum);
    }
    check_fields(&header, settings, now)?;
    if settings.log.compact {
        check_keys(&batch, settings)?;
    } else if codec == Compression::None {
        check_chain(&batch[HEADER_LEN..], header.record_count)?;
    }
    let checked = normalised(batch, header, settings);
    match settings.compression {
        Some(codec) => recompressed(checked, codec, expansion_limit(settings), settings.max_message_bytes),
        None => Ok(checked),
    }
}

/// How far a batch may expand where its records have to be read.
fn expansion_limit(settings: &TopicSettings) -> u64 {
    let (factor, least) = EXPANSION;
    settings.max_message_bytes.saturating_mul(factor).max(least) as u64
}

/// The header of the one batch in `records`. Bytes behind it that cannot be a batch are ignored, as Kafka does.
fn only_batch(records: &[u8]) -> Result<BatchHeader, Invalid> {
    let header = match BatchHeader::parse(records) {
        Ok(header) => header,
        Err(BatchError::UnsupportedMagic(0 | 1)) => {
            return Err(Invalid::NotOneBatch("record batches of magic 0 and 1 are not taken"));
        }
        Err(BatchError::UnsupportedMagic(magic)) => {
            return Err(Invalid::Corrupt(format!("Invalid magic found in record: {magic}")));
        }
        Err(BatchError::Incomplete { .. }) => return Err(Invalid::NotOneBatch("there is no whole batch")),
        Err(error) => return impossible_header(records, &error),
    };
    if records.len() < header.total_len() {
        return Err(Invalid::NotOneBatch("there is no whole batch"));
    }
    let rest = &records[header.total_len()..];
    let follows = BatchHeader::parse(rest).is_ok_and(|next| next.total_len() <= rest.len());
    if follows { Err(Invalid::NotOneBatch("there is more than one batch")) } else { Ok(header) }
}

/// Tells a length that cannot be (corrupt) from counts that cannot be (an invalid record).
fn impossible_header(records: &[u8], error: &BatchError) -> Result<BatchHeader, Invalid> {
    let length = records.get(8..12).and_then(|b| b.try_into().ok()).map_or(0, i32::from_be_bytes);
    if length < (HEADER_LEN - ottla_records::BATCH_OVERHEAD) as i32 {
        return Err(Invalid::Corrupt(format!("Record size {length} is less than the minimum record overhead")));
    }
    Err(Invalid::Records(error.to_string()))
}

fn check_header(header: &BatchHeader, zstd_allowed: bool) -> Result<Compression, Invalid> {
    let codec = header.attributes.compression().map_err(|_| Invalid::Compression)?;
    if codec == Compression::Zstd && !zstd_allowed {
        return Err(Invalid::Compression);
    }
    Ok(codec)
}

fn check_fields(header: &BatchHeader, settings: &TopicSettings, now: Timestamp) -> Result<(), Invalid> {
    let refuse = |reason: &str| Err(Invalid::Records(reason.to_owned()));
    if header.attributes.is_control() {
        return refuse("clients must not write control records");
    }
    if header.base_offset != 0 {
        return refuse("the base offset of a producer's batch must be 0");
    }
    if header.record_count == 0 || header.record_count - 1 != header.last_offset_delta {
        return refuse("the record count does not fit the last offset delta");
    }
    if header.attributes.is_transactional() && !header.has_producer_id() {
        return refuse("a batch of a transaction needs a producer id");
    }
    if header.has_producer_id() && header.producer_epoch >= 0 && header.base_sequence < 0 {
        return refuse("an idempotent batch needs a sequence number");
    }
    if settings.log.timestamp_type == TimestampType::CreateTime {
        let earliest = now.0.saturating_sub(settings.timestamp_before_max);
        let latest = now.0.saturating_add(settings.timestamp_after_max);
        for timestamp in [header.base_timestamp, header.max_timestamp] {
            if timestamp != Timestamp::NONE.0 && !(earliest..=latest).contains(&timestamp) {
                return Err(Invalid::Timestamp { timestamp, earliest, latest });
            }
        }
    }
    Ok(())
}

/// Checks that the lengths of `count` uncompressed records chain to the end of the batch: a step per record, since a
/// batch that does not hold what it says would stop every consumer.
fn check_chain(mut records: &[u8], count: i32) -> Result<(), Invalid> {
    for _ in 0..count {
        let mut raw = 0u64;
        let mut shift = 0;
        let mut used = 0;
        loop {
            match records.get(used) {
                Some(byte) if shift < 35 => {
                    raw |= u64::from(byte & 0x7f) << shift;
                    used += 1;
                    shift += 7;
                    if byte & 0x80 == 0 {
                        break;
                    }
                }
                _ => return Err(Invalid::Records("a record has no length".to_owned())),
            }
        }
        // Zigzag: lengths are positive, so even on the wire.
        let length = (raw >> 1) as usize;
        if raw & 1 == 1 || length < 6 || records.len() - used < length {
            return Err(Invalid::Records("a record's length is impossible".to_owned()));
        }
        records = &records[used + length..];
    }
    if records.is_empty() { Ok(()) } else { Err(Invalid::Records("bytes follow the last record".to_owned())) }
}

/// Reads all records, within bounds, and refuses those without a key.
fn check_keys(batch: &[u8], settings: &TopicSettings) -> Result<(), Invalid> {
    const MESSAGE: &str = "Compacted topic cannot accept message without key";
    let limits = Limits { decompressed: expansion_limit(settings), ..Limits::default() };
    let broken = |error: BatchError| Invalid::Records(error.to_string());
    let mut keyless = Vec::new();
    let mut index = 0;
    RecordReader::new(batch, limits)
        .and_then(|reader| {
            reader.check_all(|meta| {
                if meta.key_len.is_none() && keyless.len() < REFUSED_MAX {
                    keyless.push(RecordError { index, message: MESSAGE });
                }
                index += 1;
                Ok(())
            })
        })
        .map_err(broken)?;
    if keyless.is_empty() { Ok(()) } else { Err(Invalid::Keyless(keyless)) }
}

const ATTRIBUTES: usize = 21;
pub(super) const CRC: usize = 17;
const TIMESTAMP_TYPE: u8 = 1 << 3;
const DELETE_HORIZON: u8 = 1 << 6;

/// Clears attribute bits that are the broker's to set: a timestamp type that the topic does not have, and a delete
/// horizon, which would turn the base timestamp into something else. No client sets them, so the copy is rare.
fn normalised(batch: Bytes, mut header: BatchHeader, settings: &TopicSettings) -> Checked {
    let mut clear = DELETE_HORIZON;
    if settings.log.timestamp_type == TimestampType::CreateTime {
        clear |= TIMESTAMP_TYPE;
    }
    if batch[ATTRIBUTES + 1] & clear == 0 {
        return Checked { batch, header };
    }
    let mut copy = batch.to_vec();
    copy[ATTRIBUTES + 1] &= !clear;
    header.attributes.0 &= !i16::from(clear);
    header.crc = crc32c(&copy[crc_start()..]);
    copy[CRC..CRC + 4].copy_from_slice(&header.crc.to_be_bytes());
    Checked { batch: copy.into(), header }
}

#[cfg(test)]
mod tests;
