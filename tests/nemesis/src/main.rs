//! `ottla-nemesis`: harms a cluster of real processes under load and checks what its clients saw.
//!
//! As root it runs inside network namespaces of its own, and gives each broker a small file system; else it does
//! without the faults that need them, and says so.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ottla_nemesis::checker::{self, Report};
use ottla_nemesis::history::History;
use ottla_nemesis::nemesis::{Plan, Series, run};
use ottla_nemesis::process::{Disk, Durability, Flavor, Network};
use ottla_nemesis::report;
use ottla_nemesis::workload::Load;

#[derive(Parser)]
#[command(about = "Harms a cluster of real broker processes under load and checks what its clients saw")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run faults for some minutes, and judge.
    Run(RunArguments),
    /// Judge a history again.
    Check {
        /// The file.
        history: PathBuf,
    },
}

#[derive(clap::Args)]
struct RunArguments {
    /// Minutes of faults.
    #[arg(default_value_t = 3.0)]
    minutes: f64,
    /// The seed; a random one is made and printed.
    seed: Option<u64>,
    /// The broker.
    #[arg(long, default_value = "target/local/ottla-broker")]
    broker: PathBuf,
    /// Harm the real Kafka that tests/clients/install brings instead.
    #[arg(long)]
    kafka: bool,
    /// How many brokers.
    #[arg(long, default_value_t = 3)]
    brokers: usize,
    /// Durability of every topic.
    #[arg(long, value_enum, default_value = "fsync")]
    durability: Durability,
    /// Only faults whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// The longest freeze or cut, in seconds.
    #[arg(long, default_value_t = 10)]
    longest: u64,
    /// Calls that each writer begins per second at most.
    #[arg(long, default_value_t = 60.0)]
    calls_per_second: f64,
    /// Where to keep data, logs and the history; else they are kept only if something is wrong.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Write the result here as Markdown.
    #[arg(long)]
    page: Option<PathBuf>,
}

/// Bytes of each broker's own file system; sparse, so only what is written counts.
const DISK: u64 = 8 << 30;

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Check { history } => {
            let verdict = checker::check(&History::load(&history)?);
            Ok(tell(&report::page("a history", &verdict), &verdict))
        }
        Command::Run(arguments) => {
            if Network::inside().is_none()
                && let Some(status) = Network::reenter(arguments.brokers)?
            {
                return Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
            }
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(run_once(arguments))
        }
    }
}

async fn run_once(arguments: RunArguments) -> anyhow::Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(|| rand::random_range(0..1_000_000));
    let temporary = tempfile::TempDir::with_prefix("ottla-nemesis-")?;
    let folder = arguments.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let network = Network::inside().unwrap_or_else(Network::loopback);
    let disks = Disk::images_work(&folder);
    eprintln!("seed {seed}; network faults: {}; disk faults: {disks}", network.can_cut());
    let flavor = if arguments.kafka {
        Flavor::installed_kafka()?
    } else {
        Flavor::Ottla { broker: std::path::absolute(&arguments.broker)?, durability: arguments.durability }
    };
    let plan = Plan {
        flavor,
        brokers: arguments.brokers,
        network,
        disk: disks.then_some(DISK),
        folder,
        seed,
        series: Series::Seeded(arguments.only, Duration::from_secs_f64(arguments.minutes * 60.0)),
        longest: Duration::from_secs(arguments.longest),
        load: Load { calls_per_second: arguments.calls_per_second, ..Load::default() },
    };
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = run(&plan) => outcome,
        _ = terminated.recv() => Err(anyhow::anyhow!("terminated")),
        // Dropping the run kills its processes and unmounts its file systems.
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let kept = |temporary: tempfile::TempDir| {
        if arguments.keep.is_none() {
            eprintln!("data, logs and history are kept in {}", temporary.keep().display());
        }
    };
    let summary = match outcome {
        Ok(summary) => summary,
        Err(error) => {
            kept(temporary);
            return Err(error);
        }
    };
    let title = format!(
        "seed {seed}, {:.1} minutes, {} brokers, {}",
        summary.seconds / 60.0,
        plan.brokers,
        if arguments.kafka { "Apache Kafka" } else { arguments.durability.name() }
    );
    let page = report::page(&title, &summary.report);
    if let Some(path) = arguments.page {
        std::fs::write(path, &page)?;
    }
    if !summary.report.violations.is_empty() {
        kept(temporary);
    }
    Ok(tell(&page, &summary.report))
}

#[allow(clippy::print_stdout, reason = "the verdict is what the program is for")]
fn tell(page: &str, verdict: &Report) -> ExitCode {
    println!("{page}");
    if verdict.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
