//! Kafka record batches of message format v2 (magic 2, KIP-98), as bytes.
//!
//! For the log: [`BatchHeader`], [`verify_crc`], [`Crc`], the setters of base offset and leader epoch, [`batches`].
//! For whoever must look inside: [`RecordReader`], a bounded streaming decoder; for who writes: [`BatchBuilder`], and [`BatchRewriter`] for
//! who keeps only a part.
//!
//! This crate must not allocate what the wire claims: every length is checked against the bytes that are there, and
//! decompression is streamed under [`Limits`].

mod batches;
mod builder;
mod compression;
mod crc;
mod header;
mod marker;
mod packer;
mod reader;
mod rewriter;
mod varint;

pub use batches::{Batch, Batches, batches};
pub use builder::{BatchBuilder, Header, ProducerStamp};
pub use compression::Compression;
pub use crc::{Crc, crc32c};
pub use header::{
    Attributes, BATCH_OVERHEAD, BatchHeader, HEADER_LEN, TimestampType, crc_start, set_base_offset, set_leader_epoch,
    set_log_append_time, verify_crc,
};
pub use marker::Marker;
pub use packer::Packer;
pub use reader::{Limits, RawRecord, Record, RecordMeta, RecordReader};
pub use rewriter::{BatchRewriter, emptied};

/// Why bytes are not a valid record batch.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than the header or the batch needs; more may still come.
    #[error("record batch is cut short: {needed} bytes needed, {available} available")]
    Incomplete {
        /// Bytes that the header, or the length in it, asks for.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// A message format other than v2; formats 0 and 1 are no longer written (KIP-724).
    #[error("unsupported message format (magic {0}): only record batches of magic 2 are taken")]
    UnsupportedMagic(i8),
    /// The checksum in the header is not that of the bytes.
    #[error("record batch is corrupt: crc is {actual:#010x}, header says {expected:#010x}")]
    Crc {
        /// What the header says.
        expected: u32,
        /// What the bytes give.
        actual: u32,
    },
    /// A field contradicts the format.
    #[error("invalid record batch: {0}")]
    Invalid(&'static str),
    /// The compression id is none of Kafka's.
    #[error("unknown compression type {0}")]
    UnknownCompression(u8),
    /// The compressed stream is broken.
    #[error("cannot decompress {codec:?} records: {source}")]
    Decompress {
        /// The codec of the batch.
        codec: Compression,
        /// What its decoder says.
        source: std::io::Error,
    },
    /// The codec cannot pack records again.
    #[error("cannot pack records with {codec:?}: {source}")]
    Compress {
        /// The codec of the batch.
        codec: Compression,
        /// What its encoder says.
        source: std::io::Error,
    },
    /// The records expand beyond what this broker decompresses for one batch.
    #[error("records expand beyond the limit of {limit} bytes")]
    TooLarge {
        /// The limit that was met.
        limit: u64,
    },
}
