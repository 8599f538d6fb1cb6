//! AlterReplicaLogDirs: moves replicas of this broker between its log directories (KIP-113).

use std::path::Path;

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use ottla_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
use tracing::info;

use super::{Context, error};
use crate::replica::{Error, MoveError};

/// Answers once the moves have begun; DescribeLogDirs tells how they go on.
pub async fn handle(context: Context, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let work = move || {
        let mut results: Vec<AlterReplicaLogDirTopicResult> = Vec::new();
        for dir in request.dirs {
            for topic in dir.topics {
                let one = |partition_index: i32| AlterReplicaLogDirPartitionResult {
                    partition_index,
                    error_code: move_one(&context, &topic.name, partition_index, Path::new(&*dir.path)),
                };
                let partitions = topic.partitions.into_iter().map(one).collect::<Vec<_>>();
                match results.iter_mut().find(|result| result.topic_name == topic.name) {
                    Some(result) => result.partitions.extend(partitions),
                    None => {
                        let topic_name = topic.name.clone();
                        results.push(AlterReplicaLogDirTopicResult { topic_name, partitions });
                    }
                }
            }
        }
        results
    };
    // The copies' folders are made before the answer.
    let results = tokio::task::spawn_blocking(work).await.unwrap_or_default();
    AlterReplicaLogDirsResponse { results, ..AlterReplicaLogDirsResponse::default() }
}

fn move_one(context: &Context, topic: &Str, index: i32, path: &Path) -> ErrorCode {
    let broker = &context.broker;
    let replica = broker.replica_by_name(topic, index).map_err(MoveError::from);
    let begun = replica.and_then(|replica| broker.replicas.move_replica(&replica, path));
    let Err(refusal) = begun else { return ErrorCode::NONE };
    info!(%topic, partition = index, error = %refusal, "the replica is not moved");
    match refusal {
        MoveError::UnknownDirectory(_) => ErrorCode::LOG_DIR_NOT_FOUND,
        // As Kafka has it for this API.
        MoveError::Replica(Error::NotLeader { .. }) => ErrorCode::REPLICA_NOT_AVAILABLE,
        MoveError::Replica(refusal) => error::of_replica(&refusal),
    }
}
