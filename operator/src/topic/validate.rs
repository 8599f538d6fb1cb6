//! From a raw topic spec to one that can be served, or to the reason why not (yet).

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use ottla_core::ids::TopicName;

use super::observe::{Cluster, Observed};
use crate::{error::Refusal, kafka::TopicView, settings};

/// Topics that brokers make and write for themselves.
const INTERNAL: [&str; 4] = ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"];

/// A topic whose every part can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidTopic {
    /// Its name in Kafka.
    pub name: TopicName,
    /// How many partitions; `None` leaves it as it is.
    pub partitions: Option<i32>,
    /// How many replicas; `None` leaves it as it is.
    pub replicas: Option<i32>,
    /// The settings asked for.
    pub config: BTreeMap<String, String>,
}

/// Why a topic is not served now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// A person has to change something.
    Refused(Refusal),
    /// It goes by itself: the cluster is not there yet, or an earlier owner is on its way out.
    Waiting,
}

impl From<Refusal> for NotNow {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Checks all of the spec against the cluster and against the other KafkaTopics.
///
/// # Errors
/// The first thing that stands in the way.
pub fn validate(observed: &Observed) -> Result<ValidTopic, NotNow> {
    let spec = &observed.topic.spec;
    let name = TopicName::new(&observed.topic_name())
        .map_err(|error| Refusal::invalid_spec(format!("{error}: change spec.topicName")))?;
    if INTERNAL.contains(&name.as_str()) {
        let message = format!("topic {name} belongs to the brokers: delete this KafkaTopic", name = name.as_str());
        return Err(Refusal::invalid_spec(message).into());
    }
    let config = settings::as_text(&spec.config)?;
    only_owner(observed)?;
    if !matches!(observed.cluster, Cluster::Seen { .. }) {
        return Err(NotNow::Waiting);
    }
    if let Some((view, _)) = observed.found() {
        no_fewer_partitions(observed, view)?;
        enough_brokers(observed)?;
    }
    enough_replicas(observed, &config)?;
    Ok(ValidTopic { name, partitions: spec.partitions, replicas: spec.replicas, config })
}

/// Of several KafkaTopics for one topic, the oldest owns it.
fn only_owner(observed: &Observed) -> Result<(), NotNow> {
    let own = seniority(&observed.topic);
    let Some(owner) =
        observed.rivals.iter().filter(|rival| seniority(*rival) < own).min_by_key(|rival| seniority(*rival))
    else {
        return Ok(());
    };
    if owner.meta().deletion_timestamp.is_some() {
        return Err(NotNow::Waiting);
    }
    let message = format!(
        "KafkaTopic {} already owns topic {} of cluster {}: delete one of the two (the topic stays), or give this one \
         another topicName",
        owner.name_any(),
        observed.topic_name(),
        observed.topic.spec.cluster_ref.name
    );
    Err(Refusal::new("TopicConflict", message).into())
}

fn seniority(topic: &impl ResourceExt) -> (Option<Timestamp>, Option<String>) {
    (topic.creation_timestamp().map(|time| time.0), topic.uid())
}

/// Refuses what would need fewer partitions.
fn no_fewer_partitions(observed: &Observed, view: &TopicView) -> Result<(), Refusal> {
    let spec = &observed.topic.spec;
    let there = i32::try_from(view.partitions.len()).unwrap_or(i32::MAX);
    if let Some(wanted) = spec.partitions.filter(|wanted| *wanted < there) {
        let message = format!(
            "topic {} has {there} partitions and cannot shrink to {wanted}: set spec.partitions to {there} or more",
            view.name
        );
        return Err(Refusal::new("PartitionsCannotShrink", message));
    }
    Ok(())
}

/// Refuses another number of replicas than now that brokers cannot hold.
fn enough_brokers(observed: &Observed) -> Result<(), Refusal> {
    let Some((wanted, ground)) = observed.other_replicas().filter(|(wanted, ground)| *wanted > ground.brokers) else {
        return Ok(());
    };
    let (topic, name) = (observed.topic_name(), &observed.topic.spec.cluster_ref.name);
    let brokers = ground.brokers;
    let message = format!(
        "topic {topic} cannot have {wanted} replicas on {brokers} brokers: set spec.replicas to {brokers} or less, or \
         raise spec.brokers of KafkaCluster {name}"
    );
    Err(Refusal::new("TooFewBrokers", message))
}

/// Refuses a spec that promises more in-sync replicas than it gives the topic. One that is so already takes writes, and the
/// brokers' own default asks no more of a topic than it has.
fn enough_replicas(observed: &Observed, config: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let needed = config.get("min.insync.replicas").and_then(|text| text.trim().parse::<i32>().ok());
    let Some((needed, replicas)) = needed.zip(observed.topic.spec.replicas).filter(|(needed, has)| needed > has) else {
        return Ok(());
    };
    if observed.found().is_some() && observed.other_replicas().is_none() {
        return Ok(());
    }
    let topic = observed.topic_name();
    let message = format!(
        "topic {topic} asks for {needed} in-sync replicas and cannot have {replicas} replicas: set \
         spec.config[\"min.insync.replicas\"] to {replicas} or less, or spec.replicas to {needed} or more"
    );
    Err(Refusal::invalid_spec(message))
}
