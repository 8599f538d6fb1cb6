//! The log of one replica: what its process reads, what of it is on the disk, and what a power loss leaves.
//!
//! It stands for `ottla-storage`, and behaves as that promises to: batches whole or not at all, leader epochs with
//! their starts, sequence numbers remembered, a tail cut where it is torn.

use ottla_core::{LeaderEpoch, Offset, ProducerId};

use crate::dice::Dice;

/// A batch of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Offset of the first record.
    pub base: Offset,
    /// How many records.
    pub records: i64,
    /// The term it was appended in.
    pub epoch: LeaderEpoch,
    /// Who sent it; [`ProducerId::NONE`] for a plain producer.
    pub producer: ProducerId,
    /// Sequence number of the first record.
    pub sequence: i32,
    /// What it says: different for every batch that a client ever sends.
    pub value: u64,
    /// Hash over this batch and all before it: two logs with one chain are the same up to here.
    pub chain: u64,
}

impl Batch {
    /// Offset after its last record.
    pub fn end(&self) -> Offset {
        self.base.plus(self.records)
    }
}

/// What a producer wants appended.
#[derive(Clone, Copy, Debug)]
pub struct NewBatch {
    /// See [`Batch::records`].
    pub records: i64,
    /// See [`Batch::producer`].
    pub producer: ProducerId,
    /// See [`Batch::sequence`].
    pub sequence: i32,
    /// See [`Batch::value`].
    pub value: u64,
}

/// What came of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log now.
    New(Batch),
    /// It has been in the log before.
    Duplicate(Batch),
    /// A batch before it is missing.
    OutOfOrder,
}

/// What a power loss, or a disk that refuses to write, did to logs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss {
    /// Something that was not flushed is gone.
    pub lost: bool,
    /// Some of it is gone, and some is there.
    pub torn: bool,
    /// A tail that had been cut off is back.
    pub revived: bool,
}

impl Loss {
    /// Both.
    pub fn and(self, other: Self) -> Self {
        Self { lost: self.lost || other.lost, torn: self.torn || other.torn, revived: self.revived || other.revived }
    }
}

/// How much of a log was there when a flush of it began.
#[derive(Clone, Copy, Debug)]
pub struct Flush {
    end: Offset,
    truncations: u64,
}

/// The log of a replica.
#[derive(Clone, Debug, Default)]
pub struct SimLog {
    batches: Vec<Batch>,
    flushed: Offset,
    /// Leader epochs with the offset each began at, ascending.
    epochs: Vec<(LeaderEpoch, Offset)>,
    /// A flushed tail that was cut off, while the cut itself is not flushed: a power loss may bring it back.
    cut_tail: Vec<Batch>,
    truncations: u64,
}

/// How many batches of a producer are remembered.
const REMEMBERED: usize = 5;

impl SimLog {
    /// An empty log, made at a moment: a flush of one that had its name before is none of it.
    pub fn made_at(clock: std::time::Duration) -> Self {
        Self { truncations: clock.as_micros() as u64, ..Self::default() }
    }

    /// Offset after the last record.
    pub fn end(&self) -> Offset {
        self.batches.last().map_or(Offset::ZERO, Batch::end)
    }

    /// Offset after the last record known to be on the disk.
    pub fn flushed(&self) -> Offset {
        self.flushed
    }

    /// Every batch.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// The hash over everything below `offset`; `None` if that is no border of batches here.
    pub fn chain_at(&self, offset: Offset) -> Option<u64> {
        if offset == Offset::ZERO {
            return Some(0);
        }
        let index = self.batches.partition_point(|batch| batch.end() < offset);
        self.batches.get(index).filter(|batch| batch.end() == offset).map(|batch| batch.chain)
    }

    /// The batches from the one that holds `from`, which end at or below `to`; at most `most`.
    pub fn read(&self, from: Offset, to: Offset, most: usize) -> &[Batch] {
        let first = self.batches.partition_point(|batch| batch.end() <= from);
        let last = self.batches.partition_point(|batch| batch.end() <= to);
        &self.batches[first..last.clamp(first, first + most)]
    }

    /// A term begins in which this log is the leader's.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        self.assign(epoch, self.end());
    }

    /// Appends as the leader in `epoch`.
    pub fn append(&mut self, epoch: LeaderEpoch, new: NewBatch) -> Appended {
        if new.producer != ProducerId::NONE {
            let mut known = self.batches.iter().rev().filter(|batch| batch.producer == new.producer).take(REMEMBERED);
            if let Some(last) = known.next() {
                if last.value == new.value {
                    return Appended::Duplicate(*last);
                }
                if let Some(earlier) = known.find(|batch| batch.sequence == new.sequence) {
                    return Appended::Duplicate(*earlier);
                }
                if i64::from(new.sequence) != i64::from(last.sequence) + last.records {
                    return Appended::OutOfOrder;
                }
            }
        }
        let base = self.end();
        let NewBatch { records, producer, sequence, value } = new;
        let before = self.batches.last().map_or(0, |batch| batch.chain);
        let chain = [base.0 as u64, records as u64, epoch.0 as u64, value].into_iter().fold(before, |chain, part| {
            (chain ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_add(0x632b_e5ab)
        });
        let batch = Batch { base, records, epoch, producer, sequence, value, chain };
        self.append_raw(batch);
        Appended::New(batch)
    }

    /// Appends what a leader sent.
    pub fn append_raw(&mut self, batch: Batch) {
        assert_eq!(batch.base, self.end(), "followers append where their log ends");
        self.assign(batch.epoch, batch.base);
        self.batches.push(batch);
    }

    /// The term of the last batch.
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.batches.last().map_or(LeaderEpoch::NONE, |batch| batch.epoch)
    }

    /// The largest epoch not above `epoch` and where it ends; `None` if `epoch` is above all that is known.
    pub fn end_of(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let (latest, _) = *self.epochs.last()?;
        if epoch == latest {
            return Some((epoch, self.end()));
        }
        let above = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let (_, next) = *self.epochs.get(above)?;
        let floor = above.checked_sub(1).map_or(epoch, |n| self.epochs[n].0);
        Some((floor, next))
    }

    /// Cuts everything from `to` on; a batch across `to` goes too.
    pub fn truncate(&mut self, to: Offset) {
        let kept = self.batches.partition_point(|batch| batch.end() <= to);
        if kept == self.batches.len() {
            return;
        }
        let end = kept.checked_sub(1).map_or(Offset::ZERO, |last| self.batches[last].end());
        if self.flushed > end {
            let flushed = self.batches.partition_point(|batch| batch.end() <= self.flushed);
            self.cut_tail = self.batches[kept..flushed].to_vec();
        } else if self.cut_tail.first().is_some_and(|batch| batch.base > end) {
            self.cut_tail.clear();
        }
        self.batches.truncate(kept);
        self.epochs.retain(|(_, start)| *start < end);
        self.flushed = self.flushed.min(end);
        self.truncations += 1;
    }

    /// A flush begins.
    pub fn begin_flush(&self) -> Flush {
        Flush { end: self.end(), truncations: self.truncations }
    }

    /// The flush is done: says up to where the log is known to be on the disk.
    pub fn end_flush(&mut self, flush: Flush) -> Offset {
        // What was appended after a truncation may not have been there when the flush began.
        if flush.truncations == self.truncations {
            self.flushed = self.flushed.max(flush.end);
            self.cut_tail.clear();
        }
        self.flushed
    }

    /// The power went, or the disk refused: what was not flushed stays in part, is torn, or is what it was before.
    pub fn lose_unflushed(&mut self, dice: &mut Dice) -> Loss {
        let flushed = self.batches.partition_point(|batch| batch.end() <= self.flushed);
        let tail = self.batches.split_off(flushed);
        let cut_tail = std::mem::take(&mut self.cut_tail);
        let comes_back = cut_tail.first().is_some_and(|batch| batch.base == self.end()) && dice.one_in(2);
        let replaced = comes_back && !tail.is_empty();
        let rest = if comes_back { cut_tail } else { tail };
        let kept = if dice.one_in(3) { rest.len() } else { dice.index(rest.len() + 1) };
        self.batches.extend(&rest[..kept]);
        self.recover();
        let lost = kept < rest.len();
        Loss { lost: lost || replaced, torn: lost && kept > 0, revived: comes_back && kept > 0 }
    }

    /// Reads the leader epochs from the batches, as recovery does.
    pub fn recover(&mut self) {
        self.epochs.clear();
        for index in 0..self.batches.len() {
            let Batch { epoch, base, .. } = self.batches[index];
            self.assign(epoch, base);
        }
        self.truncations += 1;
    }

    fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.epochs.last().is_some_and(|(latest, _)| *latest == epoch) {
            return;
        }
        self.epochs.retain(|(known, began)| *known < epoch && *began < start);
        self.epochs.push((epoch, start));
    }
}
