//! `ottla-operator`: the operator as the process of its image.

use std::process::ExitCode;

use clap::Parser;
use ottla_operator::process::{self, Arguments};

/// Runs Kafka clusters of Ottla brokers on Kubernetes.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    process::log_to_stderr();
    process::run(Cli::parse().arguments)
}
