//! ListConfigResources: what carries a configuration of its own (KIP-1142).

use std::collections::BTreeSet;

use ottla_core::metadata::{Image, ResourceKind};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_config_resources::ConfigResource;
use ottla_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::Context;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
/// What a request of version 1 that names no type asks for.
const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// Answers from the image. Version 0 knows only subscriptions to metrics of clients.
pub async fn handle(context: Context, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let types = match (context.version, request.resource_types.as_slice()) {
        (0, _) => vec![CLIENT_METRICS],
        (_, []) => ALL.to_vec(),
        (_, asked) => asked.to_vec(),
    };
    if types.iter().any(|kind| !ALL.contains(kind)) {
        return ListConfigResourcesResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION,
            ..ListConfigResourcesResponse::default()
        };
    }
    let image = context.broker.image();
    let config_resources = types.into_iter().flat_map(|kind| list(&image, kind)).collect();
    ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }
}

fn list(image: &Image, kind: i8) -> Vec<ConfigResource> {
    let names: BTreeSet<String> = match kind {
        TOPIC => image.topics().iter().map(|topic| topic.name.to_string()).collect(),
        BROKER | BROKER_LOGGER => image.brokers().keys().map(ToString::to_string).collect(),
        GROUP => {
            let groups = image.configs().filter(|(resource, _)| resource.kind == ResourceKind::Group);
            groups.map(|(resource, _)| resource.name.clone()).collect()
        }
        CLIENT_METRICS => image.client_metrics().keys().cloned().collect(),
        _ => BTreeSet::new(),
    };
    let resource = |name: String| ConfigResource { resource_name: name.into(), resource_type: kind };
    names.into_iter().map(resource).collect()
}
