//! The null server: receives, checks checksums, appends, answers. What a broker does beyond that is its own cost.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use ottla_protocol::codec::{Encoded, Message, Reader, Records};
use ottla_protocol::frame::{self, RequestHeader};
use ottla_protocol::messages::fetch::{FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::produce::{PartitionProduceResponse, TopicProduceResponse};
use ottla_protocol::messages::{ApiVersionsResponse, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};
use ottla_protocol::{ApiKey, ErrorCode};
use ottla_records::verify_crc;
use rustix::fs::sendfile;

/// Each connection appends to a file of its own, cut back at this size so that the disk stays bounded.
const FILE_LIMIT: u64 = 1 << 30;
/// What fetches are answered from: as much as the broker reads, so that both copy from memory and not from the caches
/// of the processor.
const FETCH_FILE: usize = 256 << 20;

/// Serves 127.0.0.1:`port` until the process is killed; one thread per connection.
pub fn serve(port: u16, dir: &Path) -> anyhow::Result<()> {
    let source = dir.join("fetch");
    std::fs::write(&source, vec![7; FETCH_FILE])?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for (index, stream) in listener.incoming().enumerate() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        let file = OpenOptions::new().create(true).append(true).open(dir.join(format!("{index}.log")))?;
        let source = File::open(&source)?;
        std::thread::spawn(move || {
            Session { stream, file, source, written: 0, place: index as u64 * FETCH_FILE as u64 / 2 }.run()
        });
    }
    Ok(())
}

struct Session {
    stream: TcpStream,
    file: File,
    source: File,
    written: u64,
    /// Where the next fetch reads.
    place: u64,
}

impl Session {
    fn run(mut self) {
        let mut buffer = BytesMut::with_capacity(1 << 20);
        // A client that goes away ends its session; there is nobody to tell.
        while let Ok(frame) = self.frame(&mut buffer) {
            if self.answer(frame).is_err() {
                break;
            }
        }
    }

    fn frame(&mut self, buffer: &mut BytesMut) -> anyhow::Result<Bytes> {
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix)?;
        let size = frame::frame_size(prefix, 128 << 20)?;
        buffer.resize(size, 0);
        self.stream.read_exact(buffer)?;
        Ok(buffer.split().freeze())
    }

    fn answer(&mut self, frame: Bytes) -> anyhow::Result<()> {
        let mut reader = Reader::new(frame);
        let header = RequestHeader::read_known(&mut reader)?;
        let version = header.api_version;
        match header.key() {
            Some(ApiKey::Produce) => {
                let response = self.produce(ProduceRequest::decode(&mut reader, version)?)?;
                self.send(&header, ApiKey::Produce, &response)
            }
            Some(ApiKey::Fetch) => {
                let response = fetch(FetchRequest::decode(&mut reader, version)?);
                self.send(&header, ApiKey::Fetch, &response)
            }
            _ => self.send(&header, ApiKey::ApiVersions, &ApiVersionsResponse::default()),
        }
    }

    fn produce(&mut self, request: ProduceRequest) -> anyhow::Result<ProduceResponse> {
        let mut responses = Vec::new();
        for topic in request.topic_data {
            let mut partition_responses = Vec::new();
            for partition in topic.partition_data {
                if let Some(bytes) = partition.records.as_ref().and_then(Records::as_bytes) {
                    verify_crc(bytes)?;
                    self.append(bytes)?;
                }
                partition_responses
                    .push(PartitionProduceResponse { index: partition.index, ..PartitionProduceResponse::default() });
            }
            responses.push(TopicProduceResponse {
                name: topic.name,
                partition_responses,
                ..TopicProduceResponse::default()
            });
        }
        Ok(ProduceResponse { responses, ..ProduceResponse::default() })
    }

    fn append(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        if self.written > FILE_LIMIT {
            self.file.set_len(0)?;
            self.written = 0;
        }
        Ok(())
    }

    fn send<M: Message>(&mut self, header: &RequestHeader, key: ApiKey, message: &M) -> anyhow::Result<()> {
        let header_version = frame::response_header_version(key, header.api_version);
        let Encoded { bytes, cuts } =
            frame::encode_response(header.correlation_id, header_version, message, header.api_version)?;
        let mut sent = 0;
        for cut in &cuts {
            self.stream.write_all(&bytes[sent..cut.position])?;
            sent = cut.position;
            let mut offset = self.place % (FETCH_FILE - cut.len + 1) as u64;
            let end = offset + cut.len as u64;
            self.place = end;
            while offset < end {
                let left = (end - offset) as usize;
                sendfile(&self.stream, &self.source, Some(&mut offset), left)?;
            }
        }
        Ok(self.stream.write_all(&bytes[sent..])?)
    }
}

/// Answers with as many bytes as were asked for, whatever the offset.
fn fetch(request: FetchRequest) -> FetchResponse {
    let responses = request.topics.into_iter().map(|topic| FetchableTopicResponse {
        partitions: topic
            .partitions
            .iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition,
                error_code: ErrorCode::NONE,
                records: Some(Records::External {
                    len: (partition.partition_max_bytes as usize).min(FETCH_FILE),
                    token: 0,
                }),
                ..PartitionData::default()
            })
            .collect(),
        topic: topic.topic,
        ..FetchableTopicResponse::default()
    });
    FetchResponse { responses: responses.collect(), ..FetchResponse::default() }
}
