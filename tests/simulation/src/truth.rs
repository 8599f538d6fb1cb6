//! What is committed, as somebody who sees everything knows it, and the invariants B1–B10 checked against it.
//!
//! A partition's committed log grows when a leader moves its watermark. From then on nobody may hold anything else
//! below that offset and call itself in sync, unless more was lost at once than the topic's durability promises to
//! survive: then, and only then, an unclean election sets the truth back.

mod metadata;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use ottla_core::metadata::{Image, Partition};
use ottla_core::partition::{Durability, Settings};
use ottla_core::{BrokerId, DirectoryId, LeaderEpoch, Offset, PartitionEpoch};

use crate::log::{Batch, SimLog};
use crate::message::Tp;
use crate::raft::RaftEntry;
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
    /// Who won it, until it has begun to lead.
    elected: Option<usize>,
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
    /// Brokers and their log directories that lost what was not flushed, until a process that began after that has registered:
    /// "in `replicated` it keeps [its place] only if [nothing was lost]; else it leaves both" – nobody can know before that.
    shaken: BTreeMap<(usize, usize), u64>,
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
    /// B1, B2: every member of ISR and ELR, the leader among them, has all that is committed.
    pub(crate) fn check_members(&mut self, tp: Tp) {
        let Some((_, state)) = self.truth.state(tp) else { return };
        let Some(known) = self.truth.partitions.get(&tp) else { return };
        let mut fault = None;
        let (mut whole, mut late) = (Vec::new(), Vec::new());
        for member in state.isr.iter().chain(&state.elr) {
            let broker = member.0 as usize;
            let log = self.machines[broker].disk.log(tp);
            let holds = match log {
                Some(log) => known.is_held_by(log) && log.flushed() >= known.promised,
                None => known.end() == Offset::ZERO,
            };
            // A place may be committed that was proposed before its holder lost what it had; what it had flushed, it has.
            let emptied = log.is_none() || self.has_lost_the_directory(*member, state);
            let keeps_promise = log.is_some_and(|log| known.promise_is_kept_by(log));
            let shaken = self.is_shaken(broker, tp) && (emptied || keeps_promise);
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
        let Some(log) = machine.disk.log(tp) else { return };
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
        let log = machine.disk.log(tp);
        let replica = machine.process.as_ref().and_then(|process| process.replicas.get(&tp));
        let copies = self.truth.state(tp).map_or(0, |(_, state)| state.isr.len());
        let (Some(log), Some(replica), Some(known)) = (log, replica, self.truth.partitions.get_mut(&tp)) else {
            return;
        };
        known.elected.take_if(|elected| *elected == broker);
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

    /// What `broker` had not flushed is lost, or all that it had: in one of its log directories, or in all of them.
    /// "`replicated`: it holds while fewer than min.insync.replicas brokers stop uncleanly together": the stop counts, whatever
    /// was lost by it. "`fsync`: that holds even if every broker loses power at once": there only what is really gone counts.
    pub(crate) fn data_lost(&mut self, broker: usize, place: Option<usize>) {
        let me = BrokerId(broker as i32);
        for one in 0..self.machines[broker].disk.directories().len() {
            if place.is_none_or(|place| place == one) {
                self.truth.shaken.insert((broker, one), self.numbers);
            }
        }
        for tp in self.truth.all() {
            let disk = &self.machines[broker].disk;
            let elsewhere = place.is_some() && disk.place_of(tp).is_some_and(|one| place != Some(one));
            let Some((_, state)) = self.truth.state(tp).filter(|_| !elsewhere) else { continue };
            let claims = state.isr.contains(&me) || state.elr.contains(&me);
            let log = disk.log(tp);
            let Some(known) = self.truth.partitions.get_mut(&tp) else { continue };
            let holds = log.is_some_and(|log| known.is_held_by(log) && known.promised == known.end());
            if claims && !holds && known.end() > Offset::ZERO {
                known.bad.insert(broker);
            }
        }
    }

    /// Whether the copy on `broker` may lack what nobody can know of yet.
    fn is_shaken(&self, broker: usize, tp: Tp) -> bool {
        let shaken = &self.truth.shaken;
        match self.machines[broker].disk.place_of(tp) {
            Some(place) => shaken.contains_key(&(broker, place)),
            None => shaken.keys().any(|(one, _)| *one == broker),
        }
    }

    /// "A directory id lost means an empty replica": a log that is found in another directory is an earlier copy, left
    /// there from before the replica moved away and came back.
    fn has_lost_the_directory(&self, member: BrokerId, state: &Partition) -> bool {
        let disk = &self.machines[member.0 as usize].disk;
        let directory = state.replica_on(member).map(|replica| replica.directory);
        let assigned = directory.filter(|directory| *directory != DirectoryId::ZERO);
        assigned.is_some_and(|directory| disk.directory_of(member.0 as usize, directory).is_none())
    }

    /// B10: a process has opened what it found on its disk.
    pub(crate) fn recovered(&mut self, broker: usize) {
        let lost = self.machines[broker].disk.logs().find(|(_, log)| log.end() < log.flushed());
        if let Some((tp, _)) = lost {
            self.violated("B10", || format!("broker {broker} has lost flushed records of {tp:?}"));
        }
    }
}

/// The hash over `committed` up to `offset`, or up to its end.
fn chain_of(committed: &[Batch], offset: Offset) -> Option<u64> {
    let upto = committed.iter().rev().find(|batch| batch.end() <= offset);
    Some(upto.map_or(0, |batch| batch.chain))
}
