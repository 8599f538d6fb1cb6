//! Members, leaders and a coordinator played from a seed: members take, say and fall silent; leaders end with what they did
//! not have written and are replaced; writes are slow, fail, or are stored without anybody hearing of it.
//!
//! Held at every step: the start never goes back, neither at a leader nor in what is kept; nobody is given what another has;
//! a record whose acceptance was answered is never delivered again; none is delivered more often than it may. At the end,
//! with nothing failing any more, every record has been accepted or given up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::coordinator::RequestId;
use crate::share::state::{State, Write};
use crate::share::{StateBatch, combine};
use crate::{LeaderEpoch, Now, Offset, StateEpoch, Timestamp};

/// How many records there are, in batches of 1 to 4.
const RECORDS: i64 = 60;
const MAX_DELIVERIES: u16 = 4;
const MEMBERS: [&str; 4] = ["a", "b", "c", "d"];

/// A small generator of numbers: what a seed gives is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

struct World {
    dice: Dice,
    seed: u64,
    now: Duration,
    log: Vec<Extent>,
    /// What the coordinator keeps.
    kept: State,
    epoch: i32,
    leader: SharePartition,
    /// The write on its way to the coordinator.
    writing: VecDeque<Write>,
    next_request: u64,
    /// What each member has been given and not spoken of.
    held: BTreeMap<&'static str, Vec<Acquired>>,
    /// Acknowledgements without an answer: the offsets that they accept.
    asked: BTreeMap<RequestId, Vec<i64>>,
    /// Whose acceptance was answered.
    accepted: BTreeSet<i64>,
    deliveries: BTreeMap<i64, u32>,
    /// Whether anything may still fail.
    is_rough: bool,
    greatest_start: Offset,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut log = Vec::new();
        let mut next = 0;
        while next < RECORDS {
            let last = (next + dice.roll(4) as i64).min(RECORDS - 1);
            log.push(Extent { first: Offset(next), last: Offset(last) });
            next = last + 1;
        }
        let kept = State { state_epoch: StateEpoch(0), start: Some(Offset(0)), batches: Vec::new() };
        let leader = SharePartition::new(config(), LeaderEpoch(0), &kept, Offset::ZERO);
        Self {
            dice,
            seed,
            now: Duration::ZERO,
            log,
            kept,
            epoch: 0,
            leader,
            writing: VecDeque::new(),
            next_request: 0,
            held: BTreeMap::new(),
            asked: BTreeMap::new(),
            accepted: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            is_rough: true,
            greatest_start: Offset::ZERO,
        }
    }

    fn clock(&self) -> Now {
        Now { monotonic: self.now, wall: Timestamp::NONE }
    }

    fn step(&mut self) {
        match self.dice.roll(10) {
            0..=3 => self.fetch(),
            4..=6 => self.speak(),
            7 => self.now += Duration::from_millis(self.dice.roll(3000)),
            8 => _ = self.leader.tick(self.clock()),
            _ if self.is_rough && self.dice.one_in(6) => self.replace_leader(),
            _ => {}
        }
        self.perform();
        if !self.is_rough || self.dice.one_in(2) {
            self.answer_write();
        }
        self.check();
    }

    fn fetch(&mut self) {
        let member = MEMBERS[self.dice.roll(4) as usize];
        let Some(from) = self.leader.next_fetch() else { return };
        let max_records = 1 + self.dice.roll(8);
        let reach = self.leader.reach(from, max_records);
        let mut extents: Vec<_> = self.log.iter().copied().filter(|extent| extent.last >= from).take(4).collect();
        if let Some(first) = extents.first().map(|extent| extent.first) {
            extents.retain(|extent| reach.covers(first, extent.first));
        }
        let acquire = Acquire {
            member: &Arc::from(member),
            from,
            extents: &extents,
            aborted: &[],
            max_records,
            batch_size: 1 + self.dice.roll(5),
            is_strict: self.dice.one_in(2),
        };
        let acquired = self.leader.acquire(self.clock(), &acquire);
        for offset in acquired.iter().flat_map(|one| one.first.0..=one.last.0) {
            assert!(
                !self.accepted.contains(&offset),
                "seed {}: {offset} is delivered after it was accepted",
                self.seed
            );
            *self.deliveries.entry(offset).or_default() += 1;
        }
        for one in &acquired {
            assert!(one.count <= MAX_DELIVERIES, "seed {}: {one:?} comes too often", self.seed);
        }
        self.held.entry(member).or_default().extend(acquired);
    }

    /// A member says something of what it has been given last, or is gone.
    fn speak(&mut self) {
        let member = MEMBERS[self.dice.roll(4) as usize];
        let Some(one) = self.held.get_mut(member).and_then(Vec::pop) else { return };
        self.next_request += 1;
        let id = RequestId(self.next_request);
        if self.dice.one_in(12) {
            self.held.remove(member);
            self.asked.insert(id, Vec::new());
            return self.leader.release(id, member);
        }
        let offsets: Vec<i64> = (one.first.0..=one.last.0).collect();
        let codes: Vec<i8> = offsets.iter().map(|_| [1, 1, 1, 1, 2, 3, 4][self.dice.roll(7) as usize]).collect();
        let accepted = offsets.iter().zip(&codes).filter(|(_, code)| **code == 1).map(|(offset, _)| *offset).collect();
        self.asked.insert(id, accepted);
        let said = Acknowledgement::new(one.first, one.last, &codes).unwrap();
        self.leader.acknowledge(self.clock(), id, member, &[said]);
    }

    /// The leader is gone with what it had not written; the next one reads, which fences it.
    fn replace_leader(&mut self) {
        self.perform();
        // What was under way may still arrive before the next leader reads.
        if self.dice.one_in(2)
            && let Some(write) = self.writing.pop_front()
        {
            self.store(&write);
        }
        self.writing.clear();
        self.asked.clear();
        self.held.clear();
        self.epoch += 1;
        self.leader = SharePartition::new(config(), LeaderEpoch(self.epoch), &self.kept, Offset::ZERO);
    }

    fn store(&mut self, write: &Write) {
        assert!(write.start >= self.kept.start, "seed {}: the start goes back", self.seed);
        self.kept.start = write.start;
        let batches = self.kept.batches.iter().chain(&write.batches).copied();
        self.kept.batches = combine(batches, write.start.unwrap());
    }

    fn answer_write(&mut self) {
        let Some(write) = self.writing.pop_front() else { return };
        let fails = self.is_rough && self.dice.one_in(4);
        if !fails || self.dice.one_in(2) {
            self.store(&write);
        }
        self.leader.written(if fails { Err(Error::CoordinatorNotAvailable) } else { Ok(()) });
        self.perform();
    }

    fn perform(&mut self) {
        for effect in self.leader.take_effects() {
            match effect {
                Effect::Write(write) => {
                    assert!(self.writing.is_empty(), "seed {}: two writes at a time", self.seed);
                    self.writing.push_back(write);
                }
                Effect::Reply(id, result) => {
                    let accepted = self.asked.remove(&id).expect("each request is answered once");
                    if result.is_ok() {
                        self.accepted.extend(accepted);
                    }
                }
                Effect::Wake => {}
            }
        }
    }

    fn check(&mut self) {
        // A new leader knows what was written, so it begins no later than the one before had got.
        assert!(self.kept.start <= Some(self.leader.start()), "seed {}", self.seed);
        self.greatest_start = self.greatest_start.max(self.kept.start.unwrap());
        assert_eq!(self.kept.start, Some(self.greatest_start), "seed {}", self.seed);
        let over = |offset: i64| {
            let of = |batch: &&StateBatch| batch.first().0 <= offset && offset <= batch.last().0;
            Some(Offset(offset)) < self.kept.start
                || self.kept.batches.iter().find(of).is_some_and(|b| b.state.is_terminal())
        };
        for offset in &self.accepted {
            assert!(over(*offset), "seed {}: {offset} was accepted, and that is not kept", self.seed);
        }
    }

    /// From now on nothing fails, and members say what is to be said.
    fn calm_down(&mut self) {
        self.is_rough = false;
        for _ in 0..20_000 {
            self.step();
            if self.leader.start() == Offset(RECORDS) && self.writing.is_empty() {
                break;
            }
        }
        assert_eq!(self.leader.start(), Offset(RECORDS), "seed {}: not every record is over", self.seed);
        for offset in 0..RECORDS {
            assert!(self.deliveries.contains_key(&offset), "seed {}: {offset} was never delivered", self.seed);
        }
    }
}

fn config() -> Config {
    let lock_duration = Duration::from_secs(5);
    Config { max_deliveries: MAX_DELIVERIES, lock_duration, max_in_flight: 20, may_renew: true }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..600 {
        world.step();
    }
    world.calm_down();
}

#[test]
fn every_record_is_delivered_until_it_is_accepted_or_given_up_whatever_fails() {
    if let Some(seed) = std::env::var("OTTLA_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return play(seed);
    }
    (0..300).for_each(play);
}
