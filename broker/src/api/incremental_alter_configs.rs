//! IncrementalAlterConfigs: sets, unsets, extends and shortens single keys (KIP-339).

use ottla_core::controller::{ConfigChange, ConfigOp, IncrementalAlterConfigs, ResourceChanges};
use ottla_core::metadata::Resource;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
};
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::Context;
use super::config_changes::{Answer, check_resource, submit};

/// Answers once the changes are committed.
pub async fn handle(context: Context, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let own = context.broker.config.node_id;
    let checked = request.resources.iter().map(|resource| {
        let known = check_resource(resource.resource_type, &resource.resource_name, own)?;
        changes(known, resource)
    });
    let validate_only = request.validate_only;
    let command = |resources| IncrementalAlterConfigs { resources, validate_only };
    let answers = submit(&context, checked.collect(), command).await;
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

fn changes(resource: Resource, request: &AlterConfigsResource) -> Result<ResourceChanges, Answer> {
    let changes = request.configs.iter().map(change).collect::<Result<_, _>>()?;
    Ok(ResourceChanges { resource, changes })
}

fn change(config: &AlterableConfig) -> Result<ConfigChange, Answer> {
    let op = match config.config_operation {
        0 => ConfigOp::Set,
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append,
        3 => ConfigOp::Subtract,
        // What a real broker answers: its own parser fails.
        _ => return Err((ErrorCode::UNKNOWN_SERVER_ERROR, None)),
    };
    let value = config.value.as_ref().map(|value| value.to_string());
    Ok(ConfigChange { key: config.name.to_string(), op, value })
}
