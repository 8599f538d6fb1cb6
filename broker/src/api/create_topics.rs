//! CreateTopics: the controller decides, each topic on its own (KIP-4, KIP-525).

use ottla_core::controller::{CreateTopics, CreatedTopic, NewTopic, PartitionAssignment};
use ottla_core::metadata::Resource;
use ottla_core::{BrokerId, TopicId};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfigs, CreatableTopicResult};
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use uuid::Uuid;

use super::{Context, error, mutations};

/// From this version on what is beyond a quota is refused (KIP-599).
const STRICT_SINCE: i16 = 6;

/// Answers once the topics are usable here.
pub async fn handle(context: Context, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<Str> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = request.topics.into_iter().map(new_topic).collect();
    let command = CreateTopics { topics, validate_only: request.validate_only };
    let patience = super::patience(request.timeout_ms);
    match mutations::submit(&context, command, patience, STRICT_SINCE).await {
        Ok(decided) => {
            let refusals = decided.response.iter().filter_map(|(_, result)| result.as_ref().err());
            let throttle_time_ms = decided.throttle(&context, refusals);
            let results = decided.response.into_iter();
            let topics = results.map(|(name, result)| answer(&context, &name, result)).collect();
            CreateTopicsResponse { throttle_time_ms, topics }
        }
        Err(refusal) => {
            let (error_code, error_message) = (error::of_submit(&refusal), Some(refusal.to_string().into()));
            let refused = |name: &Str| failed(name.clone(), error_code, error_message.clone());
            CreateTopicsResponse { topics: names.iter().map(refused).collect(), ..CreateTopicsResponse::default() }
        }
    }
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name.to_string(),
        id: TopicId(Uuid::new_v4()),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .into_iter()
            .map(|assignment| PartitionAssignment {
                partition: assignment.partition_index,
                brokers: assignment.broker_ids.into_iter().map(BrokerId).collect(),
            })
            .collect(),
        configs: topic
            .configs
            .into_iter()
            .map(|config| (config.name.to_string(), config.value.map(|value| value.to_string())))
            .collect(),
    }
}

fn answer(
    context: &Context,
    name: &str,
    result: Result<CreatedTopic, ottla_core::controller::Error>,
) -> CreatableTopicResult {
    match result {
        Ok(created) => CreatableTopicResult {
            name: name.into(),
            topic_id: created.id.0,
            error_code: ErrorCode::NONE,
            error_message: None,
            num_partitions: created.partitions,
            replication_factor: created.replication_factor,
            configs: Some(configs(context, name)),
            ..CreatableTopicResult::default()
        },
        Err(refusal) => failed(name.into(), error::of_controller(&refusal), refusal.message().map(Str::from)),
    }
}

fn failed(name: Str, error_code: ErrorCode, error_message: Option<Str>) -> CreatableTopicResult {
    // The Java client takes a null list for "you may not see them" and an empty one for what it is (KIP-525).
    CreatableTopicResult {
        name,
        error_code,
        error_message,
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}

/// The new topic's configuration; what it sets itself is in the image by now, unless it was only checked.
fn configs(context: &Context, name: &str) -> Vec<CreatableTopicConfigs> {
    let image = context.broker.image();
    let own = image.config(&Resource::topic(name)).map(|config| config.as_ref().clone()).unwrap_or_default();
    let entries = context.broker.with_layers(&image, |layers| layers.topic(&own));
    entries
        .into_iter()
        .map(|entry| CreatableTopicConfigs {
            name: entry.name.into(),
            value: entry.value.map(Str::from),
            read_only: entry.read_only,
            config_source: entry.source as i8,
            is_sensitive: entry.sensitive,
        })
        .collect()
}
