//! The machine itself: its life, where delivery stands, and what is on its way to the coordinator.

use std::time::Duration;

use super::run::{Run, Runs, Standing, WriteId, length};
use super::{Config, Error};
use crate::coordinator::RequestId;
use crate::share::state::{State, Write};
use crate::share::{StateBatch, combine};
use crate::{LeaderEpoch, Offset, StateEpoch};

/// What has to be done for a share partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Have the coordinator keep this, and report [`SharePartition::written`]. There is one at a time.
    Write(Write),
    /// Answer an acknowledgement or a release.
    Reply(RequestId, Result<(), Error>),
    /// Whoever waits for records may find some.
    Wake,
}

/// Changes that go to the coordinator together.
#[derive(Debug, Default)]
struct Changes {
    batches: Vec<StateBatch>,
    /// Who waits for them.
    replies: Vec<RequestId>,
}

/// Changes on their way to the coordinator.
#[derive(Debug)]
struct Writing {
    id: WriteId,
    start: Offset,
    replies: Vec<RequestId>,
}

/// One share group's view of a partition, at the partition's leader.
#[derive(Debug)]
pub struct SharePartition {
    pub(super) config: Config,
    leader_epoch: LeaderEpoch,
    state_epoch: StateEpoch,
    /// All before is over (SPSO).
    pub(super) start: Offset,
    /// The start as the coordinator has it for certain; −1 if it has none.
    kept_start: Offset,
    /// One past the last record that was delivered (SPEO).
    pub(super) end: Offset,
    /// The records between the two.
    pub(super) runs: Runs,
    /// The write that is on its way, and who waits for it.
    writing: Option<Writing>,
    /// What goes with the next one.
    next: Changes,
    last_write: WriteId,
    effects: Vec<Effect>,
}

impl SharePartition {
    /// As a leader of `leader_epoch` finds it; delivery begins at `reset` if no leader has said where. Records that were with
    /// a member when the leader before ended are free again: they count as delivered as often as was kept of them.
    pub fn new(config: Config, leader_epoch: LeaderEpoch, state: &State, reset: Offset) -> Self {
        let start = state.start.unwrap_or(reset);
        let mut partition = Self {
            config,
            leader_epoch,
            state_epoch: state.state_epoch,
            start,
            kept_start: state.start.unwrap_or(Offset(-1)),
            end: start,
            runs: Runs::default(),
            writing: None,
            next: Changes::default(),
            last_write: WriteId::default(),
            effects: Vec::new(),
        };
        for batch in combine(state.batches.iter().copied(), start) {
            if partition.end < batch.first() {
                // Nothing was said of these before the end of the leader that had delivered them.
                partition.extend_to(Offset(batch.first().0 - 1), 0, Standing::Available);
            }
            partition.extend_to(batch.last(), batch.count, batch.state.into());
        }
        partition.advance_start();
        partition
    }

    fn extend_to(&mut self, last: Offset, count: u16, standing: Standing) {
        self.runs.push(self.end, Run { last, count, origin: length(self.end, last), standing });
        self.end = last.plus(1);
    }

    /// The settings have changed; locks that are held keep their time.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
    }

    /// All before is over (SPSO).
    pub fn start(&self) -> Offset {
        self.start
    }

    /// The term of the leader.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// How many more records may be given out that were not before.
    pub(super) fn room(&self) -> u64 {
        let in_flight = u64::try_from(self.end.0 - self.start.0).unwrap_or(0);
        u64::from(self.config.max_in_flight).saturating_sub(in_flight)
    }

    /// Where the next records to give out are read; none while there may be no more of them.
    pub fn next_fetch(&self) -> Option<Offset> {
        let free = self.runs.iter().find(|(_, run)| run.standing == Standing::Available);
        free.map(|(first, _)| first).or_else(|| (self.room() > 0).then_some(self.end))
    }

    /// When [`tick`](Self::tick) is due, on the monotonic clock.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.runs.iter().filter_map(|(_, run)| run.lock()).map(|lock| lock.until).min()
    }

    /// Whether no member has a record and nothing is on its way: one that is made of what is kept would do as well.
    pub fn is_idle(&self) -> bool {
        self.writing.is_none() && !self.runs.iter().any(|(_, run)| matches!(run.standing, Standing::Acquired(_)))
    }

    /// Takes the effects of what was called since the last time, in their order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Records below `offset` are no longer in the log.
    pub fn log_starts_at(&mut self, offset: Offset) {
        if offset <= self.start {
            return;
        }
        self.runs.forget_below(offset);
        self.start = offset;
        self.end = self.end.max(offset);
        self.advance_start();
        self.wake();
    }

    /// What became of the [`Effect::Write`].
    pub fn written(&mut self, result: Result<(), Error>) {
        let Some(Writing { id, start, replies }) = self.writing.take() else { return };
        if result.is_ok() {
            self.kept_start = start;
        }
        for (_, run) in self.runs.iter_mut() {
            let Standing::Acquired(lock) = &mut run.standing else { continue };
            let Some((_, state)) = lock.decided.filter(|(write, _)| *write == id) else { continue };
            match result {
                Ok(()) => run.standing = state.into(),
                // The member has it still, or its time is over.
                Err(_) => lock.decided = None,
            }
        }
        self.advance_start();
        for reply in replies {
            self.reply(reply, result);
        }
        self.wake();
        self.send();
    }

    pub(super) fn reply(&mut self, id: RequestId, result: Result<(), Error>) {
        self.effects.push(Effect::Reply(id, result));
    }

    pub(super) fn wake(&mut self) {
        self.effects.push(Effect::Wake);
    }

    /// The write that takes along what is decided now.
    pub(super) fn next_write(&self) -> WriteId {
        WriteId(self.last_write.0 + 1)
    }

    /// Whether a crash could make records up to `last` available again that are over here.
    pub(super) fn may_come_back(&self, last: Offset) -> bool {
        self.kept_start < self.start.min(last.plus(1))
    }

    /// Has `batches` written, and the start with them, with the next write if one is on its way.
    pub(super) fn write(&mut self, batches: Vec<StateBatch>, reply: Option<RequestId>) {
        self.next.batches.extend(batches);
        self.next.replies.extend(reply);
        if self.writing.is_none() {
            self.send();
        }
    }

    fn send(&mut self) {
        let Changes { batches, replies } = std::mem::take(&mut self.next);
        if batches.is_empty() && replies.is_empty() {
            return;
        }
        self.last_write = self.next_write();
        self.writing = Some(Writing { id: self.last_write, start: self.start, replies });
        let complete: u64 =
            self.runs.iter().filter(|(_, run)| run.is_complete()).map(|(first, run)| length(first, run.last)).sum();
        self.effects.push(Effect::Write(Write {
            state_epoch: self.state_epoch,
            leader_epoch: self.leader_epoch,
            start: Some(self.start),
            complete: Some(u32::try_from(complete).unwrap_or(u32::MAX)),
            batches: combine(batches, self.start),
        }));
    }

    /// Moves the start past all that is over.
    pub(super) fn advance_start(&mut self) {
        while let Some(next) = self.runs.pop_over() {
            self.start = next;
        }
    }
}
