//! The operator as a process: arguments, logs, signals and exit code.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use crate::{LeaseName, OperatorConfig};

/// Exit code of a fault that is not the caller's.
const FAILED: u8 = 1;

/// What the command line tells the operator.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// A namespace to look at; may be given several times. Without one it is the operator's own.
    #[arg(long, conflicts_with = "all_namespaces")]
    pub namespace: Vec<String>,

    /// Look at all namespaces.
    #[arg(long)]
    pub all_namespaces: bool,

    /// Work only while holding this Lease, so that several operators may run; written as NAMESPACE/NAME.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub lease: Option<LeaseName>,

    /// The broker's image for clusters whose spec names none.
    #[arg(long)]
    pub broker_image: Option<String>,

    /// Where metrics and probes are served.
    #[arg(long, default_value = "0.0.0.0:9405")]
    pub http_listener: SocketAddr,

    /// The name of this operator in events and in the Lease: no other may bear it.
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
        namespaces: namespaces(&arguments, client.default_namespace()),
        lease: arguments.lease,
        broker_image: arguments.broker_image.unwrap_or(defaults.broker_image),
        http_listener: Some(arguments.http_listener),
        instance: arguments.instance,
        pace: defaults.pace,
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

/// The namespaces to look at; none is all of them.
fn namespaces(arguments: &Arguments, own: &str) -> Vec<String> {
    match &arguments.namespace[..] {
        _ if arguments.all_namespaces => Vec::new(),
        [] => vec![own.to_owned()],
        named => {
            let mut namespaces = named.to_vec();
            namespaces.sort();
            namespaces.dedup();
            namespaces
        }
    }
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

#[cfg(test)]
mod tests {
    use clap::{FromArgMatches, error::ErrorKind};

    use super::*;

    fn parsed(words: &[&str]) -> Result<Arguments, ErrorKind> {
        let command = Arguments::augment_args(clap::Command::new("operator"));
        let matches = command.try_get_matches_from([&["operator"], words].concat()).map_err(|error| error.kind())?;
        Ok(Arguments::from_arg_matches(&matches).unwrap())
    }

    #[test]
    fn it_looks_at_its_own_namespace_unless_told_otherwise() {
        let look = |words: &[&str]| namespaces(&parsed(words).unwrap(), "own");
        assert_eq!(look(&[]), ["own"]);
        assert_eq!(look(&["--namespace=b", "--namespace=a", "--namespace=b"]), ["a", "b"]);
        assert_eq!(look(&["--all-namespaces"]), Vec::<String>::new());
        assert_eq!(parsed(&["--all-namespaces", "--namespace=a"]).unwrap_err(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_lease_has_a_namespace_and_a_name() {
        let lease = parsed(&["--lease=ottla-system/ottla"]).unwrap().lease;
        assert_eq!(lease, Some(LeaseName { namespace: "ottla-system".to_owned(), name: "ottla".to_owned() }));
        for wrong in ["--lease=ottla", "--lease=/ottla", "--lease=a/"] {
            assert_eq!(parsed(&[wrong]).unwrap_err(), ErrorKind::ValueValidation, "{wrong}");
        }
    }
}
