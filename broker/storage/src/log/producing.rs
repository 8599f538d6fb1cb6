//! The idempotent producers of a log, looked up only when one writes.

use ottla_core::{Now, Offset, Timestamp};
use ottla_records::BatchHeader;

use super::{AppendInfo, Log};
use crate::names::{self, Kind};
use crate::producers::{Producers, read_snapshot};
use crate::scan::Walk;
use crate::{ProducerSummary, Result};

/// What is known of the producers.
#[derive(Debug)]
pub(crate) enum ProducerState {
    /// Nothing yet: to be read from the newest of these snapshots, ascending, and the batches behind it.
    Unread(Vec<i64>),
    /// Up to date.
    Known(Box<Producers>),
    /// There are none.
    Empty,
}

impl ProducerState {
    pub(crate) fn known(&self) -> Option<&Producers> {
        static NONE: std::sync::LazyLock<Producers> = std::sync::LazyLock::new(Producers::default);
        match self {
            Self::Unread(_) => None,
            Self::Known(producers) => Some(producers),
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
            ProducerState::Known(producers) => producers.expire(now.wall.0, limit),
            ProducerState::Unread(_) | ProducerState::Empty => 0,
        }
    }

    /// Checks a client's batch; gives the answer of then if it was appended before.
    pub(super) fn find_duplicate(&mut self, header: &BatchHeader) -> Result<Option<AppendInfo>> {
        if !header.has_producer_id() {
            return Ok(None);
        }
        self.load_producers()?;
        let ProducerState::Known(producers) = &self.producers else { return Ok(None) };
        // Batches of a coordinator carry a producer id without sequences.
        if header.base_sequence < 0 {
            return Ok(None);
        }
        let Some(earlier) = producers.check(header)? else { return Ok(None) };
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

    pub(super) fn note_producer(&mut self, header: &BatchHeader) {
        if !header.has_producer_id() {
            return;
        }
        match &mut self.producers {
            // They will be read from the log, this batch among them.
            ProducerState::Unread(_) => {}
            ProducerState::Known(producers) => producers.update(header),
            ProducerState::Empty => {
                let mut producers = Box::<Producers>::default();
                producers.update(header);
                self.producers = ProducerState::Known(producers);
            }
        }
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
        for slot in &segments[first..] {
            if from >= end {
                break;
            }
            let Some(found) = slot.segment.locate(from, slot.size, self.shared.interval())? else { continue };
            let file = slot.segment.file()?;
            let mut walk = Walk::new(&file, found.position, slot.size);
            while let Some(found) = walk.next().map_err(|e| slot.segment.damaged(e))? {
                if found.header.has_producer_id() {
                    producers.update(&found.header);
                }
            }
        }
        self.producers = ProducerState::Known(Box::new(producers));
        Ok(())
    }
}
