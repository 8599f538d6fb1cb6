//! The control batch that ends a transaction in a partition (KIP-98): one record, whose key says commit or abort.

use bytes::Bytes;

use crate::{Attributes, BatchBuilder, Compression, Error, Limits, ProducerStamp, RecordReader};

const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Committed, or aborted.
    pub commit: bool,
    /// Epoch of the coordinator that ended it: of the leader of its partition of `__transaction_state`.
    pub coordinator_epoch: i32,
}

impl Marker {
    /// The marker in the control batch `batch`, whose checksum the caller has checked; none if it is a control batch of
    /// another kind, or one that the log cleaner has emptied.
    pub fn read(batch: &[u8]) -> Result<Option<Self>, Error> {
        const INVALID: Error = Error::Invalid("its control record is no transaction marker");
        let limits = Limits { decompressed: 1024, record: 1024 };
        let Some(record) = RecordReader::new(batch, limits)?.next_record()? else { return Ok(None) };
        let kind = record.key.as_deref().and_then(|key| key.get(2..4)).ok_or(INVALID)?;
        let commit = match i16::from_be_bytes([kind[0], kind[1]]) {
            ABORT => false,
            COMMIT => true,
            _ => return Ok(None),
        };
        let epoch = record.value.as_deref().and_then(|value| value.get(2..6)).ok_or(INVALID)?;
        Ok(Some(Self { commit, coordinator_epoch: i32::from_be_bytes([epoch[0], epoch[1], epoch[2], epoch[3]]) }))
    }

    /// The control batch of this marker for the producer `id` in `epoch`, stamped `timestamp` (milliseconds).
    pub fn batch(self, id: i64, epoch: i16, timestamp: i64) -> Bytes {
        let attributes = Attributes::default().transactional().control();
        let stamp = ProducerStamp { id, epoch, base_sequence: -1 };
        let mut batch = BatchBuilder::new(Compression::None).with_producer(stamp).with_attributes(attributes);
        let kind = if self.commit { COMMIT } else { ABORT };
        // Both parts begin with the version 0 of their format.
        let key = [[0, 0], kind.to_be_bytes()].concat();
        let value = [&[0, 0], &self.coordinator_epoch.to_be_bytes()[..]].concat();
        batch.append(timestamp, Some(&key), Some(&value), &[]);
        batch.build(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BatchHeader;

    #[test]
    fn a_marker_is_read_back_from_its_batch() {
        for commit in [true, false] {
            let marker = Marker { commit, coordinator_epoch: 5 };
            let batch = marker.batch(77, 3, 1000);
            let header = BatchHeader::parse(&batch).unwrap();
            assert!(header.attributes.is_control() && header.attributes.is_transactional());
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (77, 3, -1));
            assert_eq!(Marker::read(&batch).unwrap(), Some(marker));
        }
    }

    #[test]
    fn other_control_records_are_no_markers_and_broken_ones_an_error() {
        let control = |key: &[u8], value: &[u8]| {
            let attributes = Attributes::default().control();
            let mut batch = BatchBuilder::new(Compression::None).with_attributes(attributes);
            batch.append(0, Some(key), Some(value), &[]);
            Marker::read(&batch.build(0))
        };
        assert!(matches!(control(&[0, 0, 0, 2], &[]), Ok(None)));
        let emptied =
            crate::emptied(&BatchHeader::parse(&Marker { commit: true, coordinator_epoch: 5 }.batch(7, 3, 0)).unwrap());
        assert!(matches!(Marker::read(&emptied), Ok(None)));
        for (key, value) in [(&[0, 0][..], &[0; 6][..]), (&[0, 0, 0, 1], &[0, 0, 1])] {
            assert!(control(key, value).is_err());
        }
    }
}
