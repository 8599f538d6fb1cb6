use std::collections::BTreeMap;

use ottla_core::config::Layers;
use ottla_records::{Attributes, BatchBuilder, ProducerStamp, set_base_offset, verify_crc};

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn settings(topic: &[(&str, &str)]) -> TopicSettings {
    let none = BTreeMap::new();
    let topic = topic.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    TopicSettings::read(&Layers { broker: &none, cluster: &none, fixed: &none }, &topic)
}

fn builder(codec: Compression) -> BatchBuilder {
    let mut builder = BatchBuilder::new(codec);
    builder.append(NOW.0, Some(b"k"), Some(b"v"), &[]);
    builder.append(NOW.0, None, Some(&[7; 300]), &[]);
    builder
}

fn batch() -> Vec<u8> {
    builder(Compression::None).build(0).to_vec()
}

fn check(bytes: impl Into<Bytes>) -> Result<Checked, Invalid> {
    check_batch(bytes.into(), &settings(&[]), true, NOW)
}

/// Changes bytes under the checksum and makes it right again.
fn resealed(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut bytes);
    let crc = crc32c(&bytes[crc_start()..]);
    bytes[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn a_good_batch_of_each_codec_passes_as_it_is() {
    for codec in Compression::ALL {
        let bytes = builder(codec).build(0);
        let checked = check(bytes.clone()).unwrap();
        assert_eq!(checked.batch, bytes, "{codec:?}");
        assert_eq!(checked.header.record_count, 2);
    }
}

#[test]
fn bytes_behind_the_batch_that_are_no_batch_are_left_out() {
    let mut bytes = batch();
    let length = bytes.len();
    bytes.extend([0; 5]);
    assert_eq!(check(bytes).unwrap().batch.len(), length);
}

#[test]
fn two_batches_none_or_a_part_of_one_are_refused() {
    let twice = [batch(), batch()].concat();
    let cut = batch()[..batch().len() - 3].to_vec();
    for bytes in [twice, cut, vec![0; 10], Vec::new()] {
        assert!(matches!(check(bytes), Err(Invalid::NotOneBatch(_))));
    }
}

#[test]
fn old_formats_are_refused_and_unknown_ones_are_corrupt() {
    for (magic, corrupt) in [(0u8, false), (1, false), (3, true), (255, true)] {
        let mut bytes = batch();
        bytes[16] = magic;
        let refused = check(bytes).unwrap_err();
        assert_eq!(matches!(refused, Invalid::Corrupt(_)), corrupt, "{magic}: {refused}");
    }
}

#[test]
fn a_wrong_checksum_and_an_impossible_length_are_corrupt() {
    let mut bytes = batch();
    bytes[70] ^= 1;
    assert_eq!(check(bytes).unwrap_err(), Invalid::Checksum);
    let mut bytes = batch();
    bytes[8..12].copy_from_slice(&(-2i32).to_be_bytes());
    assert!(matches!(check(bytes), Err(Invalid::Corrupt(_))));
}

#[test]
fn counts_offsets_and_records_must_fit_each_other() {
    let more_records = resealed(batch(), |b| b[60] = 5);
    let wider = resealed(batch(), |b| b[26] = 7);
    let empty = resealed(batch(), |b| b[60] = 0);
    let garbage = resealed(batch(), |b| b[61..].fill(0xff));
    let mut moved = batch();
    set_base_offset(&mut moved, 77);
    for bytes in [more_records, wider, empty, garbage, moved] {
        let refused = check(bytes).unwrap_err();
        assert!(matches!(refused, Invalid::Records(_)) && refused.is_of_records(), "{refused}");
    }
}

#[test]
fn control_batches_and_half_idempotent_ones_are_refused() {
    let control = builder(Compression::None).with_attributes(Attributes::default().control()).build(0);
    assert!(matches!(check(control), Err(Invalid::Records(_))));
    let transactional = builder(Compression::None).with_attributes(Attributes::default().transactional()).build(0);
    assert!(matches!(check(transactional), Err(Invalid::Records(_))), "it has no producer");
    let stamp = ProducerStamp { id: 5, epoch: 0, base_sequence: -1 };
    assert!(matches!(check(builder(Compression::None).with_producer(stamp).build(0)), Err(Invalid::Records(_))));
}

#[test]
fn timestamps_are_held_against_the_topics_limits() {
    let at = |timestamp: i64| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(timestamp, Some(b"k"), None, &[]);
        builder.build(0)
    };
    assert!(check(at(-1)).is_ok());
    assert!(check(at(0)).is_ok());
    assert!(check(at(NOW.0 + 3_600_000)).is_ok());
    assert!(matches!(check(at(NOW.0 + 7_200_000)), Err(Invalid::Timestamp { .. })));
    let strict = settings(&[("message.timestamp.before.max.ms", "1000")]);
    assert!(matches!(check_batch(at(NOW.0 - 2_000), &strict, true, NOW), Err(Invalid::Timestamp { .. })));
}

#[test]
fn a_compacted_topic_wants_keys_and_reads_no_bomb() {
    let compacted = settings(&[("cleanup.policy", "compact"), ("max.message.bytes", "100000")]);
    for codec in Compression::ALL {
        let refused = check_batch(builder(codec).build(0), &compacted, true, NOW).unwrap_err();
        let Invalid::Keyless(records) = refused else { panic!("{codec:?}: {refused}") };
        assert_eq!(records.iter().map(|r| r.index).collect::<Vec<_>>(), [1]);
    }
    let mut bomb = BatchBuilder::new(Compression::Zstd);
    bomb.append(NOW.0, Some(b"k"), Some(&vec![0; 40 << 20]), &[]);
    let bomb = bomb.build(0);
    assert!(bomb.len() < 100_000);
    assert!(matches!(check_batch(bomb, &compacted, true, NOW), Err(Invalid::Records(_))));
}

#[test]
fn a_topic_with_a_codec_of_its_own_stores_every_batch_in_it() {
    let zstd = settings(&[("compression.type", "zstd")]);
    let records = |bytes: &[u8]| {
        let mut reader = RecordReader::new(bytes, Limits::default()).unwrap();
        std::iter::from_fn(|| reader.next_record().unwrap()).collect::<Vec<_>>()
    };
    for codec in Compression::ALL {
        let stamp = ProducerStamp { id: 7, epoch: 1, base_sequence: 30 };
        let sent = builder(codec).with_producer(stamp).build(0);
        let checked = check_batch(sent.clone(), &zstd, true, NOW).unwrap();
        let header = checked.header;
        assert_eq!(header.attributes.compression().unwrap(), Compression::Zstd);
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 1, 30));
        verify_crc(&checked.batch).unwrap();
        assert_eq!(records(&checked.batch), records(&sent), "{codec:?}");
    }
    let mut bomb = BatchBuilder::new(Compression::Gzip);
    bomb.append(NOW.0, Some(b"k"), Some(&vec![0; 80 << 20]), &[]);
    assert!(matches!(check_batch(bomb.build(0), &zstd, true, NOW), Err(Invalid::Records(_))));
}

#[test]
fn large_batches_and_codecs_out_of_place_are_refused() {
    let small = settings(&[("max.message.bytes", "300")]);
    let size = batch().len();
    assert_eq!(check_batch(batch().into(), &small, true, NOW).unwrap_err(), Invalid::TooLarge { size, limit: 300 });
    let zstd = builder(Compression::Zstd).build(0);
    assert_eq!(check_batch(zstd, &settings(&[]), false, NOW).unwrap_err(), Invalid::Compression);
    let unknown = resealed(batch(), |b| b[ATTRIBUTES + 1] = 5);
    assert_eq!(check(unknown).unwrap_err(), Invalid::Compression);
}

#[test]
fn attribute_bits_that_are_the_brokers_are_cleared() {
    let stamped = resealed(batch(), |b| b[ATTRIBUTES + 1] = TIMESTAMP_TYPE | DELETE_HORIZON);
    let checked = check(stamped).unwrap();
    assert_eq!(checked.batch, batch());
    assert_eq!(checked.header.attributes.0, 0);
    verify_crc(&checked.batch).unwrap();
}
