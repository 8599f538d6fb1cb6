//! Three brokers: throughput, latency, catch-up, moves and the gaps that faults leave, of Ottla beside Apache Kafka.
//!
//! Rounds are interleaved and shuffled, each on a new cluster, and end when the time that they may take is used up; the
//! gaps, which take longer, are runs of the nemesis with listed faults, whose histories are checked for lost records too.

mod gaps;
mod loads;
mod moves;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use ottla_nemesis::process::{Cluster, Durability, Flavor, Network, Options};
use rand::seq::SliceRandom;
use tokio::runtime::Runtime;

use table::Table;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Apache Kafka, three KRaft brokers.
    Kafka,
    /// Ottla, acks from page caches, as Kafka's.
    Replicated,
    /// Ottla as it comes: acks from disks.
    Fsync,
}

/// Which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Throughput and latency.
    Loads,
    /// Throughput over a thousand partitions.
    Partitions,
    /// Catch-up of a follower and a reassignment.
    Moves,
    /// Ack gaps around faults.
    Gaps,
}

/// What to measure and how often.
#[derive(clap::Args)]
pub struct Arguments {
    /// The broker to measure.
    #[arg(long, default_value = "target/release/ottla-broker")]
    broker: PathBuf,
    /// Rounds of loads and moves, at most.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Minutes for the rounds: none begins that would likely end later.
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// Seconds of every load.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Trials of each fault; Kafka, whose gaps are long and alike, has three.
    #[arg(long, default_value_t = 20)]
    trials: usize,
    /// MiB that are moved.
    #[arg(long, default_value_t = 1024)]
    mebibytes: u64,
    /// The servers.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "kafka,replicated,fsync")]
    servers: Vec<Kind>,
    /// The parts.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "loads,moves")]
    parts: Vec<Part>,
    /// Where the brokers keep their data.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where the page is written besides.
    #[arg(long)]
    page: Option<PathBuf>,
}

/// Measures.
#[allow(clippy::print_stdout, reason = "the table is what the program is for")]
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut table = Table::default();
    run_rounds(&runtime, &arguments, &mut table)?;
    if arguments.parts.contains(&Part::Gaps) {
        for &kind in &arguments.servers {
            let trials = if kind == Kind::Kafka { arguments.trials.min(3) } else { arguments.trials };
            match gaps::measure(&runtime, kind, &arguments, trials) {
                Ok(gaps) => table.add_gaps(kind, gaps),
                Err(error) => table.fail(kind, Part::Gaps, &error),
            }
        }
    }
    let page = table.page();
    println!("{page}");
    if let Some(path) = &arguments.page {
        std::fs::write(path, page)?;
    }
    Ok(())
}

/// Loads and moves, in rounds as long as there is time for another.
fn run_rounds(runtime: &Runtime, arguments: &Arguments, table: &mut Table) -> anyhow::Result<()> {
    let parts: Vec<Part> = arguments.parts.iter().copied().filter(|part| *part != Part::Gaps).collect();
    if parts.is_empty() {
        return Ok(());
    }
    let mut servers = arguments.servers.clone();
    let (limit, began, mut longest) = (Duration::from_secs(60 * arguments.minutes), Instant::now(), Duration::ZERO);
    for round in 0..arguments.rounds {
        let round_began = Instant::now();
        if round > 0 && began.elapsed() + longest > limit {
            eprintln!("no time for round {}", round + 1);
            break;
        }
        servers.shuffle(&mut rand::rng());
        for &kind in &servers {
            for &part in &parts {
                eprintln!("round {} of {}: {kind:?}: {part:?}", round + 1, arguments.rounds);
                run_part(runtime, arguments, kind, part, table)?;
            }
        }
        longest = longest.max(round_began.elapsed());
    }
    Ok(())
}

/// One part on a new cluster. A failure becomes a line of the page: what the other servers gave is worth keeping.
fn run_part(runtime: &Runtime, arguments: &Arguments, kind: Kind, part: Part, table: &mut Table) -> anyhow::Result<()> {
    let bench = Bench::start(runtime, kind, arguments)?;
    let figures = match part {
        Part::Loads => loads::measure(&bench, Duration::from_secs(arguments.seconds)),
        Part::Partitions => loads::measure_partitions(&bench, Duration::from_secs(arguments.seconds)),
        _ => moves::measure(&bench, arguments.mebibytes),
    };
    match figures {
        Ok(figures) => table.add(kind, figures),
        Err(error) => {
            eprintln!("{kind:?}: {part:?} failed: {error:#}\n{}", bench.cluster.log_tails(5));
            table.fail(kind, part, &error);
        }
    }
    Ok(())
}

impl Arguments {
    fn flavor(&self, kind: Kind) -> anyhow::Result<Flavor> {
        let durability = match kind {
            Kind::Kafka => return Flavor::installed_kafka(),
            Kind::Replicated => Durability::Replicated,
            Kind::Fsync => Durability::Fsync,
        };
        ensure!(self.broker.is_file(), "no broker at {}", self.broker.display());
        Ok(Flavor::Ottla { broker: std::path::absolute(&self.broker)?, durability })
    }

    fn folder(&self) -> anyhow::Result<tempfile::TempDir> {
        Ok(match &self.data {
            Some(parent) => tempfile::TempDir::new_in(parent)?,
            None => tempfile::TempDir::with_prefix("ottla-bench-")?,
        })
    }
}

/// A cluster of three to measure.
struct Bench<'r> {
    runtime: &'r Runtime,
    kind: Kind,
    // Before its folder, so that its processes are gone first.
    cluster: Cluster,
    _folder: tempfile::TempDir,
}

impl<'r> Bench<'r> {
    fn start(runtime: &'r Runtime, kind: Kind, arguments: &Arguments) -> anyhow::Result<Self> {
        let folder = arguments.folder()?;
        let options = Options {
            flavor: arguments.flavor(kind)?,
            brokers: 3,
            network: Network::loopback(),
            folder: folder.path().to_owned(),
            disk: None,
            boots: false,
            // What is written for warming goes at once; the rest stays, however old its encoded batches say they are.
            properties: [("log.retention.check.interval.ms", "2000"), ("log.retention.ms", "-1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
        };
        let cluster = runtime.block_on(Cluster::start(&options))?;
        Ok(Self { runtime, kind, cluster, _folder: folder })
    }

    /// Makes a topic with all replicas in sync; returns the address of each partition's leader.
    fn topic(&self, name: &str, partitions: i32, replicas: i16) -> anyhow::Result<Vec<SocketAddr>> {
        self.topic_with(name, partitions, replicas, &[])
    }

    /// [`Bench::topic`] with these configs.
    fn topic_with(
        &self,
        name: &str,
        partitions: i32,
        replicas: i16,
        configs: &[(&str, &str)],
    ) -> anyhow::Result<Vec<SocketAddr>> {
        self.runtime.block_on(async {
            let client = self.cluster.client(Duration::from_secs(30)).await?;
            client.create_topic(name, partitions, replicas, configs).await?;
            self.cluster.in_sync(&[name], Duration::from_secs(30)).await?;
            let mut leaders = Vec::new();
            for partition in 0..partitions {
                let leader = self.cluster.leader(name, partition).await?;
                // What the metadata says, the leader may not have heard yet.
                client.list_offset(name, partition, -1).await?;
                leaders.push(self.cluster.brokers[leader].address());
            }
            Ok(leaders)
        })
    }
}
