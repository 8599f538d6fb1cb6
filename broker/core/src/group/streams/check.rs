//! What can be said of a heartbeat of a streams group without looking at the group, in the words of Kafka.

use super::request::StreamsHeartbeat;
use super::tasks::Tasks;
use super::topology::StreamsTopology;
use crate::TopicName;
use crate::controller::internal_topics::is_internal;
use crate::coordinator::MAX_STRING;
use crate::group::consumer::{MAX_SAID, size_of_names};
use crate::group::{Error, JOIN, LEAVE_FOR_A_WHILE, Refusal};

fn invalid(message: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal::new(Error::InvalidRequest, message))
}

fn invalid_topology(message: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal::new(Error::StreamsInvalidTopology, message))
}

/// Whether the request can be heeded at all.
pub(super) fn check(beat: &StreamsHeartbeat) -> Result<(), Refusal> {
    beat.topology.as_ref().map_or(Ok(()), check_names)?;
    check_supported(beat)?;
    check_fields(beat)?;
    beat.topology.as_ref().map_or(Ok(()), check_topology)?;
    check_sizes(beat)
}

/// Topics of an application may have any valid name that is not the cluster's own.
fn check_names(topology: &StreamsTopology) -> Result<(), Refusal> {
    let which = |is_wrong: fn(&str) -> bool| -> String {
        topology.named_topics().into_iter().filter(|name| is_wrong(name)).collect::<Vec<_>>().join(",")
    };
    let internal = which(is_internal);
    if !internal.is_empty() {
        return invalid_topology(format!(
            "Use of Kafka internal topics {internal} in a Kafka Streams topology is prohibited."
        ));
    }
    let wrong = which(|name| TopicName::new(name).is_err());
    // An empty name leaves nothing to be shown.
    if !wrong.is_empty() || topology.named_topics().contains("") {
        return invalid_topology(format!("Topic names {wrong} are not valid topic names."));
    }
    Ok(())
}

/// What Kafka 4.3 does not support.
fn check_supported(beat: &StreamsHeartbeat) -> Result<(), Refusal> {
    if beat.instance_id.is_some() {
        return invalid("Static membership is not yet supported.");
    }
    if beat.has_task_offsets {
        return invalid("TaskOffsets are not supported yet.");
    }
    if beat.has_task_end_offsets {
        return invalid("TaskEndOffsets are not supported yet.");
    }
    if beat.warmup.as_ref().is_some_and(|tasks| !tasks.is_empty()) {
        return invalid("WarmupTasks are not supported yet.");
    }
    let mut subtopologies = beat.topology.iter().flat_map(|topology| &topology.subtopologies);
    if subtopologies.any(|subtopology| !subtopology.source_topic_regexes.is_empty()) {
        return invalid("Regular expressions for source topics are not supported yet.");
    }
    Ok(())
}

fn check_fields(beat: &StreamsHeartbeat) -> Result<(), Refusal> {
    if beat.member_id.is_empty() {
        return invalid("MemberId can't be empty.");
    }
    if beat.group.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if beat.rack_id.as_deref() == Some("") {
        return invalid("RackId can't be empty.");
    }
    match beat.member_epoch {
        JOIN => check_join(beat)?,
        // Only a static member may go for a while.
        LEAVE_FOR_A_WHILE => return invalid("InstanceId can't be null."),
        epoch if epoch < LEAVE_FOR_A_WHILE => {
            return invalid(format!("MemberEpoch is {epoch}, but must be greater than or equal to -2."));
        }
        _ => {}
    }
    let owned = [&beat.active, &beat.standby, &beat.warmup];
    if owned.iter().any(|tasks| tasks.is_some()) && owned.iter().any(|tasks| tasks.is_none()) {
        return invalid("If one task-type is non-null, all must be non-null.");
    }
    if beat.member_epoch != JOIN && beat.topology.is_some() {
        return invalid("Topology can only be provided when (re-)joining.");
    }
    Ok(())
}

fn check_join(beat: &StreamsHeartbeat) -> Result<(), Refusal> {
    if beat.rebalance_timeout.is_none() {
        return invalid("RebalanceTimeoutMs must be provided in first request.");
    }
    for (tasks, name) in [(&beat.active, "Active"), (&beat.standby, "Standby"), (&beat.warmup, "Warmup")] {
        if !tasks.as_ref().is_some_and(Tasks::is_empty) {
            return invalid(format!("{name}Tasks must be empty when (re-)joining."));
        }
    }
    if beat.topology.is_none() {
        return invalid("Topology must be non-null when (re-)joining.");
    }
    Ok(())
}

fn check_topology(topology: &StreamsTopology) -> Result<(), Refusal> {
    if topology.epoch < 0 {
        return invalid_topology("Topology epoch must be non-negative.");
    }
    let mut ids: Vec<&str> = topology.subtopologies.iter().map(|subtopology| &*subtopology.id).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return invalid_topology(format!("There is more than one subtopology {}.", pair[0]));
    }
    for subtopology in &topology.subtopologies {
        if let Some(topic) = subtopology.changelog_topics.iter().find(|topic| topic.partitions != 0) {
            return invalid_topology(format!(
                "Changelog topic {} must have an undefined partition count, but it is set to {}.",
                topic.name, topic.partitions
            ));
        }
        if let Some(topic) = subtopology.repartition_source_topics.iter().find(|topic| topic.partitions < 0) {
            return invalid_topology(format!(
                "Repartition topic {} must not have {} partitions.",
                topic.name, topic.partitions
            ));
        }
    }
    Ok(())
}

/// What is stored has to fit a record.
fn check_sizes(beat: &StreamsHeartbeat) -> Result<(), Refusal> {
    let optional = beat.rack_id.iter().chain(&beat.process_id).chain(beat.user_endpoint.iter().map(|e| &e.host));
    let texts = [&beat.group, &beat.member_id, &beat.client_id, &beat.client_host].into_iter().chain(optional);
    if texts.into_iter().any(|text| text.len() > MAX_STRING) {
        return invalid("A text of the request is too long to be stored.");
    }
    let tags = beat.client_tags.iter().flatten();
    if size_of_names(tags.flat_map(|(key, value)| [key, value])) > MAX_SAID {
        return invalid("The ClientTags are too many to be stored.");
    }
    if beat.topology.as_ref().is_some_and(|topology| topology.size() > MAX_SAID) {
        return invalid("The Topology is too large to be stored.");
    }
    Ok(())
}
