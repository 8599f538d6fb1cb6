//! DeleteRecords (KIP-107): raises the start of logs.

use ottla_core::Offset;
use ottla_core::controller::internal_topics::is_internal;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

use super::{Context, error};

/// Deletes below the offsets given. File work, done off the async threads.
pub(super) async fn handle(context: Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let work = tokio::task::spawn_blocking(move || {
        let topics = request.topics.into_iter().map(|topic| DeleteRecordsTopicResult {
            partitions: topic.partitions.iter().map(|partition| delete(&context, &topic.name, partition)).collect(),
            name: topic.name,
        });
        DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
    });
    work.await.unwrap_or_default()
}

fn delete(context: &Context, topic: &str, wanted: &DeleteRecordsPartition) -> DeleteRecordsPartitionResult {
    let (low_watermark, error_code) = match try_delete(context, topic, wanted) {
        Ok(start) => (start.0, ErrorCode::NONE),
        Err(code) => (-1, code),
    };
    DeleteRecordsPartitionResult { partition_index: wanted.partition_index, low_watermark, error_code }
}

fn try_delete(context: &Context, topic: &str, wanted: &DeleteRecordsPartition) -> Result<Offset, ErrorCode> {
    if is_internal(topic) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let local = context.broker.replicas.topics().by_name(topic);
    let partition = context.broker.replica(local.as_deref(), topic, wanted.partition_index);
    let partition = partition.map_err(|error| error::of_replica(&error))?;
    if local.is_some_and(|topic| !topic.settings.log.delete) {
        return Err(ErrorCode::POLICY_VIOLATION);
    }
    partition.delete_records(Offset(wanted.offset)).map_err(|error| error::of_replica(&error))
}
