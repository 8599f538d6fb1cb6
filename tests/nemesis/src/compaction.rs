//! A compacted topic whose broker is killed in the midst of cleans, and the check of what is left.
//!
//! What stands at an offset can be told from the offset alone ([`Script`]), so a consumer, and a dump by Kafka's own tool,
//! are checked record by record without a copy of what was written.

mod check;
mod dump;
mod kill;
mod script;
mod write;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::process::{Cluster, Durability, Flavor, Network, Options, make_topic};

pub use check::Found;
pub use kill::Kill;
pub use script::Script;

/// The topic.
const TOPIC: &str = "compacted";
/// How long anything may take that must come about.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program `ottla-broker`.
    pub broker: PathBuf,
    /// An empty folder for data and logs.
    pub folder: PathBuf,
    /// What is written.
    pub script: Script,
    /// How often the broker is killed in the midst of a clean.
    pub kills: usize,
    /// Kafka's jars, for a dump of every segment by its own tool.
    pub kafka: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What a consumer found.
    pub found: Found,
    /// The kills, all of which met a clean.
    pub kills: Vec<Kill>,
    /// Records in the dump, if there was one.
    pub dumped: Option<u64>,
    /// Bytes of the topic in the end.
    pub bytes: u64,
    /// How long it all took.
    pub took: Duration,
}

/// Writes, kills, waits for the last clean, and checks. An error tells what is wrong with the log.
pub async fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let mut cluster = Cluster::start(&options(plan)).await?;
    let data = cluster.brokers[0].data();
    let segment_bytes = segment_bytes(&plan.script).to_string();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", &*segment_bytes),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "1000"),
    ];
    make_topic(&cluster.client(PATIENCE).await?, TOPIC, &[&[0]], &configs).await?;
    let folder = data.join(format!("{TOPIC}-0"));
    let kills = kill::write_and_kill(&mut cluster, plan, &folder).await?;
    let until = cleaned(&data, &folder).await?;
    let found = check::consume(&cluster, &plan.script, until).await?;
    cluster.brokers[0].process.terminate(PATIENCE).await?;
    let dumped = plan.kafka.as_deref().map(|libs| dump::check(libs, &folder, &plan.script, &found)).transpose()?;
    let bytes = logs(&folder)?.iter().map(|(_, size)| size).sum();
    Ok(Outcome { found, kills, dumped, bytes, took: begun.elapsed() })
}

/// Segments small enough that there is something to clean all the time.
fn segment_bytes(script: &Script) -> u64 {
    (Script::bytes(script.records) / 80).clamp(1 << 20, 64 << 20)
}

/// A broker that cleans at once, and slowly enough to be killed meanwhile.
fn options(plan: &Plan) -> Options {
    // A clean reads the new segment twice, and reads and writes the last record of each key. Of the three seconds that
    // this is to take the throttle lets one pass at once.
    let moved = 2 * (segment_bytes(&plan.script) + Script::bytes(plan.script.keys));
    let properties = [
        ("log.cleaner.backoff.ms", "100".to_owned()),
        ("log.cleaner.io.max.bytes.per.second", (moved / 3).to_string()),
    ];
    Options {
        flavor: Flavor::Ottla { broker: plan.broker.clone(), durability: Durability::Fsync },
        brokers: 1,
        network: Network::loopback(),
        folder: plan.folder.clone(),
        disk: None,
        boots: false,
        properties: properties.map(|(key, value)| (key.to_owned(), value)).to_vec(),
    }
}

/// Base offset and size of each segment, ascending.
fn logs(folder: &Path) -> anyhow::Result<Vec<(u64, u64)>> {
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(base) = name.to_str().and_then(|name| name.strip_suffix(".log")) {
            logs.push((base.parse()?, entry.metadata()?.len()));
        }
    }
    logs.sort_unstable();
    Ok(logs)
}

/// Waits until everything below the active segment is cleaned; the offset up to which.
async fn cleaned(data: &Path, folder: &Path) -> anyhow::Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let active = logs(folder)?.last().context("the log has no segment")?.0;
        let checkpoint = std::fs::read_to_string(data.join("cleaner-offset-checkpoint")).unwrap_or_default();
        let line = checkpoint.lines().find_map(|line| line.strip_prefix(&format!("{TOPIC} 0 ")));
        let until = line.map_or(Ok(0), str::parse::<u64>)?;
        if until == active {
            return Ok(until);
        }
        ensure!(Instant::now() < deadline, "cleaned up to {until}, not to {active}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
