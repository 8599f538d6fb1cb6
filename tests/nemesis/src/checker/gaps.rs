//! How long each partition went without an ack around each fault.

use std::collections::BTreeMap;

use crate::history::{Event, Fault, History, Micros, Outcome};

/// The longest time between two acks of a partition, of all its writers, that touches a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The fault.
    pub fault: String,
    /// The partition.
    pub partition: i32,
    /// Its length in microseconds.
    pub length: Micros,
}

/// The longest gap of every partition for every fault, from its beginning until all was whole again.
pub fn ack_gaps(history: &History) -> Vec<Gap> {
    let partition_of: BTreeMap<u32, i32> = history
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Writer(writer) => Some((writer.id, writer.partition)),
            _ => None,
        })
        .collect();
    let mut acks: BTreeMap<i32, Vec<Micros>> = BTreeMap::new();
    for event in &history.events {
        if let Event::Produce(call) = event
            && !matches!(call.outcome, Outcome::Unknown(_))
            && let Some(partition) = partition_of.get(&call.writer)
        {
            acks.entry(*partition).or_default().push(call.completed);
        }
    }
    acks.values_mut().for_each(|acks| acks.sort_unstable());
    let faults = history.events.iter().filter_map(|event| match event {
        Event::Fault(fault) => Some(fault),
        _ => None,
    });
    let gap = |fault: &Fault, (partition, acks): (&i32, &Vec<Micros>)| Gap {
        fault: fault.name.clone(),
        partition: *partition,
        length: longest(acks, fault),
    };
    faults.flat_map(|fault| acks.iter().map(move |of| gap(fault, of))).collect()
}

fn longest(acks: &[Micros], fault: &Fault) -> Micros {
    let before = acks.partition_point(|ack| *ack < fault.began).saturating_sub(1);
    let touching = acks[before..].windows(2).take_while(|pair| pair[0] <= fault.recovered);
    touching.map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}
