//! What is committed, as somebody who sees everything knows it, and the invariants B1–B10 checked against it.
//!
//! A partition's committed log grows when a leader moves its watermark. From then on nobody may hold anything else
//! below that offset and call itself in sync, unless more was lost at once than the topic's durability promises to
//! survive: then, and only then, an unclean election sets the truth back.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use ottla_core::metadata::{Image, Partition, Record};
use ottla_core::partition::{Durability, Settings};
use ottla_core::{BrokerId, LeaderEpoch, Offset, PartitionEpoch};

use crate::controlling::pass;
use crate::log::{Batch, SimLog};
use crate::machine::Machine;
use crate::message::Tp;
use crate::raft::{Payload, RaftEntry};
use crate::replica::settings;
use crate::world::World;

/// A partition as it is.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What is committed.
    pub committed: Vec<Batch>,
    /// The part of it that was committed as flushed by every member.
    pub promised: Offset,
    /// Members whose copy lost something committed, until they are in sync again.
    pub bad: BTreeSet<usize>,
    /// How many have to go bad before something committed may be lost: the least min ISR under which, or the fewest
    /// copies with which, any of it was committed. The contract: "`replicated`: it holds while fewer than
    /// min.insync.replicas brokers stop uncleanly together".
    pub least_min_isr: usize,
    /// The term of the last unclean election: what earlier terms say counts no more.
    pub unclean: LeaderEpoch,
    /// The epochs as last seen.
    epochs: (LeaderEpoch, PartitionEpoch),
}

impl Known {
    /// The end of what is committed.
    pub fn end(&self) -> Offset {
        self.committed.last().map_or(Offset::ZERO, Batch::end)
    }

    fn chain(&self) -> u64 {
        self.committed.last().map_or(0, |batch| batch.chain)
    }

    /// Whether `log` has on its disk what was committed as flushed by every member.
    fn promise_is_kept_by(&self, log: &SimLog) -> bool {
        log.flushed() >= self.promised && log.chain_at(self.promised) == chain_of(&self.committed, self.promised)
    }

    /// Whether `log` holds everything committed.
    pub fn is_held_by(&self, log: &SimLog) -> bool {
        log.chain_at(self.end()) == Some(self.chain())
    }
}

/// The truth.
#[derive(Default)]
pub struct Truth {
    /// The cluster as of all that is committed.
    pub image: Image,
    /// The committed metadata log.
    entries: Vec<Rc<RaftEntry>>,
    /// Who won each term of it.
    leaders: BTreeMap<u64, usize>,
    /// The partitions.
    pub partitions: BTreeMap<Tp, Known>,
    /// Brokers whose machine lost what it had not flushed, until a process that began after that has registered: "in
    /// `replicated` it keeps [its place] only if [nothing was lost]; else it leaves both" – nobody can know before that.
    shaken: BTreeMap<usize, u64>,
}

impl Truth {
    /// A partition's committed state, its topic's name with it.
    pub fn state(&self, tp: Tp) -> Option<(&str, &Arc<Partition>)> {
        let topic = self.image.topics().by_id(tp.topic)?;
        Some((topic.name.as_str(), topic.partition(tp.partition)?))
    }

    /// Every partition there is.
    pub fn all(&self) -> Vec<Tp> {
        let of = |topic: &Arc<ottla_core::metadata::Topic>| {
            let id = topic.id;
            topic.indexed().map(move |(partition, _)| Tp { topic: id, partition }).collect::<Vec<_>>()
        };
        let mut all: Vec<Tp> = self.image.topics().iter().flat_map(of).collect();
        all.sort_unstable();
        all
    }
}

impl World {
    pub(crate) fn metadata_leader_elected(&mut self, broker: usize, term: u64) {
        if let Some(other) = self.truth.leaders.insert(term, broker) {
            self.violated("B7", || format!("brokers {other} and {broker} both lead the metadata log in term {term}"));
        }
    }

    /// An entry of the metadata log is known to be committed on some broker.
    pub(crate) fn metadata_committed(&mut self, index: usize, entry: &Rc<RaftEntry>) {
        if let Some(known) = self.truth.entries.get(index) {
            if !Rc::ptr_eq(known, entry) {
                self.violated("B7", || format!("two entries are committed at {index}"));
            }
            return;
        }
        self.truth.entries.push(Rc::clone(entry));
        let mut image = self.truth.image.clone();
        let counts = pass(&mut image, index, &entry.payload, entry.leader);
        if let (Payload::Decided(decided), true) = (&entry.payload, counts) {
            self.records_committed(index, &decided.records);
        }
        self.truth.image = image;
        if matches!(entry.payload, Payload::Blank) {
            let epoch = self.truth.image.controller().map(|controller| controller.epoch.0);
            if epoch != Some(index as u64) {
                self.violated("B7", || format!("the reign that began at {index} has the epoch {epoch:?}"));
            }
        }
        let Payload::Decided(decided) = &entry.payload else { return };
        if !counts {
            return;
        }
        if let Some(violation) = self.truth.image.violations(1).first() {
            let story = violation.to_string();
            self.violated("B6", || story);
        }
        for record in &decided.records {
            if let Record::BrokerRegistered(broker) = record {
                let begun_after = |lost: &u64| broker.incarnation.as_u128() > u128::from(*lost);
                let id = broker.id.0 as usize;
                if self.truth.shaken.get(&id).is_some_and(begun_after) {
                    self.truth.shaken.remove(&id);
                }
            }
        }
        for tp in self.truth.all() {
            self.check_members(tp);
        }
    }

    /// One entry may change a partition more than once: what each change allows to be lost counts.
    fn records_committed(&mut self, index: usize, records: &[Record]) {
        for record in records {
            self.trace.tell(self.clock, || format!("{index}: {record:?}"));
            let before = self.truth.image.clone();
            self.truth.image.apply(record).expect("the whole entry has been applied elsewhere");
            match record {
                Record::PartitionCreated { topic, partition, .. }
                | Record::PartitionChanged { topic, partition, .. } => {
                    self.partition_committed(Tp { topic: *topic, partition: *partition }, &before);
                }
                Record::ConfigChanged { .. } => {
                    self.truth.all().into_iter().for_each(|tp| self.partition_committed(tp, &before));
                }
                _ => {}
            }
        }
    }

    fn partition_committed(&mut self, tp: Tp, before: &Image) {
        let Some((name, state)) = self.truth.state(tp) else { return };
        let (state, settings) = (Arc::clone(state), settings(&self.truth.image, name));
        let old = before.topics().by_id(tp.topic).and_then(|topic| topic.partition(tp.partition).cloned());
        let shaken = &self.truth.shaken;
        let known = self.truth.partitions.entry(tp).or_default();
        let epochs = (state.leader_epoch, state.partition_epoch);
        let regress = epochs.0 < known.epochs.0 || epochs.1 < known.epochs.1;
        known.epochs = epochs;
        let is_fsync = settings.durability == Durability::Fsync && !state.unflushed;
        if is_fsync && old.as_ref().is_some_and(|old| old.unflushed) {
            // "A topic changed to `fsync` counts as such once every member has flushed to the watermark."
            known.promised = known.end();
        }
        if !is_fsync {
            known.promised = Offset::ZERO;
            // Who has lost power and not reported it yet reports it to a topic that promises less now.
            let members = state.isr.iter().chain(&state.elr).map(|member| member.0 as usize);
            known.bad.extend(members.filter(|member| shaken.contains_key(member)));
        }
        let thin = state.isr.len() < state.effective_min_isr(settings.min_isr);
        known.bad.retain(|broker| thin || state.replica_on(BrokerId(*broker as i32)).is_some());
        let min_isr = state.effective_min_isr(settings.min_isr);
        // What was committed with fewer copies is not promised more before there are more.
        let renewed = known.bad.is_empty() && state.isr.len() >= min_isr;
        known.least_min_isr = if renewed { min_isr } else { known.least_min_isr.min(min_isr) };
        if regress {
            self.violated("B8", || format!("the epochs of {tp:?} go back to {epochs:?}"));
        }
        if let Some(old) = &old {
            self.count_changes(tp, old, &state);
            let knew_all = old.isr.contains(&state.leader) || old.elr.contains(&state.leader);
            if state.leader != BrokerId::NONE && !knew_all {
                self.unclean_election(tp, &state);
            }
        }
    }

    fn count_changes(&mut self, tp: Tp, old: &Partition, new: &Partition) {
        if old == new {
            return;
        }
        if new.leader != old.leader && new.leader != BrokerId::NONE {
            self.coverage.count("partition elections");
        }
        if new.isr.len() < old.isr.len() {
            self.coverage.count("ISR shrinks");
        }
        if new.isr.len() > old.isr.len() {
            self.coverage.count("ISR expansions");
        }
        if !new.elr.is_empty() && old.elr.is_empty() {
            self.coverage.count("eligible leader replicas kept");
        }
        if old.is_moving() && !new.is_moving() {
            self.coverage.count("moves ended");
            // "A move ends only when all adding replicas are in the ISR"; of one that is cancelled none stays.
            let in_sync = |id: &BrokerId| new.replica_on(*id).is_none() || new.isr.contains(id);
            if !old.adding.iter().all(in_sync) {
                self.violated("moves", || format!("{tp:?} was moved before what was added was in sync: {new:?}"));
            }
        }
        self.trace.tell(self.clock, || {
            let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect::<Vec<_>>();
            format!(
                "partition {} leader={} epoch={} state={} isr={:?} elr={:?} replicas={:?} {:?}",
                tp.number(),
                new.leader,
                new.leader_epoch,
                new.partition_epoch,
                ids(&new.isr),
                ids(&new.elr),
                new.brokers().map(|id| id.0).collect::<Vec<_>>(),
                new.recovery
            )
        });
    }

    /// Somebody leads who may lack what was committed: that must have been allowed, and is the truth from here on.
    fn unclean_election(&mut self, tp: Tp, state: &Partition) {
        self.coverage.count("unclean elections");
        let leader = state.leader.0 as usize;
        let name = self.truth.state(tp).map(|(name, _)| name.to_owned()).unwrap_or_default();
        let unclean = self.plan.topics.iter().any(|topic| topic.name == name && topic.unclean);
        let asked_for = unclean || self.admin.rescues.contains(&tp);
        let is_fsync = settings(&self.truth.image, &name).durability == Durability::Fsync && !state.unflushed;
        let empty = SimLog::default();
        let log = self.machines[leader].disk.logs.get(&tp).unwrap_or(&empty);
        let Some(known) = self.truth.partitions.get_mut(&tp) else { return };
        // "What is committed is flushed on every member", and the leader is the only one: in `fsync` nothing else is.
        let counts = |batch: &&Batch| {
            let written = !is_fsync || batch.end() <= log.flushed();
            written && log.chain_at(batch.end()) == Some(batch.chain)
        };
        let kept = known.committed.iter().take_while(counts).count();
        known.unclean = state.leader_epoch;
        if kept == known.committed.len() {
            known.promised = known.promised.min(log.flushed());
            return;
        }
        let excused = known.bad.len() >= known.least_min_isr;
        let (bad, least, end) = (known.bad.clone(), known.least_min_isr, known.end());
        known.committed.truncate(kept);
        let upto = known.end();
        known.promised = known.promised.min(upto).min(log.flushed());
        if !asked_for && !excused {
            self.violated("B5", || {
                format!("broker {leader} leads {tp:?} and lacks {upto} to {end}; lost on {bad:?}, min ISR was {least}")
            });
        }
        self.coverage.count("unclean elections that lost records");
        self.note("set back", &[("partition", tp.number()), ("to", upto.0)]);
        self.clients.history.forgive(tp, upto);
    }

    /// B1, B2: every member of ISR and ELR, the leader among them, has all that is committed.
    pub(crate) fn check_members(&mut self, tp: Tp) {
        let Some((_, state)) = self.truth.state(tp) else { return };
        let Some(known) = self.truth.partitions.get(&tp) else { return };
        let mut fault = None;
        let (mut whole, mut late) = (Vec::new(), Vec::new());
        for member in state.isr.iter().chain(&state.elr) {
            let broker = member.0 as usize;
            let log = self.machines[broker].disk.logs.get(&tp);
            let holds = match log {
                Some(log) => known.is_held_by(log) && log.flushed() >= known.promised,
                None => known.end() == Offset::ZERO,
            };
            // A place may be committed that was proposed before its holder lost what it had; what it had flushed, it has.
            let emptied = log.is_none();
            let keeps_promise = log.is_some_and(|log| known.promise_is_kept_by(log));
            let shaken = self.truth.shaken.contains_key(&broker) && (emptied || keeps_promise);
            if !holds && shaken {
                late.push(broker);
            } else if !holds {
                let has = log.map(|log| (log.end(), log.flushed()));
                fault = Some((broker, has, known.end(), known.promised));
            } else if !shaken && state.isr.contains(member) {
                whole.push(broker);
            }
        }
        if let Some((broker, has, end, promised)) = fault {
            let promise = if state.leader.0 as usize == broker { "B1" } else { "B2" };
            let story =
                format!("{tp:?} is committed to {end} ({promised} on disks), broker {broker} has {has:?}: {state:?}");
            self.violated(promise, || story);
        }
        if let Some(known) = self.truth.partitions.get_mut(&tp) {
            known.bad.retain(|broker| !whole.contains(broker));
            known.bad.extend(late);
        }
    }

    /// A leader moved its watermark: what lies below is committed.
    pub(crate) fn watermark_reached(&mut self, broker: usize, tp: Tp, to: Offset) {
        let Some((name, state)) = self.truth.state(tp) else { return };
        let (state, wanted) = (Arc::clone(state), settings(&self.truth.image, name));
        let machine = &self.machines[broker];
        let Some(log) = machine.disk.logs.get(&tp) else { return };
        let Some(replica) = machine.process.as_ref().and_then(|process| process.replicas.get(&tp)) else { return };
        let Some(leader) = replica.leader() else { return };
        let epoch = leader.term().leader_epoch;
        let Some(known) = self.truth.partitions.get_mut(&tp) else { return };
        if epoch < known.unclean {
            return;
        }
        let new: Vec<Batch> =
            log.batches().iter().filter(|batch| batch.end() > known.end() && batch.end() <= to).copied().collect();
        let agrees = log.chain_at(known.end().min(to)) == chain_of(&known.committed, to);
        known.committed.extend(new);
        let is_fsync = |settings: Settings| settings.durability == Durability::Fsync;
        if is_fsync(replica.settings) && is_fsync(wanted) && !state.unflushed {
            known.promised = known.promised.max(to);
        }
        if !agrees {
            self.violated("B3", || {
                format!("broker {broker} commits {tp:?} to {to} in epoch {epoch}, and differs below")
            });
        }
        if epoch == state.leader_epoch {
            self.check_maximal_isr(broker, tp, &state);
        }
        self.check_members(tp);
    }

    /// B4: whoever the controller may elect, the leader waits for.
    fn check_maximal_isr(&mut self, broker: usize, tp: Tp, state: &Partition) {
        let process = self.machines[broker].process.as_ref();
        let replica = process.and_then(|process| process.replicas.get(&tp));
        let Some(leader) = replica.and_then(|replica| replica.leader()) else { return };
        let proposed = leader.proposal().map(|proposal| proposal.members.as_slice()).unwrap_or_default();
        let waits_for =
            |one: &BrokerId| leader.term().isr.contains(one) || proposed.iter().any(|(proposed, _)| proposed == one);
        let unknown: BTreeSet<BrokerId> =
            state.isr.iter().chain(&state.elr).filter(|one| !waits_for(one)).copied().collect();
        if !unknown.is_empty() {
            let isr = leader.term().isr.clone();
            self.violated("B4", || {
                format!("broker {broker} leads {tp:?} with {isr:?} and does not know of {unknown:?}")
            });
        }
    }

    pub(crate) fn leader_began(&mut self, broker: usize, tp: Tp, epoch: LeaderEpoch) {
        let particulars = [("broker", broker as i64), ("partition", tp.number()), ("epoch", i64::from(epoch.0))];
        self.note("leads", &particulars);
        let machine = &self.machines[broker];
        let log = machine.disk.logs.get(&tp);
        let replica = machine.process.as_ref().and_then(|process| process.replicas.get(&tp));
        let copies = self.truth.state(tp).map_or(0, |(_, state)| state.isr.len());
        let (Some(log), Some(replica), Some(known)) = (log, replica, self.truth.partitions.get_mut(&tp)) else {
            return;
        };
        if known.unclean > LeaderEpoch(0) && epoch >= known.unclean && known.is_held_by(log) {
            // A watermark that is remembered from before an unclean election, and whose records outlived it, holds: they
            // lie below the start of the unclean leader's term, and nobody gets into the ISR without them.
            let (upto, end) = (replica.high_watermark, known.end());
            let alive = log.batches().iter().filter(|one| one.base >= end && one.end() <= upto);
            known.committed.extend(alive);
            if known.end() > end {
                known.least_min_isr = known.least_min_isr.min(copies.max(1));
            }
        }
    }

    /// A follower has cut its log.
    pub(crate) fn truncated(&mut self, broker: usize, tp: Tp, from: Offset, to: Offset) {
        self.coverage.count("truncations");
        let particulars = [("broker", broker as i64), ("partition", tp.number()), ("from", from.0), ("to", to.0)];
        self.note("truncated", &particulars);
        self.check_members(tp);
    }

    /// The machine of `broker` lost what it had not flushed, or its disk. "`replicated`: it holds while fewer than
    /// min.insync.replicas brokers stop uncleanly together": the stop counts, whatever was lost by it. "`fsync`: that holds
    /// even if every broker loses power at once": there only what is really gone counts.
    pub(crate) fn data_lost(&mut self, broker: usize) {
        let me = BrokerId(broker as i32);
        self.truth.shaken.insert(broker, self.numbers);
        for tp in self.truth.all() {
            let log = self.machines[broker].disk.logs.get(&tp);
            let Some((_, state)) = self.truth.state(tp) else { continue };
            let claims = state.isr.contains(&me) || state.elr.contains(&me);
            let Some(known) = self.truth.partitions.get_mut(&tp) else { continue };
            let holds = log.is_some_and(|log| known.is_held_by(log) && known.promised == known.end());
            if claims && !holds && known.end() > Offset::ZERO {
                known.bad.insert(broker);
            }
        }
    }

    /// B10: a process has opened what it found on its disk.
    pub(crate) fn recovered(&mut self, broker: usize) {
        let lost = self.machines[broker].disk.logs.iter().find(|(_, log)| log.end() < log.flushed());
        if let Some((tp, _)) = lost {
            let tp = *tp;
            self.violated("B10", || format!("broker {broker} has lost flushed records of {tp:?}"));
        }
    }

    /// Whether the metadata log goes on if the disk of `broker` is lost: under each set of voters that may turn out to be in
    /// force, a majority of them has all that is committed on disks that stay. A voter that has taken the place of another
    /// does not count before it has caught up.
    pub(crate) fn metadata_survives_without(&self, broker: usize) -> bool {
        let committed = self.truth.entries.len();
        let last = self.truth.entries.last();
        let has_all = |machine: &&Machine| {
            let log = &machine.disk.raft.log;
            machine.id != broker && log.get(committed - 1).zip(last).is_some_and(|(one, last)| Rc::ptr_eq(one, last))
        };
        let holders: Vec<_> = self.machines.iter().filter(has_all).collect();
        let stays = |machine: &&Machine| {
            let voters = machine.disk.raft.voters();
            let left = voters.iter().filter(|voter| holders.iter().any(|one| one.disk.key(one.id) == **voter));
            left.count() > voters.len() / 2
        };
        committed > 0 && !holders.is_empty() && holders.iter().all(stays)
    }

    /// Metadata entries committed so far.
    pub(crate) fn metadata_end(&self) -> usize {
        self.truth.entries.len()
    }
}

/// The hash over `committed` up to `offset`, or up to its end.
fn chain_of(committed: &[Batch], offset: Offset) -> Option<u64> {
    let upto = committed.iter().rev().find(|batch| batch.end() <= offset);
    Some(upto.map_or(0, |batch| batch.chain))
}
