//! IncrementalAlterConfigs: sets, unsets, extends and shortens single keys (KIP-339).

use ottla_core::BrokerId;
use ottla_core::controller::{ConfigChange, ConfigOp, Error, IncrementalAlterConfigs, ResourceChanges};
use ottla_core::metadata::{Resource, ResourceKind};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
};
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::{Context, error};
use crate::controller::SubmitError;

/// What became of one resource of a request.
pub(super) enum Outcome {
    /// The controller decides on it; its answers come in the order in which the resources were handed on.
    Decided,
    /// Refused before that.
    Refused(ErrorCode, Option<Str>),
}

/// Answers once the changes are committed.
pub async fn handle(context: Context, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let own = context.broker.config.node_id;
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut resources = Vec::new();
    for resource in &request.resources {
        match check_resource(resource.resource_type, &resource.resource_name, own)
            .and_then(|known| changes(known, resource))
        {
            Ok(changes) => {
                resources.push(changes);
                outcomes.push(Outcome::Decided);
            }
            Err(refusal) => outcomes.push(refusal),
        }
    }
    let command = IncrementalAlterConfigs { resources, validate_only: request.validate_only };
    let decided = context.broker.controller.submit(command).await;
    let answers = merge(outcomes, decided);
    let responses = request.resources.into_iter().zip(answers).map(|(resource, (error_code, error_message))| {
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        }
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..IncrementalAlterConfigsResponse::default() }
}

/// The resource that a request names, if this broker takes changes to it.
pub(super) fn check_resource(kind: i8, name: &Str, own: BrokerId) -> Result<Resource, Outcome> {
    let refused = |message: String| Err(Outcome::Refused(ErrorCode::INVALID_REQUEST, Some(message.into())));
    match ResourceKind::from_id(kind) {
        None => refused(format!("Unknown resource type {kind}")),
        Some(ResourceKind::Topic) if name.is_empty() => refused("Default topic resources are not allowed.".into()),
        Some(ResourceKind::Topic) => Ok(Resource::topic(name.as_str())),
        Some(ResourceKind::Group) => Ok(Resource::group(name.as_str())),
        Some(ResourceKind::Broker) if name.is_empty() => Ok(Resource::every_broker()),
        Some(ResourceKind::Broker) if name.as_str() == own.to_string() => Ok(Resource::broker(name.as_str())),
        Some(ResourceKind::Broker) => refused(format!("Unexpected broker id, expected {own}, but received {name}")),
    }
}

fn changes(resource: Resource, request: &AlterConfigsResource) -> Result<ResourceChanges, Outcome> {
    let changes = request.configs.iter().map(change).collect::<Result<_, _>>()?;
    Ok(ResourceChanges { resource, changes })
}

fn change(config: &AlterableConfig) -> Result<ConfigChange, Outcome> {
    let op = match config.config_operation {
        0 => ConfigOp::Set,
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append,
        3 => ConfigOp::Subtract,
        // What a real broker answers: its own parser fails.
        _ => return Err(Outcome::Refused(ErrorCode::UNKNOWN_SERVER_ERROR, None)),
    };
    let value = config.value.as_ref().map(|value| value.to_string());
    Ok(ConfigChange { key: config.name.to_string(), op, value })
}

/// What the controller answers, resource by resource.
type Decided = Result<Vec<(Resource, Result<(), Error>)>, SubmitError>;

/// Code and message for each resource: what the controller decided takes the places that were left to it.
pub(super) fn merge(outcomes: Vec<Outcome>, decided: Decided) -> Vec<(ErrorCode, Option<Str>)> {
    let decided: Vec<_> = match decided {
        Ok(results) => results
            .into_iter()
            .map(|(_, result)| match result {
                Ok(()) => (ErrorCode::NONE, None),
                Err(refusal) => (error::of_controller(&refusal), refusal.message().map(Str::from)),
            })
            .collect(),
        Err(refusal) => {
            let answer = (error::of_submit(&refusal), Some(Str::from(refusal.to_string())));
            vec![answer; outcomes.len()]
        }
    };
    let mut decided = decided.into_iter();
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Refused(code, message) => (code, message),
            Outcome::Decided => decided.next().unwrap_or((ErrorCode::UNKNOWN_SERVER_ERROR, None)),
        })
        .collect()
}
