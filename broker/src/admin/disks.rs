//! What each broker says of its own disks, asked at the moment it is needed: a figure that lies about in metadata or in
//! heartbeats would be written all the time and be old all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use ottla_control::broker_disks_client::BrokerDisksClient;
use ottla_control::{self as proto, DescribeDisksRequest, DescribeDisksResponse, PartitionRef};
use ottla_core::{BrokerId, TopicId};
use tokio::time::timeout;
use tonic::Status;
use tracing::debug;
use uuid::Uuid;

use super::Admin;
use super::status::{ANSWER_BYTES, directory_text};
use crate::replica::Directory;

/// How long a broker may take to say how full its disks are.
const ANSWER: Duration = Duration::from_secs(1);

impl Admin {
    /// The disks of each broker in `asked`, and the sizes there of the partitions that go with it. Brokers that do not
    /// answer in time are left out.
    pub(super) async fn ask_for_disks(
        &self,
        asked: BTreeMap<BrokerId, Vec<PartitionRef>>,
    ) -> BTreeMap<BrokerId, DescribeDisksResponse> {
        let answers = asked.into_iter().map(async |(broker, partitions)| {
            let answer = timeout(ANSWER, self.ask_broker(broker, DescribeDisksRequest { partitions })).await;
            match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))) {
                Ok(answer) => Some((broker, answer)),
                Err(error) => {
                    debug!(%broker, %error, "a broker does not tell of its disks");
                    None
                }
            }
        });
        join_all(answers).await.into_iter().flatten().collect()
    }

    async fn ask_broker(
        &self,
        broker: BrokerId,
        request: DescribeDisksRequest,
    ) -> Result<DescribeDisksResponse, Status> {
        if broker == self.broker.id() {
            return self.own_disks(request).await;
        }
        let mut client = BrokerDisksClient::new(self.peer(broker)?).max_decoding_message_size(ANSWER_BYTES);
        Ok(client.describe_disks(request).await?.into_inner())
    }

    /// This broker's own disks.
    pub(super) async fn own_disks(&self, request: DescribeDisksRequest) -> Result<DescribeDisksResponse, Status> {
        let sizes = request.partitions.iter().map(|asked| proto::ReplicaSize { bytes: self.size_of(asked) }).collect();
        let directories = self.broker.replicas.directories();
        // A disk that hangs must not take a thread of the runtime along.
        let described = tokio::task::spawn_blocking(move || directories.iter().map(describe).collect());
        let directories = described.await.map_err(|error| Status::internal(error.to_string()))?;
        Ok(DescribeDisksResponse { directories, sizes })
    }

    fn size_of(&self, asked: &PartitionRef) -> Option<u64> {
        let topic = TopicId(Uuid::from_slice(&asked.topic_id).ok()?);
        let topic = self.broker.replicas.topics().by_id(topic)?;
        Some(topic.partition(asked.partition)?.reader().size())
    }
}

fn describe(directory: &Directory) -> proto::LogDirectory {
    // The path that a person sees is absolute, as a broker's working directory means nothing to them.
    let path = std::path::absolute(&directory.path).unwrap_or_else(|_| directory.path.clone());
    let space = rustix::fs::statvfs(&directory.path).ok();
    let state = match directory.failure {
        Some(_) => proto::LogDirectoryState::Failed,
        None => proto::LogDirectoryState::Online,
    };
    proto::LogDirectory {
        id: directory_text(directory.id),
        path: path.display().to_string(),
        state: state.into(),
        failure: directory.failure.as_ref().map(|failure| failure.to_string()).unwrap_or_default(),
        total_bytes: space.as_ref().map(|space| space.f_blocks.saturating_mul(space.f_frsize)),
        free_bytes: space.as_ref().map(|space| space.f_bavail.saturating_mul(space.f_frsize)),
    }
}
