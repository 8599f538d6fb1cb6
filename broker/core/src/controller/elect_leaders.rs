//! Elections that nobody's end brings about: those asked for (KIP-183, KIP-460), and the leaders that go back to the
//! preferred replicas once these are in sync again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::partition_change::{Election, Proposal};
use super::sweep::TopicRules;
use super::{Context, Decision, Error};
use crate::BrokerId;
use crate::metadata::{Partition, Record, Topic};

/// Which leader is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ElectionKind {
    /// The first replica, where it is in sync.
    Preferred,
    /// Anyone, where there is no leader: may lose what was acked.
    Unclean,
}

/// Elects leaders, each partition on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElectLeaders {
    /// Which leader.
    pub kind: ElectionKind,
    /// Topics and partitions, or `None` for all there are.
    pub partitions: Option<Vec<(String, Vec<i32>)>>,
}

/// What came of the elections, by topic in the order asked: a partition's index and its outcome.
type Results = Vec<TopicOutcome>;

operation!(ElectLeaders => Results, elect_leaders);

/// Gives partitions back to their preferred replicas, no more than `limit` at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceLeaders {
    /// At most so many partitions.
    pub limit: usize,
}

operation!(BalanceLeaders => usize, balance_leaders);

fn elect_leaders(operation: ElectLeaders, context: &Context<'_>) -> Result<Decision<Results>, Error> {
    let mut elections = Elections { kind: operation.kind, context, done: BTreeSet::new(), records: Vec::new() };
    let response = match operation.partitions {
        Some(wanted) => wanted.into_iter().map(|(name, indexes)| elections.named(name, &indexes)).collect(),
        None => context.image.topics().iter().map(|topic| elections.whole(topic)).collect(),
    };
    Ok(Decision { records: elections.records, response })
}

/// Answers with how many leaders moved.
fn balance_leaders(operation: BalanceLeaders, context: &Context<'_>) -> Result<Decision<usize>, Error> {
    let misplaced = |state: &Partition| {
        let preferred = state.brokers().next().unwrap_or(BrokerId::NONE);
        let moves = state.leader != BrokerId::NONE && state.leader != preferred && state.isr.contains(&preferred);
        moves && context.image.is_active(preferred)
    };
    let mut records = Vec::new();
    for topic in context.image.topics().iter() {
        for (index, state) in topic.indexed().filter(|(_, state)| misplaced(state)) {
            if records.len() == operation.limit {
                break;
            }
            let rules = TopicRules::of(context.image, context.settings, topic);
            records.extend(rules.record(index, state, elected(state, Election::Preferred)));
        }
    }
    let moved = records.len();
    Ok(Decision { records, response: moved })
}

/// What the elections of a topic's partitions came to.
type TopicOutcome = (String, Vec<(i32, Result<(), Error>)>);

struct Elections<'a> {
    kind: ElectionKind,
    context: &'a Context<'a>,
    done: BTreeSet<(crate::TopicId, i32)>,
    records: Vec<Record>,
}

impl Elections<'_> {
    fn named(&mut self, name: String, indexes: &[i32]) -> TopicOutcome {
        let Some(topic) = self.context.image.topic(&name) else {
            let unknown = || Error::UnknownTopicOrPartition(format!("No such topic as {name}").into());
            let refused = indexes.iter().map(|index| (*index, Err(unknown()))).collect();
            return (name, refused);
        };
        let elect = |index: &i32| match topic.partition(*index) {
            Some(state) => (*index, self.elect(topic, *index, state)),
            None => {
                let reason = format!("No such partition as {name}-{index}");
                (*index, Err(Error::UnknownTopicOrPartition(reason.into())))
            }
        };
        let results = indexes.iter().map(elect).collect();
        (name, results)
    }

    /// Partitions that already have the leader asked for are left out, as clients expect.
    fn whole(&mut self, topic: &Topic) -> TopicOutcome {
        let results = topic.indexed().map(|(index, state)| (index, self.elect(topic, index, state)));
        let results = results.filter(|(_, result)| *result != Err(Error::ElectionNotNeeded)).collect();
        (topic.name.to_string(), results)
    }

    fn elect(&mut self, topic: &Topic, index: i32, before: &Partition) -> Result<(), Error> {
        let preferred = before.brokers().next().unwrap_or(BrokerId::NONE);
        let (election, has_it, failure) = match self.kind {
            ElectionKind::Preferred => {
                (Election::Preferred, before.leader == preferred, Error::PreferredLeaderNotAvailable)
            }
            ElectionKind::Unclean => {
                (Election::Unclean, before.leader != BrokerId::NONE, Error::EligibleLeadersNotAvailable)
            }
        };
        if has_it {
            return Err(Error::ElectionNotNeeded);
        }
        let rules = TopicRules::of(self.context.image, self.context.settings, topic);
        let after = rules.resolve(elected(before, election));
        let leader = after.as_ref().map_or(before.leader, |after| after.leader);
        if leader == BrokerId::NONE || (self.kind == ElectionKind::Preferred && leader != preferred) {
            return Err(failure);
        }
        if self.done.insert((topic.id, index)) {
            self.records.extend(rules.record(index, before, elected(before, election)));
        }
        Ok(())
    }
}

fn elected(state: &Partition, election: Election) -> Proposal<'_> {
    let mut proposal = Proposal::unchanged(state);
    proposal.election = election;
    proposal
}

#[cfg(test)]
mod tests {
    use super::super::testing::Cluster;
    use super::*;
    use crate::metadata::PartitionChange;

    fn elect(cluster: &mut Cluster, kind: ElectionKind, partitions: &[(&str, &[i32])]) -> Vec<Result<(), Error>> {
        let partitions = partitions.iter().map(|(topic, indexes)| ((*topic).to_owned(), indexes.to_vec())).collect();
        let results = cluster.run(ElectLeaders { kind, partitions: Some(partitions) }).unwrap();
        results.into_iter().flat_map(|(_, results)| results).map(|(_, result)| result).collect()
    }

    /// Two partitions whose preferred leader, 0, was fenced and is in service again; in the ISR of the first only.
    fn after_a_fence() -> Cluster {
        let mut cluster = Cluster::with_brokers(3);
        cluster.topic("t", &[&[0, 1, 2], &[0, 1, 2], &[1, 2, 0]], &[]);
        cluster.fence(0);
        cluster.unfence(0);
        cluster.propose("t", 0, &[1, 2, 0]).unwrap();
        cluster
    }

    #[test]
    fn the_preferred_leader_is_elected_where_it_is_in_sync() {
        let mut cluster = after_a_fence();
        let results = elect(&mut cluster, ElectionKind::Preferred, &[("t", &[0, 0, 1, 2, 3]), ("u", &[0])]);
        let unknown = |what: &str| Err(Error::UnknownTopicOrPartition(what.to_owned().into()));
        let expected = [
            Ok(()),
            Ok(()),
            Err(Error::PreferredLeaderNotAvailable),
            Err(Error::ElectionNotNeeded),
            unknown("No such partition as t-3"),
            unknown("No such topic as u"),
        ];
        assert_eq!(results, expected);
        assert_eq!(cluster.roles("t", 0), (0, vec![1, 2, 0], vec![]));
        assert_eq!(cluster.roles("t", 1), (1, vec![1, 2], vec![]));
    }

    #[test]
    fn of_all_partitions_those_are_answered_for_that_had_another_leader() {
        let mut cluster = after_a_fence();
        let results = cluster.run(ElectLeaders { kind: ElectionKind::Preferred, partitions: None }).unwrap();
        let answers = vec![(0, Ok(())), (1, Err(Error::PreferredLeaderNotAvailable))];
        assert_eq!(results, [("t".to_owned(), answers)]);
    }

    #[test]
    fn an_unclean_election_needs_somebody_alive_and_nobody_leading() {
        let mut cluster = Cluster::with_brokers(3);
        cluster.topic("two", &[&[0, 1]], &[]);
        cluster.topic("one", &[&[0], &[2]], &[]);
        cluster.propose("two", 0, &[0]).unwrap();
        cluster.fence(0);
        assert_eq!(cluster.roles("two", 0), (-1, vec![], vec![0]));
        let results = elect(&mut cluster, ElectionKind::Unclean, &[("two", &[0]), ("one", &[0, 1])]);
        assert_eq!(results, [Ok(()), Err(Error::EligibleLeadersNotAvailable), Err(Error::ElectionNotNeeded)]);
        assert_eq!(cluster.roles("two", 0), (1, vec![1], vec![]));
    }

    #[test]
    fn leaders_go_back_to_preferred_replicas_a_few_at_a_time() {
        let mut cluster = after_a_fence();
        cluster.propose("t", 1, &[1, 2, 0]).unwrap();
        let before = cluster.partition("t", 0).clone();
        let (records, moved) = cluster.decide(BalanceLeaders { limit: 1 }).unwrap();
        assert_eq!((records.len(), moved), (1, 1));
        let after = cluster.partition("t", 0);
        let change = PartitionChange::between(&before, after);
        assert_eq!(records, [Record::PartitionChanged { topic: cluster.get("t").id, partition: 0, change }]);
        assert_eq!(cluster.run(BalanceLeaders { limit: 10 }), Ok(1));
        assert_eq!(cluster.run(BalanceLeaders { limit: 10 }), Ok(0));
        assert_eq!(cluster.roles("t", 1).0, 0);
    }
}
