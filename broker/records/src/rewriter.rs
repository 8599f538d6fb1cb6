//! Packs a part of a batch's records again, as the log cleaner leaves them: offsets, producer, sequences, leader epoch and
//! codec stay those of the batch, so that whoever knew the batch knows it still (KIP-534).

use std::io::{self, Write};

use crate::reader::RawRecord;
use crate::{BatchHeader, Error, HEADER_LEN, Packer, TimestampType, varint};

/// A batch with fewer records than it had, or with a delete horizon that it had not.
pub struct BatchRewriter {
    header: BatchHeader,
    packer: Packer,
    record: Vec<u8>,
    count: i32,
}

impl BatchRewriter {
    /// Begins with none of the records of the batch under `header`. A `delete_horizon` in milliseconds, from which on
    /// its tombstones or its marker may go, stands in for the base timestamp.
    pub fn new(header: &BatchHeader, delete_horizon: Option<i64>) -> Result<Self, Error> {
        let codec = header.attributes.compression()?;
        let limit = i32::MAX as usize - HEADER_LEN;
        let packer = Packer::new(codec, limit).map_err(|source| Error::Compress { codec, source })?;
        let mut header = *header;
        if header.attributes.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp = -1;
        }
        if let Some(horizon) = delete_horizon {
            header.attributes = header.attributes.with_delete_horizon();
            header.base_timestamp = horizon;
        }
        Ok(Self { header, packer, record: Vec::new(), count: 0 })
    }

    /// Keeps a record of the batch; they come in order.
    pub fn push(&mut self, record: &RawRecord<'_>) -> Result<(), Error> {
        let header = &mut self.header;
        if self.count == 0 && !header.attributes.has_delete_horizon() {
            header.base_timestamp = record.timestamp;
        }
        header.max_timestamp = header.max_timestamp.max(record.timestamp);
        let timestamp_delta = record.timestamp.wrapping_sub(header.base_timestamp);
        let offset_delta = record.offset - header.base_offset;
        let length = 1 + varint::len(timestamp_delta) + varint::len(offset_delta) + record.body.len();
        self.record.clear();
        varint::put(&mut self.record, length as i64);
        self.record.push(0);
        varint::put(&mut self.record, timestamp_delta);
        varint::put(&mut self.record, offset_delta);
        let mut write = || -> io::Result<()> {
            self.packer.write_all(&self.record)?;
            self.packer.write_all(record.body)
        };
        write().map_err(|source| compress(&self.header, source))?;
        self.count += 1;
        Ok(())
    }

    /// The whole batch.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        let Self { mut header, packer, count, .. } = self;
        header.record_count = count;
        let packed = packer.finish().map_err(|source| compress(&header, source))?;
        Ok(header.with_payload(&packed))
    }
}

fn compress(header: &BatchHeader, source: io::Error) -> Error {
    let codec = header.attributes.compression().unwrap_or_default();
    Error::Compress { codec, source }
}

/// The batch under `header` without records: what stays of the last batch of a producer that is still active, for its
/// epoch and its sequence.
pub fn emptied(header: &BatchHeader) -> Vec<u8> {
    let attributes = header.attributes.with_compression(crate::Compression::None).without_delete_horizon();
    BatchHeader { attributes, base_timestamp: header.max_timestamp, record_count: 0, ..*header }.with_payload(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attributes, BatchBuilder, Compression, Header, Limits, ProducerStamp, Record, RecordReader, verify_crc,
    };

    fn original(codec: Compression) -> Vec<u8> {
        let stamp = ProducerStamp { id: 7, epoch: 2, base_sequence: 30 };
        let attributes = Attributes::default().transactional();
        let mut builder = BatchBuilder::new(codec).with_producer(stamp).with_attributes(attributes);
        let twice = [Header { key: b"h", value: Some(b"1") }, Header { key: b"h", value: None }];
        builder.append(1_000, Some(b"a"), Some(b"first"), &[]);
        builder.append(5_000, Some(b"b"), None, &twice);
        builder.append(3_000, None, Some(b"third"), &twice);
        let mut batch = builder.build(40).to_vec();
        crate::set_leader_epoch(&mut batch, 9);
        batch
    }

    fn records(batch: &[u8]) -> Vec<Record> {
        let mut reader = RecordReader::new(batch, Limits::default()).unwrap();
        std::iter::from_fn(|| reader.next_record().unwrap()).collect()
    }

    fn keep(batch: &[u8], horizon: Option<i64>, which: impl Fn(&RawRecord<'_>) -> bool) -> Vec<u8> {
        let header = BatchHeader::parse(batch).unwrap();
        let mut rewriter = BatchRewriter::new(&header, horizon).unwrap();
        let mut reader = RecordReader::new(batch, Limits::default()).unwrap();
        let mut buffer = Vec::new();
        while let Some(record) = reader.next_raw(&mut buffer).unwrap() {
            if which(&record) {
                rewriter.push(&record).unwrap();
            }
        }
        rewriter.finish().unwrap()
    }

    #[test]
    fn what_is_kept_is_as_it_was_and_so_is_what_the_batch_says_of_itself() {
        for codec in Compression::ALL {
            let batch = original(codec);
            let kept = keep(&batch, None, |record| record.key != Some(b"a"));
            verify_crc(&kept).unwrap();
            assert_eq!(records(&kept), records(&batch)[1..], "{codec:?}");
            let before = BatchHeader::parse(&batch).unwrap();
            let after = BatchHeader::parse(&kept).unwrap();
            let expected = BatchHeader {
                batch_length: after.batch_length,
                crc: after.crc,
                base_timestamp: 5_000,
                record_count: 2,
                ..before
            };
            assert_eq!((after, after.max_timestamp), (expected, 5_000), "{codec:?}");
        }
    }

    #[test]
    fn a_delete_horizon_stands_in_for_the_base_timestamp_and_survives_the_next_rewrite() {
        let kept = keep(&original(Compression::Lz4), Some(99_000), |record| record.is_tombstone());
        verify_crc(&kept).unwrap();
        assert_eq!(records(&kept), records(&original(Compression::Lz4))[1..2]);
        let again = keep(&kept, None, |_| true);
        assert_eq!(records(&again), records(&kept));
        let header = BatchHeader::parse(&again).unwrap();
        assert_eq!((header.delete_horizon(), header.max_timestamp), (Some(99_000), 5_000));
        assert_eq!(BatchHeader::parse(&original(Compression::None)).unwrap().delete_horizon(), None);
    }

    #[test]
    fn where_the_broker_stamps_the_stamp_stays() {
        let mut batch = original(Compression::None);
        crate::set_log_append_time(&mut batch, 77_000);
        let kept = keep(&batch, None, |record| record.key == Some(b"a"));
        assert_eq!(records(&kept), records(&batch)[..1]);
        assert_eq!(BatchHeader::parse(&kept).unwrap().max_timestamp, 77_000);
    }

    #[test]
    fn an_emptied_batch_keeps_offsets_producer_and_sequence() {
        let horizon = keep(&original(Compression::Zstd), Some(99_000), |_| true);
        let before = BatchHeader::parse(&horizon).unwrap();
        let emptied = emptied(&before);
        verify_crc(&emptied).unwrap();
        assert_eq!((emptied.len(), records(&emptied)), (HEADER_LEN, Vec::new()));
        let after = BatchHeader::parse(&emptied).unwrap();
        assert_eq!((after.base_offset, after.next_offset(), after.last_sequence()), (40, 43, 32));
        assert_eq!((after.producer_id, after.producer_epoch, after.leader_epoch), (7, 2, 9));
        assert!(after.attributes.is_transactional() && after.delete_horizon().is_none());
        assert_eq!((after.base_timestamp, after.max_timestamp), (5_000, 5_000));
    }

    #[test]
    fn a_record_cut_short_is_no_record() {
        let batch = original(Compression::None);
        let mut header = BatchHeader::parse(&batch).unwrap();
        header.record_count = 4;
        let longer = header.with_payload(&batch[HEADER_LEN..]);
        let mut reader = RecordReader::new(&longer, Limits::default()).unwrap();
        let mut buffer = Vec::new();
        for _ in 0..3 {
            reader.next_raw(&mut buffer).unwrap().unwrap();
        }
        assert!(reader.next_raw(&mut buffer).is_err());
        let small = Limits { record: 8, ..Limits::default() };
        let mut reader = RecordReader::new(&batch, small).unwrap();
        assert!(matches!(reader.next_raw(&mut buffer), Err(Error::TooLarge { limit: 8 })));
    }
}
