//! Record batches as a producer may send them: whatever the bytes claim, reading them ends, within limits. The checksum
//! is not demanded, so that the records behind it are reached.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_records::{Limits, RecordReader, batches, verify_crc};

const LIMITS: Limits = Limits { decompressed: 1 << 20, record: 1 << 16 };

fuzz_target!(|bytes: &[u8]| {
    for batch in batches(bytes) {
        let Ok(batch) = batch else { return };
        let _ = verify_crc(batch.bytes);
        read(batch.bytes);
    }
    read(bytes);
});

fn read(batch: &[u8]) {
    let Ok(mut records) = RecordReader::new(batch, LIMITS) else { return };
    while let Ok(Some(record)) = records.next_record() {
        let size = record.key.map_or(0, |key| key.len()) + record.value.map_or(0, |value| value.len());
        assert!(size <= LIMITS.record);
    }
}
