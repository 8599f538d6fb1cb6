//! `ottla-broker [server.properties] [--override key=value]…`

use std::process::ExitCode;

use clap::Parser;
use ottla_broker::process::{self, Arguments};

#[derive(Parser)]
#[command(name = "ottla-broker", version, about = "A Kafka-compatible broker")]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    process::log_to_stderr();
    process::run(&Cli::parse().arguments)
}
