//! InitializeShareGroupState (KIP-932): a group coordinator begins with partitions that a share group reads.

use ottla_core::share::Key;
use ottla_core::share::state::Request;
use ottla_core::{Offset, StateEpoch};
use ottla_protocol::messages::initialize_share_group_state::{
    InitializeShareGroupStateRequest, InitializeShareGroupStateResponse, InitializeStateResult, PartitionData,
    PartitionResult,
};

use super::Context;
use super::share_states::{done, each};

/// Answers once the beginnings are durable.
pub(super) async fn handle(
    context: Context,
    request: InitializeShareGroupStateRequest,
) -> InitializeShareGroupStateResponse {
    let group = request.group_id;
    let topics = request.topics.into_iter().map(|topic| (topic.topic_id, topic.partitions));
    let of = |topic, data: PartitionData| {
        let key = Key::new(&group, topic, data.partition);
        let start = (data.start_offset >= 0).then_some(Offset(data.start_offset));
        (data.partition, Ok(Request::Initialize { key, state_epoch: StateEpoch(data.state_epoch), start }))
    };
    let answered = each(&context, topics, of, |partition, response| {
        let (error_code, error_message) = done(response);
        PartitionResult { partition, error_code, error_message }
    });
    let result = |(topic_id, partitions)| InitializeStateResult { topic_id, partitions };
    InitializeShareGroupStateResponse { results: answered.await.into_iter().map(result).collect() }
}
