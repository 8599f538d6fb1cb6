//! What members say of the records that they have, and what becomes of those that they say nothing of.

use super::Error;
use super::acknowledgement::{Acknowledgement, Kind};
use super::machine::SharePartition;
use super::run::{Lock, Standing, WriteId, length};
use crate::coordinator::RequestId;
use crate::share::{DeliveryState, StateBatch};
use crate::{Now, Offset};

impl SharePartition {
    /// Takes in what `member` says, all of it or nothing; answered once it is durable.
    pub fn acknowledge(&mut self, now: Now, id: RequestId, member: &str, said: &[Acknowledgement]) {
        if let Err(error) = self.check(member, said) {
            return self.reply(id, Err(error));
        }
        let write = self.next_write();
        let start = self.start;
        let mut batches = Vec::new();
        for (first, last, kind) in said.iter().flat_map(|one| one.ranges(start)) {
            self.decide(now, first, last, kind, write, &mut batches);
        }
        // What is said of records that are over is answered once it is certain that they stay so.
        let is_certain = !said.iter().any(|one| one.first < start && self.may_come_back(one.last));
        if batches.is_empty() && is_certain {
            return self.reply(id, Ok(()));
        }
        self.write(batches, Some(id));
    }

    /// `member` is gone: gives back what it has, and answers once that is durable.
    pub fn release(&mut self, id: RequestId, member: &str) {
        let write = self.next_write();
        let limit = self.config.max_deliveries;
        let mut batches = Vec::new();
        for (first, run) in self.runs.iter_mut() {
            if run.lock().is_none_or(|lock| &*lock.member != member) {
                continue;
            }
            let state = given_back(run.count, limit);
            if let Standing::Acquired(lock) = &mut run.standing {
                lock.decided = Some((write, state));
            }
            batches.extend(StateBatch::new(first, run.last, state, run.count));
        }
        if batches.is_empty() {
            return self.reply(id, Ok(()));
        }
        self.write(batches, Some(id));
    }

    /// Takes away the records whose time is over; gives how many they are. They are free at once: whoever had them may no
    /// longer speak of them.
    pub fn tick(&mut self, now: Now) -> u64 {
        let limit = self.config.max_deliveries;
        let (mut batches, mut count) = (Vec::new(), 0);
        for (first, run) in self.runs.iter_mut() {
            if run.lock().is_some_and(|lock| lock.until <= now.monotonic) {
                let state = given_back(run.count, limit);
                run.standing = state.into();
                count += length(first, run.last);
                batches.extend(StateBatch::new(first, run.last, state, run.count));
            }
        }
        if !batches.is_empty() {
            self.write(batches, None);
            self.advance_start();
            self.wake();
        }
        count
    }

    /// Whether `member` may say all of this.
    fn check(&self, member: &str, said: &[Acknowledgement]) -> Result<(), Error> {
        let mut before = Offset(-1);
        for one in said {
            if one.first <= before {
                return Err(Error::InvalidRequest);
            }
            before = one.last;
            if one.renews() && !self.config.may_renew {
                return Err(Error::InvalidRecordState);
            }
            if one.last < self.start {
                // All is over there.
                continue;
            }
            if self.runs.is_empty() {
                return Err(Error::InvalidRecordState);
            }
            if one.last >= self.end {
                return Err(Error::InvalidRequest);
            }
            let mut runs = self.runs.over(one.first.max(self.start), one.last);
            if !runs.all(|(_, run)| run.lock().is_some_and(|lock| &*lock.member == member)) {
                return Err(Error::InvalidRecordState);
            }
        }
        Ok(())
    }

    fn decide(
        &mut self,
        now: Now,
        first: Offset,
        last: Offset,
        kind: Kind,
        write: WriteId,
        batches: &mut Vec<StateBatch>,
    ) {
        let limit = self.config.max_deliveries;
        let renewed = now.monotonic.saturating_add(self.config.lock_duration);
        for (first, run) in self.runs.within_mut(first, last) {
            let count = run.count;
            let Standing::Acquired(Lock { until, decided, .. }) = &mut run.standing else { continue };
            let state = match kind {
                Kind::Renew => {
                    *until = renewed;
                    continue;
                }
                Kind::Accept => DeliveryState::Acknowledged,
                Kind::Release => given_back(count, limit),
                Kind::Gap | Kind::Reject => DeliveryState::Archived,
            };
            *decided = Some((write, state));
            batches.extend(StateBatch::new(first, run.last, state, count));
        }
    }
}

/// What becomes of a record that was delivered `count` times, the last time in vain.
fn given_back(count: u16, limit: u16) -> DeliveryState {
    if count >= limit { DeliveryState::Archived } else { DeliveryState::Available }
}
