//! DescribeLogDirs: which replicas lie in which log directory, and how full it is (KIP-113, KIP-827).

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::TopicPartition;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use super::Context;
use crate::replica::Directory;

/// Answers for this broker's own directories.
pub async fn handle(context: Context, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let asked = request.topics.map(asked);
    let is_asked = |partition: &TopicPartition| {
        asked.as_ref().is_none_or(|asked| asked.contains(&(partition.topic.as_str().to_owned(), partition.partition)))
    };
    let replicas = &context.broker.replicas;
    let futures = replicas.future_replicas();
    let is_cordoned = context.broker.image().broker(context.broker.id()).is_some_and(|broker| broker.cordoned);
    let described = replicas.contents().into_iter().map(|(directory, partitions)| {
        let present = partitions.into_iter().map(|(partition, size)| {
            let lag = replicas
                .topics()
                .partition(partition.topic.as_str(), partition.partition)
                .map_or(0, |replica| (replica.high_watermark().0 - replica.reader().log_end().0).max(0));
            (partition, size, lag, false)
        });
        let here = futures.iter().filter(|future| future.directory == directory.id);
        let future = here.map(|future| (future.partition.clone(), future.size, future.lag, true));
        let listed = topics(present.chain(future).filter(|(partition, ..)| is_asked(partition)));
        DescribeLogDirsResult { is_cordoned, ..describe(&directory, listed) }
    });
    DescribeLogDirsResponse { results: described.collect(), ..DescribeLogDirsResponse::default() }
}

fn asked(topics: Vec<DescribableLogDirTopic>) -> BTreeSet<(String, i32)> {
    let pairs = |topic: DescribableLogDirTopic| {
        let name = topic.topic.to_string();
        topic.partitions.into_iter().map(move |partition| (name.clone(), partition))
    };
    topics.into_iter().flat_map(pairs).collect()
}

/// From partition, bytes, lag, and whether it is on its way to the directory.
fn topics(partitions: impl Iterator<Item = (TopicPartition, u64, i64, bool)>) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (partition, size, offset_lag, is_future_key) in partitions {
        topics.entry(partition.topic.to_string()).or_default().push(DescribeLogDirsPartition {
            partition_index: partition.partition,
            partition_size: size as i64,
            offset_lag,
            is_future_key,
        });
    }
    topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic { name: name.into(), partitions }).collect()
}

fn describe(directory: &Directory, topics: Vec<DescribeLogDirsTopic>) -> DescribeLogDirsResult {
    // The path that clients see is absolute, as a broker's working directory means nothing to them.
    let path = std::path::absolute(&directory.path).unwrap_or_else(|_| directory.path.clone());
    let space = rustix::fs::statvfs(&directory.path).ok();
    let bytes = |blocks: u64, size: u64| i64::try_from(blocks.saturating_mul(size)).unwrap_or(i64::MAX);
    DescribeLogDirsResult {
        error_code: if directory.failure.is_some() { ErrorCode::KAFKA_STORAGE_ERROR } else { ErrorCode::NONE },
        log_dir: path.display().to_string().into(),
        topics,
        total_bytes: space.as_ref().map_or(-1, |space| bytes(space.f_blocks, space.f_frsize)),
        usable_bytes: space.as_ref().map_or(-1, |space| bytes(space.f_bavail, space.f_frsize)),
        ..DescribeLogDirsResult::default()
    }
}
