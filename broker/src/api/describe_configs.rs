//! DescribeConfigs: every entry with its default, source, type and synonyms (KIP-133, KIP-226, KIP-569).

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_core::config::{Entry, Kind, Source, Synonym, broker_key};
use ottla_core::metadata::{Image, Resource};
use ottla_core::{TopicName, config};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::Context;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

type Values = BTreeMap<String, String>;
type Refusal = (ErrorCode, String);

/// Answers from the image and this broker's properties.
pub async fn handle(context: Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let image = context.broker.image();
    let results = request
        .resources
        .into_iter()
        .map(|resource| {
            let described = describe(&context, &image, &resource);
            answer(resource, described, request.include_synonyms)
        })
        .collect();
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

fn describe(context: &Context, image: &Arc<Image>, resource: &DescribeConfigsResource) -> Result<Vec<Entry>, Refusal> {
    let name = resource.resource_name.as_str();
    let own = |resource: Resource| image.config(&resource).map(|values| Values::clone(values)).unwrap_or_default();
    match resource.resource_type {
        TOPIC => {
            check_topic(image, name)?;
            let own = own(Resource::topic(name));
            Ok(context.broker.with_layers(image, |layers| layers.topic(&own)))
        }
        BROKER if name.is_empty() => Ok(cluster_default(&own(Resource::every_broker()))),
        BROKER => {
            check_broker(context, name)?;
            Ok(context.broker.with_layers(image, |layers| layers.broker()))
        }
        CLIENT_METRICS if name.is_empty() => {
            Err((ErrorCode::INVALID_REQUEST, "Client metrics subscription name must not be empty".into()))
        }
        CLIENT_METRICS => {
            let own = own(Resource::client_metrics(name));
            Ok(context.broker.with_layers(image, |layers| layers.client_metrics(&own)))
        }
        GROUP if name.is_empty() => Err((ErrorCode::INVALID_REQUEST, "Group name must not be empty".into())),
        GROUP => {
            let own = own(Resource::group(name));
            Ok(context.broker.with_layers(image, |layers| layers.group(&own)))
        }
        other => Err((ErrorCode::INVALID_REQUEST, format!("Unsupported resource type {other}"))),
    }
}

fn check_topic(image: &Image, name: &str) -> Result<(), Refusal> {
    if let Err(invalid) = TopicName::new(name) {
        return Err((ErrorCode::INVALID_TOPIC_EXCEPTION, invalid.to_string()));
    }
    // A real broker sends an empty message here, and clients show the code's own text.
    image.topic(name).map(drop).ok_or((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, String::new()))
}

fn check_broker(context: &Context, name: &str) -> Result<(), Refusal> {
    let own = context.broker.config.node_id;
    match name.parse::<i32>() {
        Ok(id) if id == own.0 => Ok(()),
        Ok(id) => Err((
            ErrorCode::INVALID_REQUEST,
            format!("Unexpected broker id, expected {own} or empty string, but received {id}"),
        )),
        Err(_) => Err((ErrorCode::INVALID_REQUEST, format!("Broker id must be an integer, but it is: {name}"))),
    }
}

/// What is set for all brokers at run time, and nothing else: defaults belong to a broker.
fn cluster_default(values: &Values) -> Vec<Entry> {
    let known = |(name, value): (&String, &String)| {
        let key = broker_key(name)?;
        let sensitive = key.kind == Kind::Password;
        let value = Some(value.clone()).filter(|_| !sensitive);
        let synonym = Synonym { name: key.name, value: value.clone(), source: Source::ClusterDefault };
        let read_only = key.mode == config::Mode::ReadOnly;
        let (kind, source) = (key.kind, Source::ClusterDefault);
        Some(Entry { name: key.name, value, source, kind, read_only, sensitive, synonyms: vec![synonym] })
    };
    values.iter().filter_map(known).collect()
}

fn answer(
    resource: DescribeConfigsResource,
    described: Result<Vec<Entry>, Refusal>,
    include_synonyms: bool,
) -> DescribeConfigsResult {
    let asked = resource.configuration_keys.filter(|keys| !keys.is_empty());
    let wanted = |entry: &Entry| asked.as_ref().is_none_or(|keys| keys.iter().any(|key| key.as_str() == entry.name));
    let (entries, (error_code, message)) = match described {
        Ok(entries) => (entries, (ErrorCode::NONE, String::new())),
        Err(refusal) => (Vec::new(), refusal),
    };
    DescribeConfigsResult {
        error_code,
        error_message: Some(message.into()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs: entries.into_iter().filter(wanted).map(|entry| described_entry(entry, include_synonyms)).collect(),
    }
}

fn described_entry(entry: Entry, include_synonyms: bool) -> DescribeConfigsResourceResult {
    let synonyms = entry.synonyms.into_iter().filter(|_| include_synonyms).map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.map(Str::from),
        source: synonym.source as i8,
    });
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.map(Str::from),
        read_only: entry.read_only,
        // Kafka's number for what DescribeConfigs calls the default is 5, and for a group's own value 8.
        config_source: entry.source as i8,
        is_sensitive: entry.sensitive,
        synonyms: synonyms.collect(),
        config_type: entry.kind as i8,
        documentation: None,
    }
}
