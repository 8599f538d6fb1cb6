//! The 61-byte header of a v2 record batch: parsing, checking, and the few fields a broker rewrites.
//!
//! Must not look at the records behind the header.

use bytes::BufMut;

use crate::{Compression, Error, crc32c};

/// Bytes of the batch header, base offset and length included.
pub const HEADER_LEN: usize = 61;
/// Bytes before the part that the `batch_length` field counts: base offset and the length itself.
pub const BATCH_OVERHEAD: usize = 12;

const MAGIC: usize = 16;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const MAX_TIMESTAMP: usize = 35;

/// Where the bytes begin that the checksum covers; base offset and leader epoch lie before it.
pub const fn crc_start() -> usize {
    ATTRIBUTES
}

/// The attribute bits of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

/// Who stamps the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer.
    CreateTime,
    /// The broker, at the append.
    LogAppendTime,
}

impl Attributes {
    const TIMESTAMP_TYPE: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// The codec of the records.
    pub fn compression(self) -> Result<Compression, Error> {
        Compression::from_id((self.0 & 0b111) as u8)
    }

    /// Who stamped the records.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::TIMESTAMP_TYPE == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Part of a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// A transaction marker, written by brokers only.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// The base timestamp holds the delete horizon that the log cleaner has set (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// These attributes with the bit set that makes the base timestamp a delete horizon (KIP-534).
    #[must_use]
    pub fn with_delete_horizon(self) -> Self {
        Self(self.0 | Self::DELETE_HORIZON)
    }

    /// These attributes without that bit.
    #[must_use]
    pub fn without_delete_horizon(self) -> Self {
        Self(self.0 & !Self::DELETE_HORIZON)
    }

    /// These attributes with the given codec.
    #[must_use]
    pub fn with_compression(self, codec: Compression) -> Self {
        Self(self.0 & !0b111 | i16::from(codec.id()))
    }

    /// These attributes with the transactional bit set.
    #[must_use]
    pub fn transactional(self) -> Self {
        Self(self.0 | Self::TRANSACTIONAL)
    }

    /// These attributes with the control bit set.
    #[must_use]
    pub fn control(self) -> Self {
        Self(self.0 | Self::CONTROL)
    }
}

/// The fields of a batch header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes after this field: the whole batch less [`BATCH_OVERHEAD`].
    pub batch_length: i32,
    /// Leader epoch under which the batch was appended; −1 from producers.
    pub leader_epoch: i32,
    /// CRC-32C of everything from the attributes to the end.
    pub crc: u32,
    /// Codec, timestamp type and kind of the batch.
    pub attributes: Attributes,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// Timestamp of the first record, in milliseconds, or the delete horizon.
    pub base_timestamp: i64,
    /// Largest timestamp of the batch, in milliseconds.
    pub max_timestamp: i64,
    /// Producer id, or −1.
    pub producer_id: i64,
    /// Producer epoch, or −1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or −1.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Decodes the header at the start of `bytes`. Checks magic and lengths against the format, not against the bytes
    /// behind the header: a streamed batch need not be there yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        // The magic byte lies at the same place in every format, so an old one is named before it is measured.
        if let Some(&magic) = bytes.get(MAGIC)
            && magic != 2
        {
            return Err(Error::UnsupportedMagic(magic as i8));
        }
        let Some(h) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(Error::Incomplete { needed: HEADER_LEN, available: bytes.len() });
        };
        let header = Self {
            base_offset: i64::from_be_bytes(field(h, 0)),
            batch_length: i32::from_be_bytes(field(h, 8)),
            leader_epoch: i32::from_be_bytes(field(h, 12)),
            crc: u32::from_be_bytes(field(h, CRC)),
            attributes: Attributes(i16::from_be_bytes(field(h, ATTRIBUTES))),
            last_offset_delta: i32::from_be_bytes(field(h, 23)),
            base_timestamp: i64::from_be_bytes(field(h, 27)),
            max_timestamp: i64::from_be_bytes(field(h, MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(field(h, 43)),
            producer_epoch: i16::from_be_bytes(field(h, 51)),
            base_sequence: i32::from_be_bytes(field(h, 53)),
            record_count: i32::from_be_bytes(field(h, 57)),
        };
        if (header.batch_length as i64) < (HEADER_LEN - BATCH_OVERHEAD) as i64 {
            return Err(Error::Invalid("its length is less than its header"));
        }
        if header.last_offset_delta < 0 || header.record_count < 0 {
            return Err(Error::Invalid("its record count or last offset delta is negative"));
        }
        Ok(header)
    }

    /// A whole batch with this header before `payload`; length and checksum are those of the batch, not of `self`.
    pub fn with_payload(&self, payload: &[u8]) -> Vec<u8> {
        let mut batch = Vec::with_capacity(HEADER_LEN + payload.len());
        batch.put_i64(self.base_offset);
        // A batch is never longer than its length field can say: what is written comes from limits far below.
        batch.put_i32((HEADER_LEN - BATCH_OVERHEAD + payload.len()) as i32);
        batch.put_i32(self.leader_epoch);
        batch.put_i8(2);
        batch.put_u32(0);
        batch.put_i16(self.attributes.0);
        batch.put_i32(self.last_offset_delta);
        batch.put_i64(self.base_timestamp);
        batch.put_i64(self.max_timestamp);
        batch.put_i64(self.producer_id);
        batch.put_i16(self.producer_epoch);
        batch.put_i32(self.base_sequence);
        batch.put_i32(self.record_count);
        batch.put_slice(payload);
        let crc = crc32c(&batch[crc_start()..]);
        batch[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
        batch
    }

    /// From when on, in milliseconds, the batch's tombstones or its marker may go; none if no clean has said so yet.
    pub fn delete_horizon(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Bytes of the whole batch, header included.
    pub fn total_len(&self) -> usize {
        BATCH_OVERHEAD + self.batch_length as usize
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset after the last record.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Whether an idempotent producer wrote the batch.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }

    /// Sequence number of the last record; sequences wrap from `i32::MAX` to 0. −1 without a base sequence.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        (last % (i64::from(i32::MAX) + 1)) as i32
    }
}

fn field<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[at..at + N]);
    out
}

/// Checks the checksum of one whole batch.
pub fn verify_crc(batch: &[u8]) -> Result<(), Error> {
    let header = BatchHeader::parse(batch)?;
    let Some(covered) = batch.get(crc_start()..header.total_len()) else {
        return Err(Error::Incomplete { needed: header.total_len(), available: batch.len() });
    };
    let actual = crc32c(covered);
    if actual == header.crc { Ok(()) } else { Err(Error::Crc { expected: header.crc, actual }) }
}

/// Rewrites the base offset; it lies before what the checksum covers. `batch` must hold a whole header.
pub fn set_base_offset(batch: &mut [u8], base_offset: i64) {
    batch[0..8].copy_from_slice(&base_offset.to_be_bytes());
}

/// Rewrites the partition leader epoch; it lies before what the checksum covers. `batch` must hold a whole header.
pub fn set_leader_epoch(batch: &mut [u8], leader_epoch: i32) {
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Stamps a whole batch with the broker's time: timestamp type, largest timestamp and checksum are rewritten; the
/// records keep their deltas, which readers ignore for this timestamp type.
pub fn set_log_append_time(batch: &mut [u8], timestamp: i64) {
    let attributes = i16::from_be_bytes([batch[ATTRIBUTES], batch[ATTRIBUTES + 1]]) | Attributes::TIMESTAMP_TYPE;
    batch[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP..MAX_TIMESTAMP + 8].copy_from_slice(&timestamp.to_be_bytes());
    let crc = crc32c(&batch[crc_start()..]);
    batch[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BatchBuilder;

    fn batch() -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(1_000, Some(b"key"), Some(b"value"), &[]);
        builder.append(2_000, None, Some(b"other"), &[]);
        builder.build(40).to_vec()
    }

    #[test]
    fn a_built_batch_parses_and_its_checksum_holds() {
        let bytes = batch();
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!(header.total_len(), bytes.len());
        assert_eq!((header.base_offset, header.last_offset(), header.next_offset()), (40, 41, 42));
        assert_eq!((header.base_timestamp, header.max_timestamp), (1_000, 2_000));
        verify_crc(&bytes).unwrap();
    }

    #[test]
    fn every_flipped_bit_behind_the_crc_is_noticed() {
        let bytes = batch();
        for at in CRC..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x10;
            assert!(verify_crc(&broken).is_err(), "byte {at}");
        }
    }

    #[test]
    fn offset_and_leader_epoch_are_set_without_touching_the_checksum() {
        let mut bytes = batch();
        set_base_offset(&mut bytes, 77);
        set_leader_epoch(&mut bytes, 5);
        verify_crc(&bytes).unwrap();
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!((header.base_offset, header.leader_epoch), (77, 5));
    }

    #[test]
    fn log_append_time_rewrites_type_maximum_and_checksum() {
        let mut bytes = batch();
        set_log_append_time(&mut bytes, 9_999);
        verify_crc(&bytes).unwrap();
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp, 9_999);
    }

    #[test]
    fn old_formats_are_named_and_short_input_asks_for_more() {
        let mut bytes = batch();
        bytes[MAGIC] = 1;
        assert!(matches!(BatchHeader::parse(&bytes[..20]), Err(Error::UnsupportedMagic(1))));
        assert!(matches!(BatchHeader::parse(&batch()[..60]), Err(Error::Incomplete { needed: 61, available: 60 })));
    }

    #[test]
    fn sequences_wrap_at_the_largest_integer() {
        let mut header = BatchHeader::parse(&batch()).unwrap();
        header.base_sequence = i32::MAX;
        assert_eq!(header.last_sequence(), 0);
    }
}
