//! Kills the broker in the midst of cleans while the topic is written.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::script::BATCH;
use super::write::Writer;
use super::{PATIENCE, Plan, Script, TOPIC, check};
use crate::process::Cluster;

/// The longest that a clean goes on, once it is seen, before the kill.
const LONGEST: Duration = Duration::from_millis(500);
/// The longest that is waited for a clean before more is written.
const NOTHING: Duration = Duration::from_secs(1);
/// The longest that is waited for segments to be exchanged.
const EXCHANGE: Duration = Duration::from_secs(5);

/// A kill that met a clean.
#[derive(Clone, Debug)]
pub struct Kill {
    /// Records written by then.
    pub written: u64,
    /// Name and size of each file of the clean that it left half done: without one it met none.
    pub left: Vec<(String, u64)>,
}

impl Kill {
    /// Whether it met the clean in the midst of an exchange of segments.
    pub fn met_exchange(&self) -> bool {
        has_swap(&self.left)
    }
}

/// Writes everything, and kills the broker when it is seen to clean, as often as is planned and spread over the whole.
/// After each kill everything written so far is read and checked.
pub(super) async fn write_and_kill(cluster: &mut Cluster, plan: &Plan, folder: &Path) -> anyhow::Result<Vec<Kill>> {
    let mut random = StdRng::seed_from_u64(plan.script.seed);
    let batches = plan.script.records.div_ceil(BATCH);
    let spacing = batches / (2 * plan.kills as u64 + 1);
    let (mut kills, mut next) = (Vec::new(), spacing);
    let mut writer = Writer::new(cluster).await?;
    for batch in 0..batches {
        let written = writer.write(&plan.script, batch).await?;
        if kills.len() == plan.kills || batch < next || !await_clean(folder).await? {
            continue;
        }
        // Every other kill is aimed at an exchange, which takes only milliseconds.
        if kills.len().is_multiple_of(2) {
            tokio::time::sleep(random.random_range(Duration::ZERO..LONGEST)).await;
        } else {
            tokio::task::block_in_place(|| await_exchange(folder))?;
        }
        let left = kill(cluster, folder).await?;
        writer.reconnect(cluster).await?;
        let script = Script { records: written, ..plan.script };
        check::consume(cluster, &script, 0).await.with_context(|| format!("after a kill that left {left:?}"))?;
        // One that comes after the clean does not count.
        if !left.is_empty() {
            kills.push(Kill { written, left });
            next = batch + spacing;
        }
    }
    let met = kills.len();
    ensure!(met == plan.kills, "only {met} kills met a clean: there is too little to clean for {}", plan.kills);
    Ok(kills)
}

/// Kills the broker and starts it again; the files of the clean that it was about.
async fn kill(cluster: &mut Cluster, folder: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let broker = &mut cluster.brokers[0];
    broker.process.kill()?;
    let left = leftovers(folder)?;
    broker.start()?;
    cluster.ready(PATIENCE).await?;
    cluster.in_sync(&[TOPIC], PATIENCE).await?;
    Ok(left)
}

/// Waits for a clean to write something, but not for long: there may be too little to clean before more is written.
async fn await_clean(folder: &Path) -> anyhow::Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < NOTHING {
        if !leftovers(folder)?.is_empty() {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(false)
}

/// Waits until segments are being exchanged; in vain if the clean leaves all of them as they are.
fn await_exchange(folder: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < EXCHANGE && !has_swap(&leftovers(folder)?) {
        std::thread::yield_now();
    }
    Ok(())
}

fn has_swap(left: &[(String, u64)]) -> bool {
    left.iter().any(|(name, _)| name.ends_with(".swap"))
}

/// The files of a clean that is under way, with their sizes.
fn leftovers(folder: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(folder).context("the topic's folder")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".cleaned") || name.ends_with(".swap") {
            // It may be gone by now.
            left.push((name, entry.metadata().map_or(0, |metadata| metadata.len())));
        }
    }
    left.sort_unstable();
    Ok(left)
}
