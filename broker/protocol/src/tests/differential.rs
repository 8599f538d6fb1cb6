//! Every message at every version against the `kafka-protocol` crate, which is generated from Kafka's schemas: it must
//! read what we write to the last byte and write the same bytes again, and we must read those back.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage, VersionRange};

use super::{encoded, message_of_seed};
use crate::codec::generate::Generate;
use crate::codec::{Message, Reader, Request};
use crate::messages::*;

type ResponseOf<T> = <T as kafka_protocol::protocol::Request>::Response;

const VALUES: u64 = 16;

/// Compares `VALUES` values at each version that both have; returns the versions of ours that the other lacks.
fn compare<O: Message + Generate, T: TheirMessage + Encodable + Decodable + Default>() -> Vec<String> {
    let VersionRange { min, max } = T::VERSIONS;
    let (shared, missing): (Vec<i16>, Vec<i16>) = O::VERSIONS.partition(|version| (min..=max).contains(version));
    for version in shared {
        compare_defaults::<O, T>(version);
        for value in 0..VALUES {
            let seed = value + 1000 * version as u64;
            compare_value::<O, T>(
                &message_of_seed(seed, version),
                version,
                &format!("{} v{version}, seed {seed}", O::NAME),
            );
        }
    }
    missing.into_iter().map(|version| format!("{} v{version}", O::NAME)).collect()
}

fn compare_value<O: Message, T: Encodable + Decodable>(ours: &O, version: i16, what: &str) {
    let bytes = encoded(ours, version);
    let mut rest = bytes.clone();
    let theirs = T::decode(&mut rest, version).unwrap_or_else(|error| panic!("{what}: {error}\n{ours:?}\n{bytes:?}"));
    assert!(rest.is_empty(), "{what}: {} bytes left\n{ours:?}", rest.len());
    let again = their_bytes(&theirs, version).unwrap_or_else(|error| panic!("{what}: {error}\n{ours:?}"));
    assert_eq!(again, bytes, "{what}\n{ours:?}");
    assert_eq!(decoded::<O>(again, version, what), *ours, "{what}");
}

/// The defaults are the same, so that a field left out means the same.
fn compare_defaults<O: Message, T: Encodable + Default>(version: i16) {
    let mut writer = crate::codec::Writer::new();
    let ours = O::default().encode(&mut writer, version);
    let theirs = their_bytes(&T::default(), version);
    let what = format!("default of {} v{version}", O::NAME);
    match (ours, theirs) {
        (Ok(()), Ok(theirs)) => assert_eq!(writer.finish().bytes, theirs, "{what}"),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{what}: {ours:?} {theirs:?}"),
    }
}

fn their_bytes(message: &impl Encodable, version: i16) -> Result<Bytes, String> {
    let mut buffer = BytesMut::new();
    message.encode(&mut buffer, version).map_err(|error| error.to_string())?;
    Ok(buffer.freeze())
}

fn decoded<M: Message>(bytes: Bytes, version: i16, what: &str) -> M {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version).unwrap_or_else(|error| panic!("{what}: {error}"));
    reader.expect_end().unwrap_or_else(|error| panic!("{what}: {error}"));
    message
}

/// Every version of a message that the other does not have at all.
fn lacking<O: Message>() -> Vec<String> {
    O::VERSIONS.map(|version| format!("{} v{version}", O::NAME)).collect()
}

macro_rules! compare_one {
    (StreamsGroupHeartbeatRequest, $missing:ident) => { compare_one!(@lacking StreamsGroupHeartbeatRequest, $missing) };
    (StreamsGroupDescribeRequest, $missing:ident) => { compare_one!(@lacking StreamsGroupDescribeRequest, $missing) };
    ($request:ident, $missing:ident) => {
        $missing.extend(compare::<$request, theirs::$request>());
        $missing.extend(compare::<<$request as Request>::Response, ResponseOf<theirs::$request>>());
    };
    (@lacking $request:ident, $missing:ident) => {
        $missing.extend(lacking::<$request>());
        $missing.extend(lacking::<<$request as Request>::Response>());
    };
}

macro_rules! compare_all {
    ($($name:ident: $request:tt,)+) => {
        fn compare_all() -> Vec<String> {
            let mut missing = Vec::new();
            $(compare_one!($request, missing);)+
            missing
        }
    };
}

for_each_api!(compare_all);

/// Kafka 4.1 has none of these, nor have its schemas Produce below 3. The `newest`, `share`, `streams` and
/// `golden` tests look after them.
const BEYOND_THE_OTHER: [&str; 29] = [
    "ProduceRequest v0",
    "ProduceRequest v1",
    "ProduceRequest v2",
    "ProduceResponse v0",
    "ProduceResponse v1",
    "ProduceResponse v2",
    "ListOffsetsRequest v11",
    "ListOffsetsResponse v11",
    "OffsetCommitRequest v10",
    "OffsetFetchRequest v10",
    "InitProducerIdRequest v6",
    "WriteTxnMarkersRequest v2",
    "WriteTxnMarkersResponse v2",
    "DescribeLogDirsRequest v5",
    "DescribeLogDirsResponse v5",
    "ShareFetchRequest v2",
    "ShareFetchResponse v2",
    "ShareAcknowledgeRequest v2",
    "ShareAcknowledgeResponse v2",
    "WriteShareGroupStateRequest v1",
    "WriteShareGroupStateResponse v1",
    "ReadShareGroupStateSummaryRequest v1",
    "ReadShareGroupStateSummaryResponse v1",
    "StreamsGroupHeartbeatRequest v0",
    "StreamsGroupHeartbeatResponse v0",
    "StreamsGroupDescribeRequest v0",
    "StreamsGroupDescribeResponse v0",
    "DescribeShareGroupOffsetsRequest v1",
    "DescribeShareGroupOffsetsResponse v1",
];

#[test]
fn every_message_at_every_version_is_read_and_written_as_by_another_implementation() {
    assert_eq!(compare_all(), BEYOND_THE_OTHER);
}
