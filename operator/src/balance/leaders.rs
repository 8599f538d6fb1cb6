//! Every broker leads as many partitions as any other: the order of copies changes, which moves no bytes; only where no
//! order helps do two copies change places.

use std::collections::VecDeque;

use super::{Budget, Limits, Place, counts::Hop, layout::Layout};

/// Leaders that change in one plan: each makes its clients look for the new one.
const AT_ONCE: usize = 100;
/// How many of the smallest copies are thought of where copies have to change places.
const CANDIDATES: usize = 16;

/// Changes orders, and copies as far as the budget allows; true if nothing was left to do.
pub(super) fn even_out(layout: &mut Layout<'_>, budget: &mut Budget, limits: &Limits) -> bool {
    let (mut settled, mut left) = (true, AT_ONCE);
    while let Some((least, most)) = layout.range(|load| load.leaders) {
        if most - least <= limits.slack.max(1) {
            break;
        }
        let sources = layout.members_by(|load| load.leaders);
        let mut sources = sources.into_iter().rev().take_while(|broker| layout.loads[*broker].leaders >= least + 2);
        if let Some(chain) = sources.find_map(|from| chain(layout, from)) {
            settled = false;
            if chain.len() > left {
                break;
            }
            left -= chain.len();
            chain.into_iter().for_each(|hop| lead(layout, hop));
            continue;
        }
        let Some(hops) = trade(layout, limits).filter(|hops| hops.len() <= budget.most) else {
            break;
        };
        settled = false;
        if !budget.allows(hops.len()) {
            break;
        }
        budget.take(hops.len());
        hops.into_iter().for_each(|Hop { partition, from, to }| layout.move_copy(partition, from, to));
    }
    settled
}

/// Puts the broker that is to lead, which holds a copy, first.
fn lead(layout: &mut Layout<'_>, Hop { partition, to, .. }: Hop) {
    let mut target = layout.target(partition).to_vec();
    if let Some(position) = target.iter().position(|broker| *broker == to) {
        target.swap(0, position);
        layout.assign(partition, target);
    }
}

/// The shortest chain of leads handed on, from `from` to a broker that leads at least two partitions fewer.
fn chain(layout: &Layout<'_>, from: usize) -> Option<Vec<Hop>> {
    let mut hops: Vec<Option<Hop>> = vec![None; layout.loads.len()];
    let mut queue = VecDeque::from([from]);
    while let Some(broker) = queue.pop_front() {
        for partition in led_by(layout, broker) {
            for to in layout.target(partition).iter().copied().skip(1) {
                if to == from || hops[to].is_some() || !layout.members.contains(&to) {
                    continue;
                }
                hops[to] = Some(Hop { partition, from: broker, to });
                if layout.loads[from].leaders >= layout.loads[to].leaders + 2 {
                    return Some(path(&hops, to));
                }
                queue.push_back(to);
            }
        }
    }
    None
}

fn led_by<'a>(layout: &'a Layout<'a>, broker: usize) -> impl Iterator<Item = usize> + 'a {
    layout.movable_on(broker).filter(move |partition| layout.target(*partition).first() == Some(&broker))
}

fn path(hops: &[Option<Hop>], broker: usize) -> Vec<Hop> {
    std::iter::successors(hops[broker], |hop| hops[hop.from]).collect()
}

/// A copy that the broker which leads most gives to one that leads fewer, and what it gets in return where both hold as
/// many: if there is a choice such that bytes stay as even as they are, or within the slack, and as few as can be.
fn trade(layout: &Layout<'_>, limits: &Limits) -> Option<Vec<Hop>> {
    let members = layout.members_by(|load| load.leaders);
    let pairs = members.iter().rev().flat_map(|from| members.iter().map(move |to| (*from, *to)));
    let mut pairs = pairs.filter(|(from, to)| layout.loads[*from].leaders >= layout.loads[*to].leaders + 2);
    pairs.find_map(|(from, to)| {
        let given = smallest(layout, led_by(layout, from).filter(|one| layout.may_move(*one, from, to)));
        let follows = |one: &usize| layout.target(*one).first() != Some(&to) && layout.may_move(*one, to, from);
        let returned = smallest(layout, layout.movable_on(to).filter(follows));
        let holds_more = layout.loads[from].replicas > layout.loads[to].replicas;
        let options = || holds_more.then_some(None).into_iter().chain(returned.iter().map(|back| Some(*back)));
        let all = given.iter().flat_map(|give| options().map(move |back| (*give, back)));
        let bytes = |partition: usize| layout.partition(partition).bytes;
        let (give, back) = all.min_by_key(|(give, back)| {
            let (gives, gets) = (bytes(*give), back.map_or(0, bytes));
            let is_even = stays_even(layout, limits, (from, gives, gets), (to, gets, gives));
            (!is_even, gives.saturating_add(gets), *give, *back)
        })?;
        let there = Hop { partition: give, from, to };
        Some([there].into_iter().chain(back.map(|partition| Hop { partition, from: to, to: from })).collect())
    })
}

fn smallest(layout: &Layout<'_>, partitions: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut all: Vec<_> = partitions.collect();
    all.sort_by_key(|partition| (layout.partition(*partition).bytes, *partition));
    all.truncate(CANDIDATES);
    all
}

/// Whether bytes are as even as before, or even enough, once each of two brokers gave and got so many.
fn stays_even(layout: &Layout<'_>, limits: &Limits, one: (usize, u64, u64), other: (usize, u64, u64)) -> bool {
    let after = |broker: usize| {
        let bytes = layout.loads[broker].bytes;
        let changed = [one, other].into_iter().find(|(at, ..)| *at == broker);
        changed.map_or(bytes, |(_, gave, got)| bytes.saturating_sub(gave).saturating_add(got))
    };
    let spread = |bytes: &dyn Fn(usize) -> u64| {
        let all = || layout.members.iter().map(|broker| bytes(*broker));
        all().max().unwrap_or(0) - all().min().unwrap_or(0)
    };
    spread(&after) <= spread(&|broker| layout.loads[broker].bytes).max(limits.byte_slack)
}

/// Partitions that somebody else leads although the preferred leader could.
pub(super) fn to_elect(layout: &Layout<'_>) -> Vec<Place> {
    let is_due = |partition: &usize| {
        let (state, target) = (layout.partition(*partition), layout.target(*partition));
        let Some(preferred) = target.first().filter(|first| layout.serves(**first) && !layout.is_leaving(**first))
        else {
            return false;
        };
        let id = layout.id(*preferred);
        state.leader.is_some_and(|leader| leader != id) && state.in_sync.contains(&id)
    };
    let resting = (0..layout.len()).filter(|partition| !layout.is_fixed(*partition));
    resting.filter(is_due).take(AT_ONCE).map(|partition| layout.partition(partition).place()).collect()
}
