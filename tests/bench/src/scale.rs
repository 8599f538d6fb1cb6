//! How much one broker carries: partitions, idle connections and consumers that wait.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use ottla_protocol::messages::ApiVersionsRequest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::load::fetch::fetch_frame;
use crate::load::{e2e, serial};
use crate::server::{Kind, Server, Stop};
use crate::wire::{self, Connection};

/// Partitions of one topic, made by one request.
const PER_TOPIC: i32 = 10_000;
const LENGTH: Duration = Duration::from_secs(5);

/// How much of each.
#[derive(clap::Args)]
pub struct Arguments {
    /// The broker to measure.
    #[arg(long, default_value = "target/release/ottla-broker")]
    broker: PathBuf,
    /// Partitions, in topics of 10,000.
    #[arg(long, default_value_t = 100_000)]
    partitions: i32,
    /// Connections that have asked once and ask no more.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Consumers that wait half a second at a time for what does not come.
    #[arg(long, default_value_t = 500)]
    consumers: i32,
    /// Where the broker keeps its data.
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Measures and prints the tables.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    raise_open_files()?;
    partitions(arguments)?;
    let server = Server::start(Kind::Replicated, &arguments.broker, arguments.data.as_deref())?;
    say(
        "\n| with | resident memory | serial 1 KiB, p50 / p99 | e2e 100 B at 1 k/s, p50 / p99 | processor when idle |\n|---|---|---|---|---|",
    );
    canary(&server, "nothing else")?;
    let idle = idle_connections(&server, arguments.connections)?;
    canary(&server, &format!("{} idle connections", idle.len()))?;
    drop(idle);
    waiting_consumers(&server, arguments.consumers)
}

/// Topics one after the other, then starts with all of them.
fn partitions(arguments: &Arguments) -> anyhow::Result<()> {
    let mut server = Server::start(Kind::Fsync, &arguments.broker, arguments.data.as_deref())?;
    say(
        "| partitions | the last 10,000 made in | resident memory | of it per partition | open files | maps | threads |\n|---|---|---|---|---|---|---|",
    );
    let empty = server.memory()?;
    row(&server, 0, Duration::ZERO, empty)?;
    for topic in 0..arguments.partitions / PER_TOPIC {
        let began = Instant::now();
        server.create_topic(&format!("scale-{topic}"), PER_TOPIC)?;
        row(&server, (topic + 1) * PER_TOPIC, began.elapsed(), empty)?;
    }
    for (stop, name) in [(Stop::Clean, "SIGTERM"), (Stop::Kill, "kill −9")] {
        server.restart(stop)?;
        let (took, then) = (server.started_in.as_secs_f64(), server.idle_memory >> 20);
        std::thread::sleep(LENGTH);
        let memory = server.memory()?;
        let (each, memory) = (each(memory, empty, arguments.partitions), memory >> 20);
        say(&format!(
            "\nFirst answer after {name} with all of them: {took:.2} s, {then} MiB; {LENGTH:?} later {memory} MiB, {each:.2} KiB each."
        ));
    }
    Ok(())
}

/// KiB of `memory` that each partition takes, where there were `empty` bytes without them.
fn each(memory: u64, empty: u64, partitions: i32) -> f64 {
    memory.saturating_sub(empty) as f64 / f64::from(partitions.max(1)) / 1024.0
}

fn row(server: &Server, partitions: i32, took: Duration, empty: u64) -> anyhow::Result<()> {
    let memory = server.memory()?;
    let each = each(memory, empty, partitions);
    let proc = PathBuf::from(format!("/proc/{}", server.pid()));
    let maps = std::fs::read_to_string(proc.join("maps"))?.lines().count();
    let entries = |name: &str| -> anyhow::Result<usize> { Ok(std::fs::read_dir(proc.join(name))?.count()) };
    let (files, threads) = (entries("fd")?, entries("task")?);
    let (took, memory) = (took.as_secs_f64(), memory >> 20);
    say(&format!("| {partitions} | {took:.2} s | {memory} MiB | {each:.2} KiB | {files} | {maps} | {threads} |"));
    Ok(())
}

/// What a client that does something sees, and what the broker burns while it does not.
fn canary(server: &Server, name: &str) -> anyhow::Result<()> {
    let topic: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let began = server.cpu_seconds()?;
    std::thread::sleep(LENGTH);
    let idle = (server.cpu_seconds()? - began) / LENGTH.as_secs_f64() * 100.0;
    let serial = serial::run(server, &format!("serial{topic}"), 1, LENGTH)?.latency;
    let e2e = e2e::run(server, &format!("e2e{topic}"), 1, LENGTH)?.latency;
    let quantiles = |latency: &hdrhistogram::Histogram<u64>| {
        let [p50, p99] = [0.5, 0.99].map(|quantile| latency.value_at_quantile(quantile) as f64 / 1e3);
        format!("{p50:.3} / {p99:.2} ms")
    };
    let (memory, serial, e2e) = (server.memory()? >> 20, quantiles(&serial), quantiles(&e2e));
    say(&format!("| {name} | {memory} MiB | {serial} | {e2e} | {idle:.1} % |"));
    Ok(())
}

/// Connections that have asked for versions, as every client does first.
fn idle_connections(server: &Server, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let frame = wire::encode(&ApiVersionsRequest::default(), 0)?;
    let open = || -> anyhow::Result<TcpStream> {
        let mut stream = TcpStream::connect(server.address)?;
        stream.write_all(&frame)?;
        let mut size = [0; 4];
        stream.read_exact(&mut size)?;
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        stream.read_exact(&mut answer)?;
        Ok(stream)
    };
    (0..count).map(|index| open().with_context(|| format!("connection {index}"))).collect()
}

/// A canary among consumers that each wait for a partition of their own.
fn waiting_consumers(server: &Server, count: i32) -> anyhow::Result<()> {
    server.create_topic("waited-for", count)?;
    let ends = AtomicBool::new(false);
    let wait = |partition: i32| -> anyhow::Result<()> {
        let mut connection = Connection::open(server.address)?;
        let frame = fetch_frame("waited-for", partition, 0, 1 << 20, 1, 500)?;
        let mut head = [0; 64];
        while !ends.load(Ordering::Relaxed) {
            connection.send(&frame)?;
            connection.discard(&mut head)?;
        }
        Ok(())
    };
    let wait = &wait;
    std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..count).map(|partition| scope.spawn(move || wait(partition))).collect();
        let seen = canary(server, &format!("{count} consumers that wait"));
        ends.store(true, Ordering::Relaxed);
        for consumer in consumers {
            consumer.join().expect("the loads do not panic")?;
        }
        seen
    })
}

/// This process has both ends of thousands of connections to count with.
fn raise_open_files() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

#[allow(clippy::print_stdout, reason = "the tables are what the program is for")]
fn say(line: &str) {
    println!("{line}");
}
