//! The clients of a run: producers, consumers and members of groups, each of which records every call.

mod ask;
mod consumer;
mod group;
mod payload;
mod place;
mod producer;
mod replicas;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ottla_protocol::client::{Client, ClientConfig};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::history::{Event, Micros, Partition, Recorder, Transactor, Writer};
use crate::process::{Cluster, make_topic};

pub use ask::{Asker, Isolation};
pub use consumer::read_to_end;
pub use group::read_committed_offsets;
pub use payload::Payload;
pub use place::{PAIRS, Place, TOPIC, TRANSACTIONAL, places};
pub use replicas::read_replica;
pub use transactions::view_to_end;

/// The group of the run.
pub const GROUP: &str = "nemesis-group";

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Partitions of the topic that is on three brokers.
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
    /// Transactional producers; the last of them works by version 1 of transactions, the others by version 2 (KIP-890).
    pub transactors: u32,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            partitions: 6,
            writers: 1,
            calls_per_second: 100.0,
            most_records: 20,
            members: 3,
            consumers: 1,
            transactors: 4,
        }
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

    async fn asker(&self) -> anyhow::Result<Asker> {
        Asker::connect(self.bootstrap.iter().cloned()).await
    }
}

/// Clients at work.
pub struct Workload {
    tasks: JoinSet<anyhow::Result<()>>,
    recorder: Recorder,
    /// The partitions that are written to, with their writers.
    writers: BTreeMap<i32, Vec<u32>>,
    /// How many transactional producers there are.
    transactors: u32,
    /// Consumers and members go on for a while after the writers.
    stop_writers: watch::Sender<bool>,
    stop_readers: watch::Sender<bool>,
}

impl Workload {
    /// Makes the topics and starts the clients. The same seed gives the same sizes of calls.
    pub async fn start(
        cluster: &Cluster,
        places: &[Place],
        load: Load,
        seed: u64,
        recorder: &Recorder,
    ) -> anyhow::Result<Self> {
        let (stop_writers, writers_stopped) = watch::channel(false);
        let (stop_readers, readers_stopped) = watch::channel(false);
        let bootstrap = Arc::new(cluster.bootstrap());
        let writing = Shared { bootstrap, recorder: recorder.clone(), stop: writers_stopped };
        let reading = Shared { stop: readers_stopped, ..writing.clone() };
        make_topics(&cluster.client(Duration::from_secs(30)).await?, places, cluster.flavor.is_ottla()).await?;

        let (tasks, recorder, writers) = (JoinSet::new(), recorder.clone(), BTreeMap::new());
        // One more copies what the others write.
        let transactors = if load.transactors > 0 { load.transactors + 1 } else { 0 };
        let mut workload = Self { tasks, recorder, writers, transactors, stop_writers, stop_readers };
        for place in places.iter().filter(|place| !place.is_transactional()) {
            workload.begin(place, &writing, &reading, load, seed);
        }
        let transactional: Arc<[Place]> = places.iter().filter(|place| place.is_transactional()).cloned().collect();
        workload.begin_transactions(&transactional, &writing, &reading, load, seed);
        let grouped: Arc<[Place]> = places.iter().filter(|place| place.topic == TOPIC).cloned().collect();
        for member in 0..load.members {
            workload.tasks.spawn(group::member(reading.clone(), member, Arc::clone(&grouped)));
        }
        Ok(workload)
    }

    /// Starts the writers and readers of a partition.
    fn begin(&mut self, place: &Place, writing: &Shared, reading: &Shared, load: Load, seed: u64) {
        let Place { number, topic, index, brokers } = place.clone();
        self.recorder.record(Event::Partition(Partition { number, topic: topic.into(), index, brokers }));
        for (nth, idempotent) in (0..load.writers).flat_map(|nth| [(2 * nth, false), (2 * nth + 1, true)]) {
            let id = number.cast_unsigned() * 2 * load.writers + nth;
            let writer = Writer { id, partition: number, idempotent };
            self.recorder.record(Event::Writer(writer.clone()));
            self.writers.entry(number).or_default().push(id);
            let random = StdRng::seed_from_u64(seed ^ u64::from(id) << 32);
            self.tasks.spawn(producer::run(writing.clone(), writer, place.clone(), load, random));
        }
        if load.consumers > 0 {
            self.tasks.spawn(consumer::watch_end(reading.clone(), place.clone()));
        }
        for consumer in 0..load.consumers {
            self.tasks.spawn(consumer::follow(reading.clone(), format!("consumer-{consumer}"), place.clone()));
        }
    }

    /// Starts the transactional producers, one of which copies, and two readers of each of their partitions.
    fn begin_transactions(&mut self, places: &Arc<[Place]>, writing: &Shared, reading: &Shared, load: Load, seed: u64) {
        let numbers = Arc::default();
        for id in 0..self.transactors {
            let (copies, version) = (id == load.transactors, if id + 1 == load.transactors { 1 } else { 2 });
            let transactor = Transactor { id, version, copies };
            self.recorder.record(Event::Transactor(transactor.clone()));
            let random = StdRng::seed_from_u64(seed ^ u64::from(id) << 48);
            let (writing, numbers) = (writing.clone(), Arc::clone(&numbers));
            match &places[..] {
                [from, to, ..] if copies => {
                    let way = (from.clone(), to.clone());
                    self.tasks.spawn(transactions::copy(writing, transactor, way, numbers, random))
                }
                _ => self.tasks.spawn(transactions::run(writing, transactor, Arc::clone(places), numbers, random)),
            };
        }
        for place in places.iter() {
            for isolation in [Isolation::Uncommitted, Isolation::Committed] {
                self.tasks.spawn(transactions::follow(reading.clone(), place.clone(), isolation));
            }
        }
    }

    /// Waits until in every partition a call was acked that began at `since` or later.
    pub async fn acked_since(&self, since: Micros, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let acked = self.recorder.acked_since(since);
            let silent = self.writers.iter().find(|(_, writers)| writers.iter().all(|id| !acked.contains(id)));
            let Some((partition, _)) = silent else { return Ok(()) };
            ensure!(Instant::now() < deadline, "nothing was acked in partition {partition} for {within:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every transactional producer has committed a transaction that began at `since` or later.
    pub async fn committed_since(&self, since: Micros, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let committed = self.recorder.committed_since(since);
            let Some(silent) = (0..self.transactors).find(|id| !committed.contains(id)) else { return Ok(()) };
            ensure!(Instant::now() < deadline, "transactional producer {silent} committed nothing for {within:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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

async fn make_topics(client: &Client, places: &[Place], is_ottla: bool) -> anyhow::Result<()> {
    // One in-sync replica is enough where there are but two, so what it acks must be on its disk.
    let of_pairs = [("min.insync.replicas", "1"), ("ottla.durability", "fsync")];
    let of_pairs = if is_ottla { &of_pairs[..] } else { &of_pairs[..1] };
    for (topic, configs) in [(TOPIC, &[][..]), (PAIRS, of_pairs), (TRANSACTIONAL, &[])] {
        let of: Vec<&[usize]> = places.iter().filter(|place| place.topic == topic).map(|p| &p.brokers[..]).collect();
        if !of.is_empty() {
            make_topic(client, topic, &of, configs).await?;
        }
    }
    Ok(())
}
