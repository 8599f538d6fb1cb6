//! `ottla-bench`: measures a broker beside the limit of the machine.
//!
//! `run` starts each server anew for every round, in shuffled order, runs the cells and prints a table of medians; the
//! `null` server receives, checks checksums, appends and answers, and does nothing else. Apache Kafka is warmed first.
//! `gate` is what a change must pass: processor time as a ratio to the null server's, which a busy machine does not move.

mod cell;
mod cluster;
mod disk;
mod gate;
mod load;
mod null;
mod pin;
mod report;
mod scale;
mod server;
mod start;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rand::seq::SliceRandom;

use crate::cell::Cell;
use crate::load::warm;
use crate::report::Report;
use crate::server::{Kind, Server};

#[derive(Parser)]
#[command(about = "Measures a broker beside the limit of the machine")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the cells against a broker, Apache Kafka and the null server, then the broker's starts, and print tables.
    Run {
        /// The broker to measure.
        #[arg(long, default_value = "target/release/ottla-broker")]
        broker: PathBuf,
        /// Rounds; every round starts each server anew.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Seconds of load per cell.
        #[arg(long, default_value_t = 2)]
        seconds: u64,
        /// Run only the cells whose name contains this, and no starts.
        #[arg(long, default_value = "")]
        only: String,
        /// The servers to measure.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "null,kafka,replicated,fsync")]
        servers: Vec<Kind>,
        /// Where the servers keep their data.
        #[arg(long)]
        data: Option<PathBuf>,
        /// Where the table of the cells is written besides.
        #[arg(long)]
        page: Option<PathBuf>,
    },
    /// Measure how long a broker takes to its first answer, with few and with many partitions.
    Start(start::Arguments),
    /// Hold the broker's processor time beside the null server's to its limits: of use on busy machines too.
    Gate {
        /// The broker to measure.
        #[arg(long, default_value = "target/local/ottla-broker")]
        broker: PathBuf,
    },
    /// Measure how many partitions, idle connections and waiting consumers a broker carries, and what they cost.
    Scale(scale::Arguments),
    /// Measure clusters of three beside Apache Kafka.
    Cluster(cluster::Arguments),
    /// Serve the least that a broker could do, until killed.
    Null {
        /// Port on 127.0.0.1.
        #[arg(long)]
        port: u16,
        /// Where batches are appended.
        #[arg(long)]
        dir: PathBuf,
        /// Larger batches are written while they arrive, in pieces of so many bytes.
        #[arg(long, default_value_t = 128 << 10)]
        piece: usize,
    },
}

#[allow(clippy::print_stdout, reason = "the tables are what the program is for")]
fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Null { port, dir, piece } => null::serve(port, &dir, piece),
        Command::Cluster(arguments) => cluster::run(arguments),
        Command::Start(arguments) => start::run(&arguments),
        Command::Scale(arguments) => scale::run(&arguments),
        Command::Gate { broker } => gate::run(&broker),
        Command::Run { broker, rounds, seconds, only, mut servers, data, page } => {
            let cells: Vec<Cell> = Cell::all().into_iter().filter(|cell| cell.name().contains(&only)).collect();
            let report = run(&broker, &mut servers, rounds, Duration::from_secs(seconds), &cells, data.as_deref())?;
            println!("{}", report.page());
            if let Some(page) = page {
                std::fs::write(page, report.page())?;
            }
            if only.is_empty() { start::table(&broker, rounds, start::PARTITIONS, data.as_deref()) } else { Ok(()) }
        }
    }
}

fn run(
    broker: &std::path::Path,
    servers: &mut [Kind],
    rounds: usize,
    length: Duration,
    cells: &[Cell],
    data: Option<&std::path::Path>,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for round in 0..rounds {
        servers.shuffle(&mut rand::rng());
        for &kind in servers.iter() {
            let server = Server::start(kind, broker, data)?;
            if kind.is_kafka() {
                warm::warm(&server)?;
            }
            report.start(kind, &server);
            for &cell in cells {
                eprintln!("round {} of {rounds}: {kind:?}: {}", round + 1, cell.name());
                report.add(kind, cell, cell.measure(&server, length)?);
            }
            report.loaded(kind, &server)?;
        }
    }
    Ok(report)
}
