//! The clients of a run: producers, consumers and members of groups, each of which records every call.

mod consumer;
mod group;
mod payload;
mod producer;
mod replicas;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ottla_protocol::client::{Client, ClientConfig};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::history::{Event, Recorder, Writer};
use crate::process::quick_client;

pub use consumer::read_to_end;
pub use group::read_committed_offsets;
pub use payload::Payload;
pub use replicas::read_replica;

/// The topic of the run.
pub const TOPIC: &str = "nemesis";
/// The group of the run.
pub const GROUP: &str = "nemesis-group";

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Partitions of the topic.
    pub partitions: i32,
    /// Plain and idempotent writers, each, for every partition.
    pub writers: u32,
    /// Calls that a writer begins per second at most.
    pub calls_per_second: f64,
    /// Records of a call at most.
    pub most_records: u32,
    /// Members of the group.
    pub members: usize,
    /// Consumers that read every partition.
    pub consumers: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self { partitions: 6, writers: 1, calls_per_second: 100.0, most_records: 20, members: 3, consumers: 1 }
    }
}

/// What every client has.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    bootstrap: Arc<Vec<String>>,
    recorder: Recorder,
    stop: watch::Receiver<bool>,
}

impl Shared {
    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// A client with metadata and connections of its own, so that none waits for what another waits for.
    async fn client(&self, config: ClientConfig) -> anyhow::Result<Client> {
        Ok(Client::connect(self.bootstrap.iter().cloned(), config).await?)
    }
}

/// Clients at work.
pub struct Workload {
    tasks: JoinSet<anyhow::Result<()>>,
    /// Consumers and members go on for a while after the writers.
    stop_writers: watch::Sender<bool>,
    stop_readers: watch::Sender<bool>,
}

impl Workload {
    /// Makes the topic and starts the clients. The same seed gives the same sizes of calls.
    pub async fn start(bootstrap: Vec<String>, load: Load, seed: u64, recorder: &Recorder) -> anyhow::Result<Self> {
        let bootstrap = Arc::new(bootstrap);
        let (stop_writers, writers_stopped) = watch::channel(false);
        let (stop_readers, readers_stopped) = watch::channel(false);
        let writing = Shared { bootstrap, recorder: recorder.clone(), stop: writers_stopped };
        let reading = Shared { stop: readers_stopped, ..writing.clone() };
        let client = writing.client(quick_client(Duration::from_secs(30))).await?;
        client.create_topic(TOPIC, load.partitions, -1, &[]).await.context("the topic cannot be made")?;

        let mut tasks = JoinSet::new();
        let mut id = 0;
        for partition in 0..load.partitions {
            for idempotent in (0..load.writers).flat_map(|_| [false, true]) {
                let writer = Writer { id, partition, idempotent };
                recorder.record(Event::Writer(writer.clone()));
                let random = StdRng::seed_from_u64(seed ^ u64::from(id) << 32);
                tasks.spawn(producer::run(writing.clone(), writer, load, random));
                id += 1;
            }
            if load.consumers > 0 {
                tasks.spawn(consumer::watch_end(reading.clone(), partition));
            }
            for consumer in 0..load.consumers {
                tasks.spawn(consumer::follow(reading.clone(), format!("consumer-{consumer}"), partition));
            }
        }
        for member in 0..load.members {
            tasks.spawn(group::member(reading.clone(), member, load.partitions));
        }
        Ok(Self { tasks, stop_writers, stop_readers })
    }

    /// Ends the writers, lets readers go on for `then`, and ends them. Fails if a client failed in a way that no fault
    /// explains.
    pub async fn stop(mut self, then: Duration) -> anyhow::Result<()> {
        self.stop_writers.send_replace(true);
        tokio::time::sleep(then).await;
        self.stop_readers.send_replace(true);
        while let Some(task) = self.tasks.join_next().await {
            task.context("a client panicked")??;
        }
        Ok(())
    }
}
