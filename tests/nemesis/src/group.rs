//! A large group of the consumer protocol (KIP-848) whose members are all restarted, one after the other, in every way that
//! there is; who owned what, and from when to when, is noted and judged.
//!
//! What a member does is decided by a pure state machine, so that a partition that is given to two of them, or to none,
//! is the coordinator's doing.

mod check;
mod ledger;
mod life;
mod member;
mod roll;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::process::{Cluster, Flavor, Network, Options, make_topic};

pub use check::{History, Kind, Restart, Settled};
pub use ledger::{Ledger, Standing, Tenure};
pub use roll::{Load, Roll, Rolled};

/// The topic.
const TOPIC: &str = "rolled";
/// How long anything may take that must come about.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the brokers run.
    pub flavor: Flavor,
    /// How many of them.
    pub brokers: usize,
    /// An empty folder for data and logs.
    pub folder: PathBuf,
    /// The groups, one after the other.
    pub rolls: Vec<Roll>,
    /// Members of each.
    pub members: usize,
    /// Partitions of the topic.
    pub partitions: i32,
    /// Between two heartbeats of a member.
    pub heartbeat: Duration,
    /// How long a member may be silent.
    pub session: Duration,
    /// How long a founded group is left alone, to see what it costs.
    pub quiet: Duration,
}

/// Starts brokers and rolls the groups over them.
pub async fn run(plan: &Plan) -> anyhow::Result<Vec<Rolled>> {
    let cluster = Cluster::start(&options(plan)).await?;
    let client = cluster.client(PATIENCE).await?;
    let replicas = |partition: usize| (0..plan.brokers.min(3)).map(move |step| (partition + step) % plan.brokers);
    let assignment: Vec<Vec<usize>> = (0..plan.partitions as usize).map(|p| replicas(p).collect()).collect();
    let assignment: Vec<&[usize]> = assignment.iter().map(Vec::as_slice).collect();
    make_topic(&client, TOPIC, &assignment, &[]).await?;
    cluster.in_sync(&[TOPIC], PATIENCE).await?;
    let mut rolled = Vec::new();
    for roll in &plan.rolls {
        let shared = life::Shared {
            client: client.clone(),
            ledger: Ledger::begin(),
            beats: Arc::default(),
            fenced: Arc::default(),
        };
        rolled.push(roll::carry_out(&cluster, plan, *roll, shared).await?);
    }
    Ok(rolled)
}

fn options(plan: &Plan) -> Options {
    let (heartbeat, session) = (plan.heartbeat.as_millis().to_string(), plan.session.as_millis().to_string());
    let properties = [
        ("group.consumer.min.heartbeat.interval.ms", &heartbeat),
        ("group.consumer.heartbeat.interval.ms", &heartbeat),
        ("group.consumer.min.session.timeout.ms", &session),
        ("group.consumer.session.timeout.ms", &session),
    ];
    Options {
        flavor: plan.flavor.clone(),
        brokers: plan.brokers,
        network: Network::loopback(),
        folder: plan.folder.clone(),
        disk: None,
        boots: false,
        properties: properties.map(|(key, value)| (key.to_owned(), value.clone())).to_vec(),
    }
}
