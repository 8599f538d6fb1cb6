//! Every broker holds about as many bytes, as long as counts and leaders stay as even as they are: a copy goes from a
//! broker with one more, or two change places.

use std::cmp::Reverse;

use super::{Budget, Limits, counts::Hop, layout::Layout};

/// How many of the smallest copies are thought of as what is given in return.
const RETURNS: usize = 16;

/// Begins what the budget allows.
pub(super) fn even_out(layout: &mut Layout<'_>, budget: &mut Budget, limits: &Limits) {
    while let Some((least, most)) = layout.range(|load| load.bytes) {
        if most - least <= limits.byte_slack {
            break;
        }
        let Some(hops) = exchange(layout, limits, budget.most) else {
            break;
        };
        if !budget.allows(hops.len()) {
            break;
        }
        budget.take(hops.len());
        for Hop { partition, from, to } in hops {
            layout.move_copy(partition, from, to);
        }
    }
}

/// The best exchange between the fullest broker and the emptiest between which there is one.
fn exchange(layout: &Layout<'_>, limits: &Limits, most_hops: usize) -> Option<Vec<Hop>> {
    let members = layout.members_by(|load| load.bytes);
    let gap = |from: usize, to: usize| layout.loads[from].bytes.saturating_sub(layout.loads[to].bytes);
    let pairs = members.iter().rev().flat_map(|from| members.iter().map(move |to| (*from, *to)));
    let mut pairs = pairs.filter(|(from, to)| gap(*from, *to) > limits.byte_slack);
    pairs.find_map(|(from, to)| between(layout, from, to, gap(from, to), limits.byte_slack / 8, most_hops))
}

/// What makes the difference of `gap` bytes between two brokers smaller, by at least `worth` on either side.
fn between(layout: &Layout<'_>, from: usize, to: usize, gap: u64, worth: u64, most_hops: usize) -> Option<Vec<Hop>> {
    let bytes = |partition: usize| layout.partition(partition).bytes;
    let given: Vec<_> = layout.movable_on(from).filter(|one| layout.may_move(*one, from, to)).collect();
    let mut returned: Vec<_> = layout.movable_on(to).filter(|one| layout.may_move(*one, to, from)).collect();
    returned.sort_by_key(|one| (bytes(*one), *one));
    returned.truncate(if most_hops > 1 { RETURNS } else { 0 });
    let holds_more = layout.loads[from].replicas > layout.loads[to].replicas;
    let leads_more = layout.loads[from].leaders > layout.loads[to].leaders;
    let nothing = holds_more.then_some(None);
    let leads = |partition: usize, broker: usize| layout.target(partition).first() == Some(&broker);
    // Who leads moves along with the copy.
    let keeps_leaders = |give: usize, back: Option<usize>| {
        let (lost, gained) = (leads(give, from), back.is_some_and(|back| leads(back, to)));
        lost == gained || (lost && leads_more)
    };
    let candidates = given.into_iter().flat_map(|give| {
        let options = nothing.into_iter().chain(returned.iter().map(|back| Some(*back)));
        options.map(move |back| (give, back)).filter(|(give, back)| keeps_leaders(*give, *back))
    });
    let judged = candidates.filter_map(|(give, back)| {
        let returned = back.map_or(0, bytes);
        let moved = bytes(give).checked_sub(returned).filter(|moved| *moved > worth && moved + worth < gap)?;
        let cost = bytes(give).saturating_add(returned);
        // How much of what is copied counts, in tenths.
        let use_of_it = moved.saturating_mul(10) / cost.max(1);
        Some(((Reverse(use_of_it), (2 * moved).abs_diff(gap), cost, give, back), give, back))
    });
    let (_, give, back) = judged.min_by_key(|(merit, ..)| *merit)?;
    let there = Hop { partition: give, from, to };
    Some([there].into_iter().chain(back.map(|partition| Hop { partition, from: to, to: from })).collect())
}
