//! What the group APIs share: the way to the coordinator, and from its refusals to codes.

use std::time::Duration;

use ottla_core::controller::internal_topics::CONSUMER_OFFSETS;
use ottla_core::controller::{GROUP_VERSION, SHARE_VERSION, STREAMS_VERSION};
use ottla_core::group::{Error, Refusal, Request, Response};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;

use super::Context;
use super::error::{of_group, of_unavailable};
use crate::coordinator::partition_of;

/// What may be done with a group where nothing restricts it: read, delete, describe, and describe and alter its
/// configuration; a bit each, by Kafka's number of the operation.
pub(super) const OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Whether groups of the consumer protocol are served: the cluster has finalized them, and this broker's
/// `group.coordinator.rebalance.protocols` has them.
pub(super) fn serves_consumer_protocol(context: &Context) -> bool {
    context.broker.protocols.consumer && context.broker.image().feature(GROUP_VERSION) >= 1
}

/// Whether streams groups are served: the cluster has finalized them, and this broker's
/// `group.coordinator.rebalance.protocols` has them.
pub(super) fn serves_streams_protocol(context: &Context) -> bool {
    context.broker.protocols.streams && context.broker.image().feature(STREAMS_VERSION) >= 1
}

/// Whether share groups are served: the cluster has finalized them.
pub(super) fn serves_share_groups(context: &Context) -> bool {
    context.broker.image().feature(SHARE_VERSION) >= 1
}

/// Why a request about one group was refused, with the words for a person if there are any.
pub(super) type Refused = (ErrorCode, Option<String>);

/// Has the coordinator of `group` handle `request`.
pub(super) async fn coordinate(context: &Context, group: &str, request: Request) -> Result<Response, ErrorCode> {
    let image = context.broker.image();
    let topic = image.topic(CONSUMER_OFFSETS).ok_or(ErrorCode::NOT_COORDINATOR)?;
    let partition = partition_of(group, topic.partitions.len() as i32);
    context.broker.groups.followed(image.index()).await;
    context.broker.groups.call(partition, request).await.map_err(of_unavailable)
}

/// Has the coordinator of a group describe it by `request`, if groups of its kind are served; `found` takes the description
/// out of the response, and gives the code of one of another kind.
pub(super) async fn describe<T>(
    context: &Context,
    is_served: bool,
    name: &str,
    request: fn(String) -> Request,
    found: fn(Response) -> Result<Result<T, Refusal>, ErrorCode>,
) -> Result<T, Refused> {
    if !is_served {
        return Err((ErrorCode::UNSUPPORTED_VERSION, None));
    }
    if name.is_empty() {
        return Err((ErrorCode::INVALID_GROUP_ID, None));
    }
    let found = coordinate(context, name, request(name.to_owned())).await.and_then(found);
    found.map_err(|code| (code, None))?.map_err(|Refusal { error, message }| (of_group(error), Some(message)))
}

/// The code of a result that has nothing else to tell.
pub(super) fn code(result: Result<(), Error>) -> ErrorCode {
    result.map_or_else(of_group, |()| ErrorCode::NONE)
}

/// An optional text of a request.
pub(super) fn text(text: Option<Str>) -> Option<String> {
    text.map(|text| text.to_string())
}

/// A time of a request; negative ones are none at all.
pub(super) fn milliseconds(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

/// The coordinator answered another question than was asked: a fault of ours.
pub(super) fn unexpected(response: &Response) -> ErrorCode {
    tracing::error!(?response, "the group coordinator gave an answer of the wrong kind");
    ErrorCode::UNKNOWN_SERVER_ERROR
}
