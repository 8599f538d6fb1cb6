//! The records of share groups in Kafka's own format: keys 10 to 15 of `__consumer_offsets`. The values are all of
//! version 0, which is flexible.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use uuid::Uuid;

use super::group::Change;
use super::member::{Current, Profile};
use super::states::States;
use crate::TopicId;
use crate::coordinator::{
    EncodedRecord, Reader, RecordError, put_compact_count, put_compact_string, put_nullable_compact_string, put_string,
    put_tagged,
};
use crate::group::Partitions;
use crate::group::assigned::Assigned;
use crate::group::consumer::record::{put_partitions, read_partitions, value_of};

const MEMBER: i16 = 10;
const GROUP: i16 = 11;
const ASSIGNMENT_EPOCH: i16 = 12;
const TARGET: i16 = 13;
const CURRENT: i16 = 14;
const STATES: i16 = 15;

/// The only state of a member that Kafka stores.
const STABLE: i8 = 0;

/// A change of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) group: Arc<str>,
    pub(crate) change: Change,
}

/// Reads a record whose key is of kind `kind`, which was read from `key` already; none if it is of no kind known here.
pub(crate) fn decode(kind: i16, mut key: Reader<'_>, value: Option<&[u8]>) -> Result<Option<Record>, RecordError> {
    if !matches!(kind, MEMBER..=STATES) {
        return Ok(None);
    }
    let group = key.string()?.into();
    let mut value = value.map(Reader::new);
    if let Some(value) = &mut value {
        value.value_version(0..=0, 0)?;
    }
    let mut value = value.as_mut();
    let change = match kind {
        MEMBER => Change::Member(key.string()?.into(), value.map(read_profile).transpose()?),
        GROUP => Change::Epoch(value.as_mut().map(|value| Ok((value.i32()?, value.i64()?))).transpose()?),
        ASSIGNMENT_EPOCH => Change::AssignmentEpoch(value.map(Assigned::read).transpose()?),
        TARGET => Change::Target(key.string()?.into(), value.map(read_partitions).transpose()?),
        CURRENT => Change::Current(key.string()?.into(), value.map(read_current).transpose()?),
        _ => Change::States(value.map(read_states).transpose()?),
    };
    Ok(Some(Record { group, change }))
}

impl Record {
    /// Writes the record. Texts of keys are at most [`MAX_STRING`](crate::coordinator::MAX_STRING) bytes; longer ones
    /// are refused at the door.
    pub(crate) fn encode(&self) -> EncodedRecord {
        let (kind, member) = match &self.change {
            Change::Member(id, _) => (MEMBER, Some(id)),
            Change::Epoch(_) => (GROUP, None),
            Change::AssignmentEpoch(_) => (ASSIGNMENT_EPOCH, None),
            Change::Target(id, _) => (TARGET, Some(id)),
            Change::Current(id, _) => (CURRENT, Some(id)),
            Change::States(_) => (STATES, None),
        };
        let mut key = BytesMut::new();
        key.put_i16(kind);
        put_string(&mut key, &self.group);
        if let Some(member) = member {
            put_string(&mut key, member);
        }
        let value = (!self.change.is_deletion()).then(|| {
            value_of(|out| {
                put_change(out, &self.change);
                let tagged = match &self.change {
                    Change::AssignmentEpoch(Some(assigned)) => assigned.tagged(),
                    _ => Vec::new(),
                };
                put_tagged(out, &tagged);
            })
        });
        EncodedRecord { key: key.freeze(), value }
    }
}

fn put_change(out: &mut BytesMut, change: &Change) {
    match change {
        Change::Epoch(Some((epoch, hash))) => {
            out.put_i32(*epoch);
            out.put_i64(*hash);
        }
        Change::Member(_, Some(profile)) => put_profile(out, profile),
        Change::AssignmentEpoch(Some(assigned)) => out.put_i32(assigned.epoch),
        Change::Target(_, Some(partitions)) => put_partitions(out, partitions),
        Change::Current(_, Some(current)) => put_current(out, current),
        Change::States(Some(states)) => put_states(out, states),
        // A deletion has no value.
        _ => {}
    }
}

fn read_profile(value: &mut Reader<'_>) -> Result<Profile, RecordError> {
    let mut profile = Profile {
        rack_id: value.nullable_string()?,
        client_id: value.string()?,
        client_host: value.string()?,
        ..Profile::default()
    };
    for _ in 0..value.count(1)? {
        profile.topics.insert(value.string()?);
    }
    value.end_of_struct()?;
    Ok(profile)
}

fn put_profile(out: &mut BytesMut, profile: &Profile) {
    put_nullable_compact_string(out, profile.rack_id.as_deref());
    put_compact_string(out, &profile.client_id);
    put_compact_string(out, &profile.client_host);
    put_compact_count(out, profile.topics.len());
    profile.topics.iter().for_each(|topic| put_compact_string(out, topic));
}

fn read_current(value: &mut Reader<'_>) -> Result<Current, RecordError> {
    let (epoch, previous_epoch) = (value.i32()?, value.i32()?);
    let _state = value.i8()?;
    let current = Current { epoch, previous_epoch, assigned: read_partitions(value)? };
    value.end_of_struct()?;
    Ok(current)
}

fn put_current(out: &mut BytesMut, current: &Current) {
    out.put_i32(current.epoch);
    out.put_i32(current.previous_epoch);
    out.put_i8(STABLE);
    put_partitions(out, &current.assigned);
}

fn read_states(value: &mut Reader<'_>) -> Result<States, RecordError> {
    let mut states = States::default();
    states.initializing = read_named_partitions(value, &mut states.names)?;
    states.initialized = read_named_partitions(value, &mut states.names)?;
    for _ in 0..value.count(1)? {
        let topic = read_topic(value, &mut states.names)?;
        states.deleting.insert(topic);
        value.end_of_struct()?;
    }
    value.end_of_struct()?;
    Ok(states)
}

fn read_topic(value: &mut Reader<'_>, names: &mut BTreeMap<TopicId, String>) -> Result<TopicId, RecordError> {
    let topic = TopicId(Uuid::from_bytes(value.array()?));
    names.insert(topic, value.string()?);
    Ok(topic)
}

fn read_named_partitions(
    value: &mut Reader<'_>,
    names: &mut BTreeMap<TopicId, String>,
) -> Result<Partitions, RecordError> {
    let mut partitions = Partitions::default();
    for _ in 0..value.count(1)? {
        let topic = read_topic(value, names)?;
        for _ in 0..value.count(4)? {
            partitions.insert(topic, value.i32()?);
        }
        value.end_of_struct()?;
    }
    Ok(partitions)
}

fn put_states(out: &mut BytesMut, states: &States) {
    put_named_partitions(out, &states.initializing, &states.names);
    put_named_partitions(out, &states.initialized, &states.names);
    put_compact_count(out, states.deleting.len());
    for topic in &states.deleting {
        put_topic(out, *topic, &states.names);
        put_tagged(out, &[]);
    }
}

fn put_topic(out: &mut BytesMut, topic: TopicId, names: &BTreeMap<TopicId, String>) {
    out.put_slice(topic.0.as_bytes());
    put_compact_string(out, names.get(&topic).map_or("", String::as_str));
}

fn put_named_partitions(out: &mut BytesMut, partitions: &Partitions, names: &BTreeMap<TopicId, String>) {
    put_compact_count(out, partitions.topics().len());
    for (topic, partitions) in partitions.topics() {
        put_topic(out, topic, names);
        put_compact_count(out, partitions.len());
        partitions.iter().for_each(|partition| out.put_i32(*partition));
        put_tagged(out, &[]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Timestamp;

    const T: TopicId = TopicId(Uuid::from_u128(0x0102));

    fn record(change: Change) -> Record {
        Record { group: "g".into(), change }
    }

    fn partitions(indexes: &[i32]) -> Partitions {
        indexes.iter().map(|index| (T, *index)).collect()
    }

    fn all() -> Vec<Record> {
        let profile = Profile {
            rack_id: Some("r".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            topics: ["t".to_owned()].into(),
        };
        let other = TopicId(Uuid::from_u128(3));
        let states = States {
            initializing: partitions(&[1]),
            initialized: partitions(&[0]),
            deleting: [other].into(),
            names: [(T, "t".to_owned()), (other, "u".to_owned())].into(),
        };
        [
            Change::Epoch(Some((3, -9))),
            Change::Epoch(None),
            Change::Member("m".into(), Some(profile)),
            Change::Member("m".into(), None),
            Change::AssignmentEpoch(Some(Assigned { epoch: 3, at: Timestamp(9) })),
            Change::AssignmentEpoch(None),
            Change::Target("m".into(), Some(partitions(&[0, 1]))),
            Change::Target("m".into(), None),
            Change::Current("m".into(), Some(Current { epoch: 3, previous_epoch: 2, assigned: partitions(&[1]) })),
            Change::Current("m".into(), None),
            Change::States(Some(states)),
            Change::States(None),
            Change::AssignmentEpoch(Some(Assigned { epoch: 3, at: Timestamp(0) })),
        ]
        .map(record)
        .into()
    }

    fn read(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordError> {
        let mut key = Reader::new(key);
        let kind = key.i16()?;
        decode(kind, key, value)
    }

    /// The bytes that Kafka's schemas give, by hand.
    #[test]
    fn records_have_the_bytes_that_kafka_writes() {
        let all: Vec<EncodedRecord> = all().iter().map(Record::encode).collect();
        let is = |index: usize, key: &[u8], value: &[u8]| {
            let EncodedRecord { key: ours, value: written } = &all[index];
            assert_eq!((&ours[..], written.as_deref()), (key, Some(value)), "record {index}");
        };
        const ID: &[u8] = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02";
        is(0, b"\0\x0b\0\x01g", b"\0\0\0\0\0\x03\xff\xff\xff\xff\xff\xff\xff\xf7\0");
        is(2, b"\0\x0a\0\x01g\0\x01m", b"\0\0\x02r\x02c\x03/h\x02\x02t\0");
        is(4, b"\0\x0c\0\x01g", b"\0\0\0\0\0\x03\x01\0\x08\0\0\0\0\0\0\0\x09");
        // Before Kafka 4.3 (KIP-1263).
        is(12, b"\0\x0c\0\x01g", b"\0\0\0\0\0\x03\0");
        let target = [b"\0\0\x02", ID, b"\x03\0\0\0\0\0\0\0\x01\0\0"].concat();
        is(6, b"\0\x0d\0\x01g\0\x01m", &target);
        let current = [b"\0\0\0\0\0\x03\0\0\0\x02\0\x02", ID, b"\x02\0\0\0\x01\0\0"].concat();
        is(8, b"\0\x0e\0\x01g\0\x01m", &current);
        let other = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03";
        let states =
            [b"\0\0\x02", ID, b"\x02t\x02\0\0\0\x01\0\x02", ID, b"\x02t\x02\0\0\0\0\0\x02", other, b"\x02u\0\0"];
        is(10, b"\0\x0f\0\x01g", &states.concat());
    }

    #[test]
    fn what_is_written_is_read_back() {
        for record in all() {
            let EncodedRecord { key, value } = record.encode();
            assert_eq!(read(&key, value.as_deref()), Ok(Some(record)));
        }
    }

    #[test]
    fn a_record_cut_short_is_an_error_at_every_length() {
        for record in all() {
            let EncodedRecord { key, value } = record.encode();
            for end in 0..key.len() {
                assert!(read(&key[..end], value.as_deref()).is_err(), "{record:?} key cut at {end}");
            }
            let Some(value) = value else { continue };
            // Whoever reads a target alone need not look at what ends the struct.
            for end in 0..value.len() - 1 {
                assert!(read(&key, Some(&value[..end])).is_err(), "{record:?} value cut at {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(kind in 10i16..16, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let key = [&kind.to_be_bytes()[..], b"\0\x01g\0\x01m"].concat();
            let _ = read(&key, Some(&[&b"\0\0"[..], &rest].concat()));
            let _ = read(&key, Some(&rest));
        }
    }
}
