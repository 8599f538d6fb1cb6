//! What a segment's indexes and its newest timestamp are, kept up to date batch by batch.

use ottla_records::BatchHeader;

use crate::index::{Entry, Index, OffsetEntry, TimeEntry};

/// The largest timestamp of a segment, and the last offset of the first batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
}

#[derive(Debug)]
pub(super) struct State {
    /// Whether the rest is known; a segment found on disk is looked into only when it is used.
    pub(super) loaded: bool,
    pub(super) offsets: Index<OffsetEntry>,
    pub(super) times: Index<TimeEntry>,
    pub(super) newest: Newest,
    /// Timestamp of the first batch, from which `segment.ms` counts.
    pub(super) first_timestamp: Option<i64>,
    pub(super) bytes_since_entry: u32,
}

impl State {
    pub(super) fn clear(&mut self, base: i64) -> std::io::Result<()> {
        self.offsets.clear()?;
        self.times.clear()?;
        self.begin(base);
        Ok(())
    }

    /// The state of a segment without batches and without index files.
    pub(super) fn begin(&mut self, base: i64) {
        self.newest = Newest { timestamp: -1, offset: base };
        self.first_timestamp = None;
        self.bytes_since_entry = 0;
        self.loaded = true;
    }

    pub(super) fn note(&mut self, base: i64, header: &BatchHeader, position: u64, index_interval: u32) {
        if position == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        if header.max_timestamp > self.newest.timestamp {
            self.newest = Newest { timestamp: header.max_timestamp, offset: header.last_offset() };
        }
        if self.bytes_since_entry > index_interval {
            if let (Ok(offset), Ok(position)) = (u32::try_from(header.last_offset() - base), u32::try_from(position)) {
                self.offsets.push(OffsetEntry { offset, position });
            }
            self.note_newest(base);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry = self.bytes_since_entry.saturating_add(header.total_len() as u32);
    }

    /// Bytes of the larger index.
    pub(super) fn index_bytes(&self) -> u64 {
        (self.offsets.len() * OffsetEntry::SIZE).max(self.times.len() * TimeEntry::SIZE) as u64
    }

    /// Writes out what only memory has.
    pub(super) fn seal(&mut self, base: i64) -> std::io::Result<()> {
        self.note_newest(base);
        self.offsets.seal()?;
        self.times.seal()
    }

    /// Adds a time entry if the largest timestamp has grown since the last one.
    pub(super) fn note_newest(&mut self, base: i64) {
        let last = self.times.last().ok().flatten().map_or(-1, |e| e.timestamp);
        if self.newest.timestamp > last
            && let Ok(offset) = u32::try_from(self.newest.offset - base)
        {
            self.times.push(TimeEntry { timestamp: self.newest.timestamp, offset });
        }
    }
}
