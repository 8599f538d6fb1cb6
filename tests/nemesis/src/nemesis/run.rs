//! A whole run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::fault::{Fault, Means};
use super::schedule::Schedule;
use super::target::Target;
use crate::checker::{self, Report};
use crate::history::{self, Event, Recorder};
use crate::process::{Cluster, Durability, Flavor, Network, Options};
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
    /// How long faults go on.
    pub length: Duration,
    /// The seed of faults and load.
    pub seed: u64,
    /// Only faults whose names contain this.
    pub only: String,
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

/// All must be whole again this long after a fault ended.
const RECOVERY: Duration = Duration::from_secs(40);

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

    let durability = match plan.flavor {
        Flavor::Ottla { durability, .. } => durability,
        Flavor::Kafka { .. } => Durability::Replicated,
    };
    let means = Means {
        network: plan.network.can_cut(),
        disks: plan.disk.is_some(),
        durability,
        replicated: plan.brokers > 1,
        longest: plan.longest,
    };
    let mut schedule = Schedule::new(plan.seed, means, &plan.only);
    let deadline = Instant::now() + plan.length;
    while Instant::now() < deadline {
        tokio::time::sleep(schedule.pause()).await;
        let fault = schedule.next().context("no fault has a name like that")?;
        eprintln!("{:>7.1} s: {fault}", began.elapsed().as_secs_f64());
        if !harm(&mut cluster, fault, &recorder).await? {
            break;
        }
    }
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

/// Does a fault, takes it back and waits until all is whole. False if it does not become so, which ends the run.
async fn harm(cluster: &mut Cluster, fault: Fault, recorder: &Recorder) -> anyhow::Result<bool> {
    let mut began = recorder.now();
    // A fault that fails is in the history as one without evidence, and fails the run.
    let evidence = match hit(cluster, fault, recorder, &mut began).await {
        Ok(evidence) => evidence,
        Err(error) => {
            recorder.record(Event::Stuck(format!("fault '{fault}': {error:#}")));
            String::new()
        }
    };
    let healed = recorder.now();
    let whole = match cluster.ready(RECOVERY).await {
        Ok(()) => cluster.in_sync(&[TOPIC], RECOVERY).await,
        Err(error) => Err(error),
    };
    let recovered = recorder.now();
    recorder.record(Event::Fault(history::Fault { name: fault.to_string(), began, healed, recovered, evidence }));
    if let Err(error) = &whole {
        recorder.record(Event::Stuck(format!("after '{fault}': {error:#}")));
    }
    Ok(whole.is_ok())
}

/// Does a fault and takes it back; returns what shows that it took effect.
async fn hit(cluster: &mut Cluster, fault: Fault, recorder: &Recorder, began: &mut u64) -> anyhow::Result<String> {
    match fault {
        Fault::Kill(target) => {
            let id = target.find(cluster).await?;
            *began = recorder.now();
            cluster.brokers[id].process.kill()?;
            cluster.brokers[id].start()?;
            Ok(format!("broker {id} ended by SIGKILL"))
        }
        Fault::KillAll => {
            for broker in &mut cluster.brokers {
                broker.process.kill()?;
            }
            cluster.brokers.iter_mut().try_for_each(crate::process::Broker::start)?;
            Ok("all ended by SIGKILL".into())
        }
        Fault::Freeze(target, length) => {
            let id = target.find(cluster).await?;
            *began = recorder.now();
            cluster.brokers[id].process.freeze()?;
            tokio::time::sleep(length).await;
            let frozen = cluster.brokers[id].process.is_frozen();
            cluster.brokers[id].process.thaw()?;
            anyhow::ensure!(frozen, "broker {id} did not stay frozen");
            Ok(format!("broker {id} was stopped for {length:?}"))
        }
        Fault::CutFromClientsAndKill(target) => {
            let id = target.find(cluster).await?;
            *began = recorder.now();
            cluster.network.cut_clients(id)?;
            cluster.brokers[id].process.kill()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.network.heal(cluster.brokers.len())?;
            cluster.brokers[id].start()?;
            Ok(format!("broker {id} ended by SIGKILL, cut from clients"))
        }
        Fault::Isolate(target, length)
        | Fault::Mute(target, length)
        | Fault::Deafen(target, length)
        | Fault::CutFromController(target, length) => cut(cluster, fault, target, length).await,
        Fault::LosePower(target) => {
            let id = target.find(cluster).await?;
            *began = recorder.now();
            lose_power(cluster, &[id])
        }
        Fault::AllLosePower => lose_power(cluster, &(0..cluster.brokers.len()).collect::<Vec<_>>()),
        Fault::FillDisk(target, length) => fill(cluster, target, length).await,
        Fault::Roll => roll(cluster).await,
    }
}

async fn cut(cluster: &Cluster, fault: Fault, target: Target, length: Duration) -> anyhow::Result<String> {
    let id = target.find(cluster).await?;
    let count = cluster.brokers.len();
    let others: Vec<usize> = match fault {
        Fault::CutFromController(..) => {
            let controller = cluster.controller().await?;
            vec![if controller == id { (id + 1) % count } else { controller }]
        }
        _ => (0..count).filter(|other| *other != id).collect(),
    };
    for other in others {
        if !matches!(fault, Fault::Deafen(..)) {
            cluster.network.cut(id, other)?;
        }
        if !matches!(fault, Fault::Mute(..)) {
            cluster.network.cut(other, id)?;
        }
    }
    tokio::time::sleep(length).await;
    let dropped = cluster.network.heal(count)?;
    anyhow::ensure!(dropped > 0, "no packet was dropped");
    Ok(format!("broker {id}: {dropped} packets dropped in {length:?}"))
}

fn lose_power(cluster: &mut Cluster, ids: &[usize]) -> anyhow::Result<String> {
    for id in ids {
        cluster.brokers[*id].process.kill()?;
    }
    for id in ids {
        cluster.brokers[*id].disk.lose_power()?;
    }
    for id in ids {
        cluster.brokers[*id].start()?;
    }
    Ok(format!("{ids:?} killed, their file systems shut down without a flush and mounted again"))
}

/// Less than a broker wants to keep free; see its own checks of space.
const LEFT_FREE: u64 = 64 << 10;

async fn fill(cluster: &mut Cluster, target: Target, length: Duration) -> anyhow::Result<String> {
    let id = target.find(cluster).await?;
    cluster.brokers[id].disk.fill(LEFT_FREE)?;
    let free = cluster.brokers[id].disk.free()?;
    tokio::time::sleep(length).await;
    cluster.brokers[id].disk.unfill()?;
    anyhow::ensure!(free <= LEFT_FREE, "{free} bytes were still free");
    // A broker may end for want of space; it is started as its supervisor would.
    let broker = &mut cluster.brokers[id];
    let ended = broker.process.ended();
    if ended.is_some() {
        broker.start()?;
    }
    Ok(format!("broker {id} had {free} bytes left for {length:?}; ended: {ended:?}"))
}

async fn roll(cluster: &mut Cluster) -> anyhow::Result<String> {
    for id in 0..cluster.brokers.len() {
        let status = cluster.brokers[id].process.terminate(Duration::from_secs(30)).await?;
        anyhow::ensure!(status.success(), "broker {id} ended with {status} after SIGTERM");
        cluster.brokers[id].start()?;
        cluster.ready(RECOVERY).await?;
        cluster.in_sync(&[TOPIC], RECOVERY).await?;
    }
    Ok("every broker ended with 0 and came back".into())
}

/// Reads everything as a newcomer would, stops the brokers, and reads their files.
async fn end(cluster: &mut Cluster, partitions: i32, recorder: &Recorder) -> anyhow::Result<()> {
    let client = cluster.client(Duration::from_secs(10)).await?;
    for partition in 0..partitions {
        let read = workload::read_to_end(&client, recorder, partition, Duration::from_secs(60)).await;
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
