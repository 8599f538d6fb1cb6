//! Bytes written down by hand from the protocol guide, and frames that a real Kafka 4.3.1 answered.

use bytes::Bytes;

use super::encoded;
use crate::codec::{Cut, EncodeError, Message, Reader, Records, Str, Writer};
use crate::frame::{self, RequestHeader, SizeError};
use crate::messages::fetch::{FetchableTopicResponse, PartitionData};
use crate::messages::produce::{
    LeaderIdAndEpoch, PartitionProduceData, PartitionProduceResponse, TopicProduceData, TopicProduceResponse,
};
use crate::messages::*;
use crate::{ApiKey, ErrorCode};

pub(super) fn hex(text: &str) -> Bytes {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn produce_request() -> ProduceRequest {
    let partition = PartitionProduceData { index: 3, records: Some(Records::Bytes(Bytes::from_static(b"rec"))) };
    ProduceRequest {
        acks: -1,
        timeout_ms: 1500,
        topic_data: vec![TopicProduceData { name: "ab".into(), partition_data: vec![partition], ..Default::default() }],
        ..Default::default()
    }
}

#[test]
fn produce_before_v3_has_no_transactional_id_and_its_answers_grow() {
    let bytes = hex("ffff 000005dc 00000001 0002 6162 00000001 00000003 00000003 726563");
    assert_eq!(encoded(&produce_request(), 0), bytes);
    let partition = PartitionProduceResponse { index: 3, base_offset: 9, ..Default::default() };
    let topic = TopicProduceResponse { name: "ab".into(), partition_responses: vec![partition], ..Default::default() };
    let response = ProduceResponse { responses: vec![topic], throttle_time_ms: 7, ..Default::default() };
    let v0 = "00000001 0002 6162 00000001 00000003 0000 0000000000000009";
    assert_eq!(encoded(&response, 0), hex(v0));
    assert_eq!(encoded(&response, 1), hex(&format!("{v0} 00000007")));
    assert_eq!(encoded(&response, 2), hex(&format!("{v0} ffffffffffffffff 00000007")));
}

#[test]
fn produce_v3_has_fixed_lengths() {
    let bytes = hex("ffff ffff 000005dc 00000001 0002 6162 00000001 00000003 00000003 726563");
    assert_eq!(encoded(&produce_request(), 3), bytes);
}

#[test]
fn produce_v9_has_compact_lengths_and_tagged_fields() {
    let bytes = hex("00 ffff 000005dc 02 03 6162 02 00000003 04 726563 00 00 00");
    assert_eq!(encoded(&produce_request(), 9), bytes);
}

#[test]
fn a_tagged_field_is_written_with_its_size_unless_it_has_its_default() {
    let partition = PartitionProduceResponse {
        error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER,
        current_leader: LeaderIdAndEpoch { leader_id: 2, leader_epoch: 5 },
        ..Default::default()
    };
    let mut writer = Writer::new();
    let version = ProduceResponse::checked(10).unwrap();
    crate::codec::Wire::write(&partition, &mut writer, version).unwrap();
    let expected =
        "00000000 0006 0000000000000000 ffffffffffffffff ffffffffffffffff 01 00  01 00 09 00000002 00000005 00";
    assert_eq!(writer.finish().bytes, hex(expected));
}

#[test]
fn records_elsewhere_are_counted_and_leave_a_cut() {
    let partition = |index: i32, token: u32, len: usize| PartitionData {
        partition_index: index,
        records: Some(Records::External { len, token }),
        ..Default::default()
    };
    let partitions = vec![partition(0, 70, 1000), partition(1, 71, 0)];
    let topic = FetchableTopicResponse { topic: "t".into(), partitions, ..Default::default() };
    let response = FetchResponse { responses: vec![topic], ..Default::default() };
    let external = frame::encode_response(5, 1, &response, 12).unwrap();
    let positions: Vec<usize> = external.cuts.iter().map(|cut| cut.position).collect();
    assert_eq!(
        external.cuts,
        [Cut { position: positions[0], token: 70, len: 1000 }, Cut { position: positions[1], token: 71, len: 0 }]
    );

    let mut in_memory = response.clone();
    in_memory.responses[0].partitions[0].records = Some(Records::Bytes(Bytes::from(vec![b'x'; 1000])));
    in_memory.responses[0].partitions[1].records = Some(Records::default());
    let whole = frame::encode_response(5, 1, &in_memory, 12).unwrap().bytes;
    let mut spliced = external.bytes[..positions[0]].to_vec();
    spliced.extend([b'x'; 1000]);
    spliced.extend(&external.bytes[positions[0]..]);
    assert_eq!(spliced, whole);
    assert_eq!(external.total_length(), whole.len());
    assert_eq!(whole[..4], (whole.len() as i32 - 4).to_be_bytes());
}

#[test]
fn a_field_that_the_version_lacks_is_refused_unless_it_is_ignorable() {
    let request = ProduceRequest { transactional_id: Some("x".into()), ..produce_request() };
    let refused = request.encode(&mut Writer::new(), 2);
    assert_eq!(refused, Err(EncodeError::UnsupportedField { field: "transactional_id", version: 2 }));
    let response = MetadataResponse { cluster_id: Some(Str::from_static("c")), ..Default::default() };
    assert_eq!(response.encode(&mut Writer::new(), 0), Ok(()));
}

#[test]
fn null_is_refused_where_the_version_has_none_and_so_is_a_version_that_is_not_there() {
    let all_topics = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(all_topics.encode(&mut Writer::new(), 0), Err(EncodeError::UnexpectedNull("topics")));
    let unknown = EncodeError::UnsupportedVersion { message: "MetadataRequest", version: 14 };
    assert_eq!(all_topics.encode(&mut Writer::new(), 14), Err(unknown));
}

#[test]
fn text_longer_than_a_string_can_be_is_refused() {
    let request = SyncGroupRequest { group_id: "g".repeat(40_000).into(), ..Default::default() };
    assert_eq!(request.encode(&mut Writer::new(), 0), Err(EncodeError::LengthTooLarge(40_000)));
}

#[test]
fn decoded_text_and_records_are_slices_of_the_frame() {
    let frame = encoded(&produce_request(), 9);
    let inside = |bytes: &Bytes| frame.as_ptr_range().contains(&bytes.as_ptr());
    let request = ProduceRequest::decode(&mut Reader::new(frame.clone()), 9).unwrap();
    let topic = &request.topic_data[0];
    assert!(inside(topic.name.as_bytes()));
    assert!(inside(topic.partition_data[0].records.as_ref().unwrap().as_bytes().unwrap()));
}

#[test]
fn a_frame_size_is_positive_and_within_the_limit() {
    let limit = 104_857_600;
    assert_eq!(frame::frame_size([0, 0, 0, 0], limit), Err(SizeError::NotPositive(0)));
    assert_eq!(frame::frame_size([0xff; 4], limit), Err(SizeError::NotPositive(-1)));
    assert_eq!(frame::frame_size(*b"\x06\x40\x00\x01", limit), Err(SizeError::TooLarge { size: limit + 1, limit }));
    assert_eq!(frame::frame_size(*b"\x06\x40\x00\x00", limit), Ok(limit));
}

#[test]
fn a_request_frame_of_a_real_client_is_read() {
    // Metadata v1 with three bytes after the body, which Kafka ignores.
    let mut reader = Reader::new(hex("0003 0001 00000007 0006 6f7261636c65 00000000 010203"));
    let header = RequestHeader::read_known(&mut reader).unwrap();
    assert_eq!((header.key(), header.api_version, header.correlation_id), (Some(ApiKey::Metadata), 1, 7));
    assert_eq!(header.client_id.unwrap(), "oracle");
    let request = MetadataRequest::decode(&mut reader, 1).unwrap();
    assert_eq!(request.topics, Some(Vec::new()));
    assert_eq!(reader.remaining(), 3);
}

#[test]
fn a_response_of_a_real_broker_is_written_byte_for_byte() {
    // What Kafka 4.3.1 answered to that request.
    let body = hex("00000007 00000001 00000001 0009 3132372e302e302e31 00002384 ffff 00000001 00000000");
    let broker =
        metadata::MetadataResponseBroker { node_id: 1, host: "127.0.0.1".into(), port: 9092, ..Default::default() };
    let response = MetadataResponse { brokers: vec![broker], controller_id: 1, ..Default::default() };
    let version = frame::response_header_version(ApiKey::Metadata, 1);
    assert_eq!(frame::encode_response(7, version, &response, 1).unwrap().bytes[4..], body);
}

#[test]
fn the_answer_to_api_versions_never_has_a_flexible_header() {
    assert_eq!(frame::response_header_version(ApiKey::ApiVersions, 4), 0);
    assert_eq!(frame::response_header_version(ApiKey::Metadata, 9), 1);
    assert_eq!(frame::response_header_version(ApiKey::Metadata, 8), 0);
}
