//! How long a broker takes from exec to its first answer, and what it then holds: new, after each kind of stop, and with
//! many partitions of one record each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ottla_protocol::messages::ProduceRequest;
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};

use crate::disk;
use crate::load::{PRODUCE_VERSION, batch, check_all};
use crate::report::{mebibytes, median, spread};
use crate::server::{Kind, Server, Stop};
use crate::wire::{self, Connection};

/// Partitions of one produce request.
const PER_REQUEST: usize = 500;
/// Partitions of the starts with many.
pub const PARTITIONS: i32 = 10_000;

/// What to measure and how often.
#[derive(clap::Args)]
pub struct Arguments {
    /// The broker to measure.
    #[arg(long, default_value = "target/release/ottla-broker")]
    broker: PathBuf,
    /// Rounds; every round begins with an empty directory.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Partitions of the starts with many.
    #[arg(long, default_value_t = PARTITIONS)]
    partitions: i32,
    /// Where the broker keeps its data.
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Milliseconds and MiB by what was measured, in the order of the table.
#[derive(Default)]
struct Starts(BTreeMap<(usize, String), Vec<(f64, f64)>>);

/// Measures and prints the table.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    table(&arguments.broker, arguments.rounds, arguments.partitions, arguments.data.as_deref())
}

/// Measures so many rounds and prints their medians.
pub fn table(broker: &Path, rounds: usize, partitions: i32, data: Option<&Path>) -> anyhow::Result<()> {
    let mut starts = Starts::default();
    // Their files stay until the end: ext4 without a journal looks at each inode that was freed in the last minutes whenever
    // it makes a file, and those of ten thousand partitions make that seconds.
    let mut ended = Vec::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}: starts", round + 1);
        disk::settle()?;
        let mut server = Server::start(Kind::Fsync, broker, data)?;
        starts.note(0, "empty directory", &server);
        fill(&server, "few", 10)?;
        server.restart(Stop::Clean)?;
        starts.note(1, "10 partitions, after SIGTERM", &server);
        server.restart(Stop::Kill)?;
        starts.note(2, "10 partitions, after kill -9", &server);
        disk::settle()?;
        let began = Instant::now();
        server.create_topic("many", partitions)?;
        let (took, memory) = (began.elapsed().as_secs_f64() * 1e3, mebibytes(server.memory()?));
        starts.0.entry((3, format!("{partitions} partitions created"))).or_default().push((took, memory));
        fill(&server, "many", partitions)?;
        server.restart(Stop::Clean)?;
        starts.note(4, &format!("{partitions} partitions, after SIGTERM"), &server);
        fill(&server, "many", partitions)?;
        server.restart(Stop::Kill)?;
        starts.note(5, &format!("{partitions} partitions, after kill -9"), &server);
        server.end(Stop::Kill)?;
        ended.push(server);
    }
    starts.print();
    Ok(())
}

/// One record to every partition; makes the topic if it is `few`.
fn fill(server: &Server, topic: &str, partitions: i32) -> anyhow::Result<()> {
    if partitions <= 10 {
        server.create_topic(topic, partitions)?;
    }
    let batch = batch(1, 1024);
    let mut connection = Connection::open(server.address)?;
    for first in (0..partitions).step_by(PER_REQUEST) {
        let indexes = first..partitions.min(first + PER_REQUEST as i32);
        let data = indexes.map(|index| PartitionProduceData { index, records: Some(batch.clone().into()) });
        let data =
            TopicProduceData { name: topic.into(), partition_data: data.collect(), ..TopicProduceData::default() };
        let request =
            ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![data], ..ProduceRequest::default() };
        connection.send(&wire::encode(&request, PRODUCE_VERSION)?)?;
        check_all(connection.receive()?)?;
    }
    Ok(())
}

impl Starts {
    fn note(&mut self, place: usize, name: &str, server: &Server) {
        let figures = (server.started_in.as_secs_f64() * 1e3, mebibytes(server.idle_memory));
        self.0.entry((place, name.to_owned())).or_default().push(figures);
    }

    #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
    fn print(&self) {
        println!("\n| start to first answer, fsync | ms (min–max) | resident memory |\n|---|---|---|");
        for ((_, name), figures) in &self.0 {
            let (times, memory): (Vec<f64>, Vec<f64>) = figures.iter().copied().unzip();
            println!("| {name} | {} | {:.1} MiB |", spread(times, 1), median(memory));
        }
    }
}
