//! Builds a record batch from records: for clients, for the broker's own topics and for tests.

use bytes::Bytes;

use crate::header::{Attributes, BatchHeader, HEADER_LEN};
use crate::{Compression, varint};

/// A record header: key and value; keys may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The key, UTF-8 by convention.
    pub key: &'a [u8],
    /// The value, or null.
    pub value: Option<&'a [u8]>,
}

/// What an idempotent producer stamps its batches with (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// The producer id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence number of the first record.
    pub base_sequence: i32,
}

/// Collects records and packs them into one batch.
#[derive(Debug)]
pub struct BatchBuilder {
    codec: Compression,
    attributes: Attributes,
    producer: Option<ProducerStamp>,
    records: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// An empty batch whose records will be packed with `codec`.
    pub fn new(codec: Compression) -> Self {
        Self {
            codec,
            attributes: Attributes::default(),
            producer: None,
            records: Vec::new(),
            count: 0,
            base_timestamp: -1,
            max_timestamp: -1,
        }
    }

    /// Stamps the batch with an idempotent producer's identity.
    #[must_use]
    pub fn with_producer(mut self, stamp: ProducerStamp) -> Self {
        self.producer = Some(stamp);
        self
    }

    /// Sets attribute bits (transactional, control); the codec's bits are set by the builder.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Appends a record stamped `timestamp` (milliseconds).
    pub fn append(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp - self.base_timestamp;
        let offset_delta = i64::from(self.count);
        let length = 1
            + varint::len(timestamp_delta)
            + varint::len(offset_delta)
            + blob_len(key)
            + blob_len(value)
            + varint::len(headers.len() as i64)
            + headers.iter().map(|h| blob_len(Some(h.key)) + blob_len(h.value)).sum::<usize>();
        let out = &mut self.records;
        varint::put(out, length as i64);
        out.push(0);
        varint::put(out, timestamp_delta);
        varint::put(out, offset_delta);
        put_blob(out, key);
        put_blob(out, value);
        varint::put(out, headers.len() as i64);
        for header in headers {
            put_blob(out, Some(header.key));
            put_blob(out, header.value);
        }
        self.count += 1;
    }

    /// How many records there are so far.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch before compression.
    pub fn size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// Packs the batch. Offsets begin at `base_offset`; a broker that appends it assigns its own.
    pub fn build(&self, base_offset: i64) -> Bytes {
        let packed = self.codec.compress(&self.records).expect("writing to memory cannot fail");
        let stamp = self.producer.unwrap_or(ProducerStamp { id: -1, epoch: -1, base_sequence: -1 });
        let header = BatchHeader {
            base_offset,
            batch_length: 0,
            leader_epoch: -1,
            crc: 0,
            attributes: self.attributes.with_compression(self.codec),
            last_offset_delta: (self.count - 1).max(0),
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: stamp.id,
            producer_epoch: stamp.epoch,
            base_sequence: stamp.base_sequence,
            record_count: self.count,
        };
        header.with_payload(&packed).into()
    }
}

fn blob_len(blob: Option<&[u8]>) -> usize {
    blob.map_or(1, |bytes| varint::len(bytes.len() as i64) + bytes.len())
}

fn put_blob(out: &mut Vec<u8>, blob: Option<&[u8]>) {
    match blob {
        None => varint::put(out, -1),
        Some(bytes) => {
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
