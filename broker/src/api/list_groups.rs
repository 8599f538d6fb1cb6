//! ListGroups (KIP-518 by state, KIP-848 by type): the groups this broker coordinates.

use ottla_core::group::{ListFilter, Listed};
use ottla_protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::Context;
use super::error::of_unavailable;

/// Lists groups.
pub(super) async fn handle(context: Context, request: ListGroupsRequest) -> ListGroupsResponse {
    let texts = |filter: &[ottla_protocol::codec::Str]| filter.iter().map(ToString::to_string).collect();
    let filter = ListFilter { states: texts(&request.states_filter), types: texts(&request.types_filter) };
    context.broker.groups.followed(context.broker.image().index()).await;
    match context.broker.groups.list(&filter).await {
        Ok(groups) => {
            ListGroupsResponse { groups: groups.into_iter().map(listed).collect(), ..ListGroupsResponse::default() }
        }
        Err(unavailable) => {
            ListGroupsResponse { error_code: of_unavailable(unavailable), ..ListGroupsResponse::default() }
        }
    }
}

fn listed(group: Listed) -> ListedGroup {
    ListedGroup {
        group_id: group.group.into(),
        protocol_type: group.protocol_type.into(),
        group_state: group.state.into(),
        group_type: group.kind.name().into(),
    }
}
