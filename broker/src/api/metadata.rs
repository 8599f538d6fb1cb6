//! Metadata (KIP-4, KIP-516): brokers and topics as this broker has made them its own; creates topics where that is
//! allowed, and answers once they are usable.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ottla_core::controller::internal_topics::is_internal;
use ottla_core::controller::{CreateTopics, NewTopic};
use ottla_core::metadata::{Address, Broker, Image, Partition, Topic};
use ottla_core::{BrokerId, TopicId, TopicName};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use uuid::Uuid;

use super::Context;
use crate::controller::ControllerHandle;
use crate::quota;

/// Answers for all topics, those named, or those with the ids given.
pub(super) async fn handle(context: Context, request: MetadataRequest) -> MetadataResponse {
    let wanted = match request.topics {
        Some(topics) if context.version > 0 || !topics.is_empty() => Some(topics),
        // Before version 1 an empty list means all.
        _ => None,
    };
    if wanted.iter().flatten().any(|topic| topic.name.is_none() && topic.topic_id.is_nil()) {
        return neither_name_nor_id(wanted.unwrap_or_default());
    }
    if request.allow_auto_topic_creation
        && let Some(wanted) = &wanted
    {
        create_missing(&context, wanted).await;
    }
    let image = context.broker.image();
    let view = View::new(&context, &image);
    let topics = match &wanted {
        None => image.topics().iter().map(|topic| found(&view, topic)).collect(),
        Some(wanted) => listed(&view, wanted),
    };
    MetadataResponse {
        brokers: view.brokers(),
        cluster_id: Some(Str::from(image.cluster_id())),
        controller_id: image.controller().map_or(-1, |controller| controller.broker.0),
        topics,
        ..MetadataResponse::default()
    }
}

/// As Kafka answers it.
fn neither_name_nor_id(wanted: Vec<MetadataRequestTopic>) -> MetadataResponse {
    let topic = |wanted: MetadataRequestTopic| MetadataResponseTopic {
        error_code: ErrorCode::UNKNOWN_SERVER_ERROR,
        name: Some(wanted.name.unwrap_or_default()),
        topic_id: wanted.topic_id,
        ..MetadataResponseTopic::default()
    };
    MetadataResponse { topics: wanted.into_iter().map(topic).collect(), ..MetadataResponse::default() }
}

/// Creates the topics that are named, valid and unknown, where `auto.create.topics.enable` says so. What fails shows in
/// the answer as an unknown topic.
async fn create_missing(context: &Context, wanted: &[MetadataRequestTopic]) {
    if !context.allows("auto.create.topics.enable") {
        return;
    }
    let image = context.broker.image();
    let mut names = HashSet::new();
    for topic in wanted.iter().filter(|topic| topic.topic_id.is_nil()) {
        let name = topic.name.as_deref().unwrap_or_default();
        if image.topic(name).is_none() && TopicName::new(name).is_ok() {
            names.insert(name.to_owned());
        }
    }
    if names.is_empty() {
        return;
    }
    let topics = names.into_iter().map(|name| NewTopic::with_defaults(name, TopicId(Uuid::new_v4()))).collect();
    // The client asks again for what its quota does not allow now.
    let by = quota::mutator(context.client_name(), true);
    let command = CreateTopics { topics, validate_only: false };
    match context.broker.controller.submit_for(by, command, ControllerHandle::PATIENCE).await {
        Ok((results, _)) => {
            for (name, result) in results {
                match result {
                    Ok(_) => tracing::info!(topic = %name, "topic created on first use"),
                    Err(error) => tracing::info!(topic = %name, %error, "topic not created on first use"),
                }
            }
        }
        Err(error) => tracing::warn!(%error, "cannot create topics on first use"),
    }
}

/// The cluster as far as the client's listener reaches.
struct View<'a> {
    image: &'a Image,
    addresses: BTreeMap<BrokerId, Address<'a>>,
    version: i16,
}

impl<'a> View<'a> {
    fn new(context: &Context, image: &'a Image) -> Self {
        let address = |id: &BrokerId| Some((*id, image.address(*id, &context.peer.listener)?));
        let addresses = image.brokers().keys().filter_map(address).collect();
        Self { image, addresses, version: context.version }
    }

    fn brokers(&self) -> Vec<MetadataResponseBroker> {
        let active = self.image.brokers().values().filter(|broker| !broker.fenced);
        let reached = active.filter_map(|broker| Some((broker, self.addresses.get(&broker.id)?)));
        let answer = |(broker, address): (&Arc<Broker>, &Address<'_>)| MetadataResponseBroker {
            node_id: broker.id.0,
            host: Str::from(address.host),
            port: i32::from(address.port),
            rack: broker.rack.as_ref().map(Str::from),
        };
        reached.map(answer).collect()
    }

    /// Who leads the partition; older clients have no error for a leader that they cannot reach.
    fn leader(&self, state: &Partition) -> (BrokerId, ErrorCode) {
        if self.addresses.contains_key(&state.leader) {
            return (state.leader, ErrorCode::NONE);
        }
        let is_led = self.image.broker(state.leader).is_some();
        match is_led && self.version >= 6 {
            true => (BrokerId::NONE, ErrorCode::LISTENER_NOT_FOUND),
            false => (BrokerId::NONE, ErrorCode::LEADER_NOT_AVAILABLE),
        }
    }
}

/// The topics asked for, each once.
fn listed(view: &View<'_>, wanted: &[MetadataRequestTopic]) -> Vec<MetadataResponseTopic> {
    let mut seen = HashSet::new();
    let mut topics = Vec::with_capacity(wanted.len());
    for topic in wanted {
        if topic.topic_id.is_nil() {
            let name = topic.name.clone().unwrap_or_default();
            if seen.insert((name.clone(), Uuid::nil())) {
                topics.push(by_name(view, name));
            }
        } else if seen.insert((Str::default(), topic.topic_id)) {
            topics.push(by_id(view, topic.topic_id));
        }
    }
    topics
}

fn by_name(view: &View<'_>, name: Str) -> MetadataResponseTopic {
    if let Some(topic) = view.image.topic(&name) {
        return found(view, topic);
    }
    let is_valid = TopicName::new(&name).is_ok();
    let error_code = if is_valid { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION } else { ErrorCode::INVALID_TOPIC_EXCEPTION };
    MetadataResponseTopic {
        error_code,
        is_internal: is_internal(&name),
        name: Some(name),
        ..MetadataResponseTopic::default()
    }
}

fn by_id(view: &View<'_>, topic_id: Uuid) -> MetadataResponseTopic {
    match view.image.topics().by_id(TopicId(topic_id)) {
        Some(topic) => found(view, topic),
        None => MetadataResponseTopic {
            error_code: ErrorCode::UNKNOWN_TOPIC_ID,
            name: None,
            topic_id,
            ..MetadataResponseTopic::default()
        },
    }
}

/// The brokers whose copy cannot be served: fenced, or without the directory it lies in.
pub(super) fn offline_replicas(image: &Image, state: &Partition) -> Vec<i32> {
    state.replicas.iter().filter(|replica| !image.is_online(replica)).map(|replica| replica.broker.0).collect()
}

fn found(view: &View<'_>, topic: &Arc<Topic>) -> MetadataResponseTopic {
    let partition = |(index, state): (i32, &Arc<Partition>)| {
        let (leader, error_code) = view.leader(state);
        MetadataResponsePartition {
            error_code,
            partition_index: index,
            leader_id: leader.0,
            leader_epoch: state.leader_epoch.0,
            replica_nodes: state.brokers().map(|id| id.0).collect(),
            isr_nodes: state.isr.iter().map(|id| id.0).collect(),
            offline_replicas: offline_replicas(view.image, state),
        }
    };
    MetadataResponseTopic {
        name: Some(Str::from(topic.name.as_str())),
        topic_id: topic.id.0,
        is_internal: is_internal(topic.name.as_str()),
        partitions: topic.indexed().map(partition).collect(),
        ..MetadataResponseTopic::default()
    }
}
