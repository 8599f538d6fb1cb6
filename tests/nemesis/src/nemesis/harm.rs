//! Does one fault to a cluster, takes it back, and waits until all is whole again.

use std::time::Duration;

use super::disk;
use super::fault::Fault;
use super::lasting::{self, Meanwhile};
use super::run::Scene;
use crate::history::{self, Event, Micros};
use crate::process::{Broker, Cluster};

/// What a fault did.
pub(super) struct Done {
    /// When it began to be felt.
    pub(super) began: Micros,
    /// What shows that it took effect.
    pub(super) evidence: String,
    /// The brokers whose processes ended by it, where nothing else was done.
    pub(super) killed: Vec<usize>,
}

/// Does a fault, takes it back and waits until all is whole. False if it does not become so, which ends the run.
pub(super) async fn harm(scene: &mut Scene<'_>, fault: Fault) -> bool {
    scene.cluster.elect_preferred_leaders(&scene.assigned(), Duration::from_secs(10)).await;
    let began = scene.recorder.now();
    let outcome = hit(scene, fault).await;
    take_back(scene, &fault.to_string(), began, outcome).await
}

/// Tells of a fault that was done and taken back, and waits until all is whole. One that failed, after it had `begun` at
/// the earliest, is in the history without evidence, and fails the run.
pub(super) async fn take_back(scene: &mut Scene<'_>, name: &str, begun: Micros, outcome: anyhow::Result<Done>) -> bool {
    let Done { began, evidence, killed } = outcome.unwrap_or_else(|error| {
        scene.recorder.record(Event::Stuck(format!("fault '{name}': {error:#}")));
        undo(scene.cluster);
        Done { began: begun, evidence: String::new(), killed: Vec::new() }
    });
    let healed = scene.recorder.now();
    let whole = scene.whole().await;
    let (recovered, name) = (scene.recorder.now(), name.to_owned());
    if let Err(error) = &whole {
        scene.recorder.record(Event::Stuck(format!("after '{name}': {error:#}")));
    }
    scene.recorder.record(Event::Fault(history::Fault { name, began, healed, recovered, evidence, killed }));
    whole.is_ok()
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

/// Does a fault and takes it back.
async fn hit(scene: &mut Scene<'_>, fault: Fault) -> anyhow::Result<Done> {
    match fault {
        Fault::Kill(target, length) => {
            let id = target.find(scene.cluster).await?;
            let began = scene.recorder.now();
            scene.cluster.brokers[id].process.kill()?;
            tokio::time::sleep(length).await;
            scene.cluster.brokers[id].start()?;
            Ok(Done { began, evidence: format!("broker {id} ended by SIGKILL"), killed: vec![id] })
        }
        Fault::KillAll => {
            let began = scene.recorder.now();
            kill_all(scene.cluster)?;
            scene.cluster.brokers.iter_mut().try_for_each(Broker::start)?;
            let killed = (0..scene.cluster.brokers.len()).collect();
            Ok(Done { began, evidence: "all ended by SIGKILL".into(), killed })
        }
        Fault::CutFromClientsAndKill(target, length) => {
            let id = target.find(scene.cluster).await?;
            let began = scene.recorder.now();
            scene.cluster.network.cut_clients(id)?;
            scene.cluster.brokers[id].process.kill()?;
            tokio::time::sleep(length).await;
            scene.cluster.network.heal(scene.cluster.brokers.len())?;
            scene.cluster.brokers[id].start()?;
            Ok(Done { began, evidence: format!("broker {id} ended by SIGKILL, cut from clients"), killed: vec![id] })
        }
        Fault::LosePower(target) => {
            let id = target.find(scene.cluster).await?;
            disk::lose_power(scene, &[id])
        }
        Fault::AllLosePower => disk::lose_power(scene, &(0..scene.cluster.brokers.len()).collect::<Vec<_>>()),
        Fault::FailDisk(target) => disk::fail(scene, target).await,
        Fault::Last { lasting, target, length, blow } => {
            let id = target.find(scene.cluster).await?;
            lasting::do_it(scene, lasting, id, &Meanwhile { length, blow }).await
        }
        Fault::Roll => roll(scene).await,
    }
}

/// SIGKILL of every broker.
pub(super) fn kill_all(cluster: &mut Cluster) -> anyhow::Result<()> {
    cluster.brokers.iter_mut().try_for_each(|broker| broker.process.kill())
}

/// SIGTERM to a broker, which must end in order.
pub(super) async fn terminate(cluster: &mut Cluster, id: usize, within: Duration) -> anyhow::Result<()> {
    let status = cluster.brokers[id].process.terminate(within).await?;
    // A Java virtual machine says that it was SIGTERM.
    let clean = status.success() || !cluster.flavor.is_ottla() && status.code() == Some(143);
    anyhow::ensure!(clean, "broker {id} ended with {status} after SIGTERM");
    Ok(())
}

async fn roll(scene: &mut Scene<'_>) -> anyhow::Result<Done> {
    let began = scene.recorder.now();
    for id in 0..scene.cluster.brokers.len() {
        terminate(scene.cluster, id, scene.patience).await?;
        scene.cluster.brokers[id].start()?;
        scene.whole().await?;
    }
    Ok(Done { began, evidence: "every broker ended with 0 and came back".into(), killed: Vec::new() })
}
