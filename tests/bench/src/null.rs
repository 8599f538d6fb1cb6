//! The null server: receives, checks checksums, appends, answers. What a broker does beyond that is its own cost.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, ensure};
use bytes::{Bytes, BytesMut};
use ottla_protocol::codec::{Encoded, Message, Reader, Records, Str};
use ottla_protocol::frame::{self, RequestHeader};
use ottla_protocol::messages::fetch::{FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::produce::{PartitionProduceResponse, TopicProduceResponse};
use ottla_protocol::messages::{ApiVersionsResponse, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};
use ottla_protocol::{ApiKey, ErrorCode};
use ottla_records::{BatchHeader, Crc, crc_start, verify_crc};
use rustix::fs::sendfile;
use rustix::net::sockopt::set_tcp_congestion;

/// Each connection appends to a file of its own, cut back at this size so that the disk stays bounded.
const FILE_LIMIT: u64 = 1 << 30;
/// What fetches are answered from: as much as the broker reads, so that both copy from memory and not from the caches
/// of the processor.
const FETCH_FILE: usize = 256 << 20;
/// It is written as a log is, a batch of 64 KiB and some bytes at a time: how the kernel keeps a file in memory, and so
/// what sending it costs, depends on how it was written.
const FETCH_BATCH: usize = (64 << 10) + 1001;
/// Bytes of a large batch that are written at once.
const WRITE: usize = 256 << 10;

/// What of a frame is enough to read all that comes before its records.
const HEAD: usize = 1 << 10;

/// Serves 127.0.0.1:`port` until the process is killed; one thread per connection. Batches larger than `piece` are
/// written as they arrive, in pieces of that size.
pub fn serve(port: u16, dir: &Path, piece: usize) -> anyhow::Result<()> {
    let source = dir.join("fetch");
    let mut file = File::create(&source)?;
    let bytes = vec![7; FETCH_BATCH];
    for start in (0..FETCH_FILE).step_by(FETCH_BATCH) {
        file.write_all(&bytes[..FETCH_BATCH.min(FETCH_FILE - start)])?;
    }
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    // As the broker does within a machine: what a kernel's pacing costs is no part of the limit.
    set_tcp_congestion(&listener, "reno")?;
    for (index, stream) in listener.incoming().enumerate() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        let file = OpenOptions::new().create(true).append(true).open(dir.join(format!("{index}.log")))?;
        let source = File::open(&source)?;
        std::thread::spawn(move || {
            let place = index as u64 * FETCH_FILE as u64 / 2;
            Session { stream, file, source, buffer: BytesMut::zeroed(piece.min(1 << 20)), piece, written: 0, place }
                .run()
        });
    }
    Ok(())
}

struct Session {
    stream: TcpStream,
    file: File,
    source: File,
    /// Received into; the same memory for every frame.
    buffer: BytesMut,
    piece: usize,
    written: u64,
    /// Where the next fetch reads.
    place: u64,
}

impl Session {
    fn run(mut self) {
        // A client that goes away ends its session; there is nobody to tell.
        while self.turn().is_ok() {}
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix)?;
        let size = frame::frame_size(prefix, 128 << 20)?;
        let first = size.min(self.piece);
        if self.buffer.len() < first {
            self.buffer.resize(first, 0);
        }
        self.stream.read_exact(&mut self.buffer[..first])?;
        let is_produce = self.buffer.starts_with(&ApiKey::Produce.number().to_be_bytes());
        if is_produce && first < size {
            return self.stream_produce(size, first);
        }
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        self.stream.read_exact(&mut self.buffer[first..size])?;
        let all = std::mem::take(&mut self.buffer).freeze();
        self.answer(all.slice(..size))?;
        self.buffer = all.try_into_mut().ok().context("the frame is still in use")?;
        Ok(())
    }

    /// Takes in a produce for one partition while it arrives; its first bytes are there.
    fn stream_produce(&mut self, size: usize, first: usize) -> anyhow::Result<()> {
        let mut reader = Reader::new(Bytes::copy_from_slice(&self.buffer[..HEAD]));
        let header = RequestHeader::read_known(&mut reader)?;
        let (topic, index) = one_partition(&mut reader)?;
        let start = reader.position();
        let batch = BatchHeader::parse(&self.buffer[start..first])?;
        let mut crc = Crc::new();
        crc.update(&self.buffer[start + crc_start()..first]);
        self.append(start..first)?;
        let end = start + batch.total_len();
        let mut received = first;
        while received < end {
            let count = (end - received).min(self.piece);
            self.stream.read_exact(&mut self.buffer[..count])?;
            crc.update(&self.buffer[..count]);
            self.append(0..count)?;
            received += count;
        }
        self.stream.read_exact(&mut self.buffer[..size - received])?;
        ensure!(crc.value() == batch.crc, "the checksum does not hold");
        let answers = vec![PartitionProduceResponse { index, ..PartitionProduceResponse::default() }];
        let topic =
            TopicProduceResponse { name: topic, partition_responses: answers, ..TopicProduceResponse::default() };
        let response = ProduceResponse { responses: vec![topic], ..ProduceResponse::default() };
        self.send(&header, ApiKey::Produce, &response)
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
                    // One write of many megabytes costs more than as many bytes in several.
                    bytes.chunks(WRITE).try_for_each(|piece| self.file.write_all(piece))?;
                    self.wrote(bytes.len())?;
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

    /// Appends a range of the buffer.
    fn append(&mut self, range: Range<usize>) -> anyhow::Result<()> {
        self.file.write_all(&self.buffer[range.clone()])?;
        self.wrote(range.len())
    }

    fn wrote(&mut self, count: usize) -> anyhow::Result<()> {
        self.written += count as u64;
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

/// Topic and index of a produce for one partition, whose records come next.
fn one_partition(reader: &mut Reader) -> anyhow::Result<(Str, i32)> {
    let _transactional_id = reader.string(true)?;
    let (_acks, _timeout) = (reader.i16()?, reader.i32()?);
    ensure!(reader.array_length(true, 0)? == Some(1), "more than one topic");
    let topic = reader.string(true)?.context("no topic")?;
    ensure!(reader.array_length(true, 0)? == Some(1), "more than one partition");
    let index = reader.i32()?;
    reader.length(true)?.context("no records")?;
    Ok((topic, index))
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
