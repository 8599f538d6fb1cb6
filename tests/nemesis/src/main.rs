//! `ottla-nemesis`: harms a cluster of real processes under load and checks what its clients saw.
//!
//! As root it runs inside network and mount namespaces of its own, and gives each broker a small file system; else it
//! does without the faults that need them, and says so.

mod command;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ottla_nemesis::checker::{self, NEEDLESS_WAIT};
use ottla_nemesis::history::History;
use ottla_nemesis::report;

#[derive(Parser)]
#[command(about = "Harms a cluster of real broker processes under load and checks what its clients saw")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run faults for some minutes, and judge.
    Run(command::Run),
    /// Measure the gaps between acks that single faults leave, and hold them to their limits.
    Gaps(command::Gaps),
    /// Kill a broker in the midst of cleans of a compacted topic, and check what is left of it.
    Compaction(command::Compaction),
    /// Restart the members of a large consumer group one after the other, and check who owned what.
    Group(command::Group),
    /// Let brokers work for hours without a restart, check what clients saw, and look for what leaks.
    Soak(command::Soak),
    /// Judge a history again.
    Check {
        /// The file.
        history: PathBuf,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Check { history } => {
            let report = checker::check(&History::load(&history)?, NEEDLESS_WAIT);
            Ok(command::tell(&report::page("a history", &report), report.violations.is_empty()))
        }
        Command::Run(arguments) => arguments.run(),
        Command::Gaps(arguments) => arguments.run(),
        Command::Compaction(arguments) => arguments.run(),
        Command::Group(arguments) => arguments.run(),
        Command::Soak(arguments) => arguments.run(),
    }
}
