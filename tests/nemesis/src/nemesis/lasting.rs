//! Faults that last for a while, and what may be done to another broker in the midst of one.

use std::fmt;
use std::time::Duration;

use anyhow::ensure;

use super::disk;
use super::harm::Done;
use super::run::Scene;
use crate::process::Cluster;

/// What lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// SIGSTOP, then SIGCONT.
    Freeze,
    /// Cut from all other brokers, both directions; clients still reach both sides.
    Isolate,
    /// What it sends to other brokers is dropped; what they send arrives.
    Mute,
    /// What other brokers send to it is dropped; what it sends arrives.
    Deafen,
    /// Cut from the controller alone, both directions; a controller is cut from the next broker.
    CutFromController,
    /// No room on its disk.
    FillDisk,
    /// Its disk answers nothing: writes and flushes wait, and are done after it.
    StallDisk,
}

/// What is done to another broker meanwhile; it is started again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGKILL, and all that was not flushed is lost.
    LosePower,
}

/// How the time of a fault that lasts is spent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meanwhile {
    pub(super) length: Duration,
    pub(super) blow: Option<Blow>,
}

impl Meanwhile {
    /// Lets the time pass, with the blow in its middle for the broker after `id`; tells what happened.
    pub(super) async fn pass(&self, cluster: &mut Cluster, id: usize) -> anyhow::Result<String> {
        let Self { length, blow } = *self;
        let Some(blow) = blow else {
            tokio::time::sleep(length).await;
            return Ok(format!("{length:?}"));
        };
        tokio::time::sleep(length / 2).await;
        let other = (id + 1) % cluster.brokers.len();
        let broker = &mut cluster.brokers[other];
        broker.process.kill()?;
        if blow == Blow::LosePower {
            broker.disk.fail()?;
            broker.reboot()?;
        }
        broker.start()?;
        tokio::time::sleep(length / 2).await;
        Ok(format!("{length:?}, broker {other} {blow} meanwhile"))
    }
}

/// Does it to broker `id`, and takes it back.
pub(super) async fn do_it(
    scene: &mut Scene<'_>,
    lasting: Lasting,
    id: usize,
    meanwhile: &Meanwhile,
) -> anyhow::Result<Done> {
    match lasting {
        Lasting::Freeze => freeze(scene, id, meanwhile).await,
        Lasting::FillDisk => disk::fill(scene, id, meanwhile).await,
        Lasting::StallDisk => disk::stall(scene, id, meanwhile).await,
        Lasting::Isolate | Lasting::Mute | Lasting::Deafen | Lasting::CutFromController => {
            cut(scene, lasting, id, meanwhile).await
        }
    }
}

async fn freeze(scene: &mut Scene<'_>, id: usize, meanwhile: &Meanwhile) -> anyhow::Result<Done> {
    let began = scene.recorder.now();
    scene.cluster.brokers[id].process.freeze()?;
    let passed = meanwhile.pass(scene.cluster, id).await;
    let process = &scene.cluster.brokers[id].process;
    let frozen = process.is_frozen();
    process.thaw()?;
    ensure!(frozen, "broker {id} did not stay frozen");
    Ok(Done { began, evidence: format!("broker {id} was stopped for {}", passed?), killed: Vec::new() })
}

async fn cut(scene: &mut Scene<'_>, lasting: Lasting, id: usize, meanwhile: &Meanwhile) -> anyhow::Result<Done> {
    let cluster = &mut *scene.cluster;
    let count = cluster.brokers.len();
    let others: Vec<usize> = match lasting {
        Lasting::CutFromController => {
            let controller = cluster.controller().await?;
            vec![if controller == id { (id + 1) % count } else { controller }]
        }
        _ => (0..count).filter(|other| *other != id).collect(),
    };
    let began = scene.recorder.now();
    for other in others {
        if lasting != Lasting::Deafen {
            cluster.network.cut(id, other)?;
        }
        if lasting != Lasting::Mute {
            cluster.network.cut(other, id)?;
        }
    }
    let passed = meanwhile.pass(cluster, id).await;
    let dropped = cluster.network.heal(count)?;
    ensure!(dropped > 0, "no packet was dropped");
    Ok(Done { began, evidence: format!("broker {id}: {dropped} packets dropped in {}", passed?), killed: Vec::new() })
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "is killed",
            Self::LosePower => "loses its power",
        })
    }
}
