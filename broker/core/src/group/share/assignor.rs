//! The assignor of share groups, which Kafka calls simple: every partition is with as many members as every other one,
//! and members have shares of equal size. What members have they keep as far as that allows. Pure; the answer depends
//! on nothing but the question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::group::Group;
use crate::TopicId;
use crate::group::Partitions;
use crate::metadata::Topics;

/// The name in Kafka's configuration and protocol.
pub(crate) const NAME: &str = "simple";

/// A partition to be shared.
type Share = (TopicId, i32);

/// A member as the assignor sees it.
#[derive(Debug)]
struct Subscriber<'a> {
    id: &'a Arc<str>,
    /// The topics that it subscribes to and that exist.
    topics: BTreeSet<TopicId>,
    /// What it was to have so far.
    had: &'a Partitions,
}

/// What each member of the group is to have of the partitions that have a state.
pub(crate) fn assign(group: &Group, topics: &Topics) -> BTreeMap<Arc<str>, Partitions> {
    let members = group.members().map(|(id, member)| Subscriber {
        id,
        topics: member.profile.topics.iter().filter_map(|name| Some(topics.by_name(name)?.id)).collect(),
        had: &member.target,
    });
    divide(&members.collect::<Vec<_>>(), &group.assignable(topics))
}

/// Members that subscribe to the same divide all partitions at once, others each topic by itself.
fn divide(members: &[Subscriber<'_>], assignable: &Partitions) -> BTreeMap<Arc<str>, Partitions> {
    let mut shares = vec![Partitions::default(); members.len()];
    let is_homogeneous = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
    let whole: Vec<Share> = assignable.iter().collect();
    let parts: Vec<Vec<Share>> = match is_homogeneous {
        true => vec![whole],
        false => assignable.topics().map(|(topic, set)| set.iter().map(|index| (topic, *index)).collect()).collect(),
    };
    for part in parts {
        let Some((topic, _)) = part.first() else { continue };
        let subscribers: Vec<usize> = (0..members.len()).filter(|i| members[*i].topics.contains(topic)).collect();
        let mut division = Division::new(&part, subscribers.iter().map(|index| members[*index].had));
        division.fill();
        for (index, share) in subscribers.into_iter().zip(division.shares) {
            shares[index].extend(share.into_iter().map(|position| part[position]));
        }
    }
    members.iter().map(|member| Arc::clone(member.id)).zip(shares).collect()
}

/// The division of some partitions among some members, both by position.
struct Division {
    /// How many members each partition is to be with.
    sharing: usize,
    /// How many partitions each member is to have.
    quotas: Vec<usize>,
    shares: Vec<BTreeSet<usize>>,
    /// How many members each partition is with.
    holders: Vec<usize>,
}

impl Division {
    /// With what the members may keep of what they `had`.
    fn new<'a>(partitions: &[Share], had: impl ExactSizeIterator<Item = &'a Partitions>) -> Self {
        let members = had.len();
        let sharing = members.div_ceil(partitions.len().max(1));
        let all = sharing * partitions.len();
        let up_to = |member: usize| (all * member).div_ceil(members.max(1));
        let mut division = Self {
            sharing,
            quotas: (0..members).map(|member| up_to(member + 1) - up_to(member)).collect(),
            shares: vec![BTreeSet::new(); members],
            holders: vec![0; partitions.len()],
        };
        for (member, had) in had.enumerate() {
            for (position, (topic, index)) in partitions.iter().enumerate() {
                if had.contains(*topic, *index) && division.has_room(member) && division.holders[position] < sharing {
                    division.give(member, position);
                }
            }
        }
        division
    }

    fn has_room(&self, member: usize) -> bool {
        self.shares[member].len() < self.quotas[member]
    }

    fn give(&mut self, member: usize, position: usize) {
        self.shares[member].insert(position);
        self.holders[position] += 1;
    }

    /// Gives every partition to as many members as it is to be with. The quotas add up to just that.
    fn fill(&mut self) {
        let mut open: Vec<usize> = (0..self.shares.len()).filter(|member| self.has_room(*member)).collect();
        for position in 0..self.holders.len() {
            while self.holders[position] < self.sharing {
                let room = |member: &&usize| self.quotas[**member] - self.shares[**member].len();
                let lacking = open.iter().filter(|member| !self.shares[**member].contains(&position));
                match lacking.rev().max_by_key(room).copied() {
                    Some(member) => self.give(member, position),
                    None => match open.first().copied() {
                        Some(member) => self.exchange(member, position),
                        None => return,
                    },
                }
                open.retain(|member| self.has_room(*member));
            }
        }
    }

    /// All members with room have the partition already: one that lacks it takes it and gives another one to `member`.
    /// There is such a one, since its share is full, and so at least as large as that of `member`.
    fn exchange(&mut self, member: usize, position: usize) {
        let others = (0..self.shares.len()).filter(|other| !self.shares[*other].contains(&position));
        let found = others
            .filter_map(|other| Some((other, self.shares[other].difference(&self.shares[member]).next().copied()?)))
            .next();
        let Some((other, passed_on)) = found else { return };
        self.shares[other].remove(&passed_on);
        self.shares[member].insert(passed_on);
        self.give(other, position);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn topic(number: u128) -> TopicId {
        TopicId(Uuid::from_u128(number))
    }

    /// A member: its topics by number, and what it had: (topic, partition).
    type Wish = (Vec<u128>, Vec<(u128, i32)>);

    /// Shares of members called by their position, with topics by number and how many partitions they have.
    fn shares(topics: &[(u128, i32)], wishes: &[Wish]) -> Vec<Vec<(u128, i32)>> {
        let ids: Vec<Arc<str>> = (0..wishes.len()).map(|index| format!("{index:03}").into()).collect();
        let had: Vec<Partitions> =
            wishes.iter().map(|wish| wish.1.iter().map(|(number, index)| (topic(*number), *index)).collect()).collect();
        let members: Vec<Subscriber<'_>> = ids
            .iter()
            .zip(wishes)
            .zip(&had)
            .map(|((id, wish), had)| Subscriber { id, topics: wish.0.iter().map(|n| topic(*n)).collect(), had })
            .collect();
        let all = topics.iter().flat_map(|(number, count)| (0..*count).map(|index| (topic(*number), index)));
        let is_subscribed = |id: TopicId| members.iter().any(|member| member.topics.contains(&id));
        let assignable = all.filter(|(id, _)| is_subscribed(*id)).collect();
        let divided = divide(&members, &assignable).into_values();
        divided.map(|share| share.iter().map(|(id, index)| (id.0.as_u128(), index)).collect()).collect()
    }

    fn fresh(topics: &[u128]) -> Wish {
        (topics.to_vec(), Vec::new())
    }

    #[test]
    fn more_members_than_partitions_share_them_evenly() {
        let shares = shares(&[(1, 2)], &vec![fresh(&[1]); 5]);
        // Three to a partition makes six places for five members.
        assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1, 1]);
        assert_eq!(shares.concat().iter().filter(|share| share.1 == 0).count(), 3);
    }

    #[test]
    fn more_partitions_than_members_are_with_one_each() {
        let shares = shares(&[(1, 4), (2, 1)], &vec![fresh(&[1, 2]); 2]);
        assert_eq!(shares, [vec![(1, 0), (1, 1), (1, 3)], vec![(1, 2), (2, 0)]]);
    }

    #[test]
    fn members_keep_what_they_had_when_another_one_comes() {
        let had = (vec![1], vec![(1, 0), (1, 1), (1, 2), (1, 3)]);
        assert_eq!(shares(&[(1, 4)], &[had, fresh(&[1])]), [vec![(1, 0), (1, 1)], vec![(1, 2), (1, 3)]]);
    }

    #[test]
    fn topics_that_members_subscribe_to_differently_are_divided_one_by_one() {
        let shares = shares(&[(1, 2), (2, 2)], &[fresh(&[1]), fresh(&[1, 2]), fresh(&[2])]);
        assert_eq!(shares, [vec![(1, 0)], vec![(1, 1), (2, 0)], vec![(2, 1)]]);
    }

    #[test]
    fn a_member_that_has_all_that_is_left_passes_one_on() {
        // The second may keep partition 1 and 2, the first only 0: then 1 and 2 want one more each, as the second does.
        let wishes = [(vec![1], vec![(1, 0)]), (vec![1], vec![(1, 1)]), (vec![1], vec![(1, 1)])];
        let shares = shares(&[(1, 2)], &wishes);
        let holders = |index| shares.iter().filter(|share| share.contains(&(1, index))).count();
        assert_eq!((holders(0), holders(1)), (2, 2));
    }

    #[test]
    fn nobody_and_nothing_are_divided_too() {
        assert!(shares(&[(1, 3)], &[]).is_empty());
        assert_eq!(shares(&[], &[fresh(&[1])]), [vec![]]);
    }

    proptest! {
        /// Every partition is with as many members as every other one of its part, and shares differ by one at most.
        #[test]
        fn partitions_and_members_are_treated_alike(
            partitions in 1i32..12,
            had in prop::collection::vec(prop::collection::vec(0i32..14, 0..14), 1..12),
        ) {
            let wishes: Vec<Wish> = had.iter().map(|had| (vec![1], had.iter().map(|i| (1, *i)).collect())).collect();
            let shares = shares(&[(1, partitions)], &wishes);
            let sharing = wishes.len().div_ceil(partitions as usize);
            for index in 0..partitions {
                prop_assert_eq!(shares.iter().filter(|share| share.contains(&(1, index))).count(), sharing);
            }
            let sizes: Vec<usize> = shares.iter().map(Vec::len).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{:?}", sizes);
        }

        /// Asked again with its own answer, it answers the same.
        #[test]
        fn what_is_balanced_stays(topics in prop::collection::vec(1i32..6, 1..4), members in prop::collection::vec(1u8..8, 1..8)) {
            let topics: Vec<(u128, i32)> = (1..).zip(topics).collect();
            let subscribed = |mask: &u8| topics.iter().map(|(n, _)| *n).filter(|n| mask >> (n - 1) & 1 == 1).collect();
            let wishes: Vec<Wish> = members.iter().map(|mask| (subscribed(mask), Vec::new())).collect();
            let first = shares(&topics, &wishes);
            let again: Vec<Wish> = wishes.iter().zip(&first).map(|(wish, share)| (wish.0.clone(), share.clone())).collect();
            prop_assert_eq!(shares(&topics, &again), first);
        }
    }
}
