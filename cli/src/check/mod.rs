//! `ottla check`: whether a cluster takes records with acks=all and gives back every one that it acked.
//!
//! It writes to every partition of a topic, for a number of records or until it is stopped, then reads everything again
//! and prints one line of figures. It is what `helm test` runs, and the load of the end-to-end scenarios.

mod payload;
mod reader;
mod tally;
#[cfg(test)]
mod tests;
mod writer;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use ottla_protocol::ErrorCode;
use ottla_protocol::client::{Client, ClientConfig, Error};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::signals::asked_to_stop;
use payload::Run;
pub use reader::read;
use tally::Tally;
use writer::Writer;

/// For one request; a broker waits less than that for its replicas.
const REQUEST: Duration = Duration::from_secs(10);
/// For the metadata of a topic that is being made, and for reading a partition after a fault.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at where the brokers are, while records are written.
const LOOK: Duration = Duration::from_secs(1);

/// What to check and how much of it.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Where to find the cluster: host:port, several with commas.
    #[arg(long, value_name = "HOST:PORT,…")]
    bootstrap: String,

    /// The topic, made with the cluster's defaults if it does not exist.
    #[arg(long, default_value = "ottla-check")]
    topic: String,

    /// How many records to write.
    #[arg(long, default_value_t = 100, conflicts_with = "until_stopped")]
    records: u64,

    /// Write until SIGTERM or Ctrl-C, then compare.
    #[arg(long)]
    until_stopped: bool,

    /// Records a second, over all partitions.
    #[arg(long, default_value_t = 300)]
    rate: u32,

    /// The bytes of a record's value.
    #[arg(long, default_value_t = 200)]
    size: usize,

    /// How many seconds to wait for the cluster to answer at first.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    wait: u64,
}

/// Checks; the exit code is 0 if nothing that was acked is lost.
pub fn main(options: &Options) -> ExitCode {
    let outcome = tokio::runtime::Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(check(options)));
    match outcome {
        Ok(tally) => {
            say(format_args!("{tally}"));
            if tally.lost() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "this command answers on standard output")]
fn say(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}

async fn check(options: &Options) -> anyhow::Result<Tally> {
    if options.rate == 0 {
        bail!("--rate must be at least 1");
    }
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        asked_to_stop().await;
        stopper.cancel();
    });
    let client = connect(options, Duration::from_secs(options.wait)).await?;
    let partitions = partitions_of(&client, &options.topic).await?;
    let run = Run::new(options.size);
    say(format_args!("producing to the {} partitions of {} as run {run}", partitions.len(), options.topic));
    let (tally, starts) = write(options, &client, &run, &partitions, stop).await?;
    compare(&client, options, &run, tally, &starts).await
}

async fn connect(options: &Options, wait: Duration) -> anyhow::Result<Client> {
    let config = ClientConfig { deadline: wait, request_timeout: REQUEST, ..ClientConfig::new("ottla-check") };
    let servers = options.bootstrap.split(',').map(|server| server.trim().to_owned());
    let client = Client::connect(servers, config).await;
    let client = client.with_context(|| format!("no broker answers at {}", options.bootstrap))?;
    Ok(client.with_deadline(PATIENCE))
}

/// The partitions of `topic`, which is made first if it does not exist.
async fn partitions_of(client: &Client, topic: &str) -> anyhow::Result<Vec<i32>> {
    let known = match client.topic(topic).await {
        Err(Error::Broker { code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, .. }) => {
            match client.create_topic(topic, -1, -1, &[]).await {
                // Another check may have been faster.
                Err(Error::Broker { code: ErrorCode::TOPIC_ALREADY_EXISTS, .. }) | Ok(()) => {}
                Err(error) => return Err(error).context("the topic cannot be made"),
            }
            led(client, topic).await?
        }
        known => known.context("the topic cannot be looked up")?,
    };
    let mut partitions: Vec<_> = known.partitions.keys().copied().collect();
    partitions.sort_unstable();
    Ok(partitions)
}

/// A topic that was just made, once every broker's metadata has it: a partition that has a log end has a leader.
async fn led(client: &Client, topic: &str) -> anyhow::Result<ottla_protocol::client::TopicMetadata> {
    client.list_offset(topic, 0, -1).await.with_context(|| format!("{topic} gets no leader"))?;
    client.topic(topic).await.with_context(|| format!("{topic} cannot be looked up"))
}

/// Runs a writer for each partition; what they did, and where in each partition they began.
async fn write(
    options: &Options,
    client: &Client,
    run: &Run,
    partitions: &[i32],
    stop: CancellationToken,
) -> anyhow::Result<(Tally, Vec<(i32, i64)>)> {
    let count = u64::try_from(partitions.len())?;
    let mut starts = Vec::new();
    for partition in partitions {
        let end = client.list_offset(&options.topic, *partition, -1).await;
        starts.push((*partition, end.with_context(|| format!("the end of partition {partition}"))?));
    }
    let mut writers = JoinSet::new();
    for (index, partition) in (0u64..).zip(partitions) {
        // What does not divide evenly goes to the first partitions.
        let share = options.records / count + u64::from(index < options.records % count);
        let writer = Writer {
            bootstrap: options.bootstrap.clone(),
            topic: options.topic.clone(),
            partition: *partition,
            run: run.clone(),
            pause: Duration::from_secs_f64(f64::from(u32::try_from(count)?) / f64::from(options.rate)),
            records: (!options.until_stopped).then_some(share),
            stop: stop.clone(),
        };
        writers.spawn(writer.run());
    }
    let mut tally = Tally::default();
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            written = writers.join_next() => match written {
                Some(written) => tally.merge(written.context("a writer broke")?),
                None => return Ok((tally, starts)),
            },
            // Brokers may all have other addresses in the end. What fails here is what the writers count.
            _ = look.tick() => drop(client.refresh_metadata(&[]).await),
        }
    }
}

/// Reads everything from where the writers began, and notes which records are there.
async fn compare(
    client: &Client,
    options: &Options,
    run: &Run,
    mut tally: Tally,
    starts: &[(i32, i64)],
) -> anyhow::Result<Tally> {
    let topic = Arc::<str>::from(options.topic.as_str());
    for (partition, start) in starts {
        let end = client.list_offset(&topic, *partition, -1).await;
        let end = end.with_context(|| format!("the end of partition {partition}"))?;
        read(client, &topic, *partition, *start..end, |record| {
            if let Some(number) = record.value.as_deref().and_then(|value| run.number(*partition, value)) {
                tally.found(*partition, number);
            }
        })
        .await?;
    }
    Ok(tally)
}
