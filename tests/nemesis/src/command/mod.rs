//! The subcommands that start a cluster, and what they share.

mod compaction;
mod gaps;
mod group;
mod run;
mod soak;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ottla_nemesis::checker::NEEDLESS_WAIT;
use ottla_nemesis::process::{Durability, Flavor};
use tokio::signal::unix::{SignalKind, signal};

pub use compaction::Compaction;
pub use gaps::Gaps;
pub use group::Group;
pub use run::Run;
pub use soak::Soak;

/// What is harmed, and what becomes of the result.
#[derive(clap::Args)]
struct Common {
    /// The broker.
    #[arg(long, default_value = "target/local/ottla-broker")]
    broker: PathBuf,
    /// Harm the real Kafka that tests/clients/install brings instead.
    #[arg(long)]
    kafka: bool,
    /// Durability of every topic but the one on pairs of brokers, whose acks are on disks always.
    #[arg(long, value_enum, default_value = "fsync")]
    durability: Durability,
    /// The machine does other work too: slowness alone is no failure, only what takes minutes.
    #[arg(long)]
    loaded: bool,
    /// Where to keep data, logs and the history; else they are kept only if something is wrong.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Write the result here as Markdown.
    #[arg(long)]
    page: Option<PathBuf>,
}

/// A folder for a run, which goes with it unless it was asked for, or something is wrong.
struct Folder {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Common {
    fn flavor(&self) -> anyhow::Result<Flavor> {
        if self.kafka {
            return Flavor::installed_kafka();
        }
        Ok(Flavor::Ottla { broker: std::path::absolute(&self.broker)?, durability: self.durability })
    }

    fn name(&self) -> &'static str {
        if self.kafka { "Apache Kafka" } else { self.durability.name() }
    }

    fn folder(&self) -> anyhow::Result<Folder> {
        if let Some(path) = &self.keep {
            std::fs::create_dir_all(path)?;
            return Ok(Folder { path: path.clone(), temporary: None });
        }
        let temporary = tempfile::TempDir::with_prefix("ottla-nemesis-")?;
        Ok(Folder { path: temporary.path().to_owned(), temporary: Some(temporary) })
    }

    /// How long anything may take that must come about. Kafka is slower in coming back.
    fn patience(&self) -> Duration {
        Duration::from_secs(if self.loaded || self.kafka { 180 } else { 60 })
    }

    fn needless_wait(&self) -> Duration {
        if self.loaded { Duration::from_secs(30) } else { Duration::from_micros(NEEDLESS_WAIT) }
    }

    fn write(&self, page: &str) -> anyhow::Result<()> {
        Ok(self.page.as_ref().map_or(Ok(()), |path| std::fs::write(path, page))?)
    }
}

impl Folder {
    fn keep(self) {
        if let Some(temporary) = self.temporary {
            eprintln!("data, logs and history are kept in {}", temporary.keep().display());
        }
    }
}

/// Carries out a run unless a signal ends it. Dropping the run kills its processes and unmounts its file systems.
async fn carry_out<T>(run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = run => outcome,
        _ = terminated.recv() => Err(anyhow::anyhow!("terminated")),
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Prints the verdict, and says by the exit code what it is.
#[allow(clippy::print_stdout, reason = "the verdict is what the program is for")]
pub fn tell(page: &str, is_good: bool) -> ExitCode {
    println!("{page}");
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
