//! Packs a batch anew where the topic's `compression.type` is not the producer's. Reads within a bound and holds one
//! batch unpacked at a time.

use ottla_records::{Attributes, BatchBuilder, BatchHeader, Compression, Header, Limits, ProducerStamp, RecordReader};

use super::{Checked, Invalid};

/// `checked` with its records packed by `codec`; as it is if they are already. `limit`: bytes it may expand to.
pub(super) fn recompressed(checked: Checked, codec: Compression, limit: u64) -> Result<Checked, Invalid> {
    let broken = |error: ottla_records::Error| Invalid::Records(error.to_string());
    let Checked { batch, header } = &checked;
    if header.attributes.compression().map_err(broken)? == codec {
        return Ok(checked);
    }
    let limits = Limits { decompressed: limit, ..Limits::default() };
    let mut reader = RecordReader::new(batch, limits).map_err(broken)?;
    let mut builder =
        BatchBuilder::new(codec).with_attributes(Attributes(header.attributes.0)).with_producer(ProducerStamp {
            id: header.producer_id,
            epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
        });
    while let Some(record) = reader.next_record().map_err(broken)? {
        let headers: Vec<Header<'_>> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        builder.append(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
    }
    let batch = builder.build(0);
    let header = BatchHeader::parse(&batch).map_err(broken)?;
    if header.record_count != checked.header.record_count {
        return Err(Invalid::Records("the record count does not fit the records".to_owned()));
    }
    Ok(Checked { batch, header })
}
