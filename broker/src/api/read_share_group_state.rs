//! ReadShareGroupState (KIP-932): the leader of a partition learns what a share group has made of it so far.

use ottla_core::LeaderEpoch;
use ottla_core::share::Key;
use ottla_core::share::state::{Request, Response, State};
use ottla_protocol::messages::read_share_group_state::{
    PartitionData, PartitionResult, ReadShareGroupStateRequest, ReadShareGroupStateResponse, ReadStateResult,
};

use super::Context;
use super::share_states::{Refusal, each, unexpected};
use crate::share::read_batches;

/// Answers once the leaders before are fenced.
pub(super) async fn handle(context: Context, request: ReadShareGroupStateRequest) -> ReadShareGroupStateResponse {
    let group = request.group_id;
    let topics = request.topics.into_iter().map(|topic| (topic.topic_id, topic.partitions));
    let of = |topic, data: PartitionData| {
        let key = Key::new(&group, topic, data.partition);
        (data.partition, Ok(Request::Read(key, LeaderEpoch(data.leader_epoch))))
    };
    let answered = each(&context, topics, of, |partition, response| match state(response) {
        Ok(state) => PartitionResult {
            partition,
            state_epoch: state.state_epoch.0,
            start_offset: state.start.map_or(-1, |start| start.0),
            state_batches: read_batches(&state.batches),
            ..PartitionResult::default()
        },
        Err(Refusal { code, message }) => {
            PartitionResult { partition, error_code: code, error_message: message, ..PartitionResult::default() }
        }
    });
    let result = |(topic_id, partitions)| ReadStateResult { topic_id, partitions };
    ReadShareGroupStateResponse { results: answered.await.into_iter().map(result).collect() }
}

fn state(response: Result<Response, Refusal>) -> Result<State, Refusal> {
    match response? {
        Response::State(result) => Ok(result?),
        other => Err(unexpected(&other)),
    }
}
