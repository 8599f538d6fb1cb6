//! The records of `__transaction_state` in Kafka's own format: TransactionLog key 0, value 1; value 0 is read too.
//!
//! Keys and values come from disk: lengths are checked against the bytes that remain before anything is allocated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::transaction::Transaction;
use super::{TransactionState, TransactionVersion};
use crate::Producer;
use crate::coordinator::{
    EncodedRecord, Reader, RecordError, put_compact_count, put_compact_string, put_string, put_tagged,
};
use crate::{ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition};

/// Tagged fields of the value.
const PREVIOUS_ID: u32 = 0;
const NEXT_ID: u32 = 1;
const CLIENT_VERSION: u32 = 2;

/// A transactional id as of some record; none forgets it.
pub(super) type Change = (Arc<str>, Option<Transaction>);

/// Reads a record; none if its kind is not known here.
pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Change>, RecordError> {
    let mut key = Reader::new(key);
    if key.i16()? != 0 {
        return Ok(None);
    }
    let id = key.string()?.into();
    Ok(Some((id, value.map(decode_value).transpose()?)))
}

fn decode_value(value: &[u8]) -> Result<Transaction, RecordError> {
    let mut reader = Reader::new(value);
    reader.value_version(0..=1, 1)?;
    let id = ProducerId(reader.i64()?);
    let epoch = ProducerEpoch(reader.i16()?);
    let timeout = Duration::from_millis(u64::try_from(reader.i32()?).unwrap_or(0));
    let code = reader.i8()?;
    let known = TransactionState::ALL.into_iter().find(|state| state.code() == code);
    let state = known.ok_or(RecordError::UnknownState(code))?;
    let mut transaction = Transaction {
        state,
        partitions: decode_partitions(&mut reader)?,
        updated: Timestamp(reader.i64()?),
        started: Timestamp(reader.i64()?),
        ..Transaction::new(id, timeout, Timestamp::NONE)
    };
    transaction.producer = Producer { id, epoch };
    reader.tagged(|tag, field| {
        match tag {
            PREVIOUS_ID => transaction.previous_id = ProducerId(field.i64()?),
            NEXT_ID => transaction.next_id = ProducerId(field.i64()?),
            CLIENT_VERSION => transaction.version = TransactionVersion::of_level(field.i16()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(transaction)
}

fn decode_partitions(reader: &mut Reader<'_>) -> Result<BTreeSet<TopicPartition>, RecordError> {
    /// An empty name and no partition, with fixed lengths.
    const LEAST_TOPIC: usize = 6;
    let mut partitions = BTreeSet::new();
    for _ in 0..reader.nullable_count(LEAST_TOPIC)?.unwrap_or(0) {
        let topic = TopicName::new(&reader.string()?).map_err(|_| RecordError::InvalidTopic)?;
        for _ in 0..reader.count(4)? {
            partitions.insert(TopicPartition::new(topic.clone(), reader.i32()?));
        }
        reader.end_of_struct()?;
    }
    Ok(partitions)
}

/// Writes the record of a transactional id, which the coordinator has checked to fit its key.
pub(super) fn encode(id: &str, transaction: Option<&Transaction>) -> EncodedRecord {
    let mut key = BytesMut::new();
    key.put_i16(0);
    put_string(&mut key, id);
    EncodedRecord { key: key.freeze(), value: transaction.map(encode_value) }
}

fn encode_value(transaction: &Transaction) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    out.put_i64(transaction.producer.id.0);
    out.put_i16(transaction.producer.epoch.0);
    out.put_i32(i32::try_from(transaction.timeout.as_millis()).unwrap_or(i32::MAX));
    out.put_i8(transaction.state.code());
    encode_partitions(&mut out, transaction);
    out.put_i64(transaction.updated.0);
    out.put_i64(transaction.started.0);
    let mut tagged = Vec::new();
    for (tag, id) in [(PREVIOUS_ID, transaction.previous_id), (NEXT_ID, transaction.next_id)] {
        if id != ProducerId::NONE {
            tagged.push((tag, id.0.to_be_bytes().to_vec()));
        }
    }
    if transaction.version != TransactionVersion::V1 {
        tagged.push((CLIENT_VERSION, transaction.version.level().to_be_bytes().to_vec()));
    }
    put_tagged(&mut out, &tagged);
    out.freeze()
}

fn encode_partitions(out: &mut BytesMut, transaction: &Transaction) {
    if transaction.state == TransactionState::Empty {
        // A null array, as Kafka has it.
        out.put_u8(0);
        return;
    }
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for partition in &transaction.partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    put_compact_count(out, topics.len());
    for (topic, partitions) in topics {
        put_compact_string(out, topic.as_str());
        put_compact_count(out, partitions.len());
        partitions.into_iter().for_each(|partition| out.put_i32(partition));
        put_tagged(out, &[]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn transaction() -> Transaction {
        let topic = |name, partition| TopicPartition::new(TopicName::new(name).unwrap(), partition);
        let mut transaction = Transaction::new(ProducerId(7), Duration::from_secs(60), Timestamp(1000));
        transaction.producer.epoch = ProducerEpoch(3);
        transaction.state = TransactionState::PrepareCommit;
        transaction.partitions = [topic("a", 0), topic("a", 2), topic("b", 1)].into();
        transaction.started = Timestamp(900);
        transaction.previous_id = ProducerId(7);
        transaction.next_id = ProducerId(8);
        transaction.version = TransactionVersion::V2;
        transaction
    }

    fn read(record: &EncodedRecord) -> Result<Option<Change>, RecordError> {
        decode(&record.key, record.value.as_deref())
    }

    #[test]
    fn a_transaction_has_the_bytes_that_kafka_writes() {
        let record = encode("t", Some(&transaction()));
        assert_eq!(&record.key[..], b"\0\0\0\x01t");
        let fixed = b"\0\x01\0\0\0\0\0\0\0\x07\0\x03\0\0\xea\x60\x02";
        let partitions = b"\x03\x02a\x03\0\0\0\0\0\0\0\x02\0\x02b\x02\0\0\0\x01\0";
        let times = b"\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\x03\x84";
        let tagged = b"\x03\0\x08\0\0\0\0\0\0\0\x07\x01\x08\0\0\0\0\0\0\0\x08\x02\x02\0\x02";
        assert_eq!(record.value.as_deref(), Some(&[&fixed[..], partitions, times, tagged].concat()[..]));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let empty = Transaction::new(ProducerId(1), Duration::from_secs(1), Timestamp(5));
        for written in [Some(transaction()), Some(empty), None] {
            assert_eq!(read(&encode("t", written.as_ref())), Ok(Some(("t".into(), written))));
        }
    }

    #[test]
    fn the_version_without_compact_lengths_is_read() {
        let value = b"\0\0\0\0\0\0\0\0\0\x07\0\x03\0\0\xea\x60\x01\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x05\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\x03\x84";
        let (_, read) = decode(b"\0\0\0\x01t", Some(value)).unwrap().unwrap();
        let read = read.unwrap();
        assert_eq!(
            (read.state, read.started, read.updated),
            (TransactionState::Ongoing, Timestamp(900), Timestamp(1000))
        );
        assert_eq!(read.partitions.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a-5"]);
    }

    #[test]
    fn other_keys_are_passed_over_and_states_from_a_newer_release_refused() {
        assert_eq!(decode(b"\0\x0f\0\x01t", None), Ok(None));
        let mut value = encode("t", Some(&transaction())).value.unwrap().to_vec();
        value[16] = 9;
        assert_eq!(decode(b"\0\0\0\x01t", Some(&value)), Err(RecordError::UnknownState(9)));
    }

    #[test]
    fn a_record_cut_short_is_an_error_at_every_length() {
        let record = encode("t", Some(&transaction()));
        let value = record.value.unwrap();
        for end in 0..value.len() {
            assert!(decode(&record.key, Some(&value[..end])).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(version in -1i16..3, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let value = [&version.to_be_bytes()[..], &rest].concat();
            let _ = decode(b"\0\0\0\x01t", Some(&value));
            let _ = decode(&rest, None);
        }
    }
}
