//! The one place that elects leaders, keeps the eligible leader replicas and ends moves (KIP-966, KIP-455).
//!
//! A caller proposes what it wants to be different; [`Proposal::resolve`] returns the partition's next state with the
//! epochs it implies, or nothing if nothing changes. It must not look at anything but its arguments.

use crate::metadata::{LeaderRecovery, Partition, Replica};
use crate::mutant::{self, Mutant};
use crate::{BrokerId, DirectoryId};

/// Which leader is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// Any that holds everything committed; the present one if it can stay.
    Clean,
    /// The first replica, if it is in sync.
    Preferred,
    /// Any replica at all when none holds everything committed: may lose what was acked.
    Unclean,
}

/// What the outcome depends on besides the partition.
pub struct Conditions<'a> {
    /// min.insync.replicas of the topic.
    pub min_isr: usize,
    /// Whether a broker may lead: active, and with the directory at hand.
    pub electable: &'a dyn Fn(BrokerId) -> bool,
}

/// A change that somebody wants of a partition.
#[derive(Clone, Debug)]
pub struct Proposal<'a> {
    before: &'a Partition,
    /// The wanted ISR.
    pub isr: Vec<BrokerId>,
    /// The wanted copies, those being added and removed included.
    pub replicas: Vec<Replica>,
    /// The copies a move adds.
    pub adding: Vec<BrokerId>,
    /// The copies a move takes away in the end.
    pub removing: Vec<BrokerId>,
    /// The wanted recovery state.
    pub recovery: LeaderRecovery,
    /// Brokers whose copy may lack what was committed: they leave ISR and ELR.
    pub lost: Vec<BrokerId>,
    /// Brokers among `lost` whose copy is damaged: not even a last resort.
    pub damaged: Vec<BrokerId>,
    /// The wanted election.
    pub election: Election,
    /// What [`Partition::unflushed`] is to be.
    pub unflushed: bool,
}

impl<'a> Proposal<'a> {
    /// Wants nothing but that the partition is as it should be.
    pub fn unchanged(before: &'a Partition) -> Self {
        Self {
            before,
            isr: before.isr.clone(),
            replicas: before.replicas.clone(),
            adding: before.adding.clone(),
            removing: before.removing.clone(),
            recovery: before.recovery,
            lost: Vec::new(),
            damaged: Vec::new(),
            election: Election::Clean,
            unflushed: before.unflushed,
        }
    }

    /// Wants `broker` out of the ISR.
    pub fn without(before: &'a Partition, broker: BrokerId) -> Self {
        let mut proposal = Self::unchanged(before);
        proposal.isr.retain(|member| *member != broker);
        proposal
    }

    /// Wants the copies `target` in the end, in place of whatever move is under way.
    ///
    /// `adding` is all that the partition did not have before its first move, `removing` all that it will not have: a
    /// copy that an earlier move was adding and nobody wants any more is in both, until the ISR can do without it.
    pub fn towards(before: &'a Partition, target: &[Replica]) -> Self {
        let mut proposal = Self::unchanged(before);
        let wanted = |broker: BrokerId| target.iter().any(|replica| replica.broker == broker);
        let leaving: Vec<_> = before.replicas.iter().copied().filter(|replica| !wanted(replica.broker)).collect();
        let is_new = |broker: &BrokerId| before.replica_on(*broker).is_none() || before.adding.contains(broker);
        proposal.removing = leaving.iter().map(|replica| replica.broker).collect();
        proposal.replicas = [target, &leaving].concat();
        proposal.adding = proposal.replicas.iter().map(|replica| replica.broker).filter(is_new).collect();
        proposal
    }

    /// Wants the copy on `broker` in another directory of it.
    pub fn place(&mut self, broker: BrokerId, directory: DirectoryId) {
        for replica in self.replicas.iter_mut().filter(|replica| replica.broker == broker) {
            replica.directory = directory;
        }
    }

    /// The partition's next state; `None` when it stays as it is.
    pub fn resolve(mut self, conditions: &Conditions<'_>) -> Option<Partition> {
        self.isr.retain(|member| !self.lost.contains(member));
        self.end_move(conditions.min_isr);
        let mut after = Partition {
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            adding: self.adding.clone(),
            removing: self.removing.clone(),
            recovery: self.recovery,
            unflushed: self.unflushed,
            ..self.before.clone()
        };
        self.keep_eligible(&mut after, conditions.min_isr);
        self.elect(&mut after, conditions);
        if after.leader != BrokerId::NONE {
            after.last_known_elr.retain(|broker| *broker != after.leader);
        }
        self.raise_epochs(&mut after)
    }

    /// Ends the move once every copy it adds is in sync and enough would be left without those it removes.
    fn end_move(&mut self, min_isr: usize) {
        if self.adding.is_empty() && self.removing.is_empty() {
            return;
        }
        let stays = |broker: &BrokerId| !self.removing.contains(broker);
        let isr: Vec<_> = self.isr.iter().copied().filter(stays).collect();
        let copies = self.replicas.iter().filter(|replica| stays(&replica.broker)).count();
        let enough = isr.len() >= min_isr.clamp(1, copies.max(1));
        let all_in_sync = || self.adding.iter().filter(|broker| stays(broker)).all(|broker| isr.contains(broker));
        if enough && (mutant::is(Mutant::MoveEndsEarly) || all_in_sync()) {
            let gone = std::mem::take(&mut self.removing);
            self.drop_copies(&gone);
            self.adding.clear();
            return;
        }
        // What an earlier move was adding in vain goes before that, unless the ISR, or an election, needs it: who has just
        // left the ISR may be the only one to hold everything.
        let needed = |broker: &BrokerId| {
            let sets = [&self.isr, &self.before.isr, &self.before.elr, &self.before.last_known_elr];
            !enough && !mutant::is(Mutant::LastCopyDropped) && sets.iter().any(|set| set.contains(broker))
        };
        let in_vain = |broker: &BrokerId| self.adding.contains(broker) && !needed(broker);
        let gone: Vec<_> = self.removing.iter().copied().filter(in_vain).collect();
        self.drop_copies(&gone);
    }

    fn drop_copies(&mut self, gone: &[BrokerId]) {
        let stays = |broker: &BrokerId| !gone.contains(broker);
        self.replicas.retain(|replica| stays(&replica.broker));
        for set in [&mut self.isr, &mut self.adding, &mut self.removing] {
            set.retain(stays);
        }
    }

    /// Who left the ISR while the high watermark could not move still holds everything committed.
    fn keep_eligible(&self, after: &mut Partition, min_isr: usize) {
        if after.isr.len() >= after.effective_min_isr(min_isr) {
            after.elr.clear();
            after.last_known_elr.clear();
            return;
        }
        let before = self.before;
        let was_complete = |broker: &BrokerId| before.isr.contains(broker) || before.elr.contains(broker);
        let brokers: Vec<_> = after.brokers().collect();
        let out_of_sync = brokers.into_iter().filter(|broker| !after.isr.contains(broker));
        let (mut eligible, mut known) = (Vec::new(), Vec::new());
        for broker in out_of_sync {
            if was_complete(&broker) && !self.lost.contains(&broker) {
                eligible.push(broker);
            } else if (was_complete(&broker) || before.last_known_elr.contains(&broker))
                && !self.damaged.contains(&broker)
            {
                known.push(broker);
            }
        }
        // The last leader first: it holds at least what any other held.
        known.sort_by_key(|broker| *broker != before.leader && before.last_known_elr.first() != Some(broker));
        after.elr = eligible;
        after.last_known_elr = known;
    }

    fn elect(&self, after: &mut Partition, conditions: &Conditions<'_>) {
        let complete = |broker: &BrokerId| {
            let in_sync = after.isr.contains(broker) || (after.isr.is_empty() && after.elr.contains(broker));
            in_sync && (conditions.electable)(*broker)
        };
        let replicas: Vec<_> = after.brokers().collect();
        let preferred = replicas.first().copied().filter(|_| self.election == Election::Preferred);
        let present = Some(after.leader);
        let clean = preferred.into_iter().chain(present).chain(replicas.iter().copied()).find(complete);
        if let Some(leader) = clean {
            after.leader = leader;
            if after.isr.is_empty() {
                after.isr.push(leader);
                after.elr.retain(|broker| *broker != leader);
                if after.isr.len() >= after.effective_min_isr(conditions.min_isr) {
                    after.elr.clear();
                    after.last_known_elr.clear();
                }
            }
            return;
        }
        after.leader = BrokerId::NONE;
        if let Some(leader) = self.last_resort(after, &replicas, conditions) {
            after.leader = leader;
            after.isr = vec![leader];
            after.elr.clear();
            after.last_known_elr.clear();
            after.recovery = LeaderRecovery::Recovering;
        }
    }

    /// A leader that may lack committed records: the last one when every complete copy was lost to unclean stops,
    /// which is more than the durability in force promises to survive; or anyone where that was asked for.
    fn last_resort(&self, after: &Partition, replicas: &[BrokerId], conditions: &Conditions<'_>) -> Option<BrokerId> {
        let electable = |broker: &BrokerId| (conditions.electable)(*broker);
        let nobody_is_complete = after.isr.is_empty() && after.elr.is_empty();
        let last = after.last_known_elr.first().copied().filter(|_| nobody_is_complete).filter(electable);
        let anyone = || {
            // Whoever is being added and was never in sync may hold nothing at all.
            let (new, old): (Vec<_>, Vec<_>) = replicas.iter().partition(|broker| after.adding.contains(broker));
            let known = after.last_known_elr.iter().chain(old).chain(new).copied();
            known.filter(electable).find(|_| self.election == Election::Unclean)
        };
        last.or_else(anyone)
    }

    fn raise_epochs(&self, after: &mut Partition) -> Option<Partition> {
        let before = self.before;
        if after == before {
            return None;
        }
        let replica_gone = before.brokers().any(|broker| after.replica_on(broker).is_none());
        if after.leader != before.leader || replica_gone {
            after.leader_epoch = before.leader_epoch.next();
        }
        after.partition_epoch = before.partition_epoch.next();
        Some(after.clone())
    }
}
