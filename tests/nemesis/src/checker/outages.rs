//! What each fault cost: how long partitions went without an ack, and what was lost around it.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::writes::Lost;
use crate::history::{Fault, Micros, Outcome, Partition};

/// What one fault cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The fault.
    pub fault: String,
    /// The longest time between two acks of a partition, of all its writers, from the beginning of the fault until all was
    /// whole again; of the partition for which it was longest.
    pub gap: Micros,
    /// That partition.
    pub partition: i32,
    /// From the moment at which the fault was taken back to the first ack, of the partition for which that took longest.
    pub comeback: Micros,
    /// The longest wait for an ack where the killed brokers held nothing; `None` where there was no such partition.
    pub elsewhere: Option<Wait>,
    /// Acked records that are lost, of those that were acked since this fault began and before the next.
    pub lost: u64,
}

/// How long a writer waited for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The partition.
    pub partition: i32,
    /// When the call began.
    pub invoked: Micros,
    /// How long it took since the fault began, however it ended: what it had waited before is not of this fault.
    pub length: Micros,
}

/// The outage of every fault, in their order.
pub(super) fn outages(facts: &Facts<'_>, lost: &[Lost<'_>]) -> Vec<Outage> {
    let mut acks: BTreeMap<i32, Vec<Micros>> = BTreeMap::new();
    for writer in facts.writers.values() {
        let acked = |call: &&&crate::history::Produce| !matches!(call.outcome, Outcome::Unknown(_));
        let calls = facts.calls.get(&writer.id).into_iter().flatten().filter(acked);
        acks.entry(writer.partition).or_default().extend(calls.map(|call| call.completed));
    }
    acks.values_mut().for_each(|acks| acks.sort_unstable());
    let mut outages: Vec<Outage> = facts.faults.iter().map(|fault| outage(facts, &acks, fault)).collect();
    for lost in lost {
        let since = facts.faults.partition_point(|fault| fault.began <= lost.call.completed);
        if let Some(outage) = outages.get_mut(since.saturating_sub(1)) {
            outage.lost += u64::from(lost.call.count);
        }
    }
    outages
}

fn outage(facts: &Facts<'_>, acks: &BTreeMap<i32, Vec<Micros>>, fault: &Fault) -> Outage {
    let gaps = acks.iter().map(|(partition, acks)| (longest(acks, fault), *partition));
    let (gap, partition) = gaps.max_by_key(|(gap, _)| *gap).unwrap_or_default();
    let comeback = acks.values().map(|acks| {
        let first = acks.partition_point(|ack| *ack < fault.healed);
        acks.get(first).map_or(Micros::MAX, |ack| ack - fault.healed)
    });
    let comeback = comeback.max().unwrap_or(0);
    Outage { fault: fault.name.clone(), gap, partition, comeback, elsewhere: elsewhere(facts, fault), lost: 0 }
}

fn longest(acks: &[Micros], fault: &Fault) -> Micros {
    let before = acks.partition_point(|ack| *ack < fault.began).saturating_sub(1);
    let touching = acks[before..].windows(2).take_while(|pair| pair[0] <= fault.recovered);
    touching.map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

/// The longest of the calls that touch the time of the fault, to partitions that the brokers killed by it held nothing of.
fn elsewhere(facts: &Facts<'_>, fault: &Fault) -> Option<Wait> {
    let untouched = |partition: &&&Partition| !partition.brokers.iter().any(|broker| fault.killed.contains(broker));
    let partitions = facts.partitions.values().filter(|_| !fault.killed.is_empty()).filter(untouched);
    let waits = partitions.flat_map(|partition| {
        let touching = facts
            .calls_to(partition.number)
            .filter(|call| call.completed > fault.began && call.invoked < fault.recovered);
        touching.map(|call| Wait {
            partition: partition.number,
            invoked: call.invoked,
            length: call.completed - call.invoked.max(fault.began),
        })
    });
    waits.max_by_key(|wait| wait.length)
}

/// An ack waited for longer than `limit` where the killed broker was not needed, or never given.
pub(super) fn needless_waits(outages: &[Outage], limit: Micros) -> Vec<String> {
    let long = outages.iter().filter_map(|outage| {
        let wait = outage.elsewhere.filter(|wait| wait.length > limit)?;
        Some(format!(
            "'{}': a call to partition {}, of which the killed broker held nothing, took {:.2} s from {} µs on",
            outage.fault,
            wait.partition,
            wait.length as f64 / 1e6,
            wait.invoked
        ))
    });
    long.collect()
}

/// Partitions in which nothing was acked after the last fault had been taken back: they did not come back.
pub(super) fn never_back(facts: &Facts<'_>) -> Vec<String> {
    let Some(last) = facts.faults.last() else { return Vec::new() };
    let silent = facts.partitions.values().filter(|partition| {
        let acked = |call: &crate::history::Produce| !matches!(call.outcome, Outcome::Unknown(_));
        !facts.calls_to(partition.number).any(|call| call.invoked >= last.healed && acked(call))
    });
    silent
        .map(|partition| format!("nothing was acked in {}-{} after the last fault", partition.topic, partition.index))
        .collect()
}
