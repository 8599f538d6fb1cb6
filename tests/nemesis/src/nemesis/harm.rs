//! Does one fault to a cluster, takes it back, and waits until all is whole again.

use std::time::Duration;

use super::fault::Fault;
use super::flood;
use super::target::Target;
use crate::history::{self, Event, Recorder};
use crate::process::Cluster;
use crate::workload::TOPIC;

/// All must be whole again this long after a fault ended.
pub(super) const RECOVERY: Duration = Duration::from_secs(60);

/// Does a fault, takes it back and waits until all is whole. False if it does not become so, which ends the run.
pub(super) async fn harm(cluster: &mut Cluster, fault: Fault, recorder: &Recorder) -> anyhow::Result<bool> {
    cluster.elect_preferred_leaders(TOPIC).await;
    let mut began = recorder.now();
    // A fault that fails is in the history as one without evidence, and fails the run.
    let evidence = match hit(cluster, fault, recorder, &mut began).await {
        Ok(evidence) => evidence,
        Err(error) => {
            recorder.record(Event::Stuck(format!("fault '{fault}': {error:#}")));
            undo(cluster);
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

/// Takes back what a fault that failed half-way may have left.
fn undo(cluster: &mut Cluster) {
    // Each fails where there is nothing to take back.
    let _ = cluster.network.heal(cluster.brokers.len());
    for broker in &mut cluster.brokers {
        let _ = broker.disk.unfill();
        let _ = broker.process.thaw();
        broker.process.ended();
        let _ = broker.start();
    }
}

/// Does a fault and takes it back; returns what shows that it took effect.
async fn hit(cluster: &mut Cluster, fault: Fault, recorder: &Recorder, began: &mut u64) -> anyhow::Result<String> {
    match fault {
        Fault::Kill(target, length) => {
            let id = target.find(cluster).await?;
            *began = recorder.now();
            cluster.brokers[id].process.kill()?;
            tokio::time::sleep(length).await;
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
        Fault::CutFromClientsAndKill(target, length) => {
            let id = target.find(cluster).await?;
            *began = recorder.now();
            cluster.network.cut_clients(id)?;
            cluster.brokers[id].process.kill()?;
            tokio::time::sleep(length).await;
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

async fn fill(cluster: &mut Cluster, target: Target, length: Duration) -> anyhow::Result<String> {
    let id = target.find(cluster).await?;
    flood::prepare(cluster, id).await?;
    cluster.brokers[id].disk.fill()?;
    let refusal = flood::until_refused(cluster, id).await;
    tokio::time::sleep(length).await;
    cluster.brokers[id].disk.unfill()?;
    // A broker may end for want of space; it is started as its supervisor would.
    let broker = &mut cluster.brokers[id];
    let ended = broker.process.ended();
    if ended.is_some() {
        broker.start()?;
    }
    Ok(format!("broker {id} had no room for {length:?}: {}; ended: {ended:?}", refusal?))
}

async fn roll(cluster: &mut Cluster) -> anyhow::Result<String> {
    for id in 0..cluster.brokers.len() {
        let status = cluster.brokers[id].process.terminate(Duration::from_secs(30)).await?;
        // A Java virtual machine says that it was SIGTERM.
        let clean = status.success() || !cluster.flavor.is_ottla() && status.code() == Some(143);
        anyhow::ensure!(clean, "broker {id} ended with {status} after SIGTERM");
        cluster.brokers[id].start()?;
        cluster.ready(RECOVERY).await?;
        cluster.in_sync(&[TOPIC], RECOVERY).await?;
    }
    Ok("every broker ended with 0 and came back".into())
}
