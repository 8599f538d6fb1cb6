//! WriteShareGroupState (KIP-932, KIP-1226): the leader of a partition has written what a share group has made of it.

use ottla_core::share::Key;
use ottla_core::share::state::{Error, Request, Write};
use ottla_core::{LeaderEpoch, Offset, StateEpoch};
use ottla_protocol::messages::write_share_group_state::{
    PartitionData, PartitionResult, WriteShareGroupStateRequest, WriteShareGroupStateResponse, WriteStateResult,
};

use super::Context;
use super::share_states::{done, each};
use crate::share::written_batches;

/// Answers once it is durable.
pub(super) async fn handle(context: Context, request: WriteShareGroupStateRequest) -> WriteShareGroupStateResponse {
    let group = request.group_id;
    let topics = request.topics.into_iter().map(|topic| (topic.topic_id, topic.partitions));
    let of = |topic, data: PartitionData| {
        let request = of_data(&data).map(|write| Request::Write(Key::new(&group, topic, data.partition), write));
        (data.partition, request)
    };
    let answered = each(&context, topics, of, |partition, response| {
        let (error_code, error_message) = done(response);
        PartitionResult { partition, error_code, error_message }
    });
    let result = |(topic_id, partitions)| WriteStateResult { topic_id, partitions };
    WriteShareGroupStateResponse { results: answered.await.into_iter().map(result).collect() }
}

fn of_data(data: &PartitionData) -> Result<Write, Error> {
    Ok(Write {
        state_epoch: StateEpoch(data.state_epoch),
        leader_epoch: LeaderEpoch(data.leader_epoch),
        start: (data.start_offset >= 0).then_some(Offset(data.start_offset)),
        complete: u32::try_from(data.delivery_complete_count).ok(),
        batches: written_batches(&data.state_batches).ok_or(Error::InvalidBatch)?,
    })
}
