//! The records of groups of the consumer protocol in Kafka's own format: keys 3 to 8 and 16 of `__consumer_offsets`.
//! The values are all of version 0, which is flexible.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::Partitions;
use super::group::{Change, Resolved};
use super::member::{ClassicProfile, Current, MAX_SAID, Profile, Progress, size_of_names};
use crate::TopicId;
use crate::coordinator::{
    EncodedRecord, Reader, RecordError, put_compact_bytes, put_compact_count, put_compact_string,
    put_nullable_compact_string, put_string, put_tagged,
};
use crate::group::Protocol;
use crate::group::assigned::Assigned;
use crate::group::record::{as_milliseconds, milliseconds};

const GROUP: i16 = 3;
const LEGACY_TOPICS: i16 = 4;
const MEMBER: i16 = 5;
const ASSIGNMENT_EPOCH: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;
const REGEX: i16 = 16;

/// Tag of the hash in the value of a group.
const METADATA_HASH: u32 = 0;
/// Tag of what a member of the classic protocol says, in the value of a member.
const CLASSIC: u32 = 0;

/// A change of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) group: Arc<str>,
    pub(crate) change: Change,
}

/// Reads a record whose key is of kind `kind`, which was read from `key` already; none if it is of no kind known here.
pub(crate) fn decode(kind: i16, mut key: Reader<'_>, value: Option<&[u8]>) -> Result<Option<Record>, RecordError> {
    if !matches!(kind, GROUP..=CURRENT | REGEX) {
        return Ok(None);
    }
    let group = key.string()?.into();
    let mut value = value.map(Reader::new);
    if let Some(value) = &mut value {
        value.value_version(0..=0, 0)?;
    }
    let value = value.as_mut();
    let change = match kind {
        GROUP => Change::Epoch(value.map(read_epoch).transpose()?),
        MEMBER => Change::Member(key.string()?.into(), value.map(read_profile).transpose()?),
        ASSIGNMENT_EPOCH => Change::AssignmentEpoch(value.map(Assigned::read).transpose()?),
        TARGET => Change::Target(key.string()?.into(), value.map(read_partitions).transpose()?),
        CURRENT => Change::Current(key.string()?.into(), value.map(read_current).transpose()?),
        REGEX => Change::Regex(key.string()?, value.map(read_resolved).transpose()?),
        _ => Change::LegacyTopics,
    };
    Ok(Some(Record { group, change }))
}

impl Record {
    /// Writes the record. Texts of keys are at most [`MAX_STRING`](crate::coordinator::MAX_STRING) bytes; longer ones
    /// are refused at the door.
    pub(crate) fn encode(&self) -> EncodedRecord {
        let mut key = BytesMut::new();
        let mut start = |kind: i16, name: Option<&str>| {
            key.put_i16(kind);
            put_string(&mut key, &self.group);
            if let Some(name) = name {
                put_string(&mut key, name);
            }
        };
        let value = match &self.change {
            Change::Epoch(value) => {
                start(GROUP, None);
                value.as_ref().map(|(epoch, hash)| value_of(|out| put_epoch(out, *epoch, *hash)))
            }
            Change::LegacyTopics => {
                start(LEGACY_TOPICS, None);
                None
            }
            Change::Member(id, value) => {
                start(MEMBER, Some(id));
                value.as_ref().map(|profile| value_of(|out| put_profile(out, profile)))
            }
            Change::AssignmentEpoch(value) => {
                start(ASSIGNMENT_EPOCH, None);
                value.map(|assigned| value_of(|out| assigned.put(out)))
            }
            Change::Target(id, value) => {
                start(TARGET, Some(id));
                value.as_ref().map(|partitions| {
                    value_of(|out| {
                        put_partitions(out, partitions);
                        put_tagged(out, &[]);
                    })
                })
            }
            Change::Current(id, value) => {
                start(CURRENT, Some(id));
                value.as_ref().map(|current| value_of(|out| put_current(out, current)))
            }
            Change::Regex(pattern, value) => {
                start(REGEX, Some(pattern));
                value.as_ref().map(|resolved| value_of(|out| put_resolved(out, resolved)))
            }
        };
        EncodedRecord { key: key.freeze(), value }
    }
}

/// A value of version 0.
pub(in crate::group) fn value_of(put: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    put(&mut out);
    out.freeze()
}

fn read_epoch(value: &mut Reader<'_>) -> Result<(i32, i64), RecordError> {
    let (epoch, mut hash) = (value.i32()?, 0);
    value.tagged(|tag, field| {
        if tag == METADATA_HASH {
            hash = field.i64()?;
        }
        Ok(())
    })?;
    Ok((epoch, hash))
}

fn put_epoch(out: &mut BytesMut, epoch: i32, hash: i64) {
    out.put_i32(epoch);
    match hash {
        0 => put_tagged(out, &[]),
        _ => put_tagged(out, &[(METADATA_HASH, hash.to_be_bytes().to_vec())]),
    }
}

fn read_profile(value: &mut Reader<'_>) -> Result<Profile, RecordError> {
    let mut profile = Profile {
        instance_id: value.nullable_string()?,
        rack_id: value.nullable_string()?,
        client_id: value.string()?,
        client_host: value.string()?,
        ..Profile::default()
    };
    for _ in 0..value.count(1)? {
        profile.topics.insert(value.string()?);
    }
    profile.regex = value.nullable_string()?.filter(|pattern| !pattern.is_empty());
    profile.rebalance_timeout = milliseconds(value.i32()?);
    profile.assignor = value.nullable_string()?;
    value.tagged(|tag, field| {
        if tag == CLASSIC {
            profile.classic = Some(read_classic(field)?);
        }
        Ok(())
    })?;
    Ok(profile)
}

fn put_profile(out: &mut BytesMut, profile: &Profile) {
    put_nullable_compact_string(out, profile.instance_id.as_deref());
    put_nullable_compact_string(out, profile.rack_id.as_deref());
    put_compact_string(out, &profile.client_id);
    put_compact_string(out, &profile.client_host);
    put_compact_count(out, profile.topics.len());
    profile.topics.iter().for_each(|topic| put_compact_string(out, topic));
    // As Kafka writes a member without a pattern.
    put_compact_string(out, profile.regex.as_deref().unwrap_or_default());
    out.put_i32(as_milliseconds(profile.rebalance_timeout));
    put_nullable_compact_string(out, profile.assignor.as_deref());
    let classic = profile.classic.as_ref().map(|classic| {
        let mut field = BytesMut::new();
        // A nullable struct begins with whether it is there.
        field.put_i8(1);
        put_classic(&mut field, classic);
        (CLASSIC, field.to_vec())
    });
    put_tagged(out, classic.as_slice());
}

fn read_classic(field: &mut Reader<'_>) -> Result<ClassicProfile, RecordError> {
    if field.i8()? < 0 {
        return Err(RecordError::UnexpectedNull);
    }
    let session_timeout = milliseconds(field.i32()?);
    let count = field.count(2)?;
    let protocols = (0..count).map(|_| {
        let protocol = Protocol { name: field.string()?, metadata: field.bytes()? };
        field.end_of_struct()?;
        Ok(protocol)
    });
    let protocols = protocols.collect::<Result<_, RecordError>>()?;
    field.end_of_struct()?;
    Ok(ClassicProfile { session_timeout, protocols })
}

fn put_classic(out: &mut BytesMut, classic: &ClassicProfile) {
    out.put_i32(as_milliseconds(classic.session_timeout));
    put_compact_count(out, classic.protocols.len());
    for protocol in &classic.protocols {
        put_compact_string(out, &protocol.name);
        put_compact_bytes(out, &protocol.metadata);
        put_tagged(out, &[]);
    }
    put_tagged(out, &[]);
}

fn read_current(value: &mut Reader<'_>) -> Result<Current, RecordError> {
    let current = Current {
        epoch: value.i32()?,
        previous_epoch: value.i32()?,
        progress: Progress::from_number(value.i8()?),
        assigned: read_partitions(value)?,
        revoking: read_partitions(value)?,
    };
    value.end_of_struct()?;
    Ok(current)
}

fn put_current(out: &mut BytesMut, current: &Current) {
    out.put_i32(current.epoch);
    out.put_i32(current.previous_epoch);
    out.put_i8(current.progress as i8);
    put_partitions(out, &current.assigned);
    put_partitions(out, &current.revoking);
    put_tagged(out, &[]);
}

pub(in crate::group) fn read_partitions(value: &mut Reader<'_>) -> Result<Partitions, RecordError> {
    let mut partitions = Partitions::default();
    for _ in 0..value.count(1)? {
        let topic = TopicId(Uuid::from_bytes(value.array()?));
        for _ in 0..value.count(1)? {
            partitions.insert(topic, value.i32()?);
        }
        value.end_of_struct()?;
    }
    Ok(partitions)
}

pub(in crate::group) fn put_partitions(out: &mut BytesMut, partitions: &Partitions) {
    put_compact_count(out, partitions.topics().len());
    for (topic, partitions) in partitions.topics() {
        out.put_slice(topic.0.as_bytes());
        put_compact_count(out, partitions.len());
        partitions.iter().for_each(|partition| out.put_i32(*partition));
        put_tagged(out, &[]);
    }
}

fn read_resolved(value: &mut Reader<'_>) -> Result<Resolved, RecordError> {
    let mut resolved = Resolved::default();
    for _ in 0..value.count(1)? {
        resolved.topics.insert(value.string()?);
    }
    (resolved.version, resolved.timestamp) = (value.i64()?, value.i64()?);
    value.end_of_struct()?;
    Ok(resolved)
}

/// Of more topics than fit, the first are written: whoever reads them looks for the topics anew.
fn put_resolved(out: &mut BytesMut, resolved: &Resolved) {
    let mut size = 0;
    let fits = |topic: &&String| {
        size += size_of_names([*topic]);
        size <= MAX_SAID
    };
    let topics: Vec<&String> = resolved.topics.iter().take_while(fits).collect();
    put_compact_count(out, topics.len());
    topics.into_iter().for_each(|topic| put_compact_string(out, topic));
    out.put_i64(resolved.version);
    out.put_i64(resolved.timestamp);
    put_tagged(out, &[]);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    fn profile() -> Profile {
        Profile {
            instance_id: Some("i".into()),
            rack_id: None,
            client_id: "c".into(),
            client_host: "/h".into(),
            topics: ["t".to_owned()].into(),
            regex: Some("a.*".into()),
            rebalance_timeout: Duration::from_millis(300_000),
            assignor: Some("range".into()),
            classic: None,
        }
    }

    fn classic() -> Profile {
        let protocol = Protocol { name: "range".into(), metadata: Bytes::from_static(b"md") };
        let classic = ClassicProfile { session_timeout: Duration::from_millis(45_000), protocols: vec![protocol] };
        Profile { regex: None, assignor: None, classic: Some(classic), ..profile() }
    }

    fn all() -> Vec<Record> {
        let current = Current {
            epoch: 3,
            previous_epoch: 2,
            progress: Progress::UnrevokedPartitions,
            assigned: partitions(&[1]),
            revoking: partitions(&[2]),
        };
        let resolved = Resolved { topics: ["t".to_owned()].into(), version: 7, timestamp: 8 };
        [
            Change::Epoch(Some((3, 0))),
            Change::Epoch(Some((3, -9))),
            Change::Epoch(None),
            Change::LegacyTopics,
            Change::Member("m".into(), Some(profile())),
            Change::Member("m".into(), Some(classic())),
            Change::Member("m".into(), None),
            Change::AssignmentEpoch(Some(assigned(9))),
            Change::AssignmentEpoch(Some(assigned(0))),
            Change::AssignmentEpoch(None),
            Change::Target("m".into(), Some(partitions(&[0, 1]))),
            Change::Target("m".into(), None),
            Change::Current("m".into(), Some(current)),
            Change::Current("m".into(), None),
            Change::Regex("a.*".into(), Some(resolved)),
            Change::Regex("a.*".into(), None),
        ]
        .map(record)
        .into()
    }

    fn assigned(at: i64) -> Assigned {
        Assigned { epoch: 3, at: Timestamp(at) }
    }

    fn read(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordError> {
        let mut key = Reader::new(key);
        let kind = key.i16()?;
        decode(kind, key, value)
    }

    /// The bytes that Kafka's schemas give, by hand.
    #[test]
    fn records_have_the_bytes_that_kafka_writes() {
        let group = record(Change::Epoch(Some((3, 9)))).encode();
        assert_eq!(&group.key[..], b"\0\x03\0\x01g");
        assert_eq!(group.value.as_deref(), Some(&b"\0\0\0\0\0\x03\x01\0\x08\0\0\0\0\0\0\0\x09"[..]));
        let member = record(Change::Member("m".into(), Some(profile()))).encode();
        assert_eq!(&member.key[..], b"\0\x05\0\x01g\0\x01m");
        let value = b"\0\0\x02i\0\x02c\x03/h\x02\x02t\x04a.*\0\x04\x93\xe0\x06range\0";
        assert_eq!(member.value.as_deref(), Some(&value[..]));
        let classic = record(Change::Member("m".into(), Some(classic()))).encode();
        let value =
            b"\0\0\x02i\0\x02c\x03/h\x02\x02t\x01\0\x04\x93\xe0\0\x01\0\x11\x01\0\0\xaf\xc8\x02\x06range\x03md\0\0";
        assert_eq!(classic.value.as_deref(), Some(&value[..]));
        let epoch = |at| record(Change::AssignmentEpoch(Some(assigned(at)))).encode();
        assert_eq!(&epoch(9).key[..], b"\0\x06\0\x01g");
        assert_eq!(epoch(9).value.as_deref(), Some(&b"\0\0\0\0\0\x03\x01\0\x08\0\0\0\0\0\0\0\x09"[..]));
        assert_eq!(epoch(0).value.as_deref(), Some(&b"\0\0\0\0\0\x03\0"[..]), "before Kafka 4.3");
        let target = record(Change::Target("m".into(), Some(partitions(&[0, 1])))).encode();
        assert_eq!(&target.key[..], b"\0\x07\0\x01g\0\x01m");
        let value = b"\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x03\0\0\0\0\0\0\0\x01\0\0";
        assert_eq!(target.value.as_deref(), Some(&value[..]));
        let regex = record(Change::Regex("a".into(), Some(Resolved::default()))).encode();
        assert_eq!(&regex.key[..], b"\0\x10\0\x01g\0\x01a");
        assert_eq!(regex.value.as_deref(), Some(&b"\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..]));
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
            let least = value.len() - 1;
            for end in 0..least {
                assert!(read(&key, Some(&value[..end])).is_err(), "{record:?} value cut at {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(kind in 3i16..18, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let value = [&[0, 0][..], &rest].concat();
            let _ = decode(kind, Reader::new(b"\0\x01g\0\x01m"), Some(&value));
            let _ = decode(kind, Reader::new(&rest), None);
        }
    }
}
