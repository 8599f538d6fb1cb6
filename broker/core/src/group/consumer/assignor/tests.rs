//! Both assignors by examples, and by what has to hold for any members and topics.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

pub(crate) fn topic(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

/// A member: its id, its topics by number, and what it had: (topic, partitions).
type Wish = (String, Option<String>, Vec<u128>, Vec<(u128, i32)>);

fn wish(id: &str, topics: &[u128], had: &[(u128, i32)]) -> Wish {
    (id.into(), None, topics.to_vec(), had.to_vec())
}

/// Shares by member, as (topic, partition).
fn assign(assignor: Assignor, topics: &[(u128, i32)], wishes: &[Wish]) -> Vec<(String, Vec<(u128, i32)>)> {
    let ids: Vec<Arc<str>> = wishes.iter().map(|wish| wish.0.as_str().into()).collect();
    let had: Vec<Partitions> =
        wishes.iter().map(|wish| wish.3.iter().map(|(number, p)| (topic(*number), *p)).collect()).collect();
    let known: BTreeMap<TopicId, i32> = topics.iter().map(|(number, count)| (topic(*number), *count)).collect();
    let members = wishes.iter().zip(&ids).zip(&had).map(|((wish, id), target)| Subscriber {
        id,
        instance_id: wish.1.as_deref(),
        topics: Arc::new(
            wish.2.iter().map(|number| topic(*number)).filter(|topic| known.contains_key(topic)).collect(),
        ),
        target,
    });
    let members: Vec<_> = members.collect();
    let subscribed: BTreeSet<TopicId> = members.iter().flat_map(|member| member.topics.iter().copied()).collect();
    let topics = known.into_iter().filter(|(topic, _)| subscribed.contains(topic)).collect();
    let shares = assignor.assign(&Question { members, topics });
    let number = |topic: TopicId| topic.0.as_u128();
    shares
        .into_iter()
        .map(|(id, share)| (id.to_string(), share.iter().map(|(t, p)| (number(t), p)).collect()))
        .collect()
}

fn share(id: &str, partitions: &[(u128, i32)]) -> (String, Vec<(u128, i32)>) {
    (id.into(), partitions.to_vec())
}

#[test]
fn uniform_keeps_what_it_can_and_moves_only_what_is_too_much() {
    let a = wish("a", &[1], &[(1, 0), (1, 1), (1, 2), (1, 3)]);
    let b = wish("b", &[1], &[]);
    let shares = assign(Assignor::Uniform, &[(1, 4)], &[a, b]);
    assert_eq!(shares, [share("a", &[(1, 0), (1, 1)]), share("b", &[(1, 2), (1, 3)])]);
}

#[test]
fn uniform_gives_the_share_of_one_that_left_to_the_others_and_moves_nothing_else() {
    let a = wish("a", &[1], &[(1, 0), (1, 3)]);
    let c = wish("c", &[1], &[(1, 2), (1, 5)]);
    let shares = assign(Assignor::Uniform, &[(1, 6)], &[a, c]);
    assert_eq!(shares, [share("a", &[(1, 0), (1, 1), (1, 3)]), share("c", &[(1, 2), (1, 4), (1, 5)])]);
}

#[test]
fn uniform_drops_what_is_gone_and_gives_what_is_new() {
    let a = wish("a", &[1, 2], &[(1, 0), (9, 0), (1, 7)]);
    assert_eq!(assign(Assignor::Uniform, &[(1, 2), (2, 1)], &[a]), [share("a", &[(1, 0), (1, 1), (2, 0)])]);
}

#[test]
fn uniform_moves_along_a_chain_where_members_subscribe_to_different_topics() {
    // a can only have topic 1, b both, c only topic 2: b has to pass on for a to be relieved.
    let a = wish("a", &[1], &[(1, 0), (1, 1), (1, 2), (1, 3)]);
    let b = wish("b", &[1, 2], &[(2, 0), (2, 1), (2, 2)]);
    let c = wish("c", &[2], &[(2, 3), (2, 4)]);
    let loads: Vec<usize> =
        assign(Assignor::Uniform, &[(1, 4), (2, 5)], &[a, b, c]).into_iter().map(|(_, share)| share.len()).collect();
    assert_eq!(loads, [3, 3, 3]);
}

#[test]
fn range_cuts_each_topic_alike_with_static_members_first_by_their_instance() {
    let a = wish("a", &[1, 2], &[]);
    let z = ("z".into(), Some("i1".into()), vec![1, 2], Vec::new());
    let shares = assign(Assignor::Range, &[(1, 3), (2, 3)], &[a, z]);
    assert_eq!(shares, [share("a", &[(1, 2), (2, 2)]), share("z", &[(1, 0), (1, 1), (2, 0), (2, 1)])]);
}

#[test]
fn nobody_gets_nothing_and_no_topic_gives_nothing() {
    for assignor in [Assignor::Uniform, Assignor::Range] {
        assert_eq!(assign(assignor, &[(1, 3)], &[]), []);
        assert_eq!(assign(assignor, &[], &[wish("a", &[1], &[(1, 0)])]), [share("a", &[])]);
        assert_eq!(Assignor::from_name(assignor.name()), Some(assignor));
    }
    assert_eq!(Assignor::from_name("sticky"), None);
}

fn wishes(is_homogeneous: bool) -> impl Strategy<Value = Vec<Wish>> {
    let topics = prop::collection::btree_set(0u128..4, 0..4);
    let had = prop::collection::vec((0u128..5, 0i32..9), 0..12);
    prop::collection::vec((topics, had), 1..8).prop_map(move |members| {
        let all = members[0].0.clone();
        let ids = (0..members.len()).map(|i| format!("m{i}"));
        let wish = |id, topics: BTreeSet<u128>, had| -> Wish {
            let topics = if is_homogeneous { &all } else { &topics };
            (id, None, topics.iter().copied().collect(), had)
        };
        ids.zip(members).map(|(id, (topics, had))| wish(id, topics, had)).collect()
    })
}

/// Every partition that is subscribed to has one owner, who subscribes to it.
fn check_ownership(topics: &[(u128, i32)], wishes: &[Wish], shares: &[(String, Vec<(u128, i32)>)]) {
    let mut owned: Vec<(u128, i32)> = shares.iter().flat_map(|(_, share)| share.iter().copied()).collect();
    owned.sort_unstable();
    let is_wanted = |number: &u128| wishes.iter().any(|wish| wish.2.contains(number));
    let wanted = topics.iter().filter(|(number, _)| is_wanted(number));
    let expected: Vec<_> = wanted.flat_map(|(number, count)| (0..*count).map(|p| (*number, p))).collect();
    assert_eq!(owned, expected);
    for (id, share) in shares {
        let wish = wishes.iter().find(|wish| wish.0 == *id).unwrap();
        assert!(share.iter().all(|(number, _)| wish.2.contains(number)), "{id} subscribes to all of {share:?}");
    }
}

proptest! {
    #[test]
    fn every_partition_has_one_owner_who_wants_it(
        counts in prop::collection::vec(0i32..9, 4),
        wishes in prop_oneof![wishes(true), wishes(false)],
    ) {
        let topics: Vec<(u128, i32)> = counts.iter().enumerate().map(|(i, count)| (i as u128, *count)).collect();
        for assignor in [Assignor::Uniform, Assignor::Range] {
            check_ownership(&topics, &wishes, &assign(assignor, &topics, &wishes));
        }
    }

    #[test]
    fn uniform_shares_differ_by_one_at_most_and_asked_again_nothing_moves(
        counts in prop::collection::vec(0i32..9, 4),
        wishes in wishes(true),
    ) {
        let topics: Vec<(u128, i32)> = counts.iter().enumerate().map(|(i, count)| (i as u128, *count)).collect();
        let shares = assign(Assignor::Uniform, &topics, &wishes);
        let loads: Vec<usize> = shares.iter().map(|(_, share)| share.len()).collect();
        prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{loads:?}");
        let again: Vec<Wish> =
            wishes.into_iter().zip(&shares).map(|(wish, (_, share))| (wish.0, wish.1, wish.2, share.clone())).collect();
        prop_assert_eq!(assign(Assignor::Uniform, &topics, &again), shares);
    }

    #[test]
    fn uniform_leaves_no_partition_with_one_that_has_two_more_than_another_subscriber(
        counts in prop::collection::vec(0i32..9, 4),
        wishes in wishes(false),
    ) {
        let topics: Vec<(u128, i32)> = counts.iter().enumerate().map(|(i, count)| (i as u128, *count)).collect();
        let shares = assign(Assignor::Uniform, &topics, &wishes);
        for (_, share) in &shares {
            for (number, _) in share {
                let subscribers = wishes.iter().filter(|wish| wish.2.contains(number));
                let least = subscribers.map(|wish| shares.iter().find(|(id, _)| *id == wish.0).unwrap().1.len()).min();
                prop_assert!(share.len() <= least.unwrap() + 1, "{shares:?}");
            }
        }
    }
}
