//! A whole run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::fault::Means;
use super::harm;
use super::schedule::{Schedule, Series};
use super::trial;
use crate::checker::{self, NEEDLESS_WAIT, Report};
use crate::history::{Event, Micros, Recorder};
use crate::process::{Assigned, Boot, Cluster, Disk, Flavor, Network, Options};
use crate::workload::{self, Asker, Isolation, Load, PAIRS, Place, TOPIC, TRANSACTIONAL, Workload};

/// What a run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub flavor: Flavor,
    /// Brokers.
    pub brokers: usize,
    /// How they reach each other.
    pub network: Network,
    /// Bytes of each broker's own file system.
    pub disk: Option<u64>,
    /// Whether each broker has a boot id of its own.
    pub boots: bool,
    /// Where data, logs and the history go.
    pub folder: PathBuf,
    /// The seed of faults and load.
    pub seed: u64,
    /// The faults.
    pub series: Series,
    /// The longest freeze or cut.
    pub longest: Duration,
    /// How long anything may take that must come about; more is a violation.
    pub patience: Duration,
    /// The longest wait for an ack where a killed broker was not needed.
    pub needless_wait: Duration,
    /// The load.
    pub load: Load,
}

impl Plan {
    /// Trials of single faults on three brokers, of each kind whose name contains `only` so many: a steady load of small
    /// calls, so that the time between two acks is short where nothing happens.
    pub fn of_trials(flavor: Flavor, network: Network, folder: PathBuf, (only, count): (&str, usize)) -> Self {
        Self {
            flavor,
            brokers: 3,
            network,
            disk: None,
            boots: false,
            folder,
            seed: 1,
            series: Series::Trials(only.to_owned(), count),
            longest: Duration::ZERO,
            patience: Duration::from_secs(60),
            needless_wait: Duration::from_micros(NEEDLESS_WAIT),
            load: Load {
                partitions: 3,
                calls_per_second: 50.0,
                most_records: 2,
                consumers: 0,
                members: 0,
                transactors: 0,
                ..Load::default()
            },
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The verdict.
    pub report: Report,
    /// Seconds under load.
    pub seconds: f64,
    /// Where the history is.
    pub history: PathBuf,
}

/// The cluster and the load of a run under way.
pub(super) struct Scene<'r> {
    pub(super) cluster: &'r mut Cluster,
    pub(super) workload: &'r Workload,
    pub(super) recorder: &'r Recorder,
    pub(super) places: &'r [Place],
    pub(super) patience: Duration,
}

impl Scene<'_> {
    /// Waits until every broker serves and every replica is in sync.
    pub(super) async fn whole(&mut self) -> anyhow::Result<()> {
        self.cluster.ready(self.patience).await?;
        let mut topics = vec![TOPIC, PAIRS, TRANSACTIONAL];
        topics.retain(|topic| self.places.iter().any(|place| place.topic == *topic));
        self.cluster.in_sync(&topics, self.patience).await
    }

    /// The partitions with their brokers as they were made.
    pub(super) fn assigned(&self) -> Vec<Assigned<'static>> {
        let assigned =
            |place: &Place| Assigned { topic: place.topic, index: place.index, brokers: place.brokers.clone() };
        self.places.iter().map(assigned).collect()
    }
}

/// What this machine lets a run do in `folder`: file systems and boot ids for each broker.
pub fn means_here(folder: &Path) -> (bool, bool) {
    (Disk::images_work(folder), Network::inside().is_some() && Boot::works(folder))
}

/// Starts a cluster, harms it under load, lets it heal, and judges.
pub async fn run(plan: &Plan) -> anyhow::Result<Summary> {
    let options = Options {
        flavor: plan.flavor.clone(),
        brokers: plan.brokers,
        network: plan.network.clone(),
        folder: plan.folder.clone(),
        disk: plan.disk,
        boots: plan.boots,
        properties: Vec::new(),
    };
    let mut cluster = Cluster::start(&options).await?;
    let history = plan.folder.join("history.jsonl");
    let recorder = Recorder::begin(&history)?;
    let began = Instant::now();
    let places = workload::places(&plan.load, plan.brokers);
    let workload = Workload::start(&cluster, &places, plan.load, plan.seed, &recorder).await?;
    let (places, patience) = (&places[..], plan.patience);
    let mut scene = Scene { cluster: &mut cluster, workload: &workload, recorder: &recorder, places, patience };
    scene.whole().await?;
    match &plan.series {
        Series::Seeded(only, length) => do_faults(plan, &mut scene, only, *length).await?,
        Series::Trials(only, count) => trial::run(&mut scene, only, *count).await?,
    }
    if let Err(error) = settle(&workload, &recorder, patience).await {
        recorder.record(Event::Stuck(format!("at the end: {error:#}")));
    }
    workload.stop(Duration::from_secs(3)).await?;
    let seconds = began.elapsed().as_secs_f64();
    end(&mut cluster, places, &recorder, patience).await?;
    let report = checker::check(&recorder.end()?, plan.needless_wait.as_micros() as Micros);
    if !report.violations.is_empty() {
        eprintln!("{}", cluster.log_tails(20));
    }
    Ok(Summary { report, seconds, history })
}

/// Does the faults of the seed, until one is not recovered from.
async fn do_faults(plan: &Plan, scene: &mut Scene<'_>, only: &str, length: Duration) -> anyhow::Result<()> {
    let means = Means {
        network: plan.network.can_cut(),
        disks: plan.disk.is_some(),
        boots: plan.boots,
        durability: plan.flavor.durability(),
        replicated: plan.brokers > 1,
        longest: plan.longest,
    };
    let mut schedule = Schedule::new(plan.seed, means, only);
    let began = Instant::now();
    while began.elapsed() < length {
        tokio::time::sleep(schedule.pause()).await;
        let fault = schedule.next().context("no fault has a name like that")?;
        eprintln!("{:>7.1} s: {fault}", began.elapsed().as_secs_f64());
        if !harm::harm(scene, fault).await {
            break;
        }
    }
    Ok(())
}

/// Waits until acks come everywhere and every transactional producer commits, then for a second of work that nothing
/// disturbs, which the history ends with.
pub(crate) async fn settle(workload: &Workload, recorder: &Recorder, patience: Duration) -> anyhow::Result<()> {
    let now = recorder.now();
    let (acked, committed) = tokio::join!(workload.acked_since(now, patience), workload.committed_since(now, patience));
    tokio::time::sleep(Duration::from_secs(1)).await;
    acked.and(committed)
}

/// Reads everything as a newcomer would.
pub(crate) async fn read_everything(
    cluster: &Cluster,
    places: &[Place],
    recorder: &Recorder,
    patience: Duration,
) -> anyhow::Result<()> {
    let asker = Asker::connect(cluster.bootstrap()).await?;
    let deadline = Instant::now() + patience;
    for place in places {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Err(error) = read_whole(&asker, recorder, place, left).await {
            recorder.record(Event::Stuck(format!("final read: {error:#}")));
        }
    }
    let grouped = places.iter().filter(|place| place.topic == TOPIC).count() as i32;
    let client = cluster.client(Duration::from_secs(10)).await?;
    if let Err(error) = workload::read_committed_offsets(&client, recorder, grouped, patience).await {
        recorder.record(Event::Stuck(format!("final read of committed offsets: {error:#}")));
    }
    Ok(())
}

/// Reads everything, stops the brokers, and reads their files.
async fn end(cluster: &mut Cluster, places: &[Place], recorder: &Recorder, patience: Duration) -> anyhow::Result<()> {
    read_everything(cluster, places, recorder, patience).await?;
    for broker in &mut cluster.brokers {
        if let Err(error) = broker.process.terminate(patience).await {
            recorder.record(Event::Stuck(format!("broker {}: {error:#}", broker.id)));
        }
    }
    for broker in &cluster.brokers {
        read_replicas(broker.id, &broker.data(), places, recorder);
    }
    Ok(())
}

/// Reads a partition from its start to its end; one with transactions also as readers of committed records do.
async fn read_whole(asker: &Asker, recorder: &Recorder, place: &Place, within: Duration) -> anyhow::Result<()> {
    if !place.is_transactional() {
        return workload::read_to_end(asker, recorder, place, within).await;
    }
    // Committed records first: when these are all there is, no transaction is open.
    workload::view_to_end(asker, recorder, place, Isolation::Committed, within).await?;
    workload::view_to_end(asker, recorder, place, Isolation::Uncommitted, within).await
}

fn read_replicas(broker: usize, data: &Path, places: &[Place], recorder: &Recorder) {
    for place in places {
        match workload::read_replica(broker, data, place) {
            Ok(Some(replica)) => recorder.record(Event::Replica(replica)),
            Ok(None) => {}
            Err(error) => recorder.record(Event::Stuck(format!("files of broker {broker}: {error:#}"))),
        }
    }
}
