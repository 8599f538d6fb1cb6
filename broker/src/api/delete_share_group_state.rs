//! DeleteShareGroupState (KIP-932): a group coordinator ends with partitions that a share group has read.

use ottla_core::share::Key;
use ottla_core::share::state::Request;
use ottla_protocol::messages::delete_share_group_state::{
    DeleteShareGroupStateRequest, DeleteShareGroupStateResponse, DeleteStateResult, PartitionData, PartitionResult,
};

use super::Context;
use super::share_states::{done, each};

/// Answers once it is durable that nothing is kept.
pub(super) async fn handle(context: Context, request: DeleteShareGroupStateRequest) -> DeleteShareGroupStateResponse {
    let group = request.group_id;
    let topics = request.topics.into_iter().map(|topic| (topic.topic_id, topic.partitions));
    let of =
        |topic, data: PartitionData| (data.partition, Ok(Request::Delete(Key::new(&group, topic, data.partition))));
    let answered = each(&context, topics, of, |partition, response| {
        let (error_code, error_message) = done(response);
        PartitionResult { partition, error_code, error_message }
    });
    let result = |(topic_id, partitions)| DeleteStateResult { topic_id, partitions };
    DeleteShareGroupStateResponse { results: answered.await.into_iter().map(result).collect() }
}
