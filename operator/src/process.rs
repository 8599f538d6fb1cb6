//! The operator as a process: arguments, logs, signals and exit code.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use crate::OperatorConfig;

/// Exit code of a fault that is not the caller's.
const FAILED: u8 = 1;

/// What the command line tells the operator.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The only namespace to look at; all of them if left out.
    #[arg(long)]
    pub namespace: Option<String>,

    /// The broker's image for clusters whose spec names none.
    #[arg(long)]
    pub broker_image: Option<String>,

    /// Where metrics and probes are served.
    #[arg(long, default_value = "0.0.0.0:9405")]
    pub http_listener: SocketAddr,

    /// The name of this operator in events.
    #[arg(long)]
    pub instance: Option<String>,
}

/// Sends log lines to standard error; `RUST_LOG` says which.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

/// Runs the operator against the cluster that the environment or the kubeconfig names, until SIGTERM or Ctrl-C.
pub fn run(arguments: Arguments) -> ExitCode {
    match operate(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::from(FAILED)
        }
    }
}

#[tokio::main]
async fn operate(arguments: Arguments) -> anyhow::Result<()> {
    let client = kube::Client::try_default().await.context("no way to a Kubernetes API was found")?;
    let defaults = OperatorConfig::default();
    let config = OperatorConfig {
        namespace: arguments.namespace,
        broker_image: arguments.broker_image.unwrap_or(defaults.broker_image),
        http_listener: Some(arguments.http_listener),
        instance: arguments.instance,
    };
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        asked_to_stop().await;
        info!("stopping");
        stop.cancel();
    });
    crate::run(client, config, shutdown).await.context("the operator cannot go on")
}

/// Ends on SIGTERM or Ctrl-C. If neither can be listened for, the process ends as the system wishes.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
