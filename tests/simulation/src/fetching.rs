//! Replication between two brokers: a follower's loop of fetches, and the leader's side of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_core::metadata::Image;
use ottla_core::partition::{Answer, EpochEnd, FollowerEffect, FollowerFetch, LogPosition, NextFetch, check_epoch};
use ottla_core::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};

use crate::machine::{Parked, Process};
use crate::message::{Message, Part, Timer, Tp};
use crate::network::Node;
use crate::replica::{Role, follower_log};
use crate::world::World;

/// `replica.fetch.wait.max.ms`.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How long a follower waits for an answer before it takes the connection for broken.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How many fetches a follower has out at one leader: one that waits, and one with news.
const OUT: usize = 2;

impl World {
    /// Fetches from `leader` even if a fetch is out: there is news for it.
    pub(crate) fn fetch_now(&mut self, broker: usize, leader: usize) {
        let Some(process) = self.process(broker) else { return };
        let fetcher = process.fetchers.entry(leader).or_default();
        if fetcher.out.len() < OUT {
            self.fetch(broker, leader);
        }
    }

    pub(crate) fn fetch_due(&mut self, broker: usize, leader: usize) {
        let Some(process) = self.process(broker) else { return };
        process.fetchers.entry(leader).or_default().due = false;
        self.fetch_now(broker, leader);
    }

    /// Asks `leader` for what comes next in every partition that it leads and this broker follows. While a fetch is out,
    /// only if there is something to tell.
    fn fetch(&mut self, broker: usize, leader: usize) {
        let now = self.machines[broker].now(self.clock).monotonic;
        let with = self.machines.get(leader).and_then(|machine| Some(machine.process.as_ref()?.number));
        let Some(process) = self.process(broker) else { return };
        let Some(epoch) = process.epoch else { return };
        let Process { fetchers, replicas, local, .. } = process;
        let fetcher = fetchers.entry(leader).or_default();
        if fetcher.with != with {
            (fetcher.with, fetcher.told) = (with, BTreeMap::new());
        }
        let is_update = !fetcher.out.is_empty();
        let (mut parts, mut told, mut resumes_at) = (Vec::new(), BTreeMap::new(), None::<Duration>);
        let mut named = BTreeSet::new();
        for (tp, replica) in replicas {
            let Role::Follower(follower) = &replica.role else { continue };
            if follower.term().leader != BrokerId(leader as i32) {
                continue;
            }
            let Some(fetch) = follower.next_fetch(now) else {
                resumes_at = resumes_at.into_iter().chain(follower.resumes_at()).min();
                continue;
            };
            if fetch.is_to_be_named(fetcher.told.get(tp), is_update || is_in_sync(local, *tp, broker)) {
                named.insert(*tp);
            }
            told.insert(*tp, fetch);
            parts.push((*tp, fetch));
        }
        let has_nothing_to_say = parts.is_empty() || is_update && named.is_empty();
        let id = self.number();
        if !has_nothing_to_say && let Some(process) = self.process(broker) {
            let fetcher = process.fetchers.entry(leader).or_default();
            fetcher.told = told;
            fetcher.out.insert(id, parts.clone());
            self.send(Node::Broker(broker), Node::Broker(leader), Message::Fetch { id, epoch, parts, named });
            self.set_timer(broker, PATIENCE, Timer::FetchLost(leader, id));
        }
        if let Some(at) = resumes_at {
            self.fetch_later(broker, leader, at.saturating_sub(now));
        }
    }

    fn fetch_later(&mut self, broker: usize, leader: usize, delay: Duration) {
        let Some(process) = self.process(broker) else { return };
        let fetcher = process.fetchers.entry(leader).or_default();
        if !std::mem::replace(&mut fetcher.due, true) {
            self.set_timer(broker, delay + Duration::from_micros(1), Timer::Fetch(leader));
        }
    }

    /// The connection counts as broken, and the session with it.
    pub(crate) fn fetch_lost(&mut self, broker: usize, leader: usize, id: u64) {
        let Some(fetcher) = self.process(broker).and_then(|one| one.fetchers.get_mut(&leader)) else { return };
        let Some(parts) = fetcher.out.remove(&id) else { return };
        fetcher.told.clear();
        for (tp, asked) in parts {
            self.take_answer(broker, tp, &asked, Part::Failed);
        }
        self.fetch_now(broker, leader);
    }

    /// The leader answered.
    pub(crate) fn fetch_answered(&mut self, broker: usize, leader: usize, id: u64, parts: Vec<(Tp, Part)>) {
        let Some(asked) = self.process(broker).and_then(|one| one.fetchers.get_mut(&leader)?.out.remove(&id)) else {
            return;
        };
        for (tp, part) in parts {
            let Some((_, asked)) = asked.iter().find(|(asked, _)| *asked == tp) else { continue };
            self.take_answer(broker, tp, asked, part);
        }
        self.fetch_now(broker, leader);
    }

    fn take_answer(&mut self, broker: usize, tp: Tp, asked: &NextFetch, part: Part) {
        let now = self.machines[broker].now(self.clock).monotonic;
        let machine = &mut self.machines[broker];
        let is_full = machine.is_full(self.clock);
        let Some(process) = &mut machine.process else { return };
        let (Some(replica), Some(log)) = (process.replicas.get_mut(&tp), machine.disk.log_mut(tp)) else {
            return;
        };
        let Role::Follower(follower) = &mut replica.role else { return };
        let (answer, batches) = match part {
            Part::Records { batches, high_watermark } => {
                let any = !batches.is_empty();
                (Answer::Records { any, high_watermark, log_start: Offset::ZERO }, batches)
            }
            Part::Diverging(leader) => {
                let local = log.end_of(leader.epoch).map(|(epoch, end)| EpochEnd { epoch, end });
                (Answer::Diverging { leader, local }, Vec::new())
            }
            Part::OutOfRange => (Answer::OutOfRange { log_start: Offset::ZERO }, Vec::new()),
            Part::Failed => (Answer::Failed, Vec::new()),
        };
        let (mut todo, mut truncated) = (Vec::new(), None);
        follower.answered(now, asked, answer, &mut todo);
        let (mut done, mut grown, mut cut) = (0, false, false);
        while let Some(effect) = todo.get(done).copied() {
            done += 1;
            match effect {
                FollowerEffect::Append if is_full => {
                    self.coverage.count("fetched records without space");
                    follower.failed(now);
                }
                FollowerEffect::Append => {
                    batches.iter().for_each(|batch| log.append_raw(*batch));
                    follower.appended(log.end(), log.last_epoch(), &mut todo);
                    grown = true;
                }
                FollowerEffect::Truncate { to } | FollowerEffect::StartAnew { at: to } => {
                    let from = log.end();
                    log.truncate(to);
                    truncated = (log.end() < from).then_some((from, log.end()));
                    follower.truncated(follower_log(log), &mut todo);
                    replica.high_watermark = replica.high_watermark.min(log.end());
                    // What is remembered of the watermark is lowered with the cut: the log may grow past it again.
                    cut = true;
                }
                FollowerEffect::AdvanceHighWatermark { to } => replica.high_watermark = to,
                FollowerEffect::AdvanceLogStart { .. } | FollowerEffect::Fetch => {}
            }
        }
        if cut {
            machine.disk.watermark(tp);
        }
        if let Some((from, to)) = truncated {
            self.truncated(broker, tp, from, to);
        }
        if grown {
            self.note("replicated", &[("broker", broker as i64), ("partition", tp.number())]);
            self.want_flush(broker, tp);
        }
    }

    /// A follower's fetch arrives. A session takes its fetches in order: one that was overtaken is of a connection that
    /// has broken.
    pub(crate) fn fetched_from(
        &mut self,
        broker: usize,
        from: usize,
        (epoch, id): (BrokerEpoch, u64),
        parts: Vec<(Tp, NextFetch)>,
        named: &BTreeSet<Tp>,
    ) {
        let Some(process) = self.process(broker) else { return };
        let latest = process.heard.entry(from).or_insert((epoch, id));
        if latest.0 == epoch && id < latest.1 {
            return;
        }
        *latest = (*latest).max((epoch, id));
        // A newer fetch ends the one that waits.
        self.answer_parked(broker, from, true);
        for (tp, asked) in parts.iter().filter(|(tp, _)| named.contains(tp)) {
            self.note_fetch(broker, from, epoch, *tp, asked);
        }
        let Some(process) = self.process(broker) else { return };
        process.parked.insert(from, Parked { id, parts });
        if !self.answer_parked(broker, from, false) {
            self.set_timer(broker, MAX_WAIT, Timer::FetchParked(from, id));
        }
    }

    /// Tells the leader machine how far the follower is, unless the logs part.
    fn note_fetch(&mut self, broker: usize, from: usize, epoch: BrokerEpoch, tp: Tp, asked: &NextFetch) {
        if !matches!(self.part_for(broker, tp, asked), Part::Records { .. }) {
            return;
        }
        let now = self.machines[broker].now(self.clock).monotonic;
        let Some(process) = self.process(broker) else { return };
        let Some(Role::Leader(leader)) = process.replicas.get_mut(&tp).map(|replica| &mut replica.role) else { return };
        let position = LogPosition { end: asked.offset, flushed: asked.flushed };
        let (follower, log_start) = (BrokerId(from as i32), asked.log_start);
        let fetch = FollowerFetch { broker: follower, broker_epoch: epoch, position, log_start };
        let mut effects = Vec::new();
        leader.follower_fetched(now, &fetch, &mut effects);
        self.perform(broker, tp, effects);
    }

    /// Tells the leader machine that the follower is given records.
    fn note_given(&mut self, broker: usize, follower: usize, tp: Tp) {
        let Some(process) = self.process(broker) else { return };
        let Some(Role::Leader(leader)) = process.replicas.get_mut(&tp).map(|replica| &mut replica.role) else { return };
        let mut effects = Vec::new();
        leader.gives(BrokerId(follower as i32), &mut effects);
        self.perform(broker, tp, effects);
    }

    /// What there is to answer for one partition.
    fn part_for(&self, broker: usize, tp: Tp, asked: &NextFetch) -> Part {
        let machine = &self.machines[broker];
        let here = machine.process.as_ref().and_then(|process| process.replicas.get(&tp));
        let (Some(replica), Some(log)) = (here, machine.disk.log(tp)) else { return Part::Failed };
        let Some(leader) = replica.leader() else { return Part::Failed };
        if check_epoch(asked.leader_epoch, leader.term().leader_epoch).is_err() {
            return Part::Failed;
        }
        if asked.last_fetched_epoch != LeaderEpoch::NONE {
            let end = if asked.last_fetched_epoch == leader.term().leader_epoch {
                Some((asked.last_fetched_epoch, log.end()))
            } else {
                log.end_of(asked.last_fetched_epoch)
            };
            let Some((epoch, end)) = end else { return Part::OutOfRange };
            if epoch < asked.last_fetched_epoch || end < asked.offset {
                return Part::Diverging(EpochEnd { epoch, end });
            }
        }
        if asked.offset > log.end() {
            return Part::OutOfRange;
        }
        let batches = self.batches_from(broker, tp, asked.offset);
        Part::Records { batches, high_watermark: replica.high_watermark }
    }

    /// Answers the parked fetch of `follower` if there is something to say, or anyhow; whether it did.
    fn answer_parked(&mut self, broker: usize, follower: usize, anyhow: bool) -> bool {
        let Some(parked) = self.process(broker).and_then(|process| process.parked.remove(&follower)) else {
            return false;
        };
        let parts: Vec<(Tp, Part)> =
            parked.parts.iter().map(|(tp, asked)| (*tp, self.part_for(broker, *tp, asked))).collect();
        let news = |part: &Part| !matches!(part, Part::Records { batches, .. } if batches.is_empty());
        if anyhow || parts.iter().any(|(_, part)| news(part)) {
            for (tp, part) in &parts {
                if matches!(part, Part::Records { batches, .. } if !batches.is_empty()) {
                    self.note_given(broker, follower, *tp);
                }
            }
            let message = Message::Fetched { id: parked.id, parts };
            self.send(Node::Broker(broker), Node::Broker(follower), message);
            return true;
        }
        if let Some(process) = self.process(broker) {
            process.parked.insert(follower, parked);
        }
        false
    }

    pub(crate) fn parked_long_enough(&mut self, broker: usize, follower: usize, id: u64) {
        let Some(process) = self.process(broker) else { return };
        if process.parked.get(&follower).is_some_and(|parked| parked.id == id) {
            self.answer_parked(broker, follower, true);
        }
    }

    /// Something changed in `tp`: fetches that wait for it are looked at again.
    pub(crate) fn wake_fetches(&mut self, broker: usize, tp: Tp) {
        let Some(process) = self.process(broker) else { return };
        let waits = |parked: &Parked| parked.parts.iter().any(|(one, _)| *one == tp);
        let followers: Vec<usize> =
            process.parked.iter().filter(|(_, parked)| waits(parked)).map(|(from, _)| *from).collect();
        for follower in followers {
            self.answer_parked(broker, follower, false);
        }
    }
}

fn is_in_sync(image: &Image, tp: Tp, broker: usize) -> bool {
    let state = image.topics().by_id(tp.topic).and_then(|topic| topic.partition(tp.partition));
    state.is_some_and(|state| state.isr.contains(&BrokerId(broker as i32)))
}
