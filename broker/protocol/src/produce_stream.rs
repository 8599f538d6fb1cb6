//! Produce requests decoded as they arrive, so that the record bytes of a large one need not be gathered first.
//!
//! Everything but the record bytes is small. [`ProduceStream::next`] reads it piece by piece from the part of the frame
//! that has arrived, and stops where record bytes begin; the caller takes those straight from the connection.

use uuid::Uuid;

use crate::codec::{DecodeError, Message, Reader, Str, Version, Wire};
use crate::messages::ProduceRequest;

/// A piece of a Produce request; the pieces come in the order of the variants, topics and partitions repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProducePart {
    /// The fields of the request, always first.
    Request {
        /// The transactional producer, if it is one.
        transactional_id: Option<Str>,
        /// 0, 1 or -1 as in [`ProduceRequest::acks`].
        acks: i16,
        /// Milliseconds to wait for acks.
        timeout_ms: i32,
        /// Topics to come.
        topics: usize,
    },
    /// A topic begins.
    Topic {
        /// Its name; empty from version 13 on.
        name: Str,
        /// Its id; zero before version 13.
        topic_id: Uuid,
        /// Partitions to come.
        partitions: usize,
    },
    /// A partition begins. The next `records_length` bytes of the frame are its batches: the caller takes them before it
    /// asks for another part.
    Partition {
        /// Index of the partition.
        index: i32,
        /// Bytes of record batches; `None` is null (as if there were none).
        records_length: Option<usize>,
    },
    /// The request is over; what is left of the frame is to be ignored.
    End,
}

/// Where the decoding of one Produce request stands.
#[derive(Clone, Debug)]
pub struct ProduceStream {
    version: Version,
    state: State,
    topics_left: usize,
    partitions_left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Request,
    /// Before a topic, or at the end of them.
    Topics,
    /// Before a partition, or at the end of those of a topic.
    Partitions,
    /// After the records of a partition.
    PartitionEnd,
    Done,
}

impl ProduceStream {
    /// The decoder for a request of `version`, to be given readers that stand behind the request header.
    pub fn new(version: i16) -> Result<Self, DecodeError> {
        let version = ProduceRequest::checked(version)
            .ok_or(DecodeError::UnsupportedVersion { message: ProduceRequest::NAME, version })?;
        Ok(Self { version, state: State::Request, topics_left: 0, partitions_left: 0 })
    }

    /// Reads the next part. On [`DecodeError::Incomplete`] neither this nor the reader's position has moved: call again
    /// when more has arrived, with a [`Reader::partial`] from the same place of the frame.
    pub fn next(&mut self, reader: &mut Reader) -> Result<ProducePart, DecodeError> {
        let position = reader.position();
        let before = self.clone();
        let part = self.advance(reader);
        if part.is_err() {
            reader.set_position(position);
            *self = before;
        }
        part
    }

    fn advance(&mut self, reader: &mut Reader) -> Result<ProducePart, DecodeError> {
        match self.state {
            State::Request => self.request(reader),
            State::PartitionEnd => {
                self.end_of_structure(reader)?;
                self.partition_or_topic_end(reader)
            }
            State::Partitions => self.partition_or_topic_end(reader),
            State::Topics => self.topic_or_end(reader),
            State::Done => Ok(ProducePart::End),
        }
    }

    fn request(&mut self, reader: &mut Reader) -> Result<ProducePart, DecodeError> {
        let transactional_id = if self.version.number >= 3 { reader.string(self.version.flexible)? } else { None };
        let (acks, timeout_ms) = (reader.i16()?, reader.i32()?);
        let topics = self.array_length(reader, "topic_data")?;
        self.topics_left = topics;
        self.state = State::Topics;
        Ok(ProducePart::Request { transactional_id, acks, timeout_ms, topics })
    }

    fn topic_or_end(&mut self, reader: &mut Reader) -> Result<ProducePart, DecodeError> {
        let Some(topics_left) = self.topics_left.checked_sub(1) else {
            self.end_of_structure(reader)?;
            self.state = State::Done;
            return Ok(ProducePart::End);
        };
        self.topics_left = topics_left;
        let by_id = self.version.number >= 13;
        let name = if by_id { Str::default() } else { Str::read(reader, self.version)? };
        let topic_id = if by_id { reader.uuid()? } else { Uuid::nil() };
        let partitions = self.array_length(reader, "partition_data")?;
        self.partitions_left = partitions;
        self.state = State::Partitions;
        Ok(ProducePart::Topic { name, topic_id, partitions })
    }

    fn partition_or_topic_end(&mut self, reader: &mut Reader) -> Result<ProducePart, DecodeError> {
        let Some(partitions_left) = self.partitions_left.checked_sub(1) else {
            self.end_of_structure(reader)?;
            return self.topic_or_end(reader);
        };
        self.partitions_left = partitions_left;
        let index = reader.i32()?;
        let records_length = reader.length(self.version.flexible)?;
        if let Some(needed) = records_length.filter(|length| *length > reader.remaining()) {
            return Err(DecodeError::Truncated { needed: needed as u64, remaining: reader.remaining() });
        }
        self.state = State::PartitionEnd;
        Ok(ProducePart::Partition { index, records_length })
    }

    fn array_length(&self, reader: &mut Reader, name: &'static str) -> Result<usize, DecodeError> {
        // No element takes fewer bytes: an index and a length, or a name and a count.
        let least = if self.version.flexible { 3 } else { 6 };
        reader.array_length(self.version.flexible, least)?.ok_or(DecodeError::UnexpectedNull(name))
    }

    fn end_of_structure(&self, reader: &mut Reader) -> Result<(), DecodeError> {
        if self.version.flexible { reader.tagged_fields(|_, _| Ok(false)) } else { Ok(()) }
    }
}
