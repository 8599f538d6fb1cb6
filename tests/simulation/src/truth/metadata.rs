//! The committed metadata log, and what its records make true of partitions: B6, B7, B8, and what an election may lose.

use std::rc::Rc;
use std::sync::Arc;

use ottla_core::metadata::{Image, LeaderRecovery, Partition, Record};
use ottla_core::partition::Durability;
use ottla_core::{BrokerId, Offset};

use crate::controlling::pass;
use crate::log::{Batch, SimLog};
use crate::machine::Machine;
use crate::message::Tp;
use crate::raft::{Payload, RaftEntry};
use crate::replica::settings;
use crate::world::World;

impl World {
    /// Somebody has won a term of the metadata log.
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
        if let (Payload::Decided(decided, decided_on), true) = (&entry.payload, counts) {
            self.check_decided_on(index, decided_on);
            self.records_committed(index, &decided.records);
        }
        self.truth.image = image;
        if matches!(entry.payload, Payload::Blank) {
            let epoch = self.truth.image.controller().map(|controller| controller.epoch.0);
            if epoch != Some(index as u64) {
                self.violated("B7", || format!("the reign that began at {index} has the epoch {epoch:?}"));
            }
        }
        let Payload::Decided(decided, _) = &entry.payload else { return };
        if !counts {
            return;
        }
        if let Some(violation) = self.truth.image.violations(1).first() {
            let story = violation.to_string();
            self.violated("B6", || story);
        }
        for record in &decided.records {
            if let Record::BrokerRegistered(broker) = record {
                let begun_after = |lost: u64| broker.incarnation.as_u128() > u128::from(lost);
                let id = broker.id.0 as usize;
                self.truth.shaken.retain(|(shaken, _), lost| *shaken != id || !begun_after(*lost));
            }
        }
        for tp in self.truth.all() {
            self.check_members(tp);
        }
    }

    /// B7: "committed metadata [is] never lost". What counts must have been decided in view of all that is committed before
    /// it, else it takes some of that back.
    fn check_decided_on(&mut self, index: usize, decided_on: &Image) {
        let before = &self.truth.image;
        if decided_on.index() != before.index() && decided_on.to_records() != before.to_records() {
            let at = decided_on.index();
            self.violated("B7", || format!("what was decided on the cluster as of {at} counts at {index}"));
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
        let members = state.isr.iter().chain(&state.elr).map(|member| member.0 as usize);
        let shaken: Vec<usize> = members.filter(|member| self.is_shaken(*member, tp)).collect();
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
            known.bad.extend(shaken);
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
            // Whoever is admitted by what ends a move may be elected in the same step, and that is clean.
            let is_unclean = state.recovery == LeaderRecovery::Recovering && !knew_all;
            if state.leader != BrokerId::NONE && is_unclean {
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
        let log = self.machines[leader].disk.log(tp).unwrap_or(&empty);
        let Some(known) = self.truth.partitions.get_mut(&tp) else { return };
        // "What is committed is flushed on every member", and the leader is the only one: in `fsync` nothing else is.
        let counts = |batch: &&Batch| {
            let written = !is_fsync || batch.end() <= log.flushed();
            written && log.chain_at(batch.end()) == Some(batch.chain)
        };
        let kept = known.committed.iter().take_while(counts).count();
        (known.unclean, known.elected) = (state.leader_epoch, Some(leader));
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

    /// A broker has deleted its copy, since an image that it has only now does not have it among the replicas. If it was
    /// made one anew since then, and elected uncleanly at once ("only where a topic asks"), it begins with nothing.
    pub(crate) fn copy_deleted(&mut self, broker: usize, tp: Tp) {
        let Some((_, state)) = self.truth.state(tp) else { return };
        let holds_alone = state.isr.iter().chain(&state.elr).all(|member| member.0 as usize == broker);
        let Some(known) = self.truth.partitions.get_mut(&tp) else { return };
        if known.elected != Some(broker) || !holds_alone || known.committed.is_empty() {
            return;
        }
        known.committed.clear();
        known.promised = Offset::ZERO;
        self.note("set back", &[("partition", tp.number()), ("to", 0)]);
        self.clients.history.forgive(tp, Offset::ZERO);
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
