//! Times the codec on the requests of the hot path: `cargo run --release --package ottla-protocol --example codec_time`.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use ottla_protocol::ApiKey;
use ottla_protocol::codec::{Message, Reader, Records, Request};
use ottla_protocol::frame::{RequestHeader, encode_request, encode_response, response_header_version};
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic, FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData, TopicProduceResponse,
};
use ottla_protocol::messages::{FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};
use uuid::Uuid;

const TOPIC: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

fn time(what: &str, mut once: impl FnMut()) {
    const ROUNDS: u32 = 200_000;
    let best = (0..5).map(|_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| once());
        start.elapsed() / ROUNDS
    });
    println!("{what:<60} {:>6} ns", best.min().map_or(0, |best| best.as_nanos()));
}

/// Times reading the header and the message of a request frame.
fn time_decode<R: Request>(what: &str, request: &R, version: i16) {
    let client_id = "producer-1".into();
    let frame = encode_request(request, version, 7, Some(&client_id)).map(|encoded| encoded.bytes.slice(4..));
    let frame = frame.expect("the request fits its version");
    time(what, || {
        let mut reader = Reader::new(frame.clone());
        black_box(RequestHeader::read_known(&mut reader).is_ok());
        black_box(R::decode(&mut reader, version).is_ok());
    });
}

fn time_encode<M: Message>(what: &str, key: ApiKey, response: &M, version: i16) {
    time(what, || {
        let encoded = encode_response(7, response_header_version(key, version), response, version);
        black_box(encoded.is_ok());
    });
}

fn produce() {
    let data = PartitionProduceData { index: 3, records: Some(Records::Bytes(Bytes::from(vec![1; 65536]))) };
    let topic =
        TopicProduceData { name: "topic-of-a-usual-length".into(), topic_id: TOPIC, partition_data: vec![data] };
    let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    time_decode("decode Produce v12, 1 partition of 64 KiB", &request, 12);
    time_decode("decode Produce v7, 1 partition of 64 KiB", &request, 7);

    let partition_responses = vec![PartitionProduceResponse { index: 3, base_offset: 1 << 40, ..Default::default() }];
    let topic = TopicProduceResponse { topic_id: TOPIC, partition_responses, ..Default::default() };
    let response = ProduceResponse { responses: vec![topic], ..Default::default() };
    time_encode("encode Produce response v13, 1 partition", ApiKey::Produce, &response, 13);
}

fn fetch(count: i32) {
    let partitions = (0..count).map(|partition| FetchPartition { partition, fetch_offset: 9, ..Default::default() });
    let topic = FetchTopic { topic_id: TOPIC, partitions: partitions.collect(), ..Default::default() };
    let request = FetchRequest { topics: vec![topic], ..Default::default() };
    time_decode(&format!("decode Fetch v17, {count} partitions"), &request, 17);

    let partitions = (0..count).map(|index| PartitionData {
        partition_index: index,
        records: Some(Records::External { len: 1 << 20, token: index as u32 }),
        ..Default::default()
    });
    let topic = FetchableTopicResponse { topic_id: TOPIC, partitions: partitions.collect(), ..Default::default() };
    let response = FetchResponse { responses: vec![topic], ..Default::default() };
    let what = format!("encode Fetch response v17, {count} partitions of external records");
    time_encode(&what, ApiKey::Fetch, &response, 17);
}

fn main() {
    produce();
    fetch(1);
    fetch(50);
}
