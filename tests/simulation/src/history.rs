//! What clients saw, and the promises C1–C8 checked against it.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_core::{LeaderEpoch, Offset, ProducerId};

use crate::log::{Batch, SimLog};
use crate::message::Tp;

/// A batch that was acked with acks=all.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    /// Where.
    pub offset: Offset,
    /// Which.
    pub value: u64,
    /// When it was first sent.
    pub sent: Duration,
    /// When the ack arrived.
    pub acked: Duration,
}

/// A promise to clients that was broken, and how.
pub type Broken = (&'static str, String);

/// The history of one partition.
#[derive(Debug, Default)]
struct Seen {
    acked: Vec<Acked>,
    /// Batches that consumers read, by base offset.
    read: BTreeMap<Offset, Batch>,
    /// The highest latest offset that anyone was told, with the newest term in which one was told.
    latest: (LeaderEpoch, Offset),
    /// How often records were lost that the contract allows to be lost.
    losses: u64,
}

/// The history of all clients.
#[derive(Debug, Default)]
pub struct History {
    partitions: BTreeMap<Tp, Seen>,
}

impl History {
    /// A batch was acked with acks=all.
    pub fn acked(&mut self, tp: Tp, acked: Acked) {
        self.partitions.entry(tp).or_default().acked.push(acked);
    }

    /// How many batches were acked, over all partitions.
    pub fn acks(&self) -> usize {
        self.partitions.values().map(|seen| seen.acked.len()).sum()
    }

    /// How many batches were read.
    pub fn reads(&self) -> usize {
        self.partitions.values().map(|seen| seen.read.len()).sum()
    }

    /// How often records of `tp` were lost as the contract allows.
    pub fn losses(&self, tp: Tp) -> u64 {
        self.partitions.get(&tp).map_or(0, |seen| seen.losses)
    }

    /// The highest latest offset that anyone was told.
    pub fn latest(&self, tp: Tp) -> (LeaderEpoch, Offset) {
        self.partitions.get(&tp).map_or((LeaderEpoch(0), Offset::ZERO), |seen| seen.latest)
    }

    /// A client was told the latest offset by the leader of a term; when it asked, somebody had been told `floor`. A
    /// leader that does not know yet that its term is over may tell less, and clients know its term for an old one.
    pub fn told_latest(
        &mut self,
        tp: Tp,
        floor: (LeaderEpoch, Offset),
        told: (LeaderEpoch, Offset),
    ) -> Result<(), Broken> {
        let seen = self.partitions.entry(tp).or_default();
        if told.0 >= floor.0 && told.1 < floor.1 {
            return Err(("C8", format!("the latest offset of {tp:?} goes back from {floor:?} to {told:?}")));
        }
        seen.latest = (seen.latest.0.max(told.0), seen.latest.1.max(told.1));
        Ok(())
    }

    /// A consumer at `position` read `batches`.
    pub fn read(&mut self, tp: Tp, mut position: Offset, batches: &[Batch]) -> Result<Offset, Broken> {
        let seen = self.partitions.entry(tp).or_default();
        for batch in batches {
            if batch.base != position {
                return Err(("C6", format!("a consumer of {tp:?} at {position} is given {batch:?}")));
            }
            position = batch.end();
            let before = seen.read.insert(batch.base, *batch);
            if before.is_some_and(|before| before != *batch) {
                return Err(("C7", format!("{tp:?} was read as {before:?} and then as {batch:?}")));
            }
        }
        Ok(position)
    }

    /// Records of `tp` from `from` on were lost, as the contract allows.
    pub fn forgive(&mut self, tp: Tp, from: Offset) {
        let seen = self.partitions.entry(tp).or_default();
        seen.losses += 1;
        seen.acked.retain(|acked| acked.offset < from);
        seen.read.retain(|_, batch| batch.end() <= from);
        seen.latest.1 = seen.latest.1.min(from);
    }

    /// Compares everything with the log of `tp` as it is in the end.
    pub fn check(&self, tp: Tp, log: &SimLog) -> Result<(), Broken> {
        let Some(seen) = self.partitions.get(&tp) else { return Ok(()) };
        let by_base: BTreeMap<Offset, &Batch> = log.batches().iter().map(|batch| (batch.base, batch)).collect();
        for acked in &seen.acked {
            if by_base.get(&acked.offset).is_none_or(|batch| batch.value != acked.value) {
                let found = by_base.get(&acked.offset);
                return Err(("C1", format!("{tp:?} acked {acked:?} and holds {found:?}")));
            }
        }
        for (base, batch) in &seen.read {
            if by_base.get(base) != Some(&batch) {
                return Err(("C7", format!("{tp:?} was read as {batch:?} and holds {:?}", by_base.get(base))));
            }
        }
        self.check_order(tp, &seen.acked)?;
        check_producers(tp, log)
    }

    /// C5: what was acked before something else was sent comes before it.
    fn check_order(&self, tp: Tp, acked: &[Acked]) -> Result<(), Broken> {
        let mut by_offset = acked.to_vec();
        by_offset.sort_by_key(|one| (one.offset, one.acked));
        let mut latest_sent: Option<Acked> = None;
        for one in by_offset {
            if let Some(before) = latest_sent.filter(|before| before.sent > one.acked && before.offset < one.offset) {
                return Err(("C5", format!("{tp:?}: {one:?} was acked before {before:?} was sent")));
            }
            if latest_sent.is_none_or(|before| before.sent < one.sent) {
                latest_sent = Some(one);
            }
        }
        Ok(())
    }
}

/// C3 and C6: an idempotent producer's batches are there once, in the order in which it sent them.
fn check_producers(tp: Tp, log: &SimLog) -> Result<(), Broken> {
    let mut last: BTreeMap<ProducerId, &Batch> = BTreeMap::new();
    for batch in log.batches().iter().filter(|batch| batch.producer != ProducerId::NONE) {
        if let Some(before) = last.insert(batch.producer, batch)
            && before.value >= batch.value
        {
            let promise = if before.value == batch.value { "C3" } else { "C6" };
            return Err((promise, format!("{tp:?} holds {before:?} before {batch:?}")));
        }
    }
    Ok(())
}
