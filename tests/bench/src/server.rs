//! Starts a server as a process of its own, and reads what it costs from the kernel's accounting.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use ottla_nemesis::process::Flavor;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::wire::Connection;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// The limit: a server that only receives, checks and appends.
    Null,
    /// The same, but for large batches, which it appends only when they are whole.
    Whole,
    /// Apache Kafka as it comes, with a heap of 1 GiB.
    Kafka,
    /// The same, told to flush each batch before it is acked: `log.flush.interval.messages=1`.
    Flushed,
    /// Ottla with `ottla.durability=replicated`.
    Replicated,
    /// Ottla as it comes: `ottla.durability=fsync`.
    Fsync,
}

impl Kind {
    /// Whether it is one of the null servers.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null | Self::Whole)
    }

    /// Whether it is Apache Kafka.
    pub fn is_kafka(self) -> bool {
        matches!(self, Self::Kafka | Self::Flushed)
    }

    /// What producers ask for: all it promises where that is a flush.
    pub fn acks(self) -> i16 {
        if matches!(self, Self::Fsync | Self::Flushed) { -1 } else { 1 }
    }
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// By SIGTERM: in order.
    Clean,
    /// By SIGKILL.
    Kill,
}

/// A running server; killed when dropped.
pub struct Server {
    /// What it is.
    pub kind: Kind,
    /// Where it serves.
    pub address: SocketAddr,
    /// From exec to the first answer.
    pub started_in: Duration,
    /// Resident memory after the first answer, in bytes.
    pub idle_memory: u64,
    command: Command,
    child: Child,
    _data: TempDir,
}

impl Server {
    /// Starts a server with an empty directory below `data` (default: the system's temporary one).
    pub fn start(kind: Kind, broker: &Path, data: Option<&Path>) -> anyhow::Result<Self> {
        let dir = match data {
            Some(parent) => TempDir::new_in(parent)?,
            None => TempDir::new()?,
        };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = command(kind, broker, port, dir.path())?;
        let log = std::fs::File::create(dir.path().join("server.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let began = Instant::now();
        let child = spawn(&mut command)?;
        let mut server = Self { kind, address, started_in: Duration::ZERO, idle_memory: 0, command, child, _data: dir };
        server.await_first_answer(began)?;
        Ok(server)
    }

    /// Ends the run, and starts another with what it has left on the disk.
    pub fn restart(&mut self, stop: Stop) -> anyhow::Result<()> {
        self.end(stop)?;
        let began = Instant::now();
        self.child = spawn(&mut self.command)?;
        self.await_first_answer(began)
    }

    /// Ends the run; its files stay until this goes.
    pub fn end(&mut self, stop: Stop) -> anyhow::Result<()> {
        match stop {
            Stop::Clean => rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM)?,
            Stop::Kill => self.child.kill()?,
        }
        self.child.wait()?;
        Ok(())
    }

    fn await_first_answer(&mut self, began: Instant) -> anyhow::Result<()> {
        while began.elapsed() < Duration::from_secs(60) {
            if let Ok(mut connection) = Connection::open(self.address)
                && connection.call(&ApiVersionsRequest::default(), 0).is_ok()
            {
                self.started_in = began.elapsed();
                self.idle_memory = self.memory()?;
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at its start with {status}");
            }
            // Asking without a pause would take from the server the processor that it starts on.
            std::thread::sleep(Duration::from_micros(200));
        }
        bail!("the server did not answer within a minute")
    }

    /// Makes a topic and returns once all of it is usable; the null server takes any.
    pub fn create_topic(&self, name: &str, partitions: i32) -> anyhow::Result<()> {
        self.create_topic_with(name, partitions, &[])
    }

    /// [`Server::create_topic`] with these configs.
    pub fn create_topic_with(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> anyhow::Result<()> {
        if self.kind.is_null() {
            return Ok(());
        }
        let config =
            |(name, value): &(&str, &str)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) };
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 60_000, ..CreateTopicsRequest::default() };
        let mut connection = Connection::open(self.address)?;
        let response = connection.call(&request, 5)?;
        let error = response.topics.first().map(|topic| topic.error_code);
        ensure!(error == Some(ErrorCode::NONE), "creating topic {name} failed: {error:?}");
        await_leaders(&mut connection, name, partitions)
    }

    /// Deletes a topic; the null server has none.
    pub fn delete_topic(&self, name: &str) -> anyhow::Result<()> {
        if self.kind.is_null() {
            return Ok(());
        }
        let request = DeleteTopicsRequest {
            topic_names: vec![name.into()],
            timeout_ms: 60_000,
            ..DeleteTopicsRequest::default()
        };
        let response = Connection::open(self.address)?.call(&request, 5)?;
        let error = response.responses.first().map(|topic| topic.error_code);
        ensure!(error == Some(ErrorCode::NONE), "deleting topic {name} failed: {error:?}");
        Ok(())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor seconds that the process has used so far.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.child.id())
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib << 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for the ends of all partitions until every one is told: Kafka answers a creation before its partitions serve.
fn await_leaders(connection: &mut Connection, name: &str, partitions: i32) -> anyhow::Result<()> {
    const VERSION: i16 = 7;
    let partition = |partition_index| ListOffsetsPartition { partition_index, current_leader_epoch: -1, timestamp: -1 };
    let topic = ListOffsetsTopic { name: name.into(), partitions: (0..partitions).map(partition).collect() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let response = connection.call(&request, VERSION)?;
        let told = response.topics.iter().flat_map(|topic| &topic.partitions);
        if told.filter(|partition| partition.error_code == ErrorCode::NONE).count() == partitions as usize {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("the partitions of {name} are not usable after a minute")
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    command.spawn().with_context(|| format!("cannot start {command:?}"))
}

/// Processor seconds of a process, from `/proc/<pid>/stat`, whose unit is the hundredth of a second.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no command in stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / 100.0)
}

fn command(kind: Kind, broker: &Path, port: u16, dir: &Path) -> anyhow::Result<Command> {
    if kind.is_null() {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("null").arg("--port").arg(port.to_string()).arg("--dir").arg(dir);
        if kind == Kind::Whole {
            command.args(["--piece", "100000000"]);
        }
        return Ok(command);
    }
    if kind.is_kafka() {
        return kafka(kind, port, dir);
    }
    let durability = if kind == Kind::Fsync { "fsync" } else { "replicated" };
    let mut command = Command::new(broker);
    for pair in [
        format!("listeners=PLAINTEXT://127.0.0.1:{port}"),
        format!("log.dirs={}", dir.join("log").display()),
        "ottla.http.listener=".into(),
        format!("ottla.durability={durability}"),
        "message.max.bytes=10000000".into(),
        "log.segment.delete.delay.ms=0".into(),
    ] {
        command.arg("--override").arg(pair);
    }
    Ok(command)
}

/// One broker that is its own controller, formatted.
fn kafka(kind: Kind, port: u16, dir: &Path) -> anyhow::Result<Command> {
    let controller = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let flavor = Flavor::installed_kafka()?;
    let extra = [
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("controller.quorum.voters", format!("0@127.0.0.1:{controller}")),
        // What is written for warming goes at once; the rest stays, however old its batches say they are.
        ("log.retention.check.interval.ms", "2000".into()),
        ("log.retention.ms", "-1".into()),
        ("log.segment.delete.delay.ms", "0".into()),
        ("log.flush.interval.messages", if kind == Kind::Flushed { 1 } else { i64::MAX }.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value));
    flavor.prepare(dir, &dir.join("log"), 0, &[Ipv4Addr::LOCALHOST], &extra)?;
    let mut command = Command::new(flavor.program());
    flavor.arguments(&mut command, dir);
    Ok(command)
}
