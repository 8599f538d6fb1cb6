//! The log's part in a clean: what may be cleaned of it, and cleaned segments put in the place of old ones.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla_core::{Now, Offset};

use super::{Log, ProducerState};
use crate::aborted::AbortedIndexes;
use crate::clean::{
    Clean, CleanLimits, CleanStats, Cleanable, CleanedSegment, Lags, SegmentFacts, Work, cleanable, swap,
};
use crate::error::io_error;
use crate::segment::Segment;
use crate::shared::Slot;
use crate::{Error, Result, names};

impl Log {
    /// What may be cleaned now of a log that is compacted; `watermark` is the high watermark. Cheap where nothing is due.
    pub fn cleanable(&mut self, watermark: Offset, now: Now) -> Result<Cleanable> {
        let found = self.cleanable_below(watermark, now)?;
        if !found.is_due(self.config.min_dirty_ratio) {
            return Ok(found);
        }
        // The producers are read only where it matters what of their transactions is stable.
        let stable = self.last_stable(watermark)?;
        self.cleanable_below(stable, now)
    }

    /// Rolls the active segment if its first record waits for a clean longer than `max.compaction.lag.ms` allows and
    /// nothing more comes. Gives whether it did.
    pub fn roll_if_overdue(&mut self, now: Now) -> Result<bool> {
        let Some(most) = self.config.max_compaction_lag.filter(|_| self.config.compact) else { return Ok(false) };
        let active = self.active();
        if active.size == 0 {
            return Ok(false);
        }
        let first = active.segment.first_timestamp(active.size, self.shared.interval())?;
        let is_overdue = first >= 0 && now.wall.0.saturating_sub(first) > milliseconds(most);
        if is_overdue {
            self.roll(now)?;
        }
        Ok(is_overdue)
    }

    /// Begins a clean of what is cleanable below `watermark`; none if it is not due.
    pub fn begin_clean(&mut self, watermark: Offset, limits: CleanLimits, now: Now) -> Result<Option<Clean>> {
        self.shared.check_usable()?;
        let found = self.cleanable(watermark, now)?;
        if !found.is_due(self.config.min_dirty_ratio) {
            return Ok(None);
        }
        self.load_producers()?;
        let (aborted, producers) = match &self.producers {
            ProducerState::Known(tracked) => (tracked.aborted.clone(), tracked.producers.last_batches()),
            ProducerState::Unread(_) | ProducerState::Empty => (AbortedIndexes::default(), Default::default()),
        };
        let view = self.shared.view.read();
        let ends = (0..view.segments.len() - 1).map(|n| (view.segments[n].clone(), view.segment_end(n)));
        Ok(Some(Clean {
            segments: ends.take_while(|(_, end)| *end <= found.first_uncleanable.0).collect(),
            generation: view.generation,
            shared: Arc::clone(&self.shared),
            config: Arc::clone(&self.config),
            aborted,
            producers,
            first_dirty: found.first_dirty.0,
            log_base: view.segments[0].segment.base,
            log_end: view.end,
            limits,
            now,
            work: Work::default(),
            stats: CleanStats::default(),
        }))
    }

    /// Puts a cleaned segment in the place of those it was made of. False if the log has been cut, moved or deleted
    /// meanwhile: then the clean is void.
    pub fn replace_segments(&mut self, clean: &mut Clean, cleaned: CleanedSegment) -> Result<bool> {
        self.shared.check_usable()?;
        let Some(place) = self.place_of(clean, &cleaned.old) else { return Ok(false) };
        let (folder, base) = (&self.shared.folder, cleaned.writer.base());
        let old: Vec<i64> = cleaned.old.iter().map(|slot| slot.segment.base).collect();
        let retired = cleaned.old.iter().try_for_each(|old| old.segment.retire()).and_then(|()| self.note_gaps());
        retired.inspect_err(|_| unretire(&cleaned.old))?;
        let exchanged = swap::Exchange::new(folder, base, &old).perform();
        let gone = exchanged.map_err(|failure| self.not_exchanged(&cleaned.old, failure))?;
        let has_aborted = cleaned.writer.has_aborted();
        cleaned.writer.placed();
        let segment = Segment::existing(&self.shared.dir.cache, folder, base).into();
        {
            let mut view = self.shared.view.write();
            view.segments.splice(place..place + old.len(), [Slot { segment, size: cleaned.size }]);
            view.generation = view.generation.wrapping_add(1);
            clean.generation = view.generation;
        }
        if let ProducerState::Known(tracked) = &mut self.producers {
            tracked.aborted.replaced(&old, base, has_aborted);
        }
        self.remove_snapshots(|offset| old[1..].contains(&offset));
        self.shared.dir.queue.remove(gone);
        Ok(true)
    }

    fn not_exchanged(&self, old: &[Slot], failure: swap::Failure) -> Error {
        match failure {
            swap::Failure::Undone(error) => {
                unretire(old);
                self.shared.dir.write_failed(error)
            }
            swap::Failure::HalfDone(error) => {
                // Half of it on disk and the other half in memory: only a start can tell the two apart again.
                self.shared.dir.fail(&error.to_string());
                error
            }
        }
    }

    /// Takes note of what a clean has gone over, unless it is void.
    pub fn end_clean(&mut self, clean: &Clean) {
        if Arc::ptr_eq(&self.shared, &clean.shared) && self.shared.view.read().generation == clean.generation {
            self.shared.cleaned.store(clean.work.until, Ordering::Release);
        }
    }

    /// Everything below has been cleaned.
    pub fn cleaned(&self) -> Offset {
        Offset(self.shared.cleaned.load(Ordering::Acquire))
    }

    /// Has the log remember that its offsets may have gaps. Recovery takes a gap for damage otherwise.
    pub(crate) fn note_gaps(&self) -> Result<()> {
        if self.shared.has_gaps.load(Ordering::Acquire) {
            return Ok(());
        }
        let path = self.shared.folder.join(names::GAPS);
        File::create(&path).map_err(|e| self.shared.dir.write_failed(io_error("create", &path)(e)))?;
        self.shared.entries_dirty.store(true, Ordering::Release);
        self.shared.has_gaps.store(true, Ordering::Release);
        Ok(())
    }

    /// Records from `end` on have been cut: what replaces them has not been cleaned.
    pub(super) fn lower_cleaned(&self, end: i64) -> Result<()> {
        if self.shared.cleaned.fetch_min(end, Ordering::AcqRel) <= end {
            return Ok(());
        }
        self.shared.dir.cleaned.lower(&[(&self.shared.partition, Offset(end))])
    }

    fn cleanable_below(&self, stable: Offset, now: Now) -> Result<Cleanable> {
        let (start, segments) = {
            let view = self.shared.view.read();
            (view.start, view.segments.clone())
        };
        let [sealed @ .., active] = &segments[..] else { return Ok(cleanable(&[], 0, 0, 0, self.lags(), 0)) };
        let first_dirty = self.cleaned().0.max(start);
        let (lags, interval) = (self.lags(), self.shared.interval());
        let fact = |(n, slot): (usize, &Slot)| {
            let end = sealed.get(n + 1).unwrap_or(active).segment.base;
            let is_dirty = end > first_dirty;
            let first = match lags.most.filter(|_| is_dirty) {
                Some(_) => slot.segment.first_timestamp(slot.size, interval)?,
                None => -1,
            };
            let newest =
                if is_dirty && lags.least > 0 { slot.segment.newest(slot.size, interval)?.timestamp } else { -1 };
            Ok(SegmentFacts { base: slot.segment.base, size: slot.size, first, newest })
        };
        let facts: Vec<SegmentFacts> = sealed.iter().enumerate().map(fact).collect::<Result<_>>()?;
        Ok(cleanable(&facts, active.segment.base, first_dirty, stable.0, lags, now.wall.0))
    }

    fn lags(&self) -> Lags {
        let most = self.config.max_compaction_lag.map(milliseconds);
        Lags { least: milliseconds(self.config.min_compaction_lag), most }
    }

    /// Where the segments `old` are in the view, if nothing has happened to them since the clean began.
    fn place_of(&self, clean: &Clean, old: &[Slot]) -> Option<usize> {
        let view = self.shared.view.read();
        if !Arc::ptr_eq(&self.shared, &clean.shared) || view.generation != clean.generation {
            return None;
        }
        let is_same = |a: &Slot, b: &Slot| Arc::ptr_eq(&a.segment, &b.segment);
        let place = view.segments.iter().position(|slot| is_same(slot, &old[0]))?;
        let there = view.segments.get(place..place + old.len())?;
        there.iter().zip(old).all(|(a, b)| is_same(a, b)).then_some(place)
    }
}

fn unretire(slots: &[Slot]) {
    slots.iter().for_each(|slot| slot.segment.unretire());
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
