//! The streaming decoder of Produce requests must understand what the whole one understands, however the bytes arrive.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla_protocol::codec::{DecodeError, Message, Reader, Records};
use ottla_protocol::messages::ProduceRequest;
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::produce_stream::{ProducePart, ProduceStream};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (version, step, frame) = input;
    let version = i16::from(version % 14);
    let frame = Bytes::copy_from_slice(frame);
    let whole = ProduceRequest::decode(&mut Reader::new(frame.clone()), version);
    let streamed = streamed(&frame, version, usize::from(step) + 1);
    assert_eq!(whole.ok(), streamed.ok());
});

fn streamed(frame: &Bytes, version: i16, step: usize) -> Result<ProduceRequest, DecodeError> {
    let mut stream = ProduceStream::new(version)?;
    let mut request = ProduceRequest::default();
    let (mut taken, mut arrived) = (0, 0);
    loop {
        let mut reader = Reader::partial(frame.slice(taken..arrived), frame.len() - taken);
        let part = stream.next(&mut reader);
        taken += reader.position();
        match part {
            Err(DecodeError::Incomplete { missing }) => {
                assert!(missing > 0 && arrived + missing <= frame.len());
                arrived = (arrived + step.max(missing)).min(frame.len());
            }
            Err(error) => return Err(error),
            Ok(ProducePart::Request { transactional_id, acks, timeout_ms, .. }) => {
                request = ProduceRequest { transactional_id, acks, timeout_ms, ..Default::default() };
            }
            Ok(ProducePart::Topic { name, topic_id, .. }) => {
                request.topic_data.push(TopicProduceData { name, topic_id, partition_data: Vec::new() });
            }
            Ok(ProducePart::Partition { index, records_length }) => {
                let end = taken + records_length.unwrap_or(0);
                let records = records_length.map(|_| Records::Bytes(frame.slice(taken..end)));
                (taken, arrived) = (end, arrived.max(end));
                let topic = request.topic_data.last_mut().expect("a topic comes before its partitions");
                topic.partition_data.push(PartitionProduceData { index, records });
            }
            Ok(ProducePart::End) => return Ok(request),
        }
    }
}
