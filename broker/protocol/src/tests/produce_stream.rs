//! The streaming decoder of Produce requests sees what the whole one sees.

use bytes::Bytes;

use super::{encoded, message_of_seed};
use crate::codec::{DecodeError, Message, Reader, Records};
use crate::messages::ProduceRequest;
use crate::messages::produce::{PartitionProduceData, TopicProduceData};
use crate::produce_stream::{ProducePart, ProduceStream};

/// Decodes `frame` though at each step only as many bytes are there as were asked for.
fn streamed(frame: &Bytes, version: i16) -> ProduceRequest {
    let mut stream = ProduceStream::new(version).unwrap();
    let mut request = ProduceRequest::default();
    let (mut taken, mut arrived) = (0, 0);
    loop {
        let mut reader = Reader::partial(frame.slice(taken..arrived.max(taken)), frame.len() - taken);
        let part = stream.next(&mut reader);
        taken += reader.position();
        match part {
            Err(DecodeError::Incomplete { missing }) => arrived = arrived.max(taken) + missing,
            Err(error) => panic!("{error}"),
            Ok(ProducePart::Request { transactional_id, acks, timeout_ms, .. }) => {
                request = ProduceRequest { transactional_id, acks, timeout_ms, ..Default::default() };
            }
            Ok(ProducePart::Topic { name, topic_id, .. }) => {
                request.topic_data.push(TopicProduceData { name, topic_id, partition_data: Vec::new() });
            }
            Ok(ProducePart::Partition { index, records_length }) => {
                let records = records_length.map(|length| Records::Bytes(frame.slice(taken..taken + length)));
                taken += records_length.unwrap_or(0);
                let topic = request.topic_data.last_mut().unwrap();
                topic.partition_data.push(PartitionProduceData { index, records });
            }
            Ok(ProducePart::End) => {
                assert_eq!(taken, frame.len());
                return request;
            }
        }
    }
}

#[test]
fn a_request_that_arrives_byte_by_byte_decodes_to_the_same() {
    for version in ProduceRequest::VERSIONS {
        for seed in 0..50 {
            let request: ProduceRequest = message_of_seed(seed, version);
            assert_eq!(streamed(&encoded(&request, version), version), request, "v{version}, seed {seed}");
        }
    }
}

#[test]
fn records_longer_than_the_frame_are_refused_before_they_arrive() {
    let partition = PartitionProduceData { index: 0, records: Some(Records::Bytes(Bytes::from_static(b"0123456789"))) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![partition], ..Default::default() };
    let frame = encoded(&ProduceRequest { topic_data: vec![topic], ..Default::default() }, 3);
    let mut reader = Reader::partial(frame.slice(..frame.len() - 10), frame.len() - 1);
    let mut stream = ProduceStream::new(3).unwrap();
    assert!(matches!(stream.next(&mut reader), Ok(ProducePart::Request { topics: 1, .. })));
    assert!(matches!(stream.next(&mut reader), Ok(ProducePart::Topic { partitions: 1, .. })));
    assert_eq!(stream.next(&mut reader), Err(DecodeError::Truncated { needed: 10, remaining: 9 }));
}
