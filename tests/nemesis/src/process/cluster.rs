//! Several brokers that found a cluster together.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ottla_protocol::client::{Client, ClientConfig, Error};
use ottla_protocol::messages::DescribeQuorumRequest;
use ottla_protocol::messages::describe_quorum::{PartitionData, TopicData};

use super::{Boot, Broker, Child, Disk, Flavor, Network};

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its program.
    pub flavor: Flavor,
    /// How many brokers, all of them voters.
    pub brokers: usize,
    /// How they reach each other.
    pub network: Network,
    /// An empty folder for data and logs.
    pub folder: PathBuf,
    /// Bytes of each broker's own file system; `None` for plain folders.
    pub disk: Option<u64>,
    /// Whether each broker has a boot id of its own.
    pub boots: bool,
    /// More properties for every broker.
    pub properties: Vec<(String, String)>,
}

/// A cluster; its processes are killed when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// The brokers, by number.
    pub brokers: Vec<Broker>,
    /// How they reach each other.
    pub network: Network,
    /// What they run.
    pub flavor: Flavor,
}

impl Cluster {
    /// Starts all brokers and waits until each is ready and knows of all others.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let addresses: Vec<_> = (0..options.brokers).map(|id| options.network.address(id)).collect();
        let mut brokers = Vec::new();
        for id in 0..options.brokers {
            let folder = options.folder.join(format!("broker-{id}"));
            std::fs::create_dir_all(&folder)?;
            let disk = match options.disk {
                Some(size) => Disk::image(&folder, size)?,
                None => Disk::Folder(folder.clone()),
            };
            let boot = if options.boots { Some(Boot::new(&folder)?) } else { None };
            let data = disk.path().join("data");
            options.flavor.prepare(&folder, &data, id, &addresses, &options.properties)?;
            brokers.push(Broker {
                id,
                process: Child::new(folder.join("log")),
                disk,
                boot,
                folder,
                address: addresses[id],
                flavor: options.flavor.clone(),
                network: options.network.clone(),
            });
        }
        let mut cluster = Self { brokers, network: options.network.clone(), flavor: options.flavor.clone() };
        cluster.brokers.iter_mut().try_for_each(Broker::start)?;
        cluster.ready(Duration::from_secs(60)).await?;
        Ok(cluster)
    }

    /// Where clients may ask first.
    pub fn bootstrap(&self) -> Vec<String> {
        self.brokers.iter().map(|broker| broker.address().to_string()).collect()
    }

    /// A client that does not wait long for a broker that is silent.
    pub async fn client(&self, deadline: Duration) -> anyhow::Result<Client> {
        Ok(Client::connect(self.bootstrap(), quick_client(deadline)).await?)
    }

    /// Waits until every broker is ready and the metadata has them all.
    pub async fn ready(&mut self, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        for broker in &mut self.brokers {
            broker.ready(deadline.saturating_duration_since(Instant::now())).await?;
        }
        let count = self.brokers.len();
        let client = self.client(within).await?;
        loop {
            let known = client.refresh_metadata(&[]).await.map_or(0, |metadata| metadata.brokers.len());
            if known == count {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the metadata has {known} of {count} brokers after {within:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until every partition of `topics` has a leader and all of its replicas in sync.
    pub async fn in_sync(&self, topics: &[&str], within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        let client = self.client(within).await?;
        loop {
            let why = match client.refresh_metadata(topics).await {
                Ok(metadata) => {
                    let lagging = topics.iter().find_map(|topic| {
                        let Some(known) = metadata.topics.get(*topic) else {
                            return Some(format!("{topic} is unknown"));
                        };
                        let bad = |(index, partition): (&i32, &ottla_protocol::client::PartitionMetadata)| {
                            let whole = partition.in_sync_replicas.len() == partition.replicas.len();
                            (partition.leader.is_none() || !whole).then(|| format!("{topic}-{index}: {partition:?}"))
                        };
                        known.partitions.iter().find_map(bad)
                    });
                    match lagging {
                        None => return Ok(()),
                        Some(why) => why,
                    }
                }
                Err(error) => error.to_string(),
            };
            ensure!(Instant::now() < deadline, "not in sync after {within:?}: {why}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The broker that leads a partition, as the metadata has it.
    pub async fn leader(&self, topic: &str, partition: i32) -> anyhow::Result<usize> {
        let client = self.client(Duration::from_secs(10)).await?;
        let metadata = client.refresh_metadata(&[topic]).await?;
        let partition = metadata.topics.get(topic).and_then(|topic| topic.partitions.get(&partition));
        Ok(partition.and_then(|partition| partition.leader).context("the partition has no leader")?.0 as usize)
    }

    /// The broker that leads the metadata quorum.
    pub async fn controller(&self) -> anyhow::Result<usize> {
        let client = self.client(Duration::from_secs(10)).await?;
        let topic = TopicData { topic_name: "__cluster_metadata".into(), partitions: vec![PartitionData::default()] };
        let request = DescribeQuorumRequest { topics: vec![topic] };
        let leader = match client.send_to_controller(&request).await {
            Ok(response) => {
                let partition = response.topics.first().and_then(|topic| topic.partitions.first());
                partition.context("the answer lacks the quorum")?.leader_id
            }
            // Ottla names the active controller in its metadata too; Kafka names any broker there.
            Err(Error::UnsupportedApi { .. }) => {
                client.refresh_metadata(&[]).await?.controller.context("the metadata names no controller")?.0
            }
            Err(error) => return Err(error.into()),
        };
        usize::try_from(leader).context("the quorum has no leader")
    }

    /// Processor seconds of all brokers.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.brokers.iter().map(|broker| broker.process.cpu_seconds()).sum()
    }

    /// The last lines of every broker's log.
    pub fn log_tails(&self, lines: usize) -> String {
        let tail = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        };
        self.brokers.iter().map(|broker| format!("broker {}:\n{}\n", broker.id, tail(&broker.log()))).collect()
    }
}

/// A client configuration under which a silent broker costs a second, not forty.
pub fn quick_client(deadline: Duration) -> ClientConfig {
    ClientConfig {
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_millis(1500),
        deadline,
        retry_backoff: Duration::from_millis(10),
        retry_backoff_max: Duration::from_millis(100),
        metadata_max_age: Duration::from_secs(3600),
        ..ClientConfig::new("ottla-nemesis")
    }
}
