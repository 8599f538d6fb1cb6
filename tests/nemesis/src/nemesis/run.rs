//! A whole run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::fault::Means;
use super::harm::{self, RECOVERY};
use super::schedule::{Schedule, Series};
use crate::checker::{self, Report};
use crate::history::{Event, Recorder};
use crate::process::{Cluster, Flavor, Network, Options};
use crate::workload::{self, Load, TOPIC, Workload};

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
    /// Where data, logs and the history go.
    pub folder: PathBuf,
    /// The seed of faults and load.
    pub seed: u64,
    /// The faults.
    pub series: Series,
    /// The longest freeze or cut.
    pub longest: Duration,
    /// The load.
    pub load: Load,
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

/// For the final reads of all partitions to begin to succeed.
const READING: Duration = Duration::from_secs(60);

/// Starts a cluster, harms it under load, lets it heal, and judges.
pub async fn run(plan: &Plan) -> anyhow::Result<Summary> {
    let options = Options {
        flavor: plan.flavor.clone(),
        brokers: plan.brokers,
        network: plan.network.clone(),
        folder: plan.folder.clone(),
        disk: plan.disk,
        properties: Vec::new(),
    };
    let mut cluster = Cluster::start(&options).await?;
    let path = plan.folder.join("history.jsonl");
    let recorder = Recorder::begin(&path)?;
    let began = Instant::now();
    let workload = Workload::start(cluster.bootstrap(), plan.load, plan.seed, &recorder).await?;
    cluster.in_sync(&[TOPIC], RECOVERY).await?;

    do_faults(plan, &mut cluster, &recorder).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    workload.stop(Duration::from_secs(3)).await?;
    let seconds = began.elapsed().as_secs_f64();
    end(&mut cluster, plan.load.partitions, &recorder).await?;
    let report = checker::check(&recorder.end()?);
    if !report.violations.is_empty() {
        eprintln!("{}", cluster.log_tails(20));
    }
    Ok(Summary { report, seconds, history: path })
}

/// Does the faults of the plan, until one is not recovered from.
async fn do_faults(plan: &Plan, cluster: &mut Cluster, recorder: &Recorder) -> anyhow::Result<()> {
    let means = Means {
        network: plan.network.can_cut(),
        disks: plan.disk.is_some(),
        durability: plan.flavor.durability(),
        replicated: plan.brokers > 1,
        longest: plan.longest,
    };
    let (only, deadline, mut listed) = match &plan.series {
        Series::Seeded(only, length) => (only.as_str(), Some(Instant::now() + *length), Vec::new()),
        Series::Listed(faults) => ("", None, faults.iter().rev().copied().collect()),
    };
    let mut schedule = Schedule::new(plan.seed, means, only);
    let began = Instant::now();
    while deadline.is_none_or(|deadline| Instant::now() < deadline) {
        tokio::time::sleep(schedule.pause()).await;
        let fault = match deadline {
            Some(_) => schedule.next().context("no fault has a name like that")?,
            None => match listed.pop() {
                Some(fault) => fault,
                None => break,
            },
        };
        eprintln!("{:>7.1} s: {fault}", began.elapsed().as_secs_f64());
        if !harm::harm(cluster, fault, recorder).await? {
            break;
        }
    }
    Ok(())
}

/// Reads everything as a newcomer would, stops the brokers, and reads their files.
async fn end(cluster: &mut Cluster, partitions: i32, recorder: &Recorder) -> anyhow::Result<()> {
    let client = cluster.client(Duration::from_secs(10)).await?;
    let deadline = Instant::now() + READING;
    for partition in 0..partitions {
        let left = deadline.saturating_duration_since(Instant::now());
        let read = workload::read_to_end(&client, recorder, partition, left).await;
        if let Err(error) = read {
            recorder.record(Event::Stuck(format!("final read: {error:#}")));
        }
    }
    if let Err(error) = workload::read_committed_offsets(&client, recorder, partitions).await {
        recorder.record(Event::Stuck(format!("final read of committed offsets: {error:#}")));
    }
    for broker in &mut cluster.brokers {
        if let Err(error) = broker.process.terminate(Duration::from_secs(30)).await {
            recorder.record(Event::Stuck(format!("broker {}: {error:#}", broker.id)));
        }
    }
    for broker in &cluster.brokers {
        read_replicas(broker.id, &broker.data(), partitions, recorder);
    }
    Ok(())
}

fn read_replicas(broker: usize, data: &Path, partitions: i32, recorder: &Recorder) {
    for partition in 0..partitions {
        match workload::read_replica(broker, data, partition) {
            Ok(Some(replica)) => recorder.record(Event::Replica(replica)),
            Ok(None) => {}
            Err(error) => recorder.record(Event::Stuck(format!("files of broker {broker}: {error:#}"))),
        }
    }
}
