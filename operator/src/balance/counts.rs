//! Every broker holds as many copies as any other.
//!
//! A copy goes from a broker to one that holds at least two fewer, directly or along a chain of brokers each of which
//! passes one on: racks may leave no direct way. The shortest chain is taken, and done as a whole or not yet.

use std::collections::VecDeque;

use super::{Budget, Limits, layout::Layout};

/// One copy from one broker to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub partition: usize,
    pub from: usize,
    pub to: usize,
}

/// Begins what the budget allows; true if nothing was left to do.
pub(super) fn even_out(layout: &mut Layout<'_>, budget: &mut Budget, limits: &Limits) -> bool {
    let mut settled = true;
    while let Some((least, most)) = layout.range(|load| load.replicas) {
        if most - least <= limits.slack.max(1) {
            break;
        }
        let sources = layout.members_by(|load| load.replicas);
        let sources = sources.into_iter().rev().take_while(|broker| layout.loads[*broker].replicas >= least + 2);
        let Some(chain) = sources.filter_map(|from| chain(layout, from)).find(|chain| chain.len() <= budget.most)
        else {
            break;
        };
        settled = false;
        if !budget.allows(chain.len()) {
            break;
        }
        budget.take(chain.len());
        for Hop { partition, from, to } in chain {
            layout.move_copy(partition, from, to);
        }
    }
    settled
}

/// The shortest chain from `from` to a broker that holds at least two copies fewer, the emptiest first.
fn chain(layout: &Layout<'_>, from: usize) -> Option<Vec<Hop>> {
    let members = layout.members_by(|load| load.replicas);
    let mut hops: Vec<Option<Hop>> = vec![None; layout.loads.len()];
    let mut queue = VecDeque::from([from]);
    while let Some(broker) = queue.pop_front() {
        let before = path(&hops, broker);
        for to in members.iter().copied().filter(|to| *to != from) {
            if hops[to].is_some() {
                continue;
            }
            let Some(partition) = fittest(layout, broker, to, &before) else {
                continue;
            };
            hops[to] = Some(Hop { partition, from: broker, to });
            if layout.loads[from].replicas >= layout.loads[to].replicas + 2 {
                return Some(path(&hops, to));
            }
            queue.push_back(to);
        }
    }
    None
}

/// The hops that lead to `broker`, the last one first: each makes room before the next fills it.
fn path(hops: &[Option<Hop>], broker: usize) -> Vec<Hop> {
    let mut path = Vec::new();
    let mut at = broker;
    while let Some(hop) = hops[at] {
        path.push(hop);
        at = hop.from;
    }
    path
}

/// The partition on `from` whose copy suits `to` best and is not `taken`: about as large as `to` lacks and `from` has
/// too much, of a topic that `from` has more of, and led by `from` if `to` should lead more.
fn fittest(layout: &Layout<'_>, from: usize, to: usize, taken: &[Hop]) -> Option<usize> {
    let wanted = Wanted::between(layout, from, to);
    let may = |partition: &usize| {
        layout.may_move(*partition, from, to) && !taken.iter().any(|hop| hop.partition == *partition)
    };
    layout.movable_on(from).filter(may).min_by_key(|partition| {
        let bytes = layout.partition(*partition).bytes;
        let of_topic = |broker| layout.topic_load(*partition, broker);
        let topic = (of_topic(to) + layout.len()).saturating_sub(of_topic(from));
        let leads = layout.target(*partition).first() == Some(&from);
        (wanted.misfit(bytes), topic, leads != wanted.leader, bytes, *partition)
    })
}

/// What would be the best copy to give away.
struct Wanted {
    bytes: u64,
    /// Sizes that differ by less are alike.
    grain: u64,
    leader: bool,
}

impl Wanted {
    fn between(layout: &Layout<'_>, from: usize, to: usize) -> Self {
        let count = layout.members.len().max(1) as u64;
        let all = || layout.members.iter().map(|broker| layout.loads[*broker]);
        let copies = all().map(|load| load.replicas as u64).sum::<u64>();
        let mean_bytes = all().map(|load| load.bytes / count).sum::<u64>();
        let (from, to) = (layout.loads[from], layout.loads[to]);
        // What a copy should weigh so that bytes come to be even together with the counts.
        let lack = mean_bytes.saturating_sub(to.bytes) / missing(copies / count, to.replicas as u64);
        let excess =
            from.bytes.saturating_sub(mean_bytes) / missing(from.replicas as u64, (copies / count) as usize as u64);
        let mean_size = mean_bytes.saturating_mul(count) / copies.max(1);
        Self { bytes: lack / 2 + excess / 2, grain: (mean_size / 4).max(1 << 20), leader: from.leaders > to.leaders }
    }

    fn misfit(&self, bytes: u64) -> u64 {
        bytes.abs_diff(self.bytes) / self.grain
    }
}

/// How many copies lie between the two numbers, at least one.
fn missing(upper: u64, lower: u64) -> u64 {
    upper.saturating_sub(lower).max(1)
}
