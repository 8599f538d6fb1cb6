//! What the two ways of altering configs share: which resources this broker takes changes to, and handing the changes to
//! the controller so that each resource is answered in its place.

use ottla_core::BrokerId;
use ottla_core::controller::{Error, Operation};
use ottla_core::metadata::{Resource, ResourceKind};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;

use super::{Context, error};
use crate::controller::SubmitError;

/// What is answered for one resource.
pub(super) type Answer = (ErrorCode, Option<Str>);

/// The resource that a request names, if this broker takes changes to it.
pub(super) fn check_resource(kind: i8, name: &Str, own: BrokerId) -> Result<Resource, Answer> {
    let refused = |message: String| Err((ErrorCode::INVALID_REQUEST, Some(message.into())));
    match ResourceKind::from_id(kind) {
        None => refused(format!("Unknown resource type {kind}")),
        Some(ResourceKind::Topic) if name.is_empty() => refused("Default topic resources are not allowed.".into()),
        Some(ResourceKind::Topic) => Ok(Resource::topic(name.as_str())),
        Some(ResourceKind::ClientMetrics) => Ok(Resource::client_metrics(name.as_str())),
        Some(ResourceKind::Group) => Ok(Resource::group(name.as_str())),
        Some(ResourceKind::Broker) if name.is_empty() => Ok(Resource::every_broker()),
        Some(ResourceKind::Broker) if name.as_str() == own.to_string() => Ok(Resource::broker(name.as_str())),
        Some(ResourceKind::Broker) => refused(format!("Unexpected broker id, expected {own}, but received {name}")),
    }
}

/// Hands what passed the check to the controller, as `command` makes it of all of them, and gives the answers in the
/// order of the resources.
pub(super) async fn submit<T, C>(
    context: &Context,
    checked: Vec<Result<T, Answer>>,
    command: impl FnOnce(Vec<T>) -> C,
) -> Vec<Answer>
where
    C: Operation<Response = Vec<(Resource, Result<(), Error>)>>,
{
    let mut resources = Vec::with_capacity(checked.len());
    let refusals: Vec<Option<Answer>> = checked
        .into_iter()
        .map(|checked| match checked {
            Ok(resource) => {
                resources.push(resource);
                None
            }
            Err(refusal) => Some(refusal),
        })
        .collect();
    let decided = context.broker.controller.submit(command(resources)).await;
    let mut decided = match decided {
        Ok(results) => results.into_iter().map(|(_, result)| answer(result)).collect(),
        Err(refusal) => vec![of_submit(&refusal); refusals.len()],
    }
    .into_iter();
    let mut next = || decided.next().unwrap_or((ErrorCode::UNKNOWN_SERVER_ERROR, None));
    refusals.into_iter().map(|refusal| refusal.unwrap_or_else(&mut next)).collect()
}

fn answer(result: Result<(), Error>) -> Answer {
    match result {
        Ok(()) => (ErrorCode::NONE, None),
        Err(refusal) => (error::of_controller(&refusal), refusal.message().map(Str::from)),
    }
}

fn of_submit(refusal: &SubmitError) -> Answer {
    (error::of_submit(refusal), Some(Str::from(refusal.to_string())))
}
