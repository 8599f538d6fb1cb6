//! DeleteRecords (KIP-107): raises the start of logs.

use std::sync::Arc;

use futures::future::join_all;
use ottla_core::Offset;
use ottla_core::controller::internal_topics::is_internal;
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopic, DeleteRecordsTopicResult,
};
use tokio::time::{Instant, sleep_until};

use super::{Context, error};
use crate::replica::Partition;

/// A partition that was asked for, and where its log starts now.
type Deleted = (i32, Result<(Arc<Partition>, Offset), ErrorCode>);

/// Deletes below the offsets given, and answers once every live replica has.
pub(super) async fn handle(context: Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let deadline = Instant::now() + super::groups::milliseconds(request.timeout_ms);
    let deleting = context.clone();
    // File work.
    let work = tokio::task::spawn_blocking(move || {
        let topics = request.topics.into_iter();
        topics.map(|topic| (topic.name.clone(), delete_from(&deleting, &topic))).collect::<Vec<_>>()
    });
    let topics = work.await.unwrap_or_default().into_iter();
    let topics = join_all(topics.map(|(name, deleted)| settle(&context, name, deleted, deadline))).await;
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

fn delete_from(context: &Context, topic: &DeleteRecordsTopic) -> Vec<Deleted> {
    let delete = |wanted: &DeleteRecordsPartition| (wanted.partition_index, delete(context, &topic.name, wanted));
    topic.partitions.iter().map(delete).collect()
}

fn delete(
    context: &Context,
    topic: &str,
    wanted: &DeleteRecordsPartition,
) -> Result<(Arc<Partition>, Offset), ErrorCode> {
    if is_internal(topic) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let local = context.broker.replicas.topics().by_name(topic);
    let partition = context.broker.replica(local.as_deref(), topic, wanted.partition_index);
    let partition = partition.map_err(|error| error::of_replica(&error))?;
    if local.is_some_and(|topic| !topic.settings.log.delete) {
        return Err(ErrorCode::POLICY_VIOLATION);
    }
    let start = partition.delete_records(Offset(wanted.offset)).map_err(|error| error::of_replica(&error))?;
    Ok((partition, start))
}

async fn settle(context: &Context, name: Str, deleted: Vec<Deleted>, deadline: Instant) -> DeleteRecordsTopicResult {
    let partitions = deleted.into_iter().map(|(partition_index, deleted)| async move {
        let (low_watermark, error_code) = match deleted {
            Ok((partition, start)) => deleted_everywhere(context, &partition, start, deadline).await,
            Err(code) => (Offset(-1), code),
        };
        DeleteRecordsPartitionResult { partition_index, low_watermark: low_watermark.0, error_code }
    });
    DeleteRecordsTopicResult { name, partitions: join_all(partitions).await }
}

/// Waits until every replica that is alive begins at `start` or after it; the low watermark then.
async fn deleted_everywhere(
    context: &Context,
    partition: &Partition,
    start: Offset,
    deadline: Instant,
) -> (Offset, ErrorCode) {
    let mut images = context.broker.controller.watch();
    loop {
        let mut moved = std::pin::pin!(partition.log_starts().notified());
        moved.as_mut().enable();
        let image = Arc::clone(&images.borrow_and_update());
        let is_alive = |id| image.broker(id).is_some_and(|broker| !broker.fenced);
        let low_watermark = match partition.low_watermark(is_alive) {
            Ok(low_watermark) if low_watermark >= start => return (low_watermark, ErrorCode::NONE),
            Ok(low_watermark) => low_watermark,
            Err(error) => return (Offset(-1), error::of_replica(&error)),
        };
        tokio::select! {
            () = moved => {}
            Ok(()) = images.changed() => {}
            () = sleep_until(deadline) => return (low_watermark, ErrorCode::REQUEST_TIMED_OUT),
        }
    }
}
