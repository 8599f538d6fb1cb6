//! Packs a batch anew where the topic's `compression.type` is not the producer's, as a stream: neither what the batch
//! expands to nor more than `max.message.bytes` of the result is ever held.

use std::io::ErrorKind;

use ottla_records::{
    BatchHeader, Compression, Error as BatchError, HEADER_LEN, Limits, Packer, RecordReader, TimestampType, crc_start,
    crc32c,
};

use super::batch_check::CRC;
use super::{Checked, Invalid};

/// Bytes of a batch before those that its length counts, and where its attributes and maximum timestamp stand.
const LENGTH: usize = 8;
const OVERHEAD: usize = 12;
const ATTRIBUTES: usize = 21;
const MAX_TIMESTAMP: usize = 35;

/// `checked` with its records packed by `codec`; as it is if they are already. `expansion`: bytes its records may expand
/// to; `size`: bytes that the new batch may have.
pub(super) fn recompressed(
    checked: Checked,
    codec: Compression,
    expansion: u64,
    size: usize,
) -> Result<Checked, Invalid> {
    let broken = |error: BatchError| Invalid::Records(error.to_string());
    let Checked { batch, header } = &checked;
    if header.attributes.compression().map_err(broken)? == codec {
        return Ok(checked);
    }
    let too_large = || Invalid::TooLarge { size: batch.len().max(size + 1), limit: size };
    let refused = |error: BatchError| match error {
        BatchError::Decompress { source, .. } if source.kind() == ErrorKind::FileTooLarge => too_large(),
        other => broken(other),
    };
    let mut packer = Packer::new(codec, size.saturating_sub(HEADER_LEN)).map_err(|_| too_large())?;
    let limits = Limits { decompressed: expansion, ..Limits::default() };
    let mut next_offset = header.base_offset;
    let max_timestamp = RecordReader::copying(batch, limits, &mut packer)
        .and_then(|reader| {
            reader.check_all(|meta| {
                let follows = meta.offset == next_offset;
                next_offset += 1;
                if follows { Ok(()) } else { Err(BatchError::Invalid("its offsets do not follow one another")) }
            })
        })
        .map_err(refused)?;
    let packed = packer.finish().map_err(|_| too_large())?;

    let mut anew = Vec::with_capacity(HEADER_LEN + packed.len());
    anew.extend_from_slice(&batch[..HEADER_LEN]);
    anew.extend_from_slice(&packed);
    let length = (anew.len() - OVERHEAD) as i32;
    anew[LENGTH..OVERHEAD].copy_from_slice(&length.to_be_bytes());
    anew[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&header.attributes.with_compression(codec).0.to_be_bytes());
    if header.attributes.timestamp_type() == TimestampType::CreateTime {
        anew[MAX_TIMESTAMP..MAX_TIMESTAMP + 8].copy_from_slice(&max_timestamp.to_be_bytes());
    }
    let crc = crc32c(&anew[crc_start()..]);
    anew[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
    let header = BatchHeader::parse(&anew).map_err(broken)?;
    Ok(Checked { batch: anew.into(), header })
}
