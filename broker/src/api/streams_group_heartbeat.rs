//! StreamsGroupHeartbeat (KIP-1071): joins, keeps alive, reconciles and leaves; has the internal topics made that the
//! coordinator misses.

use ottla_core::TopicId;
use ottla_core::controller::{CreateTopics, Error, NewTopic};
use ottla_core::group::{
    CopartitionGroup, Endpoint, EndpointPartitions, InternalTopic, Refusal, Request, Response, StatusCode, StreamsBeat,
    StreamsHeartbeat, StreamsTopology, Subtopology, TopicInfo,
};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::streams_group_heartbeat as wire;
use ottla_protocol::messages::{StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse};
use uuid::Uuid;

use super::Context;
use super::error::of_group;
use super::groups::{coordinate, milliseconds, serves_streams_protocol, text, unexpected};
use super::streams_groups::{endpoint, task_ids, tasks};
use crate::controller::ControllerHandle;
use crate::quota;

/// Answers when what the heartbeat changed is durable, and the topics that it needs are made or cannot be.
pub(super) async fn handle(context: Context, request: StreamsGroupHeartbeatRequest) -> StreamsGroupHeartbeatResponse {
    if !serves_streams_protocol(&context) {
        return refused(ErrorCode::UNSUPPORTED_VERSION, None);
    }
    let group = request.group_id.to_string();
    let heartbeat = Box::new(heartbeat(&context, request));
    match coordinate(&context, &group, Request::StreamsHeartbeat(heartbeat)).await {
        Ok(Response::StreamsHeartbeat(Ok(mut beat))) => {
            let missing = std::mem::take(&mut beat.internal_topics);
            let failures = create(&context, missing).await;
            tell(&mut beat, &failures);
            answer(beat)
        }
        Ok(Response::StreamsHeartbeat(Err(Refusal { error, message }))) => refused(of_group(error), Some(message)),
        Ok(other) => refused(unexpected(&other), None),
        Err(code) => refused(code, None),
    }
}

fn heartbeat(context: &Context, request: StreamsGroupHeartbeatRequest) -> StreamsHeartbeat {
    let rebalance_timeout = Some(request.rebalance_timeout_ms).filter(|timeout| *timeout != -1);
    let pairs = |pairs: Vec<wire::KeyValue>| pairs.into_iter().map(pair).collect();
    StreamsHeartbeat {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        member_epoch: request.member_epoch,
        endpoint_epoch: request.endpoint_information_epoch,
        instance_id: text(request.instance_id),
        rack_id: text(request.rack_id),
        rebalance_timeout: rebalance_timeout.map(milliseconds),
        topology: request.topology.map(topology),
        active: request.active_tasks.as_deref().map(tasks),
        standby: request.standby_tasks.as_deref().map(tasks),
        warmup: request.warmup_tasks.as_deref().map(tasks),
        process_id: text(request.process_id),
        user_endpoint: request.user_endpoint.map(|at| Endpoint { host: at.host.to_string(), port: at.port }),
        client_tags: request.client_tags.map(pairs),
        has_task_offsets: request.task_offsets.is_some(),
        has_task_end_offsets: request.task_end_offsets.is_some(),
        shuts_down: request.shutdown_application,
        client_id: text(context.client_id.clone()).unwrap_or_default(),
        client_host: format!("/{}", context.peer.address.ip()),
    }
}

fn topology(topology: wire::Topology) -> StreamsTopology {
    let subtopologies = topology.subtopologies.into_iter().map(|part| Subtopology {
        id: (&*part.subtopology_id).into(),
        source_topics: texts(&part.source_topics),
        source_topic_regexes: texts(&part.source_topic_regex),
        repartition_sink_topics: texts(&part.repartition_sink_topics),
        repartition_source_topics: part.repartition_source_topics.into_iter().map(topic_info).collect(),
        changelog_topics: part.state_changelog_topics.into_iter().map(topic_info).collect(),
        copartition_groups: part.copartition_groups.into_iter().map(copartition_group).collect(),
    });
    StreamsTopology { epoch: topology.epoch, subtopologies: subtopologies.collect() }
}

fn copartition_group(group: wire::CopartitionGroup) -> CopartitionGroup {
    CopartitionGroup {
        source_topics: group.source_topics,
        source_topic_regexes: group.source_topic_regex,
        repartition_source_topics: group.repartition_source_topics,
    }
}

fn topic_info(topic: wire::TopicInfo) -> TopicInfo {
    TopicInfo {
        name: topic.name.to_string(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: topic.topic_configs.into_iter().map(pair).collect(),
    }
}

fn texts(texts: &[Str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn pair(pair: wire::KeyValue) -> (String, String) {
    (pair.key.to_string(), pair.value.to_string())
}

/// Has the topics made, and gives why some cannot be, by name. The member comes again for what is not there by then.
async fn create(context: &Context, missing: Vec<InternalTopic>) -> Vec<(String, String)> {
    if missing.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = missing.iter().map(|topic| topic.name.clone()).collect();
    let topics = missing.into_iter().map(new_topic).collect();
    let by = quota::mutator(context.client_name(), true);
    let command = CreateTopics { topics, validate_only: false };
    match context.broker.controller.submit_for(by, command, ControllerHandle::PATIENCE).await {
        Ok((results, _)) => results.into_iter().filter_map(failure).collect(),
        Err(error) => {
            tracing::warn!(%error, "cannot create internal topics of an application");
            names.into_iter().map(|name| (name, error.to_string())).collect()
        }
    }
}

fn new_topic(topic: InternalTopic) -> NewTopic {
    NewTopic {
        name: topic.name,
        id: TopicId(Uuid::new_v4()),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        assignments: Vec::new(),
        configs: topic.configs.into_iter().map(|(key, value)| (key, Some(value))).collect(),
    }
}

/// Why a topic is not there; another member may have had it made.
fn failure<T>((name, result): (String, Result<T, Error>)) -> Option<(String, String)> {
    match result {
        Ok(_) => {
            tracing::info!(topic = %name, "internal topic of an application created");
            None
        }
        Err(Error::TopicAlreadyExists(_)) => None,
        Err(error) => {
            tracing::warn!(topic = %name, %error, "cannot create an internal topic of an application");
            Some((name, error.to_string()))
        }
    }
}

/// Adds to what the member is told of missing topics why they cannot be made, as Kafka words it.
fn tell(beat: &mut StreamsBeat, failures: &[(String, String)]) {
    let status = beat.statuses.iter_mut().find(|status| status.code == StatusCode::MissingInternalTopics);
    if let Some(status) = status.filter(|_| !failures.is_empty()) {
        let failures: Vec<String> = failures.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        status.detail += &format!("; Creation failed: {}.", failures.join(", "));
    }
}

fn answer(beat: StreamsBeat) -> StreamsGroupHeartbeatResponse {
    let status = |status: ottla_core::group::StreamsStatus| wire::Status {
        status_code: status.code as i8,
        status_detail: status.detail.into(),
    };
    let assignment = beat.assignment.as_ref();
    StreamsGroupHeartbeatResponse {
        member_id: beat.member_id.into(),
        member_epoch: beat.member_epoch,
        heartbeat_interval_ms: i32::try_from(beat.heartbeat_interval.as_millis()).unwrap_or(i32::MAX),
        status: Some(beat.statuses.into_iter().map(status).collect()),
        active_tasks: assignment.map(|assignment| task_ids(&assignment.active)),
        standby_tasks: assignment.map(|assignment| task_ids(&assignment.standby)),
        warmup_tasks: assignment.map(|assignment| task_ids(&assignment.warmup)),
        endpoint_information_epoch: beat.endpoint_epoch,
        partitions_by_user_endpoint: beat.endpoints.map(|all| all.into_iter().map(at_endpoint).collect()),
        ..StreamsGroupHeartbeatResponse::default()
    }
}

fn at_endpoint(found: EndpointPartitions) -> wire::EndpointToPartitions {
    let partitions = |topics: Vec<(String, Vec<i32>)>| {
        let topic = |(topic, partitions): (String, Vec<i32>)| wire::TopicPartition { topic: topic.into(), partitions };
        topics.into_iter().map(topic).collect()
    };
    wire::EndpointToPartitions {
        user_endpoint: endpoint(found.endpoint),
        active_partitions: partitions(found.active),
        standby_partitions: partitions(found.standby),
    }
}

fn refused(error_code: ErrorCode, message: Option<String>) -> StreamsGroupHeartbeatResponse {
    let error_message = message.map(Str::from);
    StreamsGroupHeartbeatResponse { error_code, error_message, ..StreamsGroupHeartbeatResponse::default() }
}
