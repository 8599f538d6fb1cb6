//! Members of share groups that join, lose answers, crash and leave, a log that is slow or refuses, share coordinators
//! that fail, topics that grow, and coordinators that move, all from a seed. `OTTLA_SEED=n` runs one seed.
//!
//! Always: nobody is given a partition that has no state; a member that keeps its session is never unknown; a coordinator
//! rebuilt from the log is the same. And once the faults stop, every partition is with as many members as every other.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_core::TopicId;
use ottla_core::coordinator::{AppendError, Machine as _, RequestId};
use ottla_core::group::{
    AskStates, Effect, Error, Event, LEAVE, Note, Partitions, Refusal, Request, Response, ShareBeat, ShareHeartbeat,
};

use super::bench::{Bench, assigning_every, loaded};
use super::requests::{first_share_beat, share_beat};
use super::simulation::{Dice, seeds};

struct Member {
    id: String,
    epoch: i32,
    assigned: Partitions,
    pending: Option<RequestId>,
    /// The last answer was lost: say everything.
    says_all: bool,
    /// It was told that it is a member.
    is_known: bool,
}

struct World {
    bench: Bench,
    dice: Dice,
    members: Vec<Member>,
    next_id: u32,
    partitions: i32,
    /// What the share coordinators have.
    states: BTreeSet<(TopicId, i32)>,
}

#[test]
fn share_groups_keep_their_promises_under_random_faults() {
    for seed in seeds(20) {
        println!("OTTLA_SEED={seed}");
        World::new(seed).run();
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let interval = Duration::from_millis([0, 1000, 5000][dice.roll(3) as usize]);
        let mut bench = Bench::new(assigning_every(interval));
        bench.tell(&[("t", 3)]);
        bench.is_prompt = false;
        Self { bench, dice, members: Vec::new(), next_id: 0, partitions: 3, states: BTreeSet::new() }
    }

    fn run(&mut self) {
        for _ in 0..400 {
            self.disturb();
            self.step();
        }
        self.bench.is_prompt = true;
        self.bench.drain();
        // Sessions of those that crashed end, and the others divide what they had.
        for _ in 0..120 {
            self.answer_calls(true);
            self.step();
        }
        self.assert_settled();
    }

    fn disturb(&mut self) {
        match self.dice.roll(40) {
            0..4 if self.members.len() < 8 => self.spawn(),
            4 => drop(self.pick().map(|i| self.members.swap_remove(i))),
            5 | 6 => self.leave(),
            7 => self.bench.reload(),
            8 | 9 if !self.bench.in_flight.is_empty() => self.bench.fail_newest(AppendError::NotEnoughReplicas),
            10..13 => self.lose_answer(),
            13 if self.partitions < 8 => {
                self.partitions += 1;
                self.bench.tell(&[("t", self.partitions)]);
            }
            14 => self.compare_with_rebuilt(),
            15 => drop(self.bench.send(Request::Delete("g".into()))),
            16..24 => {
                let succeeds = !self.dice.one_in(3);
                self.answer_calls(succeeds);
            }
            _ => {}
        }
    }

    fn step(&mut self) {
        let millis = self.dice.roll(2000);
        self.bench.advance(Duration::from_millis(millis));
        for _ in 0..self.dice.roll(4) {
            if !self.bench.in_flight.is_empty() {
                self.bench.make_durable();
            }
        }
        for i in 0..self.members.len() {
            self.receive(i);
            self.send(i);
        }
    }

    /// The share coordinators do what they are asked, or nothing of it.
    fn answer_calls(&mut self, succeed: bool) {
        while !self.bench.calls.is_empty() {
            let result = if succeed { Ok(()) } else { Err(Error::CoordinatorNotAvailable) };
            if let (Some(call), true) = (self.bench.calls.front(), succeed) {
                match &call.ask {
                    AskStates::Initialize { partitions, .. } => {
                        self.states.extend(partitions.iter().map(|(topic, index, _)| (*topic, *index)));
                    }
                    AskStates::Delete(partitions) => {
                        self.states.retain(|(topic, index)| !partitions.contains(*topic, *index))
                    }
                }
            }
            self.bench.answer_call(result);
        }
    }

    fn pick(&mut self) -> Option<usize> {
        let count = self.members.len() as u64;
        (count > 0).then(|| self.dice.roll(count) as usize)
    }

    fn spawn(&mut self) {
        self.next_id += 1;
        self.members.push(Member {
            id: format!("m{}", self.next_id),
            epoch: 0,
            assigned: Partitions::default(),
            pending: None,
            says_all: false,
            is_known: false,
        });
    }

    fn leave(&mut self) {
        let Some(i) = self.pick() else { return };
        let member = self.members.swap_remove(i);
        self.bench.send(Request::ShareHeartbeat(share_beat("g", &member.id, LEAVE)));
    }

    fn lose_answer(&mut self) {
        if let Some(i) = self.pick()
            && self.members[i].pending.take().is_some()
        {
            self.members[i].says_all = true;
        }
    }

    fn receive(&mut self, i: usize) {
        let Some(response) = self.members[i].pending.and_then(|id| self.bench.take(id)) else { return };
        let Response::ShareHeartbeat(result) = response else { panic!("no heartbeat but {response:?}") };
        let member = &mut self.members[i];
        member.pending = None;
        match result {
            Ok(ShareBeat { member_epoch, assignment, .. }) => {
                (member.epoch, member.says_all, member.is_known) = (member_epoch, false, true);
                if let Some(assignment) = assignment {
                    assert!(assignment.iter().all(|at| self.states.contains(&at)), "{assignment:?} have no state");
                    member.assigned = assignment;
                }
            }
            Err(Refusal { error: Error::CoordinatorNotAvailable | Error::NotCoordinator, .. }) => {
                member.says_all = true;
            }
            Err(Refusal { error, message }) => {
                let is_out =
                    matches!(error, Error::FencedMemberEpoch | Error::UnknownMemberId | Error::GroupIdNotFound);
                assert!(is_out, "{message}");
                assert!(error == Error::FencedMemberEpoch || !member.is_known, "{} is a live member", member.id);
                (member.epoch, member.assigned) = (0, Partitions::default());
            }
        }
    }

    fn send(&mut self, i: usize) {
        let member = &mut self.members[i];
        if member.pending.is_some() {
            return;
        }
        let whole = ShareHeartbeat { member_epoch: member.epoch, ..first_share_beat("g", &member.id, &["t"]) };
        let says_all = member.epoch == 0 || member.says_all;
        let heartbeat = if says_all { whole } else { share_beat("g", &member.id, member.epoch) };
        member.pending = Some(self.bench.send(Request::ShareHeartbeat(heartbeat)));
    }

    /// With nothing on its way the log holds all, but for what it refused and nobody has come for since.
    fn compare_with_rebuilt(&mut self) {
        self.bench.drain();
        for i in 0..self.members.len() {
            self.receive(i);
            self.send(i);
        }
        self.bench.drain();
        (0..self.members.len()).for_each(|i| self.receive(i));
        if self.members.iter().all(|member| member.epoch == 0) {
            return;
        }
        let mut rebuilt = loaded(&self.bench.config, &self.bench.log);
        let now = self.bench.now();
        rebuilt.handle(now, Event::Note(Note::Metadata(self.bench.image.clone())));
        for request in [Request::DescribeShare("g".into()), Request::SharePartitions("g".into())] {
            let live = self.bench.call(request.clone());
            let effects = rebuilt.handle(now, Event::Request(RequestId(0), request));
            let [Effect::Reply(_, stored)] = &effects[..] else { panic!("{effects:?}") };
            assert_eq!(live, *stored);
        }
    }

    fn assert_settled(&mut self) {
        if self.members.is_empty() {
            return;
        }
        let all: Vec<i32> = (0..self.partitions).collect();
        let holders = |index: &i32| {
            let has = |member: &&Member| member.assigned.iter().any(|(_, assigned)| assigned == *index);
            self.members.iter().filter(has).count()
        };
        let sharing = self.members.len().div_ceil(all.len());
        assert!(all.iter().all(|index| holders(index) == sharing), "every partition is with {sharing}");
        let Response::DescribeShare(Ok(found)) = self.bench.call(Request::DescribeShare("g".into())) else {
            panic!("the group is there")
        };
        assert_eq!(found.members.len(), self.members.len());
        assert!(self.members.iter().all(|member| member.epoch == found.epoch));
    }
}
