//! AlterConfigs, the older way: replaces the whole configuration of a resource.

use ottla_core::controller::{AlterConfigs, ResourceValues};
use ottla_core::metadata::Resource;
use ottla_protocol::messages::alter_configs::{AlterConfigsResource, AlterConfigsResourceResponse};
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::Context;
use super::config_changes::{check_resource, submit};

/// Answers once the change is committed.
pub async fn handle(context: Context, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let own = context.broker.config.node_id;
    let checked = request.resources.iter().map(|resource| {
        let known = check_resource(resource.resource_type, &resource.resource_name, own)?;
        Ok(values(known, resource))
    });
    let validate_only = request.validate_only;
    let command = |resources| AlterConfigs { resources, validate_only };
    let answers = submit(&context, checked.collect(), command).await;
    let responses = request.resources.into_iter().zip(answers).map(|(resource, (error_code, error_message))| {
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        }
    });
    AlterConfigsResponse { responses: responses.collect(), ..AlterConfigsResponse::default() }
}

fn values(resource: Resource, request: &AlterConfigsResource) -> ResourceValues {
    let pair = |config: &ottla_protocol::messages::alter_configs::AlterableConfig| {
        (config.name.to_string(), config.value.as_ref().map(|value| value.to_string()))
    };
    ResourceValues { resource, values: request.configs.iter().map(pair).collect() }
}
