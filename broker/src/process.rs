//! The broker as a process: arguments, logging, signals, and what its exit code says.
//!
//! Must not know how a broker works: it starts the parts in order and stops them in reverse.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{debug, error, info, warn};

use crate::config::{self, Config};
use crate::node::{self, Node};

/// Open files that the kernel's table has room for from the start: ten thousand connections and what a broker needs itself.
/// The kernel takes eight bytes for each.
const ROOM_FOR_OPEN_FILES: u64 = 16 << 10;

/// What the command line says.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// The properties file; without one the broker is a complete single broker on loopback.
    pub server_properties: Option<PathBuf>,
    /// A property that counts more than the file; may be given several times.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// Why the process ends other than by a signal.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Node(#[from] node::Error),
    #[error("cannot set up the process: {0}")]
    Process(#[from] std::io::Error),
}

impl Failure {
    /// 2 bad configuration, 3 refused identity, 4 storage failure, 70 bug.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Node(error) => error.exit_code(),
            Self::Process(_) => 70,
        }
    }
}

/// Runs a broker until SIGTERM or SIGINT, and returns its exit code. A second signal ends the process at once.
pub fn run(arguments: &Arguments) -> ExitCode {
    match try_run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Log lines on standard error, at `info` or what `OTTLA_LOG` says. What openraft says of a member that does not answer, dozens
/// of lines a second, is left out: that a broker is fenced or leads no more is told once, by those who decide it.
pub fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OTTLA_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,openraft=off"));
    // Fails only when a subscriber is set already, and then that one is meant.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .try_init();
}

fn try_run(arguments: &Arguments) -> Result<(), Failure> {
    raise_open_files();
    make_room_for_open_files();
    let config = Config::load(arguments.server_properties.as_deref(), &arguments.overrides)?;
    let unused = config.unused_keys();
    if !unused.is_empty() {
        warn!(keys = %unused.join(", "), "these keys of Kafka have no effect in Ottla");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(Arc::new(config)))
}

/// Takes as many open files as the process may have: a service manager begins with 1,024 for the sake of programs that use
/// `select`, and ten thousand connections need more. Other runtimes do so too, Java's among them.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        warn!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}

/// Has the kernel make the table of open files large before there are threads. It doubles when it is full, and in a process
/// with threads whoever opens a file or accepts a connection then waits until every processor has passed by (RCU), as do all
/// others that open one: up to 30 ms, at the 65th open file, the 129th and so on.
fn make_room_for_open_files() {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let last = ROOM_FOR_OPEN_FILES.min(limit).saturating_sub(1);
    let reached = i32::try_from(last).map(|last| fcntl_dupfd_cloexec(std::io::stderr(), last));
    if !matches!(reached, Ok(Ok(_))) {
        debug!("the table of open files grows when it is needed");
    }
}

async fn serve(config: Arc<Config>) -> Result<(), Failure> {
    let mut stop = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (node, failure) = loop {
        // A start may wait for others as long as it likes, and there is nothing to stop in order before it is done.
        let node = tokio::select! {
            started = Node::start(Arc::clone(&config)) => started?,
            _ = stop.recv() => {
                info!("SIGTERM before the start was done");
                return Ok(());
            }
            _ = interrupt.recv() => {
                info!("SIGINT before the start was done");
                return Ok(());
            }
        };
        let failure = tokio::select! {
            _ = stop.recv() => {
                info!("SIGTERM: stopping");
                None
            }
            _ = interrupt.recv() => {
                info!("SIGINT: stopping");
                None
            }
            reason = node.failed() => Some(reason),
        };
        match failure {
            Some(reason @ node::Error::Forgotten) => {
                warn!("{reason}: beginning anew");
                node.stop().await?;
            }
            failure => break (node, failure),
        }
    };
    tokio::spawn(async move {
        tokio::select! { _ = stop.recv() => {}, _ = interrupt.recv() => {} }
        warn!("second signal: stopping at once");
        std::process::exit(0);
    });
    node.stop().await?;
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    info!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `FDSize` of proc(5): how many open files the kernel's table has room for.
    fn room() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        line.trim().parse().unwrap()
    }

    #[test]
    fn there_is_room_for_open_files_before_they_are_opened() {
        raise_open_files();
        make_room_for_open_files();
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(room() >= ROOM_FOR_OPEN_FILES.min(limit), "{}", room());
    }
}
