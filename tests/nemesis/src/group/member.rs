//! A member of a group of the consumer protocol (KIP-848), as a pure state machine: what it says in its next heartbeat,
//! and what an answer makes it do.
//!
//! It gives up what it is to own no more and says so before anything else; only an answer gives it a partition.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::consumer_group_heartbeat::{Assignment, TopicPartitions};
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

/// The epoch of one that joins.
const JOIN: i32 = 0;
/// How long it may take to give partitions up.
const REBALANCE_TIMEOUT_MS: i32 = 60_000;
/// When to ask again for a place that a session which is not over holds.
const RETRY: Duration = Duration::from_millis(100);

/// What a member is, and what it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// The group.
    pub(super) group: Str,
    /// The topic that it subscribes to.
    pub(super) topic: Str,
    /// Its id, in this life.
    pub(super) id: Str,
    /// The id of the static member, if it is one.
    pub(super) instance_id: Option<Str>,
    /// The assignor that it asks for.
    pub(super) assignor: Str,
}

/// How a member goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    ForGood,
    /// As a static member.
    ForAWhile,
}

/// What a member has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// To give these up.
    Release(BTreeSet<i32>),
    /// To own these.
    Take(BTreeSet<i32>),
    /// To send the next heartbeat after this time.
    BeatIn(Duration),
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Member {
    identity: Identity,
    epoch: i32,
    /// Partitions of the topic, as the last answer that told any has them.
    owned: Option<TopicPartitions>,
    /// Whether the coordinator is to be told what it owns.
    says_owned: bool,
}

impl Member {
    /// One that joins with its first heartbeat.
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, epoch: JOIN, owned: None, says_owned: true }
    }

    /// What it owns.
    fn owned(&self) -> BTreeSet<i32> {
        self.owned.iter().flat_map(|topic| topic.partitions.iter().copied()).collect()
    }

    /// The next heartbeat. It says all when it joins, else only what has changed.
    pub(super) fn beat(&self) -> ConsumerGroupHeartbeatRequest {
        let Identity { group, topic, id, instance_id, assignor } = &self.identity;
        let is_joining = self.epoch == JOIN;
        ConsumerGroupHeartbeatRequest {
            group_id: group.clone(),
            member_id: id.clone(),
            member_epoch: self.epoch,
            instance_id: instance_id.clone(),
            rebalance_timeout_ms: if is_joining { REBALANCE_TIMEOUT_MS } else { -1 },
            subscribed_topic_names: is_joining.then(|| vec![topic.clone()]),
            server_assignor: is_joining.then(|| assignor.clone()),
            topic_partitions: self.says_owned.then(|| self.owned.iter().cloned().collect()),
            ..Default::default()
        }
    }

    /// The last heartbeat of one that goes.
    pub(super) fn leave(&self, departure: Departure) -> ConsumerGroupHeartbeatRequest {
        let member_epoch = match departure {
            Departure::ForGood => -1,
            Departure::ForAWhile => -2,
        };
        let Identity { group, id, instance_id, .. } = self.identity.clone();
        let (group_id, member_id) = (group, id);
        ConsumerGroupHeartbeatRequest { group_id, member_id, member_epoch, instance_id, ..Default::default() }
    }

    /// What the answer to a heartbeat makes of it. An error that no member should see is an error.
    pub(super) fn answered(&mut self, answer: &ConsumerGroupHeartbeatResponse) -> anyhow::Result<Vec<Effect>> {
        match answer.error_code {
            ErrorCode::NONE => {}
            ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID => return Ok(self.begin_anew()),
            // A process that was killed holds the place until its session is over.
            ErrorCode::UNRELEASED_INSTANCE_ID => return Ok(vec![Effect::BeatIn(RETRY)]),
            code => bail!("heartbeat of {}: {code:?} {:?}", self.identity.id, answer.error_message),
        }
        self.epoch = answer.member_epoch;
        self.says_owned = false;
        let interval = u64::try_from(answer.heartbeat_interval_ms).context("a negative heartbeat interval")?;
        let Some(assignment) = &answer.assignment else {
            return Ok(vec![Effect::BeatIn(Duration::from_millis(interval))]);
        };
        let before = self.owned();
        self.owned = self.only_topic(assignment)?;
        let now = self.owned();
        // What it has done it says at once: others may wait for it.
        self.says_owned = true;
        let released: BTreeSet<i32> = before.difference(&now).copied().collect();
        let taken: BTreeSet<i32> = now.difference(&before).copied().collect();
        Ok(vec![Effect::Release(released), Effect::Take(taken), Effect::BeatIn(Duration::ZERO)])
    }

    /// It is in the group no more: it abandons everything and joins.
    fn begin_anew(&mut self) -> Vec<Effect> {
        let released = self.owned();
        (self.epoch, self.owned, self.says_owned) = (JOIN, None, true);
        vec![Effect::Release(released), Effect::BeatIn(Duration::ZERO)]
    }

    fn only_topic(&self, assignment: &Assignment) -> anyhow::Result<Option<TopicPartitions>> {
        match &assignment.topic_partitions[..] {
            [] => Ok(None),
            [topic] => Ok(Some(topic.clone())),
            _ => bail!("{} is given topics that it did not ask for", self.identity.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let [group, topic, id, assignor] = ["g", "t", "m", "uniform"].map(Str::from_static);
        Identity { group, topic, id, assignor, instance_id: Some("i".into()) }
    }

    fn answer(epoch: i32, partitions: Option<&[i32]>) -> ConsumerGroupHeartbeatResponse {
        let topic = |partitions: &[i32]| TopicPartitions { partitions: partitions.to_vec(), ..Default::default() };
        let assignment = |partitions| Assignment { topic_partitions: vec![topic(partitions)] };
        ConsumerGroupHeartbeatResponse {
            member_epoch: epoch,
            heartbeat_interval_ms: 3000,
            assignment: partitions.map(assignment),
            ..Default::default()
        }
    }

    fn refused(error_code: ErrorCode) -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse { error_code, ..Default::default() }
    }

    fn says(member: &Member) -> Option<Vec<i32>> {
        member.beat().topic_partitions.map(|topics| topics.into_iter().flat_map(|topic| topic.partitions).collect())
    }

    /// One that has 1 and 2 in epoch 5, and has said so.
    fn settled() -> Member {
        let mut member = Member::new(identity());
        member.answered(&answer(5, Some(&[1, 2]))).unwrap();
        member.answered(&answer(5, None)).unwrap();
        member
    }

    #[test]
    fn one_that_joins_says_all_and_that_it_owns_nothing() {
        let beat = Member::new(identity()).beat();
        assert_eq!((beat.member_epoch, beat.rebalance_timeout_ms), (0, REBALANCE_TIMEOUT_MS));
        assert_eq!((beat.subscribed_topic_names, beat.topic_partitions), (Some(vec!["t".into()]), Some(Vec::new())));
        assert_eq!((beat.server_assignor, beat.instance_id), (Some("uniform".into()), Some("i".into())));
    }

    #[test]
    fn what_is_given_is_taken_and_said_at_once_and_later_beats_say_nothing() {
        let mut member = Member::new(identity());
        let effects = member.answered(&answer(5, Some(&[1, 2]))).unwrap();
        let nothing = BTreeSet::new();
        assert_eq!(effects, [Effect::Release(nothing), Effect::Take([1, 2].into()), Effect::BeatIn(Duration::ZERO)]);
        assert_eq!((member.beat().member_epoch, says(&member)), (5, Some(vec![1, 2])));
        assert_eq!(member.answered(&answer(5, None)).unwrap(), [Effect::BeatIn(Duration::from_secs(3))]);
        let beat = member.beat();
        assert_eq!((beat.topic_partitions, beat.subscribed_topic_names, beat.server_assignor), (None, None, None));
    }

    #[test]
    fn what_is_taken_away_is_given_up_and_said_at_once() {
        let mut member = settled();
        let effects = member.answered(&answer(5, Some(&[2]))).unwrap();
        let nothing = BTreeSet::new();
        assert_eq!(effects, [Effect::Release([1].into()), Effect::Take(nothing), Effect::BeatIn(Duration::ZERO)]);
        assert_eq!((member.beat().member_epoch, says(&member)), (5, Some(vec![2])));
    }

    #[test]
    fn everything_may_be_taken_away() {
        let mut member = settled();
        let nothing = ConsumerGroupHeartbeatResponse { assignment: Some(Assignment::default()), ..answer(5, None) };
        assert_eq!(member.answered(&nothing).unwrap()[0], Effect::Release([1, 2].into()));
        assert_eq!(says(&member), Some(Vec::new()));
    }

    #[test]
    fn one_that_is_fenced_abandons_everything_and_joins() {
        for code in [ErrorCode::FENCED_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID] {
            let mut member = settled();
            let effects = member.answered(&refused(code)).unwrap();
            assert_eq!(effects, [Effect::Release([1, 2].into()), Effect::BeatIn(Duration::ZERO)]);
            assert_eq!(member.beat(), Member::new(identity()).beat());
        }
    }

    #[test]
    fn a_place_that_is_held_is_asked_for_again_and_other_errors_are_errors() {
        let mut member = Member::new(identity());
        assert_eq!(member.answered(&refused(ErrorCode::UNRELEASED_INSTANCE_ID)).unwrap(), [Effect::BeatIn(RETRY)]);
        assert_eq!(member.beat().member_epoch, JOIN);
        assert!(member.answered(&refused(ErrorCode::GROUP_MAX_SIZE_REACHED)).is_err());
    }

    #[test]
    fn one_that_goes_says_for_how_long() {
        let member = settled();
        assert_eq!(member.leave(Departure::ForGood).member_epoch, -1);
        let away = member.leave(Departure::ForAWhile);
        assert_eq!((away.member_epoch, away.instance_id), (-2, Some("i".into())));
    }
}
