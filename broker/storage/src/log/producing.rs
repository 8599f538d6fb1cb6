//! The producers of a log and their transactions, looked up only when one writes or a reader wants committed records.

use ottla_core::{Now, Offset, Timestamp};
use ottla_records::{BatchHeader, Marker};

use super::{AppendInfo, Log};
use crate::aborted::{Aborted, AbortedIndexes};
use crate::file::read_at;
use crate::names::{self, Kind};
use crate::producers::{Producers, read_snapshot};
use crate::scan::{Found, Walk};
use crate::segment::Segment;
use crate::{Error, ProducerSummary, Result};

/// What is known of the producers.
#[derive(Debug)]
pub(crate) enum ProducerState {
    /// Nothing yet: to be read from the newest of these snapshots, ascending, and the batches behind it.
    Unread(Vec<i64>),
    /// Up to date.
    Known(Box<Tracked>),
    /// There are none.
    Empty,
}

/// The producers, and what they have aborted.
#[derive(Debug, Default)]
pub(crate) struct Tracked {
    pub(crate) producers: Producers,
    pub(crate) aborted: AbortedIndexes,
}

impl ProducerState {
    pub(crate) fn known(&self) -> Option<&Producers> {
        static NONE: std::sync::LazyLock<Producers> = std::sync::LazyLock::new(Producers::default);
        match self {
            Self::Unread(_) => None,
            Self::Known(tracked) => Some(&tracked.producers),
            Self::Empty => Some(&NONE),
        }
    }
}

impl Log {
    /// The producers that this log remembers.
    pub fn producers(&mut self) -> Result<Vec<ProducerSummary>> {
        self.load_producers()?;
        Ok(self.producers.known().map(|p| p.summaries().collect()).unwrap_or_default())
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`; gives their number.
    pub fn expire_producers(&mut self, now: Now) -> usize {
        let limit = i64::try_from(self.config.producer_id_expiration.as_millis()).unwrap_or(i64::MAX);
        match &mut self.producers {
            ProducerState::Known(tracked) => tracked.producers.expire(now.wall.0, limit),
            ProducerState::Unread(_) | ProducerState::Empty => 0,
        }
    }

    /// Checks a client's batch; gives the answer of then if it was appended before.
    pub(super) fn find_duplicate(&mut self, header: &BatchHeader) -> Result<Option<AppendInfo>> {
        if !header.has_producer_id() {
            return Ok(None);
        }
        self.load_producers()?;
        let ProducerState::Known(tracked) = &self.producers else { return Ok(None) };
        // Batches of a coordinator carry a producer id without sequences.
        if header.base_sequence < 0 {
            tracked.producers.check_epoch(header)?;
            return Ok(None);
        }
        let Some(earlier) = tracked.producers.check(header)? else { return Ok(None) };
        let view = self.shared.view.read();
        Ok(Some(AppendInfo {
            base_offset: Offset(earlier.base_offset()),
            last_offset: Offset(earlier.last_offset),
            log_end: Offset(view.end),
            log_start: Offset(view.start),
            max_timestamp: Timestamp(earlier.timestamp),
            log_append_time: Timestamp::NONE,
            duplicate: true,
        }))
    }

    /// Takes note of a batch that was written at `position` of the active segment.
    pub(super) fn note_producer(&mut self, header: &BatchHeader, position: u64) -> Result<()> {
        if !header.has_producer_id() {
            return Ok(());
        }
        if let ProducerState::Empty = self.producers {
            self.producers = ProducerState::Known(Box::default());
        }
        let active = self.active();
        // If they are unread they will be read from the log, this batch among them.
        let ProducerState::Known(tracked) = &mut self.producers else { return Ok(()) };
        let noted = tracked.note(&active.segment, &Found { position, header: *header }, &self.shared.folder);
        noted.map_err(|error| {
            self.producers = ProducerState::Unread(self.snapshots());
            self.shared.dir.write_failed(error)
        })
    }

    /// Reads the newest whole snapshot and replays the batches behind it.
    pub(crate) fn load_producers(&mut self) -> Result<()> {
        let ProducerState::Unread(snapshots) = &self.producers else { return Ok(()) };
        let start = self.log_start().0;
        let mut producers = Producers::default();
        let mut from = start;
        for offset in snapshots.iter().rev() {
            let path = names::segment_path(&self.shared.folder, *offset, Kind::Snapshot);
            match read_snapshot(&path) {
                Ok(read) => {
                    producers = read;
                    from = *offset;
                    break;
                }
                Err(error) => tracing::warn!(%error, "producer snapshot not used"),
            }
        }
        let (first, end, segments) = {
            let view = self.shared.view.read();
            (view.segment_of(from), view.end, view.segments.clone())
        };
        let aborted = AbortedIndexes::open(&self.shared.folder, from).map_err(|e| self.shared.dir.write_failed(e))?;
        let mut tracked = Tracked { producers, aborted };
        for slot in &segments[first..] {
            if from >= end {
                break;
            }
            let Some(found) = slot.segment.locate(from, slot.size, self.shared.interval())? else { continue };
            let file = slot.segment.file()?;
            let mut walk = Walk::new(&file, found.position, slot.size);
            while let Some(found) = walk.next().map_err(|e| slot.segment.damaged(e))? {
                if found.header.has_producer_id() {
                    let noted = tracked.note(&slot.segment, &found, &self.shared.folder);
                    noted.map_err(|e| self.shared.dir.write_failed(e))?;
                }
            }
        }
        self.producers = ProducerState::Known(Box::new(tracked));
        Ok(())
    }
}

impl Tracked {
    /// Takes note of a producer's batch in `segment`; a transaction that it aborts is put into the segment's index.
    fn note(&mut self, segment: &Segment, found: &Found, folder: &std::path::Path) -> Result<()> {
        let marker = if found.header.attributes.is_control() { read_marker(segment, found)? } else { None };
        match self.producers.update(&found.header, marker) {
            Some(ended) if !ended.commit => self.aborted.push(folder, segment.base, Aborted::from(ended)),
            _ => Ok(()),
        }
    }
}

/// The marker in a control batch that is on disk.
fn read_marker(segment: &Segment, found: &Found) -> Result<Option<Marker>> {
    let mut batch = vec![0; found.header.total_len()];
    read_at(&*segment.file()?, &mut batch, found.position).map_err(|e| segment.io("read", e))?;
    Marker::read(&batch).map_err(|reason| Error::Damaged {
        path: segment.log.path(),
        position: found.position,
        reason: reason.to_string(),
    })
}
