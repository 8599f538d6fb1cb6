//! Which broker a fault hits: by its role at that moment.

use std::fmt;

use anyhow::{Context, ensure};

use crate::process::Cluster;
use crate::workload::TOPIC;

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The leader of partition 0.
    Leader,
    /// A broker that does not lead partition 0 and is not the controller, where there is one.
    Follower,
    /// The leader of the metadata quorum.
    Controller,
    /// The controller, when it leads a partition.
    LeaderAndController,
}

impl Target {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Leader, Self::Follower, Self::Controller, Self::LeaderAndController];

    /// The broker that has the role now.
    pub async fn find(self, cluster: &Cluster) -> anyhow::Result<usize> {
        let leader = cluster.leader(TOPIC, 0).await?;
        match self {
            Self::Leader => Ok(leader),
            Self::Controller => cluster.controller().await,
            Self::Follower => {
                let controller = cluster.controller().await?;
                let followers = (0..cluster.brokers.len()).filter(|id| *id != leader);
                followers.min_by_key(|id| *id == controller).context("there is no follower")
            }
            Self::LeaderAndController => {
                let controller = cluster.controller().await?;
                let client = cluster.client(std::time::Duration::from_secs(10)).await?;
                let metadata = client.refresh_metadata(&[TOPIC]).await?;
                let topic = metadata.topics.get(TOPIC).context("the topic is gone")?;
                let leads = |id: usize| topic.partitions.values().any(|p| p.leader.is_some_and(|l| l.0 as usize == id));
                ensure!(leads(controller), "the controller, broker {controller}, leads no partition");
                Ok(controller)
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Controller => "controller",
            Self::LeaderAndController => "leader and controller",
        })
    }
}
