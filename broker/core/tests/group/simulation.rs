//! Clients that join, sync, commit, crash and come back, appends that are slow or fail, and coordinators that move,
//! all from a seed. `OTTLA_SEED=n` runs one seed.
//!
//! Always: a generation has one assignment only; a member that keeps its session is never unknown; committed
//! offsets never go back; a coordinator rebuilt from the log knows all that is durable. And once the faults stop,
//! every client soon has its share of one generation.

mod promises;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ottla_core::coordinator::{AppendError, Machine as _, RequestId};
use ottla_core::group::{Config, Error, Event, GroupState, Join, Joined, Request, Response, Sync};

use super::bench::{Bench, loaded};
use super::requests::{commit, fetch_all, heartbeat, join, leave, offsets};

const GROUPS: [&str; 2] = ["g1", "g2"];
const PARTITIONS: i32 = 6;

/// SplitMix64: small, and the same everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

#[derive(Debug)]
enum Phase {
    /// Has to join.
    Out,
    Joining(RequestId),
    Syncing(RequestId),
    Working,
}

struct Client {
    group: &'static str,
    instance: Option<String>,
    requires_known_id: bool,
    member_id: String,
    generation: i32,
    phase: Phase,
    /// Partitions of the current generation.
    share: Vec<i32>,
    /// A durable generation knows the member id.
    is_stored: bool,
}

struct World {
    bench: Bench,
    dice: Dice,
    clients: Vec<Client>,
    next_id: u128,
    /// Tag of the assignment handed out in a generation.
    assignments: BTreeMap<(&'static str, i32), String>,
    /// Commits on their way: (group, partition, offset).
    commits: BTreeMap<RequestId, (&'static str, i32, i64)>,
    last_offset: i64,
    acked: BTreeMap<(&'static str, i32), i64>,
    read: BTreeMap<(String, i32), i64>,
    has_failed: bool,
}

/// The seed that `OTTLA_SEED` names, or the first `count`.
pub(super) fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("OTTLA_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("OTTLA_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..count,
    }
}

#[test]
fn groups_keep_their_promises_under_random_faults() {
    for seed in seeds(60) {
        println!("OTTLA_SEED={seed}");
        World::new(seed).run();
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let delay = Duration::from_secs(dice.roll(4));
        let mut bench = Bench::new(Config { initial_rebalance_delay: delay, ..Config::default() });
        // A first commit, so that an empty group is not forgotten and numbers its generations anew.
        for group in GROUPS {
            bench.call(commit(group, "", -1, "t1", 100, 0));
        }
        bench.is_prompt = false;
        Self {
            bench,
            dice,
            clients: Vec::new(),
            next_id: 1,
            assignments: BTreeMap::new(),
            commits: BTreeMap::new(),
            last_offset: 0,
            acked: BTreeMap::new(),
            read: BTreeMap::new(),
            has_failed: false,
        }
    }

    fn run(&mut self) {
        for _ in 0..400 {
            self.disturb();
            self.step();
        }
        // The faults stop, and the log keeps up. The ghost of a member that crashed while its first join was parked lives five minutes.
        self.bench.is_prompt = true;
        self.bench.drain();
        for _ in 0..600 {
            self.step();
        }
        self.assert_settled();
    }

    fn disturb(&mut self) {
        match self.dice.roll(40) {
            0..4 if self.clients.len() < 10 => self.spawn(),
            4..6 => self.crash(),
            6 => self.leave(),
            7 => self.move_coordinator(),
            8 => self.fail_append(),
            9 => self.lose_connection(),
            10..12 => self.compare_with_rebuilt(),
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
        for i in 0..self.clients.len() {
            self.act(i);
        }
        self.collect_commits();
        self.read_offsets();
    }

    fn spawn(&mut self) {
        let group = GROUPS[self.dice.roll(2) as usize];
        let instance = self.dice.one_in(3).then(|| format!("i{}", self.dice.roll(3)));
        if instance.is_some() && self.clients.iter().any(|c| c.group == group && c.instance == instance) {
            return;
        }
        let requires_known_id = !self.dice.one_in(3);
        self.clients.push(Client {
            group,
            instance,
            requires_known_id,
            member_id: String::new(),
            generation: -1,
            phase: Phase::Out,
            share: Vec::new(),
            is_stored: false,
        });
    }

    fn pick(&mut self) -> Option<usize> {
        let count = self.clients.len() as u64;
        (count > 0).then(|| self.dice.roll(count) as usize)
    }

    fn crash(&mut self) {
        if let Some(i) = self.pick() {
            self.clients.swap_remove(i);
        }
    }

    fn leave(&mut self) {
        let Some(i) = self.pick() else { return };
        let client = self.clients.swap_remove(i);
        if !client.member_id.is_empty() {
            self.bench.call(leave(client.group, &client.member_id));
        }
    }

    /// Everything on its way is lost, or all but the first few appends.
    fn move_coordinator(&mut self) {
        for _ in 0..self.dice.roll(3) {
            if !self.bench.in_flight.is_empty() {
                self.bench.make_durable();
            }
        }
        self.bench.reload();
    }

    fn fail_append(&mut self) {
        if !self.bench.in_flight.is_empty() {
            self.has_failed = true;
            self.bench.fail_newest(AppendError::NotEnoughReplicas);
        }
    }

    /// A client forgets the request it waits for, and sends it again.
    fn lose_connection(&mut self) {
        let Some(i) = self.pick() else { return };
        let client = &mut self.clients[i];
        if !client.member_id.is_empty() && !matches!(client.phase, Phase::Working) {
            client.phase = Phase::Out;
        }
    }

    fn act(&mut self, i: usize) {
        match self.clients[i].phase {
            Phase::Out => self.send_join(i),
            Phase::Joining(id) => {
                if let Some(Response::Join(joined)) = self.bench.take(id) {
                    self.joined(i, joined);
                }
            }
            Phase::Syncing(id) => {
                if let Some(Response::Sync(synced)) = self.bench.take(id) {
                    match synced {
                        Ok(synced) => self.synced(i, &synced.assignment),
                        Err(error) => self.rejoin(i, error),
                    }
                }
            }
            Phase::Working => self.work(i),
        }
    }

    fn send_join(&mut self, i: usize) {
        self.next_id += 1;
        let client = &self.clients[i];
        let request = Join {
            instance_id: client.instance.clone(),
            requires_known_member_id: client.requires_known_id,
            ..join(client.group, &client.member_id, self.next_id)
        };
        self.clients[i].phase = Phase::Joining(self.bench.send(Request::Join(request)));
        self.clients[i].share.clear();
    }

    fn joined(&mut self, i: usize, joined: Joined) {
        let generation = match joined.result {
            Ok(generation) => generation,
            Err(Error::MemberIdRequired) => {
                self.clients[i].member_id = joined.member_id;
                return self.send_join(i);
            }
            Err(error) => return self.rejoin(i, error),
        };
        let client = &mut self.clients[i];
        assert!(client.member_id.is_empty() || client.member_id == joined.member_id);
        client.member_id = joined.member_id;
        client.generation = generation.generation;
        // Leaders tag what they assign, so that two assignments of one generation can be told apart.
        self.next_id += 1;
        let members: Vec<String> = generation.members.into_iter().map(|member| member.member_id).collect();
        let mut assignments: Vec<(String, Bytes)> = Vec::new();
        for (m, member) in members.iter().enumerate() {
            let share = (0..PARTITIONS).filter(|p| *p as usize % members.len() == m).map(|p| p.to_string());
            let share = share.collect::<Vec<_>>().join(",");
            assignments.push((member.clone(), format!("{}:{share}", self.next_id).into()));
        }
        let sync = Sync {
            group: client.group.into(),
            generation: client.generation,
            member_id: client.member_id.clone(),
            instance_id: client.instance.clone(),
            protocol_type: None,
            protocol: None,
            assignments,
        };
        let id = self.bench.send(Request::Sync(sync));
        self.clients[i].phase = Phase::Syncing(id);
    }

    fn synced(&mut self, i: usize, assignment: &[u8]) {
        let client = &mut self.clients[i];
        client.phase = Phase::Working;
        client.is_stored = true;
        let assignment = std::str::from_utf8(assignment).unwrap();
        // A member may have joined the generation after the leader saw it, without a share.
        let Some((tag, share)) = assignment.split_once(':') else { return };
        client.share = share.split(',').filter_map(|partition| partition.parse().ok()).collect();
        let key = (client.group, client.generation);
        let first = self.assignments.entry(key).or_insert_with(|| tag.to_owned());
        assert_eq!(first, tag, "two assignments of generation {key:?}");
    }

    /// What a client does after an error.
    fn rejoin(&mut self, i: usize, error: Error) {
        let client = &mut self.clients[i];
        client.phase = Phase::Out;
        match error {
            // Fenced: the coordinator moved before the id of this incarnation was stored, so its former self is back.
            Error::UnknownMemberId | Error::FencedInstanceId => {
                assert!(!client.is_stored, "{} is a live member of {}", client.member_id, client.group);
                client.member_id.clear();
            }
            Error::RebalanceInProgress
            | Error::IllegalGeneration
            | Error::NotCoordinator
            | Error::CoordinatorNotAvailable => {}
            other => panic!("{other:?} for {}", client.member_id),
        }
    }

    fn work(&mut self, i: usize) {
        let client = &self.clients[i];
        let (group, member_id, generation) = (client.group, client.member_id.clone(), client.generation);
        let Response::Heartbeat(result) = self.bench.call(heartbeat(group, &member_id, generation)) else { panic!() };
        if let Err(error) = result {
            return self.rejoin(i, error);
        }
        if let Some(partition) = client.share.first().copied()
            && self.dice.one_in(3)
        {
            self.last_offset += 1;
            let id = self.bench.send(commit(group, &member_id, generation, "t1", partition, self.last_offset));
            self.commits.insert(id, (group, partition, self.last_offset));
        }
    }

    fn collect_commits(&mut self) {
        let bench = &mut self.bench;
        let acked = &mut self.acked;
        self.commits.retain(|id, (group, partition, offset)| {
            let Some(Response::Commit(result)) = bench.take(*id) else { return true };
            if result.is_ok_and(|results| results[0].1[0].1.is_ok()) {
                let last = acked.entry((*group, *partition)).or_default();
                *last = (*last).max(*offset);
            }
            false
        });
    }
}
