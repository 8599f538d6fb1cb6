//! The command line.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{check, local};

/// Ottla: a Kafka-compatible broker and the Kubernetes operator that keeps clusters of it whole.
#[derive(Debug, Parser)]
#[command(name = "ottla", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole cluster on this machine: a Kubernetes API, the operator, and brokers as processes.
    Local(local::Options),
    /// Write to a cluster, read everything again, and tell what is lost and how long it took.
    Check(check::Options),
    /// Run one broker, as `ottla-broker` does.
    Broker(Broker),
    /// Run the operator against a Kubernetes cluster, as `ottla-operator` does.
    Operator(Operator),
}

#[derive(Debug, Args)]
pub struct Broker {
    #[command(flatten)]
    arguments: ottla_broker::process::Arguments,
}

#[derive(Debug, Args)]
pub struct Operator {
    #[command(flatten)]
    arguments: ottla_operator::process::Arguments,
}

impl Broker {
    pub fn run(self) -> ExitCode {
        ottla_broker::process::log_to_stderr();
        ottla_broker::process::run(&self.arguments)
    }
}

impl Operator {
    pub fn run(self) -> ExitCode {
        ottla_operator::process::log_to_stderr();
        ottla_operator::process::run(self.arguments)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn local_takes_the_options_that_are_promised() {
        let words = ["ottla", "local", "--check", "--data", "d", "--kube-port", "8001", "--manifest", "m.yaml"];
        let Command::Local(options) = Arguments::parse_from(words).command else { panic!("not local") };
        assert!(options.check && options.kube_port == 8001);
    }

    #[test]
    fn local_without_an_operator_takes_no_resources() {
        assert!(Arguments::try_parse_from(["ottla", "local", "--bare"]).is_ok());
        assert!(Arguments::try_parse_from(["ottla", "local", "--bare", "--check"]).is_err());
    }
}
