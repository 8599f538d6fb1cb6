//! Assignments that a person gives by hand, and the first state of a partition.

use std::sync::Arc;

use super::Error;
use super::placement::replica;
use crate::metadata::{Image, LeaderRecovery, Partition, Replica};
use crate::{BrokerId, LeaderEpoch, PartitionEpoch};

/// Checks a manual assignment and finds each copy its directory. `factor` is the number of copies that the topic's
/// other partitions have.
pub(super) fn manual(
    image: &Image,
    partition: i32,
    brokers: &[BrokerId],
    factor: Option<usize>,
) -> Result<Vec<Replica>, Error> {
    let refuse = |reason: String| Err(Error::InvalidReplicaAssignment(reason.into()));
    check_copies(image, brokers, |_| false)?;
    if let Some(factor) = factor.filter(|factor| *factor != brokers.len()) {
        return refuse(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
             with previous partitions, which have {factor} replica(s).",
            brokers.len()
        ));
    }
    if !brokers.iter().any(|id| image.is_active(*id)) {
        return refuse(format!(
            "All brokers specified in the manual partition assignment for partition {partition} are fenced or in \
             controlled shutdown."
        ));
    }
    let turn = usize::try_from(partition).unwrap_or(0);
    let known = brokers.iter().filter_map(|id| image.broker(*id));
    Ok(known.map(|broker| replica(broker, turn)).collect())
}

/// Checks that copies can lie on `brokers`; `has_copy` says which of them hold one already.
pub(super) fn check_copies(
    image: &Image,
    brokers: &[BrokerId],
    has_copy: impl Fn(BrokerId) -> bool,
) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::InvalidReplicaAssignment(reason.into()));
    if brokers.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut sorted = brokers.to_vec();
    sorted.sort_unstable();
    let mut previous = None;
    for id in sorted {
        let Some(broker) = image.broker(id) else {
            let reason =
                format!("The manual partition assignment includes broker {id}, but no such broker is registered.");
            return refuse(reason);
        };
        if previous == Some(id) {
            return refuse(format!("The manual partition assignment includes the broker {id} more than once."));
        }
        if broker.cordoned && !has_copy(id) {
            return refuse(format!("The manual partition assignment includes broker {id}, which is cordoned."));
        }
        previous = Some(id);
    }
    Ok(())
}

/// The state in which a partition with these copies begins: all active ones in sync, the first of them leading.
/// At least one must be active.
pub(super) fn first_state(image: &Image, replicas: Vec<Replica>) -> Arc<Partition> {
    let isr: Vec<_> = replicas.iter().map(|replica| replica.broker).filter(|id| image.is_active(*id)).collect();
    let leader = isr.first().copied().unwrap_or(BrokerId::NONE);
    Arc::new(Partition {
        replicas,
        isr,
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        leader,
        recovery: LeaderRecovery::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        unflushed: false,
    })
}
