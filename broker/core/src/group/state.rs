//! A classic group: its members and its generation. It keeps its own books consistent and decides nothing about time,
//! replies or records.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;

use super::Error;
use super::member::{Member, ProtocolCounts, stored_members};
use super::record::{GroupChange, GroupValue, Record};
use super::request::{GroupState, JoinedGeneration, Protocol};
use super::subscription::{CONSUMER, collect_topics};
use crate::Timestamp;

/// The delay in which an empty group waits for more members after its first (KIP-134).
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialDelay {
    /// The part of the delay that is running.
    pub(super) current: Duration,
    /// How much longer it may become.
    pub(super) remaining: Duration,
    /// A member came during the running part, so there may be more.
    pub(super) extended: bool,
}

/// A classic group, or a simple one: no members ever, only committed offsets.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: Arc<str>,
    state: GroupState,
    /// Wall time of the last change of state; none after loading a record that does not say.
    pub(super) state_since: Timestamp,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<Arc<str>>,
    members: IndexMap<Arc<str>, Member>,
    static_members: HashMap<String, Arc<str>>,
    counts: ProtocolCounts,
    /// Ids given out with MEMBER_ID_REQUIRED that have not joined yet.
    pub(super) pending: HashSet<Arc<str>>,
    /// Members of this generation that have not sent SyncGroup.
    pub(super) pending_sync: HashSet<Arc<str>>,
    /// Set while the first rebalance of an empty group is delayed.
    pub(super) initial_delay: Option<InitialDelay>,
    /// The leader's assignment of this generation is on its way to the log: no second one may follow it.
    pub(super) assignment_in_flight: bool,
    /// The topics consumed; none if the members' metadata do not say.
    subscribed: Option<BTreeSet<String>>,
}

impl Group {
    pub(super) fn new(id: Arc<str>, now: Timestamp) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            state_since: now,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: IndexMap::new(),
            static_members: HashMap::new(),
            counts: ProtocolCounts::default(),
            pending: HashSet::new(),
            pending_sync: HashSet::new(),
            initial_delay: None,
            assignment_in_flight: false,
            subscribed: None,
        }
    }

    pub(super) fn state(&self) -> GroupState {
        self.state
    }

    pub(super) fn is(&self, state: GroupState) -> bool {
        self.state == state
    }

    pub(super) fn transition(&mut self, state: GroupState, now: Timestamp) {
        self.state = state;
        self.state_since = now;
        self.initial_delay = None;
        self.assignment_in_flight = false;
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub(super) fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    pub(super) fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn members_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Member> {
        self.members.values_mut()
    }

    pub(super) fn static_member(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.static_members.get(instance_id)
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// No member, nor anybody about to become one.
    pub(super) fn is_deserted(&self) -> bool {
        self.state == GroupState::Empty && self.pending.is_empty()
    }

    pub(super) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// The longest time that any member takes to rejoin.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    pub(super) fn awaiting_join(&self) -> usize {
        self.members().filter(|member| member.join.is_some()).count()
    }

    pub(super) fn has_all_joined(&self) -> bool {
        self.pending.is_empty() && self.members().all(|member| member.join.is_some())
    }

    /// Checks that the member is of this group and not replaced by another with its instance id.
    pub(super) fn validate_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), Error> {
        if let Some(instance_id) = instance_id {
            match self.static_member(instance_id) {
                None => return Err(Error::UnknownMemberId),
                Some(current) if **current != *member_id => return Err(Error::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(Error::UnknownMemberId) }
    }

    /// Whether a member with these protocols fits in.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| self.counts.of(&protocol.name) == self.members.len())
    }

    /// Takes a member in; the first is the leader.
    pub(super) fn add(&mut self, member: Member, protocol_type: Option<&str>) {
        if self.members.is_empty() {
            self.protocol_type = protocol_type.map(str::to_owned);
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.pending.remove(&member.id);
        self.counts.add(&member.protocols);
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out; the oldest of the others leads on if it was the leader.
    pub(super) fn remove(&mut self, member_id: &str) -> Option<Member> {
        self.pending.remove(member_id);
        self.pending_sync.remove(member_id);
        let member = self.members.shift_remove(member_id)?;
        self.counts.remove(&member.protocols);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Gives the place of a static member, its assignment and leadership to its next incarnation. Returns the old one.
    pub(super) fn replace(&mut self, old_id: &str, new_id: Arc<str>) -> Option<Member> {
        let was_leader = self.is_leader(old_id);
        let old = self.members.shift_remove(old_id)?;
        self.pending_sync.remove(old_id);
        let new = Member { id: new_id.clone(), is_new: false, join: None, sync: None, ..old.clone() };
        if let Some(instance_id) = &new.instance_id {
            self.static_members.insert(instance_id.clone(), new_id.clone());
        }
        if was_leader {
            self.leader = Some(new_id.clone());
        }
        self.members.insert(new_id, new);
        Some(old)
    }

    /// Notes what a member says when it joins again.
    pub(super) fn update(&mut self, member_id: &str, protocols: Vec<Protocol>, rebalance: Duration, session: Duration) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        self.counts.remove(&member.protocols);
        self.counts.add(&protocols);
        member.protocols = protocols;
        member.rebalance_timeout = rebalance;
        member.session_timeout = session;
    }

    /// The protocol that all members follow and most like best; among equals the one an older member likes.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: IndexMap<&str, usize> = IndexMap::new();
        for vote in self.members().filter_map(|m| m.vote(|name| self.counts.of(name) == self.members.len())) {
            *votes.entry(vote).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.iter().find(|(_, count)| **count == most).map(|(name, _)| (*name).to_owned())
    }

    /// Makes sure that the leader is a member that has joined; false if nobody has.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let joined = |member: &Member| member.join.is_some();
        if self.leader.as_ref().and_then(|id| self.members.get(id)).is_some_and(joined) {
            return true;
        }
        let next = self.members().find(|member| joined(member)).map(|member| member.id.clone());
        let found = next.is_some();
        if found {
            self.leader = next;
        }
        found
    }

    /// Begins the next generation with the members there are.
    pub(super) fn begin_generation(&mut self, now: Timestamp) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.select_protocol();
        self.update_subscription();
        self.pending_sync.clear();
        let state = if self.members.is_empty() { GroupState::Empty } else { GroupState::CompletingRebalance };
        self.transition(state, now);
    }

    fn update_subscription(&mut self) {
        self.subscribed = None;
        if !self.is_of_consumers() {
            return;
        }
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let mut topics = BTreeSet::new();
        if self.members.values().all(|member| collect_topics(&member.metadata(protocol), &mut topics).is_ok()) {
            self.subscribed = Some(topics);
        }
    }

    pub(super) fn knows_subscription(&self) -> bool {
        self.subscribed.is_some()
    }

    /// Whether the group consumes the topic; a group of consumers that do not say is taken to consume every topic.
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or(self.is_of_consumers(), |topics| topics.contains(topic))
    }

    /// What `member_id` is told about the current generation.
    pub(super) fn joined_generation(&self, member_id: &str) -> JoinedGeneration {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = if self.is_leader(member_id) {
            self.members().map(|member| member.to_joined(protocol)).collect()
        } else {
            Vec::new()
        };
        JoinedGeneration {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().unwrap_or_default().to_owned(),
            skip_assignment: false,
            members,
        }
    }

    /// The record of this generation, each member with the assignment that `assigned` gives it.
    pub(super) fn to_record(&self, assigned: impl Fn(&Member) -> Bytes) -> Record {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        Record::Group(GroupChange {
            group: self.id.clone(),
            value: Some(GroupValue {
                protocol_type: self.protocol_type.clone().unwrap_or_default(),
                generation: self.generation,
                protocol: self.protocol.clone(),
                leader: self.leader.as_deref().map(str::to_owned),
                state_since: self.state_since,
                members: self.members().map(|member| member.to_value(protocol, assigned(member))).collect(),
            }),
        })
    }

    /// A group of these members in a generation that has been assigned.
    pub(super) fn stable(id: Arc<str>, generation: i32, members: Vec<Member>, now: Timestamp) -> Self {
        let mut group = Self { state: GroupState::Stable, generation, ..Self::new(id, now) };
        for member in members {
            group.add(member, Some(CONSUMER));
        }
        group.protocol = group.select_protocol();
        group.update_subscription();
        group
    }

    /// Takes a stored generation over, in place of what was known.
    pub(super) fn restore(&mut self, mut value: GroupValue) {
        let members = stored_members(&mut value);
        *self = Self::new(self.id.clone(), value.state_since);
        self.generation = value.generation;
        self.protocol = value.protocol;
        let protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty());
        self.protocol_type.clone_from(&protocol_type);
        if !members.is_empty() {
            self.state = GroupState::Stable;
        }
        for member in members {
            self.add(member, protocol_type.as_deref());
        }
        let stored_leader = value.leader.filter(|id| self.members.contains_key(id.as_str()));
        if let Some(leader) = stored_leader {
            self.leader = Some(leader.into());
        }
        self.update_subscription();
    }
}
