//! Batches built, read back, and lied about.

use bytes::Bytes;
use ottla_records::{BatchBuilder, Compression, Error, Header, Limits, RecordReader, batches, set_base_offset};
use proptest::prelude::*;

type Plain = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn build(codec: Compression, records: &[Plain]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> = headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        builder.append(*timestamp, key.as_deref(), value.as_deref(), &headers);
    }
    builder.build(7)
}

fn read(batch: &[u8], limits: Limits) -> Result<Vec<Plain>, Error> {
    let mut reader = RecordReader::new(batch, limits)?;
    let mut out = Vec::new();
    while let Some(record) = reader.next_record()? {
        assert_eq!(record.offset, 7 + out.len() as i64);
        out.push((record.timestamp, record.key, record.value, record.headers));
    }
    Ok(out)
}

fn blob() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_come_back_as_they_were_built(
        records in proptest::collection::vec(
            (0i64..1 << 45, blob(), blob(), proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..9), blob()), 0..3)),
            1..40,
        ),
    ) {
        for codec in Compression::ALL {
            let batch = build(codec, &records);
            prop_assert_eq!(&read(&batch, Limits::default()).unwrap(), &records);
            let mut count = 0;
            let reader = RecordReader::new(&batch, Limits::default()).unwrap();
            reader.check_all(|meta| {
                assert_eq!(meta.key_len, records[count].1.as_ref().map(Vec::len));
                count += 1;
                Ok(())
            }).unwrap();
            prop_assert_eq!(count, records.len());
        }
    }

    #[test]
    fn no_input_makes_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 61..400), codec in 0u8..8) {
        bytes[16] = 2;
        let length = bytes.len() as i32 - 12;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[22] = codec;
        let _ = read_anything(&bytes);
    }
}

fn read_anything(bytes: &[u8]) -> Result<(), Error> {
    let mut reader = RecordReader::new(bytes, Limits { decompressed: 1 << 20, record: 1 << 16 })?;
    while reader.next_record()?.is_some() {}
    RecordReader::new(bytes, Limits { decompressed: 1 << 20, record: 1 << 16 })?.check_all(|_| Ok(()))?;
    Ok(())
}

#[test]
fn a_compression_bomb_stops_at_the_limit_on_every_codec() {
    for codec in Compression::ALL {
        let bomb = build(codec, &[(1, Some(b"k".to_vec()), Some(vec![0; 30 << 20]), vec![])]);
        let limits = Limits { decompressed: 1 << 20, record: 1 << 20 };
        assert!(matches!(read(&bomb, limits), Err(Error::TooLarge { .. })), "{codec:?}");
        let checked = RecordReader::new(&bomb, limits).unwrap().check_all(|_| Ok(()));
        assert!(matches!(checked, Err(Error::TooLarge { .. })), "{codec:?}");
    }
}

#[test]
fn batches_are_walked_one_by_one_and_a_cut_one_ends_the_walk() {
    let first = build(Compression::None, &[(1, None, Some(b"a".to_vec()), vec![])]);
    let mut second = first.to_vec();
    set_base_offset(&mut second, 8);
    let both = [&first[..], &second[..]].concat();
    let offsets: Vec<_> = batches(&both).map(|batch| batch.unwrap().header.base_offset).collect();
    assert_eq!(offsets, [7, 8]);
    let cut: Vec<_> = batches(&both[..both.len() - 1]).collect();
    assert!(cut[0].is_ok() && matches!(cut[1], Err(Error::Incomplete { .. })) && cut.len() == 2);
}

#[test]
fn the_kafka_protocol_crate_reads_what_is_built() {
    use kafka_protocol::records::RecordBatchDecoder;
    let record = (5, Some(b"key".to_vec()), Some(b"value".to_vec()), vec![(b"h".to_vec(), Some(b"v".to_vec()))]);
    for codec in Compression::ALL {
        let mut bytes = build(codec, &[record.clone(), record.clone()]);
        let set = RecordBatchDecoder::decode(&mut bytes).unwrap();
        assert_eq!(set.records.len(), 2, "{codec:?}");
        assert_eq!(set.records[1].value.as_deref(), Some(&b"value"[..]));
    }
}
