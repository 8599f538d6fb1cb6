//! DescribeCluster: the brokers, the controller, the cluster's id (KIP-700, KIP-919, KIP-1073).

use ottla_core::metadata::{Broker, Image};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_cluster::DescribeClusterBroker;
use ottla_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use super::Context;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;
/// Every operation on a cluster that exists, as bits (KIP-430): what an unsecured cluster allows.
const ALL_CLUSTER_OPERATIONS: i32 = 0b1_1101_1110_0000;

/// Answers from the image.
pub async fn handle(context: Context, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let image = context.broker.image();
    match request.endpoint_type {
        BROKERS => brokers(&context, &image, &request),
        CONTROLLERS => refused(
            ErrorCode::MISMATCHED_ENDPOINT_TYPE,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".into(),
        ),
        other => refused(ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, format!("Unsupported endpoint type {other}")),
    }
}

fn brokers(context: &Context, image: &Image, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let listed = image.brokers().values().filter(|broker| !broker.fenced || request.include_fenced_brokers);
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: image.cluster_id().into(),
        controller_id: image.controller().map_or(-1, |controller| controller.broker.0),
        brokers: listed.filter_map(|broker| described(image, broker, &context.peer.listener)).collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => ALL_CLUSTER_OPERATIONS,
            false => i32::MIN,
        },
        ..DescribeClusterResponse::default()
    }
}

/// The broker with its address on the listener that the client came by.
fn described(image: &Image, broker: &Broker, listener: &str) -> Option<DescribeClusterBroker> {
    let address = image.address(broker.id, listener)?;
    Some(DescribeClusterBroker {
        broker_id: broker.id.0,
        host: address.host.into(),
        port: i32::from(address.port),
        rack: broker.rack.as_deref().map(Into::into),
        is_fenced: broker.fenced,
    })
}

fn refused(error_code: ErrorCode, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse { error_code, error_message: Some(message.into()), ..DescribeClusterResponse::default() }
}
