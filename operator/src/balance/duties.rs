//! What must be so, evenly loaded or not: leaving brokers hold nothing, and partitions have as many copies as they
//! should, in different racks while there are enough.

use ottla_core::ids::BrokerId;

use super::{Blocked, Budget, Changes, Partition, Why, layout::Layout};

/// What a partition lacks; the first is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Duty {
    /// It lies on a broker that leaves.
    Leave,
    /// It has another number of copies than it should.
    Copies,
    /// Copies lie in one rack although there are others.
    Racks,
}

/// Calls off moves towards brokers that leave, or to another number of copies than there should be, where things were
/// better before; others are led elsewhere.
pub(super) fn call_off(layout: &mut Layout<'_>, changes: &mut Changes) {
    for partition in 0..layout.len() {
        let state = layout.partition(partition);
        let target = layout.target(partition);
        let is_astray = target.len() != state.copies || target.iter().any(|broker| layout.is_leaving(*broker));
        if !state.is_moving() || !is_astray {
            continue;
        }
        let original = original(state);
        if original.len() == state.copies && !original.iter().any(|broker| layout.is_leaving_id(*broker)) {
            layout.revert(partition, &original);
            changes.cancel.push(state.place());
        } else {
            layout.release(partition);
        }
    }
}

/// The brokers that held the partition before its move.
fn original(partition: &Partition) -> Vec<BrokerId> {
    let all = partition.target.iter().chain(&partition.removing);
    all.copied().filter(|broker| !partition.adding.contains(broker)).collect()
}

/// Assigns what must be assigned, within the budget: the smallest disruption first.
pub(super) fn fulfil(layout: &mut Layout<'_>, budget: &mut Budget, changes: &mut Changes) {
    let mut due: Vec<_> = (0..layout.len()).filter_map(|at| Some((duty(layout, at)?, at))).collect();
    due.sort_by_key(|(duty, at)| {
        let state = layout.partition(*at);
        let is_led_from_there = layout.target(*at).first().is_some_and(|first| layout.is_leaving(*first));
        (*duty, is_led_from_there, state.bytes, *at)
    });
    for (duty, partition) in due {
        let state = layout.partition(partition);
        let blocked = |why| Blocked { place: state.place(), why };
        let target = if state.leader.is_none() { Err(Why::Offline) } else { fulfilled(layout, partition) };
        match target {
            Ok(target) if target == layout.target(partition) => {}
            Ok(target) => {
                // One that is moving already takes no more of the budget.
                let cost = usize::from(!state.is_moving());
                if budget.allows(cost) {
                    budget.take(cost);
                    layout.assign(partition, target);
                }
            }
            Err(why) if duty == Duty::Leave => changes.blocked.push(blocked(why)),
            Err(_) => {}
        }
    }
    changes.assign = layout.assignments();
}

fn duty(layout: &Layout<'_>, partition: usize) -> Option<Duty> {
    let (state, target) = (layout.partition(partition), layout.target(partition));
    if layout.is_fixed(partition) {
        return None;
    }
    if target.iter().any(|broker| layout.is_leaving(*broker)) {
        return Some(Duty::Leave);
    }
    if target.len() != state.copies {
        return Some(Duty::Copies);
    }
    layout.racks.crowded(target).map(|_| Duty::Racks)
}

/// Where the partition should lie: off leaving brokers, and as near to what else is due as brokers that serve allow.
fn fulfilled(layout: &Layout<'_>, partition: usize) -> Result<Vec<usize>, Why> {
    let state = layout.partition(partition);
    let copies = state.copies.max(1);
    let mut list = layout.target(partition).to_vec();
    while list.len() > copies {
        list.remove(surplus(layout, state, &list));
    }
    while let Some(position) = list.iter().position(|broker| layout.is_leaving(*broker)) {
        list[position] = place(layout, &list, Some(position), copies).ok_or(Why::NoPlace)?;
    }
    while list.len() < copies {
        let Some(broker) = place(layout, &list, None, copies) else { break };
        list.push(broker);
    }
    // Each turn takes a copy out of a rack that is too full into one that is not.
    while let Some(position) = layout.racks.crowded(&list) {
        let Some(broker) = place(layout, &list, Some(position), copies) else { break };
        list[position] = broker;
    }
    Ok(list)
}

/// The position of the copy that is missed least: out of sync, on a leaving broker, in a rack with others, on the fullest
/// broker; not the one that leads if there is a choice.
fn surplus(layout: &Layout<'_>, partition: &Partition, list: &[usize]) -> usize {
    let in_its_rack = |broker: usize| list.iter().filter(|other| layout.racks.are_neighbours(broker, **other)).count();
    let merit = |position: &usize| {
        let broker = list[*position];
        let load = layout.loads[broker];
        let lags = !partition.in_sync.contains(&layout.id(broker));
        (lags, layout.is_leaving(broker), *position > 0, in_its_rack(broker), load.replicas, load.bytes, *position)
    };
    (0..list.len()).max_by_key(merit).unwrap_or(0)
}

/// The least loaded broker that may take a copy beside `list`, or instead of the one at `position`.
fn place(layout: &Layout<'_>, list: &[usize], position: Option<usize>, copies: usize) -> Option<usize> {
    let others = || list.iter().enumerate().filter(|(at, _)| Some(*at) != position).map(|(_, broker)| *broker);
    let leads = position == Some(0);
    let free = layout
        .members
        .iter()
        .copied()
        .filter(|broker| !list.contains(broker) && !layout.racks.is_full(*broker, others(), copies));
    free.min_by_key(|broker| {
        let load = layout.loads[*broker];
        (load.replicas, if leads { load.leaders } else { 0 }, load.bytes, *broker)
    })
}
