//! The records of `__consumer_offsets` in Kafka's own format: OffsetCommit key 1 / value 3 (1 with an expiry of its
//! own) and GroupMetadata key 2 / value 3 are written; every version up to value 4 is read. Those of the consumer
//! protocol are in [`consumer`], those of share groups in [`share`], those of streams groups in [`streams`].
//!
//! Keys and values come from disk: lengths are checked against the bytes that remain before anything is allocated.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::consumer;
use super::request::Committed;
use super::share;
use super::streams;
use crate::coordinator::{EncodedRecord, Reader, RecordError, put_bytes, put_count, put_nullable_string, put_string};
use crate::{LeaderEpoch, Offset, Timestamp, TopicName};

/// A committed offset as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredOffset {
    pub(super) committed: Committed,
    pub(super) commit_time: Timestamp,
    /// A retention of its own, from clients before version 5 of OffsetCommit.
    pub(super) expire_time: Option<Timestamp>,
}

/// A change of one committed offset; none deletes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OffsetChange {
    pub(super) group: Arc<str>,
    pub(super) topic: TopicName,
    pub(super) partition: i32,
    pub(super) value: Option<StoredOffset>,
}

/// A generation of a group; none deletes the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupChange {
    pub(super) group: Arc<str>,
    pub(super) value: Option<GroupValue>,
}

/// A stored generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupValue {
    pub(super) protocol_type: String,
    pub(super) generation: i32,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    /// When the group came into its state; −1 if unknown.
    pub(super) state_since: Timestamp,
    pub(super) members: Vec<MemberValue>,
}

/// A stored member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberValue {
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout: Duration,
    pub(super) session_timeout: Duration,
    pub(super) subscription: Bytes,
    pub(super) assignment: Bytes,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Offset(OffsetChange),
    /// Of a classic group.
    Group(GroupChange),
    /// Of a group of the consumer protocol.
    Consumer(consumer::Record),
    /// Of a share group.
    Share(share::Record),
    /// Of a streams group.
    Streams(streams::Record),
}

impl Record {
    /// Reads a record; none if it belongs to a kind of group that is not coordinated here.
    pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, RecordError> {
        let mut key = Reader::new(key);
        let kind = key.i16()?;
        match kind {
            0 | 1 => {
                let group = key.string()?.into();
                let topic = TopicName::new(&key.string()?).map_err(|_| RecordError::InvalidTopic)?;
                let partition = key.i32()?;
                let value = value.map(decode_offset).transpose()?;
                Ok(Some(Self::Offset(OffsetChange { group, topic, partition, value })))
            }
            2 => {
                let group = key.string()?.into();
                let value = value.map(decode_group).transpose()?;
                Ok(Some(Self::Group(GroupChange { group, value })))
            }
            10..=15 => Ok(share::record::decode(kind, key, value)?.map(Self::Share)),
            17.. => Ok(streams::record::decode(kind, key, value)?.map(Self::Streams)),
            _ => Ok(consumer::record::decode(kind, key, value)?.map(Self::Consumer)),
        }
    }

    /// Whether it deletes what says that a group is there, of any kind but a classic one.
    pub(super) fn ends_group(&self) -> bool {
        match self {
            Self::Consumer(record) => {
                use consumer::group::Change;
                matches!(record.change, Change::Epoch(None) | Change::AssignmentEpoch(None))
            }
            Self::Share(record) => {
                use share::group::Change;
                matches!(record.change, Change::Epoch(None) | Change::AssignmentEpoch(None) | Change::States(None))
            }
            Self::Streams(record) => {
                use streams::group::Change;
                matches!(record.change, Change::Epoch(None) | Change::AssignmentEpoch(None) | Change::Topology(None))
            }
            Self::Offset(_) | Self::Group(_) => false,
        }
    }

    /// Writes the record. Texts are at most [`MAX_STRING`](crate::coordinator::MAX_STRING) bytes; the coordinator refuses longer ones at the door.
    pub(super) fn encode(&self) -> EncodedRecord {
        let mut key = BytesMut::new();
        let value = match self {
            Self::Consumer(record) => return record.encode(),
            Self::Share(record) => return record.encode(),
            Self::Streams(record) => return record.encode(),
            Self::Offset(change) => {
                key.put_i16(1);
                put_string(&mut key, &change.group);
                put_string(&mut key, change.topic.as_str());
                key.put_i32(change.partition);
                change.value.as_ref().map(encode_offset)
            }
            Self::Group(change) => {
                key.put_i16(2);
                put_string(&mut key, &change.group);
                change.value.as_ref().map(encode_group)
            }
        };
        EncodedRecord { key: key.freeze(), value }
    }
}

fn decode_offset(value: &[u8]) -> Result<StoredOffset, RecordError> {
    let mut reader = Reader::new(value);
    let version = reader.value_version(0..=4, 4)?;
    let offset = Offset(reader.i64()?);
    let leader_epoch = LeaderEpoch(if version >= 3 { reader.i32()? } else { -1 });
    let metadata = reader.string()?;
    let commit_time = Timestamp(reader.i64()?);
    let expire_time = if version == 1 { Some(reader.i64()?).filter(|at| *at >= 0).map(Timestamp) } else { None };
    reader.end_of_struct()?;
    Ok(StoredOffset { committed: Committed { offset, leader_epoch, metadata }, commit_time, expire_time })
}

fn encode_offset(offset: &StoredOffset) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(if offset.expire_time.is_some() { 1 } else { 3 });
    out.put_i64(offset.committed.offset.0);
    if offset.expire_time.is_none() {
        out.put_i32(offset.committed.leader_epoch.0);
    }
    put_string(&mut out, &offset.committed.metadata);
    out.put_i64(offset.commit_time.0);
    if let Some(at) = offset.expire_time {
        out.put_i64(at.0);
    }
    out.freeze()
}

fn decode_group(value: &[u8]) -> Result<GroupValue, RecordError> {
    /// An empty member: five lengths and two numbers of the oldest version.
    const LEAST_MEMBER: usize = 10;
    let mut reader = Reader::new(value);
    let version = reader.value_version(0..=4, 4)?;
    let protocol_type = reader.string()?;
    let generation = reader.i32()?;
    let protocol = reader.nullable_string()?;
    let leader = reader.nullable_string()?;
    let state_since = Timestamp(if version >= 2 { reader.i64()? } else { -1 });
    let count = reader.count(LEAST_MEMBER)?;
    let members = (0..count).map(|_| decode_member(&mut reader, version)).collect::<Result<_, _>>()?;
    reader.end_of_struct()?;
    Ok(GroupValue { protocol_type, generation, protocol, leader, state_since, members })
}

fn decode_member(reader: &mut Reader<'_>, version: i16) -> Result<MemberValue, RecordError> {
    let member_id = reader.string()?;
    let instance_id = if version >= 3 { reader.nullable_string()? } else { None };
    let client_id = reader.string()?;
    let client_host = reader.string()?;
    let rebalance_timeout = if version >= 1 { Some(reader.i32()?) } else { None };
    let session_timeout = reader.i32()?;
    let member = MemberValue {
        member_id,
        instance_id,
        client_id,
        client_host,
        rebalance_timeout: milliseconds(rebalance_timeout.unwrap_or(session_timeout)),
        session_timeout: milliseconds(session_timeout),
        subscription: reader.bytes()?,
        assignment: reader.bytes()?,
    };
    reader.end_of_struct()?;
    Ok(member)
}

fn encode_group(group: &GroupValue) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(3);
    put_string(&mut out, &group.protocol_type);
    out.put_i32(group.generation);
    put_nullable_string(&mut out, group.protocol.as_deref());
    put_nullable_string(&mut out, group.leader.as_deref());
    out.put_i64(group.state_since.0);
    put_count(&mut out, group.members.len());
    for member in &group.members {
        put_string(&mut out, &member.member_id);
        put_nullable_string(&mut out, member.instance_id.as_deref());
        put_string(&mut out, &member.client_id);
        put_string(&mut out, &member.client_host);
        out.put_i32(as_milliseconds(member.rebalance_timeout));
        out.put_i32(as_milliseconds(member.session_timeout));
        put_bytes(&mut out, &member.subscription);
        put_bytes(&mut out, &member.assignment);
    }
    out.freeze()
}

/// A time as records have it; a negative one is none.
pub(super) fn milliseconds(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

/// The same the other way, cut to what fits.
pub(super) fn as_milliseconds(value: Duration) -> i32 {
    i32::try_from(value.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offset(expire_time: Option<Timestamp>) -> Record {
        Record::Offset(OffsetChange {
            group: "g".into(),
            topic: TopicName::new("t").unwrap(),
            partition: 7,
            value: Some(StoredOffset {
                committed: Committed {
                    offset: Offset(42),
                    leader_epoch: LeaderEpoch(if expire_time.is_some() { -1 } else { 3 }),
                    metadata: "note".into(),
                },
                commit_time: Timestamp(1000),
                expire_time,
            }),
        })
    }

    fn group() -> Record {
        let member = MemberValue {
            member_id: "m-1".into(),
            instance_id: Some("i".into()),
            client_id: "m".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout: Duration::from_millis(300_000),
            session_timeout: Duration::from_millis(45_000),
            subscription: Bytes::from_static(&[1, 2]),
            assignment: Bytes::from_static(&[3]),
        };
        Record::Group(GroupChange {
            group: "g".into(),
            value: Some(GroupValue {
                protocol_type: "consumer".into(),
                generation: 5,
                protocol: Some("range".into()),
                leader: Some("m-1".into()),
                state_since: Timestamp(99),
                members: vec![member],
            }),
        })
    }

    fn decode(record: &EncodedRecord) -> Result<Option<Record>, RecordError> {
        Record::decode(&record.key, record.value.as_deref())
    }

    #[test]
    fn an_offset_has_the_bytes_that_kafka_writes() {
        let encoded = offset(None).encode();
        assert_eq!(&encoded.key[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x07");
        assert_eq!(
            encoded.value.as_deref(),
            Some(&b"\0\x03\0\0\0\0\0\0\0\x2a\0\0\0\x03\0\x04note\0\0\0\0\0\0\x03\xe8"[..])
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tombstone = Record::Group(GroupChange { group: "g".into(), value: None });
        for record in [offset(None), offset(Some(Timestamp(5))), group(), tombstone] {
            assert_eq!(decode(&record.encode()), Ok(Some(record)));
        }
    }

    #[test]
    fn the_flexible_version_is_read_past_unknown_tagged_fields() {
        // Value 4: compact string, then one tagged field (tag 0, 2 bytes).
        let value = b"\0\x04\0\0\0\0\0\0\0\x2a\0\0\0\x03\x05note\0\0\0\0\0\0\x03\xe8\x01\0\x02\xff\xff";
        let read = Record::decode(b"\0\x01\0\x01g\0\x01t\0\0\0\x07", Some(value));
        assert_eq!(read, Ok(Some(offset(None))));
    }

    #[test]
    fn records_of_other_kinds_of_groups_are_passed_over() {
        assert_eq!(Record::decode(b"\0\x09\0\x01g", None), Ok(None));
    }

    #[test]
    fn a_record_cut_short_is_an_error_at_every_length() {
        for record in [offset(None), group()] {
            let encoded = record.encode();
            let value = encoded.value.unwrap();
            for end in 0..value.len() {
                assert!(Record::decode(&encoded.key, Some(&value[..end])).is_err(), "value cut at {end}");
            }
            for end in 0..encoded.key.len() {
                assert!(Record::decode(&encoded.key[..end], Some(&value)).is_err(), "key cut at {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(kind in 0i16..3, version in -1i16..6, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let key = [&kind.to_be_bytes()[..], b"\0\x01g\0\x01t\0\0\0\x07"].concat();
            let value = [&version.to_be_bytes()[..], &rest].concat();
            let _ = Record::decode(&key, Some(&value));
            let _ = Record::decode(&rest, None);
        }
    }
}
