//! Faults of a broker's disk.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::flood;
use super::harm::Done;
use super::lasting::Meanwhile;
use super::run::Scene;
use super::target::Target;
use crate::process::Cluster;

/// The brokers' machines lose their power, all at once.
pub(super) fn lose_power(scene: &mut Scene<'_>, ids: &[usize]) -> anyhow::Result<Done> {
    let (began, cluster) = (scene.recorder.now(), &mut *scene.cluster);
    for id in ids {
        cluster.brokers[*id].process.kill()?;
    }
    for id in ids {
        cluster.brokers[*id].disk.fail()?;
        cluster.brokers[*id].reboot()?;
    }
    for id in ids {
        cluster.brokers[*id].start()?;
    }
    let evidence = format!("{ids:?} killed, their file systems shut down without a flush and mounted again");
    Ok(Done { began, evidence, killed: ids.to_vec() })
}

/// No room is left, for a while.
pub(super) async fn fill(scene: &mut Scene<'_>, id: usize, meanwhile: &Meanwhile) -> anyhow::Result<Done> {
    flood::prepare(scene.cluster, id).await?;
    let began = scene.recorder.now();
    scene.cluster.brokers[id].disk.fill()?;
    let refusal = flood::until_refused(scene.cluster, id, scene.patience).await;
    let passed = meanwhile.pass(scene.cluster, id).await;
    scene.cluster.brokers[id].disk.unfill()?;
    let ended = restart_if_ended(scene.cluster, id)?;
    let evidence = format!("broker {id} had no room for {}: {}; ended: {ended:?}", passed?, refusal?);
    Ok(Done { began, evidence, killed: Vec::new() })
}

/// From one moment on every call fails with EIO: the broker must end by itself, and not serve what it cannot keep. Then
/// the disk is back with what had been flushed, in another boot of the machine.
pub(super) async fn fail(scene: &mut Scene<'_>, target: Target) -> anyhow::Result<Done> {
    let id = target.find(scene.cluster).await?;
    let broker = &mut scene.cluster.brokers[id];
    let began = scene.recorder.now();
    broker.disk.fail()?;
    let deadline = Instant::now() + scene.patience;
    let status = loop {
        if let Some(status) = broker.process.ended() {
            break status;
        }
        ensure!(Instant::now() < deadline, "broker {id} goes on without a disk");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    // 4 is a storage failure.
    ensure!(!broker.is_ottla() || status.code() == Some(4), "broker {id} ended with {status} when its disk failed");
    broker.reboot()?;
    broker.start()?;
    Ok(Done { began, evidence: format!("broker {id} ended by itself with {status}"), killed: vec![id] })
}

/// Writes and flushes wait for a while.
pub(super) async fn stall(scene: &mut Scene<'_>, id: usize, meanwhile: &Meanwhile) -> anyhow::Result<Done> {
    let began = scene.recorder.now();
    let disk = &scene.cluster.brokers[id].disk;
    let stalled = disk.stall()?;
    let probe = probe(disk.path().join("probe"));
    let passed = meanwhile.pass(scene.cluster, id).await;
    let waited = !probe.is_finished();
    drop(stalled);
    let took = tokio::time::timeout(scene.patience, probe).await.context("its disk stays stalled")???;
    ensure!(waited, "the disk of broker {id} took a file in {took:?} while it should have stalled");
    let ended = restart_if_ended(scene.cluster, id)?;
    let evidence = format!("broker {id}: its disk stalled for {}, a file took {took:?}; ended: {ended:?}", passed?);
    Ok(Done { began, evidence, killed: Vec::new() })
}

/// Makes a file, and tells how long that took.
fn probe(path: PathBuf) -> tokio::task::JoinHandle<std::io::Result<Duration>> {
    let make = |path: &Path| File::create(path).and_then(|file| file.sync_all());
    tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        make(&path)?;
        let took = began.elapsed();
        std::fs::remove_file(&path)?;
        Ok(took)
    })
}

/// A broker may end when its disk does not do as it should; it is started as its supervisor would.
fn restart_if_ended(cluster: &mut Cluster, id: usize) -> anyhow::Result<Option<std::process::ExitStatus>> {
    let broker = &mut cluster.brokers[id];
    let ended = broker.process.ended();
    if ended.is_some() {
        broker.start()?;
    }
    Ok(ended)
}
