//! The records of `__share_group_state` in Kafka's own format: ShareSnapshot (key 0) and ShareUpdate (key 1), values of
//! version 0.
//!
//! Keys and values come from disk: lengths are checked against the bytes that remain before anything is allocated.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::stored::{Change, Stored, Update};
use crate::coordinator::{EncodedRecord, Reader, RecordError, put_compact_count, put_string, put_tagged};
use crate::share::{DeliveryState, Key, StateBatch};
use crate::{LeaderEpoch, Offset, StateEpoch, Timestamp, TopicId};

/// Versions of the keys.
const SNAPSHOT: i16 = 0;
const UPDATE: i16 = 1;
/// The tagged field of both values.
const DELIVERY_COMPLETE_COUNT: u32 = 0;

/// Reads a record; none if its kind is not known here.
pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<(Key, Change)>, RecordError> {
    let mut reader = Reader::new(key);
    let kind = reader.i16()?;
    if kind != SNAPSHOT && kind != UPDATE {
        return Ok(None);
    }
    let group = reader.string()?;
    let topic = TopicId(Uuid::from_bytes(reader.array()?));
    let key = Key { topic, partition: reader.i32()?, group };
    let change = match (kind, value) {
        (SNAPSHOT, Some(value)) => Change::Snapshot(decode_snapshot(value)?),
        (SNAPSHOT, None) => Change::Forget,
        (_, Some(value)) => Change::Update(decode_update(value)?),
        // Nobody writes one.
        (_, None) => return Ok(None),
    };
    Ok(Some((key, change)))
}

fn decode_snapshot(value: &[u8]) -> Result<Stored, RecordError> {
    let mut reader = Reader::new(value);
    reader.value_version(0..=0, 0)?;
    let mut stored = Stored {
        snapshot_epoch: reader.i32()?,
        state_epoch: StateEpoch(reader.i32()?),
        leader_epoch: LeaderEpoch(reader.i32()?),
        start: start_of(reader.i64()?),
        complete: None,
        created: Timestamp(reader.i64()?),
        written: Timestamp(reader.i64()?),
        batches: decode_batches(&mut reader)?,
    };
    stored.complete = decode_complete(&mut reader)?;
    Ok(stored)
}

fn decode_update(value: &[u8]) -> Result<Update, RecordError> {
    let mut reader = Reader::new(value);
    reader.value_version(0..=0, 0)?;
    let mut update = Update {
        snapshot_epoch: reader.i32()?,
        leader_epoch: LeaderEpoch(reader.i32()?),
        start: start_of(reader.i64()?),
        complete: None,
        batches: decode_batches(&mut reader)?,
    };
    update.complete = decode_complete(&mut reader)?;
    Ok(update)
}

fn decode_batches(reader: &mut Reader<'_>) -> Result<Vec<StateBatch>, RecordError> {
    /// Two offsets, a state and a count.
    const LEAST_BATCH: usize = 19;
    let mut batches = Vec::new();
    for _ in 0..reader.count(LEAST_BATCH)? {
        let (first, last) = (Offset(reader.i64()?), Offset(reader.i64()?));
        let code = reader.i8()?;
        let state = DeliveryState::from_code(code).ok_or(RecordError::UnknownState(code))?;
        let count = u16::try_from(reader.i16()?).map_err(|_| RecordError::InvalidOffsets)?;
        reader.end_of_struct()?;
        batches.push(StateBatch::new(first, last, state, count).ok_or(RecordError::InvalidOffsets)?);
    }
    Ok(batches)
}

fn decode_complete(reader: &mut Reader<'_>) -> Result<Option<u32>, RecordError> {
    let mut complete = None;
    reader.tagged(|tag, field| {
        if tag == DELIVERY_COMPLETE_COUNT {
            complete = u32::try_from(field.i32()?).ok();
        }
        Ok(())
    })?;
    Ok(complete)
}

fn start_of(offset: i64) -> Option<Offset> {
    (offset >= 0).then_some(Offset(offset))
}

/// Writes the record of `change`; the coordinator has checked that the group's id fits the key.
pub(super) fn encode(key: &Key, change: &Change) -> EncodedRecord {
    let (kind, value) = match change {
        Change::Snapshot(stored) => (SNAPSHOT, Some(encode_snapshot(stored))),
        Change::Update(update) => (UPDATE, Some(encode_update(update))),
        Change::Forget => (SNAPSHOT, None),
    };
    let mut out = BytesMut::new();
    out.put_i16(kind);
    put_string(&mut out, &key.group);
    out.put_slice(key.topic.0.as_bytes());
    out.put_i32(key.partition);
    EncodedRecord { key: out.freeze(), value }
}

fn encode_snapshot(stored: &Stored) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(stored.snapshot_epoch);
    out.put_i32(stored.state_epoch.0);
    out.put_i32(stored.leader_epoch.0);
    out.put_i64(stored.start.map_or(-1, |start| start.0));
    out.put_i64(stored.created.0);
    out.put_i64(stored.written.0);
    encode_batches(&mut out, &stored.batches, stored.complete);
    out.freeze()
}

fn encode_update(update: &Update) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(update.snapshot_epoch);
    out.put_i32(update.leader_epoch.0);
    out.put_i64(update.start.map_or(-1, |start| start.0));
    encode_batches(&mut out, &update.batches, update.complete);
    out.freeze()
}

fn encode_batches(out: &mut BytesMut, batches: &[StateBatch], complete: Option<u32>) {
    put_compact_count(out, batches.len());
    for batch in batches {
        out.put_i64(batch.first().0);
        out.put_i64(batch.last().0);
        out.put_i8(batch.state.code());
        out.put_i16(i16::try_from(batch.count).unwrap_or(i16::MAX));
        put_tagged(out, &[]);
    }
    match complete {
        Some(count) => {
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            put_tagged(out, &[(DELIVERY_COMPLETE_COUNT, count.to_be_bytes().to_vec())]);
        }
        None => put_tagged(out, &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Key {
        Key::new("g", TopicId(Uuid::from_u128(0x0102030405060708090a0b0c0d0e0f10)), 1)
    }

    fn batches() -> Vec<StateBatch> {
        vec![StateBatch::new(Offset(11), Offset(14), DeliveryState::Acknowledged, 1).unwrap()]
    }

    fn snapshot(complete: Option<u32>) -> Change {
        Change::Snapshot(Stored {
            snapshot_epoch: 6,
            state_epoch: StateEpoch(2),
            leader_epoch: LeaderEpoch(3),
            start: Some(Offset(10)),
            complete,
            batches: batches(),
            created: Timestamp(100),
            written: Timestamp(101),
        })
    }

    fn update(complete: Option<u32>) -> Change {
        let (leader_epoch, start) = (LeaderEpoch(3), Some(Offset(10)));
        Change::Update(Update { snapshot_epoch: 6, leader_epoch, start, complete, batches: batches() })
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn records_have_the_bytes_that_kafka_writes() {
        let rest_of_key = "0001670102030405060708090a0b0c0d0e0f1000000001";
        let batch = "02000000000000000b000000000000000e02000100";
        let snapshot_begins = "0000000000060000000200000003000000000000000a00000000000000640000000000000065";
        let update_begins = "00000000000600000003000000000000000a";
        let (known, unknown) = ("01000400000004", "00");
        for (change, kind, value) in [
            (snapshot(Some(4)), "0000", [snapshot_begins, batch, known].concat()),
            (snapshot(None), "0000", [snapshot_begins, batch, unknown].concat()),
            (update(Some(4)), "0001", [update_begins, batch, known].concat()),
            (update(None), "0001", [update_begins, batch, unknown].concat()),
        ] {
            let record = encode(&key(), &change);
            assert_eq!(hex(&record.key), [kind, rest_of_key].concat());
            assert_eq!(hex(&record.value.unwrap()), value);
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for change in [snapshot(Some(0)), snapshot(None), update(Some(7)), update(None), Change::Forget] {
            let record = encode(&key(), &change);
            assert_eq!(decode(&record.key, record.value.as_deref()), Ok(Some((key(), change))));
        }
    }

    #[test]
    fn other_keys_are_passed_over_and_states_from_a_newer_release_refused() {
        assert_eq!(decode(b"\0\x02\0\x01g", None), Ok(None));
        let record = encode(&key(), &update(None));
        let mut value = record.value.unwrap().to_vec();
        let at = value.len() - 5;
        assert_eq!(value[at], 2);
        value[at] = 9;
        assert_eq!(decode(&record.key, Some(&value)), Err(RecordError::UnknownState(9)));
    }

    #[test]
    fn a_record_cut_short_is_an_error_at_every_length() {
        let record = encode(&key(), &snapshot(Some(4)));
        let value = record.value.unwrap();
        for end in 0..value.len() {
            assert!(decode(&record.key, Some(&value[..end])).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(kind in -1i16..3, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let record = encode(&key(), &Change::Forget);
            let key = [&kind.to_be_bytes()[..], &record.key[2..]].concat();
            let _ = decode(&key, Some(&[&[0, 0][..], &rest].concat()));
            let _ = decode(&rest, None);
        }
    }
}
