//! UnregisterBroker: the cluster forgets a broker that is gone for good (KIP-500).

use ottla_core::BrokerId;
use ottla_core::controller;
use ottla_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::{Context, error};

/// Answers once it is forgotten.
pub(super) async fn handle(context: Context, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let command = controller::UnregisterBroker { broker: BrokerId(request.broker_id) };
    match context.broker.controller.submit(command).await {
        Ok(()) => UnregisterBrokerResponse { error_message: None, ..UnregisterBrokerResponse::default() },
        Err(refusal) => UnregisterBrokerResponse {
            error_code: error::of_submit(&refusal),
            error_message: Some(refusal.to_string().into()),
            ..UnregisterBrokerResponse::default()
        },
    }
}
