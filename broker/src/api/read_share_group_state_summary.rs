//! ReadShareGroupStateSummary (KIP-932, KIP-1226): a group coordinator learns where a share group stands.

use ottla_core::share::Key;
use ottla_core::share::state::{Request, Response, Summary};
use ottla_protocol::messages::read_share_group_state_summary::{
    PartitionData, PartitionResult, ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse,
    ReadStateSummaryResult,
};

use super::Context;
use super::share_states::{Refusal, each, unexpected};

/// Answers with what is durable.
pub(super) async fn handle(
    context: Context,
    request: ReadShareGroupStateSummaryRequest,
) -> ReadShareGroupStateSummaryResponse {
    let group = request.group_id;
    let topics = request.topics.into_iter().map(|topic| (topic.topic_id, topic.partitions));
    let of =
        |topic, data: PartitionData| (data.partition, Ok(Request::Summarize(Key::new(&group, topic, data.partition))));
    let answered = each(&context, topics, of, |partition, response| match summary(response) {
        Ok(summary) => PartitionResult {
            partition,
            state_epoch: summary.state_epoch.0,
            leader_epoch: summary.leader_epoch.0,
            start_offset: summary.start.map_or(-1, |start| start.0),
            delivery_complete_count: summary.complete.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX)),
            ..PartitionResult::default()
        },
        Err(Refusal { code, message }) => {
            PartitionResult { partition, error_code: code, error_message: message, ..PartitionResult::default() }
        }
    });
    let result = |(topic_id, partitions)| ReadStateSummaryResult { topic_id, partitions };
    ReadShareGroupStateSummaryResponse { results: answered.await.into_iter().map(result).collect() }
}

fn summary(response: Result<Response, Refusal>) -> Result<Summary, Refusal> {
    match response? {
        Response::Summary(result) => Ok(result?),
        other => Err(unexpected(&other)),
    }
}
