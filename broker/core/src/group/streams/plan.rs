//! What a heartbeat means for the topology of its group, found before anything is changed, since much of it may be
//! refused.

use super::configure::{Configured, configure};
use super::group::Group;
use super::request::StreamsHeartbeat;
use super::tasks::{TaskSets, Tasks};
use super::topology::StreamsTopology;
use crate::group::consumer::metadata_hash;
use crate::group::{Error, Refusal};
use crate::metadata::Topics;

/// See the module.
#[derive(Debug)]
pub(super) struct Plan {
    /// The topology of a group that had none.
    pub(super) topology: Option<StreamsTopology>,
    /// What the topics make of the topology; none for no change.
    pub(super) configured: Option<Configured>,
    /// The hash of the topics.
    pub(super) metadata_hash: i64,
}

/// Finds what the heartbeat of an admitted member means.
pub(super) fn plan(
    group: &Group,
    beat: &StreamsHeartbeat,
    owned: Option<&TaskSets>,
    topics: &Topics,
) -> Result<Plan, Refusal> {
    let new = new_topology(group, beat)?;
    // A member that does not join has been in the group with its topology.
    let lost =
        || Refusal::new(Error::FencedMemberEpoch, "The topology of the group is not known. The member must rejoin.");
    let topology = new.as_ref().or(group.topology.as_ref()).ok_or_else(lost)?;
    let hash = || metadata_hash(&topology.required_topics(), topics);
    let is_fresh = new.is_none() && group.configured.is_some() && !group.is_stale;
    let metadata_hash = if is_fresh { group.epoch.metadata_hash } else { hash() };
    let is_known = new.is_none() && group.configured.is_some() && metadata_hash == group.epoch.metadata_hash;
    let configured = if is_known { None } else { Some(configure(topology, topics)?) };
    if let Some(configured) = configured.as_ref().or(group.configured.as_ref()).filter(|found| found.is_ready()) {
        let owned = owned.into_iter().flat_map(|owned| [&owned.active, &owned.standby, &owned.warmup]);
        owned.into_iter().try_for_each(|tasks| check_tasks(tasks, configured))?;
    }
    Ok(Plan { topology: new, configured, metadata_hash })
}

/// The topology that the group gets; none if it has one.
fn new_topology(group: &Group, beat: &StreamsHeartbeat) -> Result<Option<StreamsTopology>, Refusal> {
    let Some(said) = &beat.topology else { return Ok(None) };
    let said = said.clone().sorted();
    match &group.topology {
        None => Ok(Some(said)),
        Some(known) if known.epoch > said.epoch || *known == said => Ok(None),
        Some(_) => Err(Refusal::new(Error::InvalidRequest, "Topology updates are not supported yet.")),
    }
}

fn check_tasks(tasks: &Tasks, configured: &Configured) -> Result<(), Refusal> {
    for (subtopology, partition) in tasks.iter() {
        let message = match configured.sizes.get(subtopology) {
            None => format!("Subtopology {subtopology} does not exist in the topology."),
            Some(size) if !(0..size.tasks).contains(&partition) => format!(
                "Task {partition} for subtopology {subtopology} is invalid. Number of tasks for this subtopology: {}",
                size.tasks
            ),
            Some(_) => continue,
        };
        return Err(Refusal::new(Error::InvalidRequest, message));
    }
    Ok(())
}
