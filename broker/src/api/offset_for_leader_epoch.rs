//! OffsetForLeaderEpoch (KIP-101, KIP-320): where a leader epoch ends in the leader's log.

use ottla_core::LeaderEpoch;
use ottla_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

use super::{Context, error};
use crate::replica::Error;

/// Answers for each partition.
pub(super) async fn handle(context: Context, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| OffsetForLeaderTopicResult {
        partitions: topic.partitions.iter().map(|partition| answer(&context, &topic.topic, partition)).collect(),
        topic: topic.topic,
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
}

fn answer(context: &Context, topic: &str, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let none = EpochEndOffset { partition: wanted.partition, ..EpochEndOffset::default() };
    match find(context, topic, wanted) {
        Ok(Some(end)) => EpochEndOffset { leader_epoch: end.epoch.0, end_offset: end.end.0, ..none },
        Ok(None) => none,
        Err(error) => EpochEndOffset { error_code: error::of_replica(&error), ..none },
    }
}

fn find(
    context: &Context,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<Option<ottla_storage::EpochEnd>, Error> {
    let partition = context.broker.replica_by_name(topic, wanted.partition)?;
    partition.check_leader(LeaderEpoch(wanted.current_leader_epoch))?;
    if wanted.leader_epoch < 0 {
        return Ok(None);
    }
    partition.end_offset_for_epoch(LeaderEpoch(wanted.leader_epoch))
}
