//! Compaction (`cleanup.policy=compact`): rewrites the sealed segments of a log so that of every key the newest record
//! stays, with all offsets as they were.
//!
//! The rules are pure and lie in modules of their own: which part may be cleaned (`range`), the newest offset of each key
//! (`offset_map`), what stays (`rules`, `transactions`), which segments become one (`groups`). [`Clean`] reads and
//! writes files without the partition's lock; only the exchange of segments ([`Log::replace_segments`](crate::Log))
//! takes it. Must not look above what it was told is stable.

mod batch;
mod groups;
mod offset_map;
mod range;
mod rules;
mod source;
pub(crate) mod swap;
mod transactions;
mod writer;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use ottla_core::{Now, Offset};
use ottla_records::BatchHeader;

use crate::aborted::{Aborted, AbortedIndexes};
use crate::producers::LastBatch;
use crate::shared::{LogShared, Slot};
use crate::{Error, LogConfig, Result};

use batch::{Outcome, Scratch};
use groups::Part;
use offset_map::OffsetMap;
pub use range::Cleanable;
pub(crate) use range::{Lags, SegmentFacts, cleanable};
use rules::Rules;
pub use source::Pace;
use source::Source;
use transactions::Transactions;
use writer::Writer;

/// What a clean may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanLimits {
    /// `log.cleaner.dedupe.buffer.size`: bytes of the table of keys.
    pub dedupe_buffer: usize,
    /// `log.cleaner.io.buffer.load.factor`: the part of its slots that is used.
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size`: bytes read at a time.
    pub io_buffer: usize,
}

/// What a clean has done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CleanStats {
    /// Bytes read to learn the keys.
    pub mapped_bytes: u64,
    /// Bytes of the segments that were cleaned.
    pub bytes_before: u64,
    /// Bytes of what they became.
    pub bytes_after: u64,
    /// Records that were read in them.
    pub records_before: u64,
    /// Records that stayed.
    pub records_after: u64,
    /// The part of the table of keys that was used, 0 to 1.
    pub buffer_used: f64,
}

/// A clean of one log: [`Clean::read_keys`], then [`Clean::next_segment`] until there is none.
pub struct Clean {
    pub(crate) shared: Arc<LogShared>,
    pub(crate) config: Arc<LogConfig>,
    /// Raised by whatever else changes the segments; then this clean is void.
    pub(crate) generation: u32,
    /// The sealed segments below the first offset that may not be cleaned, each with its end.
    pub(crate) segments: Vec<(Slot, i64)>,
    pub(crate) aborted: AbortedIndexes,
    pub(crate) producers: HashMap<i64, LastBatch>,
    pub(crate) first_dirty: i64,
    /// The log when the clean began: the base of its first segment, and its end.
    pub(crate) log_base: i64,
    pub(crate) log_end: i64,
    pub(crate) limits: CleanLimits,
    pub(crate) now: Now,
    pub(crate) work: Work,
    pub(crate) stats: CleanStats,
}

/// How far a clean has come.
#[derive(Default)]
pub(crate) struct Work {
    rules: Option<Rules>,
    /// Keys are known up to here: where the next clean begins.
    pub(crate) until: i64,
    groups: VecDeque<Vec<(Slot, i64)>>,
}

/// A cleaned segment and those it is to replace.
pub struct CleanedSegment {
    pub(crate) old: Vec<Slot>,
    pub(crate) size: u64,
    pub(crate) writer: Writer,
}

impl Clean {
    /// What was done so far.
    pub fn stats(&self) -> CleanStats {
        self.stats
    }

    /// Where the next clean begins, once this one is done.
    pub fn until(&self) -> Offset {
        Offset(self.work.until)
    }

    /// Reads the keys of the dirty part, as many as the table takes.
    pub fn read_keys(&mut self, pace: &mut Pace<'_>) -> Result<()> {
        let read = self.map_keys(pace);
        read.map_err(|error| self.unless_void(error))
    }

    /// Writes the next cleaned segment; none if all is done. Segments in which nothing changes are left as they are.
    pub fn next_segment(&mut self, pace: &mut Pace<'_>) -> Result<Option<CleanedSegment>> {
        let written = self.clean_group(pace);
        written.map_err(|error| self.unless_void(error))
    }

    fn map_keys(&mut self, pace: &mut Pace<'_>) -> Result<()> {
        let mut keys = OffsetMap::new(self.limits.dedupe_buffer, self.limits.load_factor);
        let mut transactions = Transactions::default();
        let mut until = self.first_dirty;
        for (slot, end) in self.segments.iter().filter(|(_, end)| *end > self.first_dirty) {
            let interval = self.shared.interval();
            let Some(first) = slot.segment.locate(self.first_dirty, slot.size, interval)? else {
                until = *end;
                continue;
            };
            // One that ended before is not met here: it would count for a later transaction of its producer.
            let from = slot.segment.base.max(self.first_dirty);
            transactions.expect(self.aborted_in(slot, from..*end)?);
            let mut source = Source::new(slot, first.position, self.limits.io_buffer)?;
            let is_whole = map_segment(&mut source, &mut keys, &mut transactions, &mut until, pace)?;
            self.stats.mapped_bytes += source.position() - first.position;
            if !is_whole {
                break;
            }
            until = *end;
        }
        if until == self.first_dirty {
            return Err(Error::DedupeBufferTooSmall { bytes: self.limits.dedupe_buffer, keys: keys.len() });
        }
        self.stats.buffer_used = keys.utilization();
        let retention = i64::try_from(self.config.delete_retention.as_millis()).unwrap_or(i64::MAX);
        let producers = std::mem::take(&mut self.producers);
        self.work.rules = Some(Rules::new(keys, (until, self.log_end), producers, (self.now.wall.0, retention)));
        self.work.until = until;
        self.work.groups = self.group(until)?;
        Ok(())
    }

    fn clean_group(&mut self, pace: &mut Pace<'_>) -> Result<Option<CleanedSegment>> {
        while let Some(group) = self.work.groups.pop_front() {
            let base = group[0].0.segment.base;
            let mut writer = Writer::create(&self.shared, base)?;
            let mut has_changed = group.len() > 1;
            for (slot, end) in &group {
                has_changed |= self.write_segment(slot, *end, &mut writer, pace)?;
            }
            let old: Vec<Slot> = group.into_iter().map(|(slot, _)| slot).collect();
            self.stats.bytes_before += old.iter().map(|slot| slot.size).sum::<u64>();
            self.stats.bytes_after += writer.size();
            if !has_changed {
                continue;
            }
            let has_index = old.iter().any(|slot| slot.segment.paths()[3].exists());
            writer.finish(modified(&old)?, has_index, pace)?;
            return Ok(Some(CleanedSegment { size: writer.size(), old, writer }));
        }
        Ok(None)
    }

    /// What `error` means if the log has changed under the clean: files that are gone or shorter say nothing of it then.
    fn unless_void(&self, error: Error) -> Error {
        if matches!(error, Error::CalledOff) {
            return error;
        }
        let view = self.shared.view.read();
        let is_same = view.generation == self.generation && view.segments[0].segment.base == self.log_base;
        if is_same && !self.shared.deleted.load(Ordering::Acquire) { error } else { Error::CleanVoid }
    }

    /// The segments with something below `until`, in groups of which each becomes one.
    fn group(&mut self, until: i64) -> Result<VecDeque<Vec<(Slot, i64)>>> {
        let interval = self.shared.interval();
        // Taken along, so that each is let go of with its group, and its files with it.
        let mut rest = std::mem::take(&mut self.segments);
        rest.retain(|(slot, _)| slot.segment.base < until);
        let part = |(slot, end): &(Slot, i64)| {
            let index = slot.segment.index_bytes(slot.size, interval)?;
            Ok(Part { base: slot.segment.base, end: *end, size: slot.size, index })
        };
        let parts: Vec<Part> = rest.iter().map(part).collect::<Result<_>>()?;
        let lengths = groups::groups(&parts, self.config.segment_bytes.into(), self.config.segment_index_bytes.into());
        Ok(lengths.into_iter().map(|count| rest.drain(..count).collect()).collect())
    }

    /// The aborted transactions with a record within `offsets`, a part of the segment `slot`.
    fn aborted_in(&self, slot: &Slot, offsets: Range<i64>) -> Result<Vec<Aborted>> {
        self.aborted.overlapping(&self.shared.folder, slot.segment.base, offsets.start, offsets.end)
    }

    /// Writes what stays of a segment; whether that differs from what it was.
    fn write_segment(&mut self, slot: &Slot, end: i64, writer: &mut Writer, pace: &mut Pace<'_>) -> Result<bool> {
        let aborted = self.aborted_in(slot, slot.segment.base..end)?;
        let Some(rules) = &mut self.work.rules else { return Err(Error::CalledOff) };
        rules.expect(aborted);
        let mut source = Source::new(slot, 0, self.limits.io_buffer)?;
        let mut scratch = Scratch::default();
        let mut has_changed = false;
        while let Some((header, bytes)) = source.next(pace)? {
            let cleaned = match batch::clean(rules, &header, bytes, &mut scratch) {
                Ok(cleaned) => cleaned,
                Err(reason) => return Err(source.invalid(reason)),
            };
            self.stats.records_before += header.record_count as u64;
            if let Some(index) = cleaned.index {
                writer.aborted(index);
            }
            let bytes = match &cleaned.batch {
                Outcome::Same => bytes,
                Outcome::Gone => {
                    has_changed = true;
                    continue;
                }
                Outcome::Changed(bytes) => {
                    has_changed = true;
                    bytes
                }
            };
            let header = BatchHeader::parse(bytes).map_err(Error::Batch)?;
            self.stats.records_after += header.record_count as u64;
            writer.batch(&header, bytes, pace)?;
        }
        Ok(has_changed)
    }
}

/// When the newest of `segments` was last written: what retention goes by where records have no timestamps.
fn modified(segments: &[Slot]) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for slot in segments {
        let since_epoch = Duration::from_millis(u64::try_from(slot.segment.modified()?).unwrap_or(0));
        newest = newest.max(SystemTime::UNIX_EPOCH + since_epoch);
    }
    Ok(newest)
}

/// Takes note of the keys of a segment, and of how far it came. False if the table is full.
fn map_segment(
    source: &mut Source<'_>,
    keys: &mut OffsetMap,
    transactions: &mut Transactions,
    until: &mut i64,
    pace: &mut Pace<'_>,
) -> Result<bool> {
    let mut scratch = Scratch::default();
    while let Some((header, bytes)) = source.next(pace)? {
        match batch::map(&header, bytes, keys, transactions, &mut scratch) {
            Ok(true) => *until = header.next_offset(),
            Ok(false) => return Ok(false),
            Err(reason) => return Err(source.invalid(reason)),
        }
    }
    Ok(true)
}
