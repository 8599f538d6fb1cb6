//! Giving records out.

use std::sync::Arc;

use super::machine::SharePartition;
use super::run::{Lock, Run, Standing, length};
use crate::{Now, Offset};

/// Where a batch of the log begins and ends, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first offset.
    pub first: Offset,
    /// The last one.
    pub last: Offset,
}

/// How far a read has to be looked through for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    from: Offset,
    count: u64,
}

impl Reach {
    /// Of a read at `from`, for whoever may be given one of the next `count` offsets.
    pub const fn new(from: Offset, count: u64) -> Self {
        Self { from, count }
    }

    /// Whether a batch that begins at `at` may matter, where the first that was found begins at `first`.
    pub fn covers(&self, first: Offset, at: Offset) -> bool {
        at < self.from.max(first).plus(i64::try_from(self.count).unwrap_or(i64::MAX))
    }
}

/// What a member wants, and what there was to read.
#[derive(Clone, Copy, Debug)]
pub struct Acquire<'a> {
    /// The member.
    pub member: &'a Arc<str>,
    /// Where was read: what [`SharePartition::next_fetch`] said.
    pub from: Offset,
    /// The batches that were read, in order.
    pub extents: &'a [Extent],
    /// Those of them that belong to aborted transactions, for a group that reads committed ones alone.
    pub aborted: &'a [Extent],
    /// The most records. More are given where the limit falls within a batch, unless the limit `is_strict` (KIP-1206).
    pub max_records: u64,
    /// Of how many records the member would like its batches to be.
    pub batch_size: u64,
    /// See `max_records`.
    pub is_strict: bool,
}

/// Records that a member has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// The first offset.
    pub first: Offset,
    /// The last one, inclusive.
    pub last: Offset,
    /// How often they have been delivered, this time included.
    pub count: u16,
}

impl SharePartition {
    /// How far a read at `from` has to be looked through for a member that wants `max_records`: nothing further on is given.
    pub fn reach(&self, from: Offset, max_records: u64) -> Reach {
        let delivered = u64::try_from(self.end.0 - from.0).unwrap_or(0);
        Reach::new(from, delivered.saturating_add(max_records.min(self.room())))
    }

    /// Gives the member what is free of what was read.
    pub fn acquire(&mut self, now: Now, acquire: &Acquire<'_>) -> Vec<Acquired> {
        let (Some(first), Some(last)) = (acquire.extents.first(), acquire.extents.last()) else { return Vec::new() };
        self.forget_missing(acquire.from, first.first);
        let Some((most, last)) = self.limits(acquire, last.last) else { return Vec::new() };
        let lock = Lock {
            member: Arc::clone(acquire.member),
            until: now.monotonic.saturating_add(self.config.lock_duration),
            decided: None,
        };
        let (mut acquired, is_full) = self.acquire_again(acquire, first.first, last, most, &lock);
        let taken: u64 = acquired.iter().map(|one| length(one.first, one.last)).sum();
        if !is_full && taken < most {
            acquired.extend(self.acquire_new(acquire, last, most - taken, &lock));
        }
        for extent in acquire.aborted {
            self.archive_aborted(*extent, acquire.member);
            acquired = acquired.into_iter().flat_map(|one| without(one, *extent)).collect();
        }
        self.advance_start();
        acquired
    }

    /// A read at `from` has found nothing before `first`: those records are gone.
    fn forget_missing(&mut self, from: Offset, first: Offset) {
        let before = Offset(first.0 - 1);
        for (_, run) in self.runs.within_mut(from.max(self.start), before) {
            if run.standing == Standing::Available {
                run.standing = Standing::Over(false);
            }
        }
        if self.end < first {
            let origin = length(self.end, before);
            self.runs.push(self.end, Run { last: before, count: 0, origin, standing: Standing::Over(false) });
            self.end = first;
        }
    }

    /// How many records may be given, and the last one. With no room for further ones only those may be that have room.
    fn limits(&self, acquire: &Acquire<'_>, last: Offset) -> Option<(u64, Offset)> {
        let most = acquire.max_records.min(self.room());
        if most > 0 {
            return Some((most, last));
        }
        let before_end = Offset(self.end.0 - 1);
        let most = acquire.max_records.min(length(acquire.from, before_end));
        (most > 0).then(|| (most, last.min(before_end)))
    }

    /// Gives what was delivered before and is free again. True if nothing may be given along with it.
    fn acquire_again(
        &mut self,
        acquire: &Acquire<'_>,
        first: Offset,
        last: Offset,
        most: u64,
        lock: &Lock,
    ) -> (Vec<Acquired>, bool) {
        let free = self.runs.over(first.max(self.start), last);
        let free = free.filter(|(_, run)| run.standing == Standing::Available);
        let free: Vec<_> = free.map(|(at, run)| (at.max(first), run.last.min(last), run.count, run.origin)).collect();
        let mut acquired: Vec<Acquired> = Vec::new();
        let mut taken = 0;
        for (first, last, count, origin) in free {
            let alone = self.config.most_at_once(count, origin);
            if taken >= most || (taken > 0 && alone.is_some()) {
                return (acquired, true);
            }
            let strict = if acquire.is_strict { most - taken } else { u64::MAX };
            let number = length(first, last).min(strict).min(alone.unwrap_or(u64::MAX));
            let last = first.plus(i64::try_from(number).unwrap_or(i64::MAX) - 1);
            for (_, run) in self.runs.within_mut(first, last) {
                run.count = run.count.saturating_add(1);
                run.standing = Standing::Acquired(lock.clone());
            }
            taken += number;
            match acquired.last_mut() {
                Some(before) if before.last.plus(1) == first && before.count == count + 1 => before.last = last,
                _ => acquired.push(Acquired { first, last, count: count + 1 }),
            }
            if alone.is_some() {
                return (acquired, true);
            }
        }
        (acquired, false)
    }

    /// Gives what was never delivered, up to `last`.
    fn acquire_new(&mut self, acquire: &Acquire<'_>, last: Offset, most: u64, lock: &Lock) -> Vec<Acquired> {
        let begin = self.end;
        if last < begin {
            return Vec::new();
        }
        let mut upto = last;
        if most < length(begin, last) {
            upto = begin.plus(i64::try_from(most).unwrap_or(i64::MAX) - 1);
            let within = acquire.extents.iter().find(|extent| extent.first <= upto && upto <= extent.last);
            if let Some(extent) = within.filter(|_| !acquire.is_strict) {
                upto = extent.last;
            }
        }
        let mut firsts = vec![begin];
        if !acquire.is_strict && length(begin, upto) > acquire.batch_size {
            for extent in acquire.extents.iter().filter(|extent| begin < extent.first && extent.first <= upto) {
                let so_far = length(*firsts.last().unwrap_or(&begin), Offset(extent.first.0 - 1));
                if so_far >= acquire.batch_size {
                    firsts.push(extent.first);
                }
            }
        }
        let lasts = firsts.iter().skip(1).map(|next| Offset(next.0 - 1)).chain([upto]).collect::<Vec<_>>();
        let acquired: Vec<_> =
            firsts.into_iter().zip(lasts).map(|(first, last)| Acquired { first, last, count: 1 }).collect();
        for Acquired { first, last, count } in &acquired {
            let (last, count, origin) = (*last, *count, length(*first, *last));
            self.runs.push(*first, Run { last, count, origin, standing: Standing::Acquired(lock.clone()) });
        }
        self.end = upto.plus(1);
        acquired
    }

    /// What the member has just been given of an aborted transaction is for nobody.
    fn archive_aborted(&mut self, extent: Extent, member: &str) {
        for (_, run) in self.runs.within_mut(extent.first, extent.last) {
            if run.lock().is_some_and(|lock| &*lock.member == member) {
                run.standing = Standing::Over(false);
            }
        }
    }
}

/// `acquired` without the offsets of `extent`.
fn without(acquired: Acquired, extent: Extent) -> impl Iterator<Item = Acquired> {
    let before = Acquired { last: acquired.last.min(Offset(extent.first.0 - 1)), ..acquired };
    let after = Acquired { first: acquired.first.max(extent.last.plus(1)), ..acquired };
    [before, after].into_iter().filter(|part| part.first <= part.last)
}
