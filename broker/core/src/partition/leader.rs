//! The leader of a partition: high watermark over the maximal ISR, ISR proposals, admission of appends.

use std::time::Duration;

use crate::ids::{BrokerEpoch, BrokerId, Offset};
use crate::metadata::effective_min_isr;
use crate::mutant::{self, Mutant};

use super::replica::Progress;
use super::{Durability, Effect, FollowerFetch, IsrProposal, LeaderTerm, LogPosition, Refusal, RequiredAcks, Settings};

/// How long no one is proposed for the ISR after a refusal, be it an error or a state without the member.
const REST: Duration = Duration::from_millis(200);

/// The machine. Made anew for each term this broker leads.
#[derive(Debug)]
pub struct Leader {
    term: LeaderTerm,
    settings: Settings,
    local: LogPosition,
    /// A flush up to here has been asked for.
    flush_asked: Offset,
    epoch_start: Offset,
    high_watermark: Offset,
    followers: Vec<Progress>,
    proposal: Option<IsrProposal>,
    admissions_rest_until: Duration,
}

impl Leader {
    /// Begins a term. `high_watermark` is the last one known, checkpointed or adopted from the earlier leader; it is
    /// taken as at most what this log holds under the durability in force. That matters after an unclean election alone:
    /// a member holds all that is committed. Effects: the watermark's move, where the log alone already decides it.
    pub fn new(
        now: Duration,
        term: LeaderTerm,
        settings: Settings,
        local: LogPosition,
        high_watermark: Offset,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let followers =
            term.replicas.iter().filter(|id| **id != term.leader).map(|id| Progress::new(*id, now)).collect();
        let any = term.unflushed;
        let committed_as = if any { Durability::Replicated } else { settings.durability };
        let mut leader = Self {
            term,
            settings,
            local,
            flush_asked: local.flushed,
            epoch_start: local.end,
            high_watermark: high_watermark.min(local.held(committed_as)),
            followers,
            proposal: None,
            admissions_rest_until: Duration::ZERO,
        };
        leader.advance(effects);
        leader.ask_flush(effects);
        leader
    }

    /// The term this machine was made for, with the in-sync set as last committed.
    pub fn term(&self) -> &LeaderTerm {
        &self.term
    }

    /// Offset of the first record consumers do not see.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether the watermark has reached the start of this term. Before that the leader may not know all that is
    /// committed: it answers no ListOffsets of the latest kind.
    pub fn is_established(&self) -> bool {
        self.high_watermark >= self.epoch_start || mutant::is(Mutant::LatestBeforeEstablished)
    }

    /// `min.insync.replicas`, by the rule that the controller heeds too.
    pub fn min_isr(&self) -> usize {
        effective_min_isr(self.settings.min_isr, self.term.targets)
    }

    /// Whether records may be appended now.
    pub fn check_append(&self, acks: RequiredAcks) -> Result<(), Refusal> {
        let (isr, min_isr) = (self.term.isr.len(), self.min_isr());
        if acks == RequiredAcks::All && isr < min_isr {
            return Err(Refusal::NotEnoughReplicas { isr, min_isr });
        }
        Ok(())
    }

    /// The local log has grown to `end`.
    pub fn appended(&mut self, end: Offset, effects: &mut Vec<Effect>) {
        self.local.end = end;
        if !self.followers.is_empty() {
            effects.push(Effect::WakeFollowers { log_end: end });
        }
        self.advance(effects);
        self.ask_flush(effects);
    }

    /// The local log is on the disk up to `upto`.
    pub fn flushed(&mut self, upto: Offset, effects: &mut Vec<Effect>) {
        self.local.flushed = self.local.flushed.max(upto.min(self.local.end));
        self.advance(effects);
    }

    /// A follower fetched. Moves the watermark and may propose its admission to the ISR.
    pub fn follower_fetched(&mut self, now: Duration, fetch: &FollowerFetch, effects: &mut Vec<Effect>) {
        let leader_end = self.local.end;
        let Some(follower) = self.followers.iter_mut().find(|f| f.broker == fetch.broker) else { return };
        if fetch.broker_epoch < follower.epoch {
            return;
        }
        follower.fetched(now, fetch, leader_end);
        self.advance(effects);
        self.ask_flush(effects);
        self.ask_admission(now, fetch.broker);
        self.admit(now, effects);
    }

    /// A fetch of `broker` is given records, of a log that ends at the leader's end.
    pub fn gives(&mut self, broker: BrokerId, effects: &mut Vec<Effect>) {
        let end = self.local.end;
        let Some(follower) = self.followers.iter_mut().find(|f| f.broker == broker) else { return };
        follower.given = end;
        self.ask_flush(effects);
    }

    /// Time has passed: proposes to drop followers that have not been caught up for `max_lag`, else to admit one that
    /// waits, else tells the controller what it waits to hear of flushes. To be called several times within `max_lag`: a
    /// follower of an idle partition fetches without saying so of each partition.
    pub fn tick(&mut self, now: Duration, max_lag: Duration, effects: &mut Vec<Effect>) {
        let end = self.local.end;
        self.followers.iter_mut().filter(|f| f.position.end >= end).for_each(|f| f.caught_up_at = now);
        if self.proposal.is_some() {
            return;
        }
        let lagging = |f: &&Progress| {
            self.term.isr.contains(&f.broker)
                && f.position.end < self.local.end
                && now.saturating_sub(f.caught_up_at) > max_lag
        };
        let dropped: Vec<BrokerId> = self.followers.iter().filter(lagging).map(|f| f.broker).collect();
        if dropped.is_empty() {
            self.followers.iter_mut().for_each(|f| f.wait_at_most(max_lag, now));
            self.admit(now, effects);
            if self.proposal.is_none() && self.have_flushed(&self.term.isr) {
                self.propose(self.term.isr.clone(), effects);
            }
            return;
        }
        let kept = self.term.isr.iter().copied().filter(|id| !dropped.contains(id)).collect();
        self.propose(kept, effects);
    }

    /// The controller committed a new `state` of this partition in the same term. The settings of the same moment come
    /// with it: a smaller ISR under an older, lower minimum would commit what eligible replicas need not have.
    pub fn state_committed(&mut self, now: Duration, state: LeaderTerm, settings: Settings, effects: &mut Vec<Effect>) {
        if state.partition_epoch <= self.term.partition_epoch {
            return;
        }
        self.followers.retain(|f| state.replicas.contains(&f.broker));
        for id in state.replicas.iter().filter(|id| **id != self.term.leader) {
            if !self.followers.iter().any(|f| f.broker == *id) {
                self.followers.push(Progress::new(*id, now));
            }
        }
        self.term = state;
        if mutant::is(Mutant::IsrBeforeMinimum) {
            self.advance(effects);
        }
        self.settings = settings;
        self.end_proposal(now);
        self.advance(effects);
        self.ask_flush(effects);
        self.admit(now, effects);
    }

    /// The controller refused the proposal for good; the state it refused it for comes by `state_committed`. Until an
    /// answer of one kind comes the proposed members keep counting.
    pub fn proposal_refused(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.end_proposal(now);
        self.advance(effects);
        self.ask_flush(effects);
    }

    /// The settings changed. A move from `Fsync` to `Replicated` takes effect at once; the other way the watermark
    /// waits until every member has flushed up to it.
    pub fn reconfigured(&mut self, settings: Settings, effects: &mut Vec<Effect>) {
        self.settings = settings;
        self.advance(effects);
        self.ask_flush(effects);
    }

    /// The proposal that is out.
    pub fn proposal(&self) -> Option<&IsrProposal> {
        self.proposal.as_ref()
    }

    /// How far `broker` has come, if it is a follower: where it fetches and what it has flushed.
    pub fn progress(&self, broker: BrokerId) -> Option<LogPosition> {
        self.followers.iter().find(|f| f.broker == broker).map(|f| f.position)
    }

    /// Where the log of `broker` starts, if it is a follower; −1 before it has said so.
    pub fn log_start_of(&self, broker: BrokerId) -> Option<Offset> {
        self.followers.iter().find(|f| f.broker == broker).map(|f| f.log_start)
    }

    /// The least log start of this replica, whose own is `log_start`, and of those followers that are alive: what lies
    /// below is deleted on all of them (KIP-107).
    pub fn low_watermark(&self, log_start: Offset, is_alive: impl Fn(BrokerId) -> bool) -> Offset {
        let alive = self.followers.iter().filter(|follower| is_alive(follower.broker));
        alive.map(|follower| follower.log_start).fold(log_start, Offset::min)
    }

    /// Ends the term.
    pub fn resign(self, effects: &mut Vec<Effect>) {
        effects.push(Effect::FailProduces);
    }

    /// Moves the watermark to the least offset held by the whole maximal ISR, unless the ISR is below its minimum.
    fn advance(&mut self, effects: &mut Vec<Effect>) {
        if self.term.isr.len() < self.min_isr() && !mutant::is(Mutant::MinIsrNotStrict) {
            return;
        }
        let durability = self.settings.durability;
        let members = self.followers.iter().filter(|f| self.in_maximal_isr(f.broker));
        let least = members.map(|f| f.position.held(durability)).fold(self.local.held(durability), Offset::min);
        if least > self.high_watermark {
            self.high_watermark = least;
            effects.push(Effect::AdvanceHighWatermark { to: least });
        }
    }

    /// Asks for a flush once every other member of the maximal ISR has been given more than the last one was to cover:
    /// before they flush it too nothing of it is committed, and what is appended until then shares the pass.
    fn ask_flush(&mut self, effects: &mut Vec<Effect>) {
        if self.settings.durability != Durability::Fsync {
            return;
        }
        let members = self.followers.iter().filter(|f| self.in_maximal_isr(f.broker));
        let given = members.map(|f| f.given).fold(self.local.end, Offset::min);
        if given > self.flush_asked.max(self.local.flushed) {
            self.flush_asked = self.local.end;
            effects.push(Effect::Flush);
        }
    }

    /// The current and the proposed set together: whichever of them the controller commits, every member of it has
    /// what the watermark says.
    fn in_maximal_isr(&self, broker: BrokerId) -> bool {
        let proposed = !mutant::is(Mutant::WatermarkOnPlainIsr);
        self.term.isr.contains(&broker)
            || proposed && self.proposal.as_ref().is_some_and(|p| p.members.iter().any(|(id, _)| *id == broker))
    }

    /// What a replica must hold to be admitted.
    fn committed(&self) -> Offset {
        // What was committed before this term lies below its start, even if the watermark does not say so yet. Waiting
        // for the watermark instead would be for ever where the ISR is below its minimum: it moves when someone joins.
        let start = if mutant::is(Mutant::AdmitBeforeEstablished) { Offset::ZERO } else { self.epoch_start };
        self.high_watermark.max(start)
    }

    /// In fsync mode the end of a log is not enough: a member must hold what is committed through a power loss.
    fn is_admissible(&self, follower: &Progress) -> bool {
        follower.position.held(self.settings.durability) >= self.committed()
            && !self.term.isr.contains(&follower.broker)
    }

    /// The follower has said where it stands: it waits for its admission if it may have it.
    fn ask_admission(&mut self, now: Duration, broker: BrokerId) {
        let Some(place) = self.followers.iter().position(|f| f.broker == broker) else { return };
        let waits = self.is_admissible(&self.followers[place]);
        let follower = &mut self.followers[place];
        follower.waits_since = follower.waits_since.or(Some(now)).filter(|_| waits);
    }

    /// Proposes the follower that has waited longest, unless something is proposed already. One at a time: the
    /// controller refuses a proposal as a whole.
    fn admit(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.proposal.is_some() || self.admissions_rest_until > now {
            return;
        }
        let waiting = self.followers.iter().filter(|f| f.waits_since.is_some() && self.is_admissible(f));
        if let Some(next) = waiting.min_by_key(|f| f.waits_since) {
            let wanted = self.term.isr.iter().copied().chain([next.broker]).collect();
            self.propose(wanted, effects);
        }
    }

    /// Whom the proposal wanted in vain waits on, behind the others. No one is proposed anew for a moment then: every
    /// fetch would, and each refusal is an entry of the metadata log.
    fn end_proposal(&mut self, now: Duration) {
        let Some(proposal) = self.proposal.take() else { return };
        for follower in &mut self.followers {
            let is_member = self.term.isr.contains(&follower.broker);
            if is_member {
                follower.waits_since = None;
            } else if proposal.members.iter().any(|(id, _)| *id == follower.broker) {
                follower.waits_since = Some(now);
                self.admissions_rest_until = now + REST;
            }
        }
    }

    /// Whether the controller waits to hear that `members` have all that is committed on their disks, and they have, in
    /// `fsync` mode, in which that will stay so. Below the start of the term the watermark does not say what is committed.
    fn have_flushed(&self, members: &[BrokerId]) -> bool {
        let position = |id: &BrokerId| if *id == self.term.leader { Some(self.local) } else { self.progress(*id) };
        let has = |id: &BrokerId| position(id).is_some_and(|one| one.flushed >= self.high_watermark);
        let counts = self.settings.durability == Durability::Fsync && self.is_established();
        self.term.unflushed && counts && members.len() >= self.min_isr() && members.iter().all(has)
    }

    fn propose(&mut self, mut wanted: Vec<BrokerId>, effects: &mut Vec<Effect>) {
        wanted.sort_unstable();
        let epoch_of = |id: &BrokerId| {
            self.followers.iter().find(|f| f.broker == *id).map_or(BrokerEpoch(-1), |follower| follower.epoch)
        };
        let proposal = IsrProposal {
            leader_epoch: self.term.leader_epoch,
            partition_epoch: self.term.partition_epoch,
            members: wanted.iter().map(|id| (*id, epoch_of(id))).collect(),
            flushed: self.have_flushed(&wanted),
        };
        self.proposal = Some(proposal.clone());
        effects.push(Effect::ProposeIsr(proposal));
    }
}
