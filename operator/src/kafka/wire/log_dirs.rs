//! Log directories of single brokers, asked at their own addresses.

use std::collections::BTreeMap;

use ottla_protocol::{
    ErrorCode,
    client::Connection,
    codec::{Request, Str},
    messages::{
        AlterReplicaLogDirsRequest, DescribeLogDirsRequest,
        alter_replica_log_dirs::{AlterReplicaLogDir, AlterReplicaLogDirTopic},
        describe_log_dirs::DescribeLogDirsResult,
    },
};
use tracing::warn;

use super::{super::*, Wire, check, unreachable};

impl Wire {
    pub(super) async fn describe_log_dirs(&self, broker: &BrokerAt) -> Result<Vec<LogDir>> {
        let answer = self.ask_one(broker, &DescribeLogDirsRequest { topics: None }).await?;
        check(answer.error_code, None)?;
        Ok(answer.results.into_iter().map(log_dir).collect())
    }

    pub(super) async fn move_between_log_dirs(&self, broker: &BrokerAt, moves: &[LogDirMove]) -> Result<()> {
        let mut dirs: BTreeMap<&str, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
        for LogDirMove { topic, partition, to } in moves {
            dirs.entry(to).or_default().entry(topic).or_default().push(*partition);
        }
        let topic = |(name, partitions)| AlterReplicaLogDirTopic { name: Str::from(name), partitions };
        let dirs = dirs.into_iter().map(|(path, topics)| AlterReplicaLogDir {
            path: Str::from(path),
            topics: topics.into_iter().map(topic).collect(),
        });
        let answer = self.ask_one(broker, &AlterReplicaLogDirsRequest { dirs: dirs.collect() }).await?;
        // What is refused is planned anew: the world was another one by then.
        for (topic, partition) in
            answer.results.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)))
        {
            if let Err(reason) = check(partition.error_code, None) {
                let (topic, partition) = (&topic.topic_name, partition.partition_index);
                warn!(broker = %broker.id, %topic, partition, %reason, "a replica is not moved to another disk");
            }
        }
        Ok(())
    }

    async fn ask_one<R: Request>(&self, broker: &BrokerAt, request: &R) -> Result<R::Response> {
        let nowhere = || Error::Unreachable(format!("{} is no address", broker.address));
        let (host, port) = broker.address.rsplit_once(':').ok_or_else(nowhere)?;
        let port = port.parse().map_err(|_| nowhere())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let connection = Connection::open(host, port, &self.link.config).await.map_err(unreachable)?;
        connection.call(request, i16::MAX).await.map_err(unreachable)
    }
}

fn log_dir(directory: DescribeLogDirsResult) -> LogDir {
    let replicas = directory.topics.into_iter().flat_map(|topic| {
        let name = topic.name.as_str().to_owned();
        topic.partitions.into_iter().map(move |partition| LogDirReplica {
            topic: name.clone(),
            partition: partition.partition_index,
            bytes: u64::try_from(partition.partition_size).unwrap_or(0),
            is_future: partition.is_future_key,
        })
    });
    LogDir {
        path: directory.log_dir.as_str().to_owned(),
        works: directory.error_code == ErrorCode::NONE,
        size: u64::try_from(directory.total_bytes).ok(),
        replicas: replicas.collect(),
    }
}
