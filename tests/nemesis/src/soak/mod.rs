//! Brokers that work for hours without a restart: what leaks shows, and everything that clients saw is checked.
//!
//! The time is cut into turns. Each makes its topics, groups and transactions anew, loads them, reads all of it, is judged
//! like a run of the nemesis, and deletes them, so that what a broker keeps of what is gone adds up from turn to turn.

mod page;
mod sample;
mod trend;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ottla_protocol::ErrorCode;
use ottla_protocol::client::Client;
use ottla_protocol::messages::DeleteTopicsRequest;
use ottla_protocol::messages::delete_topics::DeleteTopicState;

use crate::checker::{self, Counts, NEEDLESS_WAIT, Violation};
use crate::history::{Event, History, Micros, Outcome, Recorder};
use crate::nemesis::{read_everything, settle};
use crate::process::{Cluster, Flavor, Network, Options};
use crate::workload::{self, Load, Place, Workload};

pub use page::page;
pub use sample::Sample;
pub use trend::grown;

/// What a soak is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub flavor: Flavor,
    /// Brokers.
    pub brokers: usize,
    /// Where data, logs and the history of the turn under way go.
    pub folder: PathBuf,
    /// How long it takes; the turn under way is ended as planned.
    pub length: Duration,
    /// How long the load of a turn takes.
    pub turn: Duration,
    /// How long anything may take that must come about.
    pub patience: Duration,
    /// The load.
    pub load: Load,
}

/// What one turn showed.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Seconds since the brokers began, at its end.
    pub ended: f64,
    /// What it did.
    pub counts: Counts,
    /// Transactions that were committed.
    pub committed: u64,
    /// Median and 99th percentile of the produce calls.
    pub latency: [Micros; 2],
    /// What each broker uses after the topics have been deleted.
    pub samples: Vec<Sample>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Soaked {
    /// The turns.
    pub turns: Vec<Turn>,
    /// What clients were promised and did not get.
    pub violations: Vec<Violation>,
}

/// Runs turns until the time is over or one of them is violated.
pub async fn run(plan: &Plan) -> anyhow::Result<Soaked> {
    let options = Options {
        flavor: plan.flavor.clone(),
        brokers: plan.brokers,
        network: Network::loopback(),
        folder: plan.folder.clone(),
        disk: None,
        boots: false,
        // What is deleted shall be gone when it is looked for.
        properties: vec![("log.segment.delete.delay.ms".to_owned(), "1000".to_owned())],
    };
    let mut cluster = Cluster::start(&options).await?;
    let began = Instant::now();
    let mut soaked = Soaked::default();
    while began.elapsed() < plan.length && soaked.violations.is_empty() {
        let (turn, violations) = one_turn(plan, &mut cluster, began, soaked.turns.len() as u64).await?;
        eprintln!("{}", page::line(&turn));
        soaked.turns.push(turn);
        soaked.violations = violations;
    }
    for broker in &mut cluster.brokers {
        let status = broker.process.terminate(plan.patience).await?;
        ensure!(status.success(), "broker {} ended with {status}", broker.id);
    }
    Ok(soaked)
}

async fn one_turn(
    plan: &Plan,
    cluster: &mut Cluster,
    began: Instant,
    number: u64,
) -> anyhow::Result<(Turn, Vec<Violation>)> {
    let recorder = Recorder::begin(&plan.folder.join("history.jsonl"))?;
    let places = workload::places(&plan.load, plan.brokers);
    let workload = Workload::start(cluster, &places, plan.load, number, &recorder).await?;
    tokio::time::sleep(plan.turn).await;
    if let Err(error) = settle(&workload, &recorder, plan.patience).await {
        recorder.record(Event::Stuck(format!("at the end of the turn: {error:#}")));
    }
    workload.stop(Duration::from_secs(1)).await?;
    read_everything(cluster, &places, &recorder, plan.patience).await?;
    delete(&cluster.client(plan.patience).await?, &places, plan.patience).await?;
    let history = recorder.end()?;
    let report = checker::check(&history, NEEDLESS_WAIT);
    // After the check, which takes a while: the folders of what was deleted are gone by then.
    let samples = cluster.brokers.iter().map(Sample::of).collect::<anyhow::Result<_>>()?;
    let turn = Turn {
        ended: began.elapsed().as_secs_f64(),
        counts: report.counts,
        committed: report.transactions.committed,
        latency: latency(&history),
        samples,
    };
    Ok((turn, report.violations))
}

/// Median and 99th percentile of the acked produce calls.
fn latency(history: &History) -> [Micros; 2] {
    let took = history.events.iter().filter_map(|event| match event {
        Event::Produce(call) if !matches!(call.outcome, Outcome::Unknown(_)) => Some(call.completed - call.invoked),
        _ => None,
    });
    let mut took: Vec<Micros> = took.collect();
    took.sort_unstable();
    [0.5, 0.99].map(|quantile| took.get((took.len() as f64 * quantile) as usize).copied().unwrap_or_default())
}

/// Deletes the topics, and waits until the metadata has none of them.
async fn delete(client: &Client, places: &[Place], within: Duration) -> anyhow::Result<()> {
    let names: BTreeMap<&str, ()> = places.iter().map(|place| (place.topic, ())).collect();
    let names: Vec<&str> = names.into_keys().collect();
    let request = DeleteTopicsRequest {
        topics: names
            .iter()
            .map(|name| DeleteTopicState { name: Some((*name).into()), ..Default::default() })
            .collect(),
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    let response = client.send_to_controller(&request).await?;
    ensure!(response.responses.len() == names.len(), "the deletion of {names:?} was not answered: {response:?}");
    for deleted in &response.responses {
        ensure!(deleted.error_code == ErrorCode::NONE, "{:?} was not deleted: {:?}", deleted.name, deleted.error_code);
    }
    let deadline = Instant::now() + within;
    while !client.refresh_metadata(&names).await.context("after the deletion")?.topics.is_empty() {
        ensure!(Instant::now() < deadline, "deleted topics are still known after {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
