//! Members of a streams group that join, lose answers, crash and leave, some as threads of one process, a log that is
//! slow or refuses, internal topics that are made and deleted, another number of copies, and coordinators that move, all
//! from a seed. `OTTLA_SEED=n` runs one seed.
//!
//! Always: no task is active with two members at once, nor twice in one process in whatever role; a member that keeps
//! its session is never unknown; what was acknowledged as committed is read; a coordinator rebuilt from the log is the
//! same. And once the faults stop, every task is active with one member and copied elsewhere, in the epoch of the group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_core::coordinator::{AppendError, Machine as _, RequestId};
use ottla_core::group::{
    Config, Effect, Error, Event, LEAVE, Note, Refusal, Request, Response, StreamsBeat, StreamsGroupState,
    StreamsHeartbeat, TaskSets,
};
use ottla_core::metadata::{Record, Resource};

use super::bench::{Bench, image, loaded};
use super::commits::Commits;
use super::requests::{fetch_all, first_streams_beat, owning, streams_beat};
use super::simulation::{Dice, seeds};

const PARTITIONS: i32 = 5;

struct Member {
    id: String,
    process: String,
    epoch: i32,
    owned: TaskSets,
    pending: Option<RequestId>,
    /// What it owns may be news to the coordinator.
    says_all: bool,
    /// It was told that it is a member.
    is_known: bool,
}

struct World {
    bench: Bench,
    dice: Dice,
    members: Vec<Member>,
    next_id: u32,
    topics: BTreeMap<String, i32>,
    standbys: u32,
    commits: Commits,
}

#[test]
fn streams_groups_keep_their_promises_under_random_faults() {
    for seed in seeds(20) {
        println!("OTTLA_SEED={seed}");
        World::new(seed).run();
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            bench: Bench::new(Config::default()),
            dice: Dice(seed),
            members: Vec::new(),
            next_id: 0,
            topics: [("t".to_owned(), PARTITIONS)].into(),
            standbys: 0,
            commits: Commits::default(),
        };
        world.tell();
        world.bench.is_prompt = false;
        world
    }

    /// Lets the coordinator know of the cluster as it is.
    fn tell(&mut self) {
        let topics: Vec<(&str, i32)> = self.topics.iter().map(|(name, partitions)| (&**name, *partitions)).collect();
        let mut cluster = image(&topics);
        let (key, value) = ("streams.num.standby.replicas".to_owned(), Some(self.standbys.to_string()));
        cluster.apply(&Record::ConfigChanged { resource: Resource::group("g"), key, value }).unwrap();
        self.bench.tell_image(cluster);
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
            self.step();
        }
        self.assert_settled();
    }

    fn disturb(&mut self) {
        match self.dice.roll(40) {
            0..4 if self.members.len() < 8 => self.spawn(),
            4 => drop(self.pick().map(|i| self.members.swap_remove(i))),
            5 | 6 => self.leave(),
            7 => self.move_coordinator(),
            8 | 9 if !self.bench.in_flight.is_empty() => self.bench.fail_newest(AppendError::NotEnoughReplicas),
            10..13 => self.lose_answer(),
            13 if self.dice.one_in(4) => {
                // Somebody deletes a changelog; the members have it made anew.
                self.topics.remove("c");
                self.tell();
            }
            14 => self.compare_with_rebuilt(),
            15 => {
                self.standbys = self.dice.roll(3) as u32;
                self.tell();
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
            self.assert_nothing_is_owned_twice();
            self.send(i);
        }
        self.commits.collect(&mut self.bench);
        self.commits.check(&mut self.bench);
    }

    fn pick(&mut self) -> Option<usize> {
        let count = self.members.len() as u64;
        (count > 0).then(|| self.dice.roll(count) as usize)
    }

    fn spawn(&mut self) {
        self.next_id += 1;
        self.members.push(Member {
            id: format!("m{}", self.next_id),
            process: format!("p{}", self.dice.roll(4)),
            epoch: 0,
            owned: TaskSets::default(),
            pending: None,
            says_all: false,
            is_known: false,
        });
    }

    /// A member that owns nothing any more says so, and does not wait for the answer.
    fn leave(&mut self) {
        let Some(i) = self.pick() else { return };
        let member = self.members.swap_remove(i);
        self.bench.send(Request::StreamsHeartbeat(Box::new(streams_beat("g", &member.id, LEAVE))));
    }

    fn lose_answer(&mut self) {
        if let Some(i) = self.pick()
            && self.members[i].pending.take().is_some()
        {
            self.members[i].says_all = true;
        }
    }

    fn move_coordinator(&mut self) {
        for _ in 0..self.dice.roll(3) {
            if !self.bench.in_flight.is_empty() {
                self.bench.make_durable();
            }
        }
        self.bench.reload();
    }

    fn receive(&mut self, i: usize) {
        let Some(response) = self.members[i].pending.and_then(|id| self.bench.take(id)) else { return };
        let Response::StreamsHeartbeat(result) = response else { panic!("no heartbeat but {response:?}") };
        let member = &mut self.members[i];
        member.pending = None;
        match result {
            Ok(StreamsBeat { member_epoch, assignment, internal_topics, .. }) => {
                member.epoch = member_epoch;
                member.is_known = true;
                // It says what it owns until it has been told of nothing new.
                member.says_all = assignment.is_some();
                member.owned = assignment.unwrap_or(std::mem::take(&mut member.owned));
                let is_made = !internal_topics.is_empty() && self.dice.one_in(2);
                for topic in internal_topics.into_iter().filter(|_| is_made) {
                    self.topics.entry(topic.name).or_insert(topic.partitions);
                }
                if is_made {
                    self.tell();
                }
            }
            Err(Refusal { error: error @ (Error::FencedMemberEpoch | Error::UnknownMemberId), .. }) => {
                assert!(error != Error::UnknownMemberId || !member.is_known, "{} is a live member", member.id);
                member.epoch = 0;
                member.owned = TaskSets::default();
            }
            Err(Refusal { error, message }) => {
                let is_passing =
                    matches!(error, Error::CoordinatorNotAvailable | Error::NotCoordinator | Error::GroupIdNotFound);
                assert!(is_passing, "{message}");
                // The group itself may not have outlived a move, if its first append had not come through.
                if error == Error::GroupIdNotFound {
                    assert!(!member.is_known, "{} is a live member", member.id);
                    member.epoch = 0;
                    member.owned = TaskSets::default();
                }
                member.says_all = true;
            }
        }
    }

    fn send(&mut self, i: usize) {
        let member = &mut self.members[i];
        if member.pending.is_some() {
            return;
        }
        let heartbeat = if member.epoch == 0 {
            // Joining means to own nothing.
            member.owned = TaskSets::default();
            StreamsHeartbeat { process_id: Some(member.process.clone()), ..first_streams_beat("g", &member.id) }
        } else {
            let heartbeat = streams_beat("g", &member.id, member.epoch);
            if member.says_all { owning(heartbeat, &member.owned) } else { heartbeat }
        };
        member.pending = Some(self.bench.send(Request::StreamsHeartbeat(Box::new(heartbeat))));
        let member = &self.members[i];
        let mut sources = member.owned.active.iter().filter(|(subtopology, _)| &***subtopology == "0");
        if let Some((_, partition)) = sources.next()
            && self.dice.one_in(3)
        {
            self.commits.send(&mut self.bench, &member.id, None, member.epoch, partition);
        }
    }

    fn assert_nothing_is_owned_twice(&self) {
        let (mut active, mut of_processes) = (BTreeSet::new(), BTreeSet::new());
        for member in &self.members {
            for (subtopology, partition) in member.owned.active.iter() {
                assert!(active.insert((subtopology, partition)), "{subtopology}_{partition} is active twice");
            }
            for (subtopology, partition) in member.owned.active.iter().chain(member.owned.standby.iter()) {
                let is_new = of_processes.insert((&member.process, subtopology, partition));
                assert!(is_new, "{} has {subtopology}_{partition} twice", member.process);
            }
        }
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
        self.bench.drain();
        if self.members.iter().all(|member| member.epoch == 0) {
            return;
        }
        let mut rebuilt = loaded(&self.bench.config, &self.bench.log);
        let now = self.bench.now();
        rebuilt.handle(now, Event::Note(Note::Metadata(Arc::clone(&self.bench.image))));
        for request in [Request::DescribeStreams("g".into()), fetch_all("g", true)] {
            let live = without_counts(self.bench.call(request.clone()));
            let effects = rebuilt.handle(now, Event::Request(RequestId(0), request));
            let [Effect::Reply(_, stored)] = &effects[..] else { panic!("{effects:?}") };
            assert_eq!(live, without_counts(stored.clone()));
        }
    }

    fn assert_settled(&mut self) {
        let active = self.members.iter().flat_map(|member| member.owned.active.iter());
        let mut active: Vec<(&str, i32)> = active.map(|(subtopology, partition)| (&**subtopology, partition)).collect();
        active.sort_unstable();
        let all = ["0", "1"].into_iter().flat_map(|id| (0..PARTITIONS).map(move |partition| (id, partition)));
        let all: Vec<(&str, i32)> = all.filter(|_| !self.members.is_empty()).collect();
        assert_eq!(active, all, "every task is active with one member");
        if self.members.is_empty() {
            return;
        }
        let processes: BTreeSet<&str> = self.members.iter().map(|member| &*member.process).collect();
        let copies: usize = self.members.iter().map(|member| member.owned.standby.len()).sum();
        assert_eq!(copies, (self.standbys as usize).min(processes.len() - 1) * PARTITIONS as usize);
        let Response::DescribeStreams(Ok(found)) = self.bench.call(Request::DescribeStreams("g".into())) else {
            panic!("the group is there")
        };
        assert_eq!(found.state, StreamsGroupState::Stable);
        assert_eq!(found.members.len(), self.members.len());
        for member in &self.members {
            assert_eq!(member.epoch, found.epoch, "{}", member.id);
            let told = found.members.iter().find(|described| described.member_id == member.id);
            assert_eq!(member.owned, told.expect("the member is known").assignment);
        }
    }
}

/// What topics make of the topology is found by the first heartbeat after a move.
fn without_counts(response: Response) -> Response {
    let Response::DescribeStreams(Ok(mut found)) = response else { return response };
    let topics = found.topology.subtopologies.iter_mut();
    let internal = topics.flat_map(|part| part.repartition_source_topics.iter_mut().chain(&mut part.changelog_topics));
    internal.for_each(|topic| topic.partitions = 0);
    Response::DescribeStreams(Ok(found))
}
