//! Opening the log of a partition that is on disk.
//!
//! After a clean stop nothing is read but names and sizes. After any other stop the batches from the recovery point's
//! segment on are checked: a tail above what had been flushed is cut at the first batch that is not whole; damage below
//! is reported and nothing is cut, because what lies there may have been acked.

mod files;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use ottla_core::{LeaderEpoch, Offset, TopicPartition};
use ottla_records::BatchHeader;
use parking_lot::RwLock;

use crate::error::io_error;
use crate::file::remove;
use crate::leader_epochs::LeaderEpochs;
use crate::log::{Log, ProducerState};
use crate::names::{self, Kind};
use crate::scan::{self, Walk, WalkError};
use crate::segment::Segment;
use crate::shared::{DirShared, LogShared, Slot, View};
use crate::{Error, LogConfig, Result};

/// Flushed data that is not there any more, or not as it was written. The log is left untouched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log of {partition} is damaged at offset {offset} below its recovery point {recovery_point}: {reason}")]
pub struct Damage {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset that is lost or broken.
    pub offset: Offset,
    /// Everything below had been flushed.
    pub recovery_point: Offset,
    /// What is wrong.
    pub reason: String,
}

/// What recovery did to a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The batches at the end were read and checked.
    pub scanned: bool,
    /// Bytes of a torn tail that were cut.
    pub truncated_bytes: u64,
}

/// What is known of a log before it is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hints {
    pub(crate) recovery_point: Option<i64>,
    pub(crate) log_start: Option<i64>,
    /// How far it has been cleaned.
    pub(crate) cleaned: Option<i64>,
    /// The stop before was clean.
    pub(crate) clean: bool,
    /// Check every segment, not only those above the recovery point.
    pub(crate) verify_all: bool,
    pub(crate) now: i64,
}

/// The outcome for one partition: an error of the directory, damage to this log, or the log.
pub(crate) type Outcome = Result<std::result::Result<(Log, Recovered), Damage>>;

/// Size of the pieces in which batches are checked.
const PIECE: usize = 256 << 10;

/// Opens the log of `partition`, which has a folder.
pub(crate) fn open(dir: &Arc<DirShared>, partition: TopicPartition, config: Arc<LogConfig>, hints: Hints) -> Outcome {
    let folder: Arc<Path> = dir.path.join(partition.to_string()).into();
    let files = files::find(dir, &folder)?;
    let epochs = if files.epochs { LeaderEpochs::load(&folder)? } else { None };
    let stored_epochs = epochs.clone().unwrap_or_default();
    let mut scan = Scan {
        partition: &partition,
        config: &config,
        recovery_point: hints.recovery_point.unwrap_or(0),
        // A log without batches has had no epochs to lose.
        epochs_lost: epochs.is_none() && files.segments.values().any(|size| *size > 0),
        epochs: epochs.unwrap_or_default(),
        known_epochs: &stored_epochs,
        slots: Vec::with_capacity(files.segments.len()),
        end: 0,
        read_end: 0,
        indexed: &files.indexed,
        // What a Kafka has cleaned says so in its checkpoint alone.
        may_have_gaps: files.gaps || hints.cleaned.is_some() || config.compact,
        recovered: Recovered::default(),
    };
    for (base, size) in &files.segments {
        scan.slots.push(Slot { segment: Segment::existing(&dir.cache, &folder, *base).into(), size: *size });
    }
    let log_start = hints.log_start.unwrap_or(0);
    if let Err(damage) = scan.run(hints, log_start)? {
        return Ok(Err(damage));
    }
    let Scan { mut epochs, mut slots, mut end, recovered, .. } = scan;
    let start = log_start.max(slots.first().map_or(0, |s| s.segment.base));
    if slots.is_empty() || start > end {
        for path in slots.iter().flat_map(|s| s.segment.paths()) {
            remove(&path)?;
        }
        slots = vec![Slot { segment: Segment::create(&dir.cache, &folder, start)?.into(), size: 0 }];
        end = start;
    }
    for offset in files.snapshots.iter().filter(|o| **o > end) {
        remove(&names::segment_path(&folder, *offset, Kind::Snapshot))?;
    }
    let snapshots: Vec<i64> = files.snapshots.into_iter().filter(|o| *o <= end).collect();
    let empty = snapshots.is_empty() && slots.iter().all(|s| s.size == 0);
    epochs.truncate_end(Offset(end.max(start)));
    epochs.truncate_start(Offset(start));
    if epochs != stored_epochs {
        epochs.store(&folder, crate::checkpoint::Sync::Later)?;
    }
    let flushed = if recovered.scanned { hints.recovery_point.unwrap_or(0).clamp(start, end) } else { end };
    let view = View { start, end, segments: slots, generation: 0 };
    let shared = new_shared(dir, partition, folder, &config, view, flushed);
    shared.has_gaps.store(files.gaps, Ordering::Release);
    shared.cleaned.store(hints.cleaned.filter(|cleaned| *cleaned <= end).unwrap_or(0), Ordering::Release);
    // What the last run made in the folder may not have been synced; the log's first flush does it.
    shared.entries_dirty.store(!hints.clean || recovered.scanned, Ordering::Release);
    let producers = if empty { ProducerState::Empty } else { ProducerState::Unread(snapshots) };
    Ok(Ok((new_log(shared, config, epochs, producers, hints.now), recovered)))
}

/// Makes `folder` and the first segment of a new log in it.
pub(crate) fn create(
    dir: &Arc<DirShared>,
    partition: TopicPartition,
    folder: &str,
    config: Arc<LogConfig>,
    now: i64,
) -> Result<Log> {
    let folder: Arc<Path> = dir.path.join(folder).into();
    match std::fs::create_dir(&folder) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(Error::Exists(partition)),
        Err(e) => return Err(dir.write_failed(io_error("create", &folder)(e))),
    }
    let segment = Segment::create(&dir.cache, &folder, 0).map_err(|e| dir.write_failed(e))?;
    let view = View { start: 0, end: 0, segments: vec![Slot { segment: segment.into(), size: 0 }], generation: 0 };
    let shared = new_shared(dir, partition, folder, &config, view, 0);
    shared.entries_dirty.store(true, Ordering::Release);
    dir.entries_dirty.store(true, Ordering::Release);
    Ok(new_log(shared, config, LeaderEpochs::default(), ProducerState::Empty, now))
}

fn new_shared(
    dir: &Arc<DirShared>,
    partition: TopicPartition,
    folder: Arc<Path>,
    config: &LogConfig,
    view: View,
    flushed: i64,
) -> Arc<LogShared> {
    Arc::new(LogShared {
        partition,
        handle: AtomicU64::new(0),
        dir: Arc::clone(dir),
        folder,
        view: RwLock::new(view),
        flushed: AtomicI64::new(flushed),
        mark: AtomicI64::new(-1),
        index_interval: AtomicU64::new(u64::from(config.index_interval_bytes)),
        cleaned: AtomicI64::new(0),
        has_gaps: AtomicBool::new(false),
        queued: AtomicBool::new(false),
        entries_dirty: AtomicBool::new(false),
        deleted: AtomicBool::new(false),
    })
}

fn new_log(
    shared: Arc<LogShared>,
    config: Arc<LogConfig>,
    epochs: LeaderEpochs,
    producers: ProducerState,
    now: i64,
) -> Log {
    Log { shared, config, epochs, epochs_ahead: false, producers, active_since: now, allocated: 0, unflushed: 0 }
}

struct Scan<'a> {
    partition: &'a TopicPartition,
    config: &'a LogConfig,
    recovery_point: i64,
    epochs_lost: bool,
    epochs: LeaderEpochs,
    /// The epochs as the checkpoint has them.
    known_epochs: &'a LeaderEpochs,
    slots: Vec<Slot>,
    end: i64,
    /// The offset after the last batch that was read: below the end where a segment ends with a gap.
    read_end: i64,
    indexed: &'a HashSet<i64>,
    may_have_gaps: bool,
    recovered: Recovered,
}

/// Where the batches of a segment stop being whole.
struct Tear {
    position: u64,
    reason: String,
}

impl Scan<'_> {
    fn run(&mut self, hints: Hints, log_start: i64) -> Result<std::result::Result<(), Damage>> {
        let Some(last) = self.slots.last() else {
            return Ok(self.check_end(log_start));
        };
        // At a clean stop the recovery point is the log end: believed if the last segment can end there.
        let base = last.segment.base;
        let possible = self.recovery_point >= base && (self.recovery_point == base) == (last.size == 0);
        if hints.clean && hints.recovery_point.is_some() && possible && !hints.verify_all && !self.epochs_lost {
            self.end = self.recovery_point;
            return Ok(Ok(()));
        }
        if let [only] = &*self.slots
            && only.size == 0
            && !self.indexed.contains(&base)
        {
            // Most partitions of a new cluster: there is nothing to check, and nothing that a flush would keep.
            self.end = base;
            return Ok(self.check_end(log_start));
        }
        self.recovered.scanned = true;
        let first = self.slots.partition_point(|s| s.segment.base <= self.recovery_point).saturating_sub(1);
        if self.epochs_lost {
            self.read_epochs(if hints.verify_all { 0 } else { first })?;
        }
        self.scan(if hints.verify_all { 0 } else { first }, log_start)
    }

    /// Checks the segments from `first` on, cuts a torn tail, and sets the end.
    fn scan(&mut self, first: usize, log_start: i64) -> Result<std::result::Result<(), Damage>> {
        let mut buffer = vec![0; PIECE];
        self.end = self.slots[first].segment.base;
        self.read_end = self.end;
        // The batches say it; the checkpoint may be older, or of a leader that lost.
        self.epochs.truncate_end(Offset(self.end));
        for n in first..self.slots.len() {
            let slot = self.slots[n].clone();
            let gap = slot.segment.base != self.end && (slot.segment.base < self.end || !self.may_have_gaps);
            let tear = if gap {
                let reason = format!("a segment begins at offset {} instead", slot.segment.base);
                Some(Tear { position: 0, reason })
            } else {
                self.end = slot.segment.base;
                self.scan_segment(&slot, &mut buffer)?
            };
            let Some(tear) = tear else { continue };
            // Nobody reads below the log start, so what is broken there is no loss; nor is what was never flushed.
            if self.end < self.recovery_point && self.recovery_point > log_start {
                return Ok(Err(self.damage(tear.reason)));
            }
            self.cut(n, tear.position)?;
            break;
        }
        Ok(self.check_end(log_start))
    }

    /// Everything that was flushed must be there.
    fn check_end(&self, log_start: i64) -> std::result::Result<(), Damage> {
        if self.end < self.recovery_point && self.recovery_point > log_start {
            return Err(self.damage("the log ends there".to_owned()));
        }
        Ok(())
    }

    fn damage(&self, reason: String) -> Damage {
        let (offset, recovery_point) = (Offset(self.end), Offset(self.recovery_point));
        Damage { partition: self.partition.clone(), offset, recovery_point, reason }
    }

    /// Checks every batch of a segment, indexes it, and moves the end behind the last whole one.
    fn scan_segment(&mut self, slot: &Slot, buffer: &mut [u8]) -> Result<Option<Tear>> {
        slot.segment.reset(self.indexed.contains(&slot.segment.base))?;
        let file = slot.segment.file()?;
        let mut walk = Walk::new(&file, 0, slot.size);
        let mut position = 0;
        loop {
            let checked = walk.next().and_then(|found| match found {
                Some(found) => scan::verify(&file, &found, buffer).map(|()| Some(found)),
                None => Ok(None),
            });
            match checked {
                Ok(None) => return Ok(None),
                Ok(Some(found)) if self.continues(&found.header) => {
                    slot.segment.note(&found.header, found.position, self.config.index_interval_bytes);
                    self.note_epoch(&found.header);
                    self.end = found.header.next_offset();
                    self.read_end = self.end;
                    position = found.end();
                }
                Ok(Some(found)) => {
                    let (offset, epoch) = (found.header.base_offset, found.header.leader_epoch);
                    let reason = format!("a batch of epoch {epoch} begins at offset {offset} instead");
                    return Ok(Some(Tear { position, reason }));
                }
                Err(WalkError::Invalid { reason, .. }) => {
                    return Ok(Some(Tear { position, reason: reason.to_string() }));
                }
                Err(error @ WalkError::Io(_)) => return Err(slot.segment.damaged(error)),
            }
        }
    }

    /// Offsets have no gaps unless the log, or that of its leader, was cleaned, and epochs never fall. The checksum covers neither.
    fn continues(&self, header: &BatchHeader) -> bool {
        let follows = header.base_offset == self.end || (self.may_have_gaps && header.base_offset > self.end);
        follows && self.epochs.latest().is_none_or(|latest| header.leader_epoch >= latest.0)
    }

    /// Takes note of the epoch of the next batch. In a gap before it other epochs may have begun, or its own: of those the
    /// checkpoint knows alone.
    fn note_epoch(&mut self, header: &BatchHeader) {
        let gap = self.read_end..header.base_offset;
        for entry in self.known_epochs.entries() {
            if gap.contains(&entry.start.0) && entry.epoch.0 <= header.leader_epoch {
                self.epochs.assign(entry.epoch, entry.start);
            }
        }
        self.epochs.assign(LeaderEpoch(header.leader_epoch), Offset(header.base_offset));
    }

    /// Cuts segment `n` at `position` and removes those behind it: none of it was ever flushed.
    fn cut(&mut self, n: usize, position: u64) -> Result<()> {
        let removed = self.slots.split_off(n + 1);
        self.recovered.truncated_bytes = removed.iter().map(|s| s.size).sum::<u64>() + self.slots[n].size - position;
        for path in removed.iter().flat_map(|s| s.segment.paths()) {
            remove(&path)?;
        }
        let slot = &mut self.slots[n];
        if position == 0 && n > 0 {
            // A segment without a batch: the one before it is the last.
            let paths = slot.segment.paths();
            self.slots.truncate(n);
            return paths.iter().try_for_each(|p| remove(p));
        }
        slot.size = position;
        slot.segment.truncate(position, self.end, self.config.index_interval_bytes)
    }

    /// Reads the epochs of the segments before `until` from their batches: the checkpoint was lost.
    fn read_epochs(&mut self, until: usize) -> Result<()> {
        for slot in &self.slots[..until] {
            let file = slot.segment.file()?;
            let mut walk = Walk::new(&file, 0, slot.size);
            while let Some(found) = walk.next().map_err(|e| slot.segment.damaged(e))? {
                self.epochs.assign(LeaderEpoch(found.header.leader_epoch), Offset(found.header.base_offset));
            }
        }
        Ok(())
    }
}
