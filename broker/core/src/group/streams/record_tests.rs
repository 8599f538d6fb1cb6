//! Records of streams groups: the bytes of Kafka, there and back, and cut short.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Timestamp;
use crate::group::streams::topology::{CopartitionGroup, StreamsTopology, Subtopology, TopicInfo};

fn record(change: Change) -> Record {
    Record { group: "g".into(), change }
}

fn tasks(indexes: &[i32]) -> Tasks {
    indexes.iter().map(|index| ("0".into(), *index)).collect()
}

fn topology() -> StreamsTopology {
    let topic = |name: &str| TopicInfo {
        name: name.into(),
        partitions: 0,
        replication_factor: -1,
        configs: vec![("k".into(), "v".into())],
    };
    let subtopology = Subtopology {
        id: "0".into(),
        source_topics: vec!["t".into()],
        source_topic_regexes: Vec::new(),
        repartition_sink_topics: vec!["s".into()],
        repartition_source_topics: vec![topic("r")],
        changelog_topics: vec![topic("c")],
        copartition_groups: vec![CopartitionGroup {
            source_topics: vec![0],
            source_topic_regexes: Vec::new(),
            repartition_source_topics: vec![0],
        }],
    };
    StreamsTopology { epoch: 1, subtopologies: vec![subtopology] }
}

fn all() -> Vec<Record> {
    let profile = Profile {
        instance_id: None,
        rack_id: Some("r".into()),
        client_id: "c".into(),
        client_host: "/h".into(),
        rebalance_timeout: Duration::from_millis(258),
        topology_epoch: 1,
        process_id: "p".into(),
        user_endpoint: Some(Endpoint { host: "e".into(), port: 0x8001 }),
        client_tags: [("k".to_owned(), "v".to_owned())].into(),
    };
    let current = Current {
        epoch: 5,
        previous_epoch: 4,
        progress: Progress::UnrevokedTasks,
        assigned: TaskSets { active: tasks(&[0, 2]), standby: tasks(&[3]), warmup: Tasks::default() },
        revoking: TaskSets { active: tasks(&[1]), ..TaskSets::default() },
        since: [(("0".into(), 0), 3), (("0".into(), 1), 4), (("0".into(), 2), 5)].into(),
    };
    let epoch = GroupEpoch {
        epoch: 3,
        metadata_hash: -9,
        validated_topology: 1,
        configs: [("n".to_owned(), "2".to_owned())].into(),
    };
    let not_ready = GroupEpoch { validated_topology: NOT_VALIDATED, configs: BTreeMap::new(), ..epoch.clone() };
    let bare = Profile { user_endpoint: None, client_tags: BTreeMap::new(), ..profile.clone() };
    let target = TaskSets { active: tasks(&[0, 1]), ..TaskSets::default() };
    [
        Change::Epoch(Some(epoch)),
        Change::Epoch(Some(not_ready)),
        Change::Epoch(None),
        Change::Member("m".into(), Some(profile)),
        Change::Member("m".into(), Some(bare)),
        Change::Member("m".into(), None),
        Change::AssignmentEpoch(Some(Assigned { epoch: 3, at: Timestamp(9) })),
        Change::AssignmentEpoch(Some(Assigned { epoch: 3, at: Timestamp(0) })),
        Change::AssignmentEpoch(None),
        Change::Target("m".into(), Some(target)),
        Change::Target("m".into(), None),
        Change::Current("m".into(), Some(current)),
        Change::Current("m".into(), None),
        Change::Topology(Some(topology())),
        Change::Topology(None),
    ]
    .map(record)
    .into()
}

fn read(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordError> {
    let mut key = Reader::new(key);
    let kind = key.i16()?;
    decode(kind, key, value)
}

/// The bytes that Kafka's schemas give, by hand; Kafka 4.3.1 reads them and writes the same.
#[test]
fn records_have_the_bytes_that_kafka_writes() {
    let all: Vec<EncodedRecord> = all().iter().map(Record::encode).collect();
    let is = |index: usize, key: &[u8], value: &[u8]| {
        let EncodedRecord { key: ours, value: written } = &all[index];
        assert_eq!((&ours[..], written.as_deref()), (key, Some(value)), "record {index}");
    };
    let hash = b"\xff\xff\xff\xff\xff\xff\xff\xf7";
    let epoch = [b"\0\0\0\0\0\x03", &hash[..], b"\x02\0\x04\0\0\0\x01\x01\x06\x02\x02n\x022\0"].concat();
    is(0, b"\0\x11\0\x01g", &epoch);
    is(1, b"\0\x11\0\x01g", &[b"\0\0\0\0\0\x03", &hash[..], b"\0"].concat());
    let member = b"\0\0\0\x02r\x02c\x03/h\0\0\x01\x02\0\0\0\x01\x02p\x01\x02e\x80\x01\0\x02\x02k\x02v\0\0";
    is(3, b"\0\x13\0\x01g\0\x01m", member);
    is(4, b"\0\x13\0\x01g\0\x01m", b"\0\0\0\x02r\x02c\x03/h\0\0\x01\x02\0\0\0\x01\x02p\xff\x01\0");
    is(6, b"\0\x14\0\x01g", b"\0\0\0\0\0\x03\x01\0\x08\0\0\0\0\0\0\0\x09");
    is(7, b"\0\x14\0\x01g", b"\0\0\0\0\0\x03\0");
    is(9, b"\0\x15\0\x01g\0\x01m", b"\0\0\x02\x020\x03\0\0\0\0\0\0\0\x01\0\x01\x01\0");
    let current = [
        &b"\0\0\0\0\0\x05\0\0\0\x04\x02"[..],
        b"\x02\x020\x03\0\0\0\0\0\0\0\x02\x01\0\x09\x03\0\0\0\x03\0\0\0\x05",
        b"\x02\x020\x02\0\0\0\x03\0",
        b"\x01",
        b"\x02\x020\x02\0\0\0\x01\x01\0\x05\x02\0\0\0\x04",
        b"\x01\x01\0",
    ];
    is(11, b"\0\x16\0\x01g\0\x01m", &current.concat());
    let topic = |name: &[u8]| [b"\x02\x02", name, b"\0\0\0\0\xff\xff\x02\x02k\x02v\0\0"].concat();
    let topology = [
        &b"\0\0\0\0\0\x01\x02\x020\x02\x02t\x01"[..],
        &topic(b"c"),
        b"\x02\x02s",
        &topic(b"r"),
        b"\x02\x02\0\0\x01\x02\0\0\0\0\0",
    ];
    is(13, b"\0\x17\0\x01g", &topology.concat());
}

#[test]
fn what_is_written_is_read_back() {
    for record in all() {
        let EncodedRecord { key, value } = record.encode();
        assert_eq!(read(&key, value.as_deref()), Ok(Some(record)));
    }
}

#[test]
fn active_tasks_without_epochs_have_that_of_their_member() {
    let value = b"\0\0\0\0\0\x05\0\0\0\x04\x01\x02\x020\x02\0\0\0\x07\0\x01\x01\x01\x01\x01\0";
    let Ok(Some(Record { change: Change::Current(_, Some(current)), .. })) = read(b"\0\x16\0\x01g\0\x01m", Some(value))
    else {
        panic!("no assignment")
    };
    assert_eq!((current.progress, current.since), (Progress::Stable, [(("0".into(), 7), 5)].into()));
}

#[test]
fn a_record_cut_short_is_an_error_at_every_length() {
    for record in all() {
        let EncodedRecord { key, value } = record.encode();
        for end in 0..key.len() {
            assert!(read(&key[..end], value.as_deref()).is_err(), "{record:?} key cut at {end}");
        }
        let Some(value) = value else { continue };
        for end in 0..value.len() {
            assert!(read(&key, Some(&value[..end])).is_err(), "{record:?} value cut at {end}");
        }
    }
}

#[test]
fn records_of_no_known_kind_are_passed_over() {
    assert_eq!(read(b"\0\x12\0\x01g", None), Ok(None));
    assert_eq!(read(b"\0\x18\0\x01g", None), Ok(None));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(kind in 16i16..25, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let key = [&kind.to_be_bytes()[..], b"\0\x01g\0\x01m"].concat();
        let _ = read(&key, Some(&[&b"\0\0"[..], &rest].concat()));
        let _ = read(&key, Some(&rest));
    }
}
