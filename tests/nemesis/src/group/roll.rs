//! A rolling restart: every member of a group is restarted once, and the next one only when all is settled again.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::ConsumerGroupDescribeRequest;

use super::check::{History, Kind, Restart};
use super::life::{Life, Shared};
use super::member::{Departure, Identity};
use super::{PATIENCE, Plan, TOPIC};
use crate::history::Micros;
use crate::process::Cluster;

/// How often the coordinator is asked whether all is settled.
const PAUSE: Duration = Duration::from_millis(20);

/// A group, by the assignors that its members ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Roll {
    /// Shares that differ by one partition at most.
    Uniform,
    /// Ranges in the order of the members.
    Range,
    /// Each member asks for uniform before its restart and for range after it, so that half-way the majority changes.
    UniformToRange,
}

impl Roll {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Uniform, Self::Range, Self::UniformToRange];

    /// What a member asks for before its restart and after it.
    fn assignors(self) -> (&'static str, &'static str) {
        match self {
            Self::Uniform => ("uniform", "uniform"),
            Self::Range => ("range", "range"),
            Self::UniformToRange => ("uniform", "range"),
        }
    }
}

impl fmt::Display for Roll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
            Self::UniformToRange => "from uniform to range",
        })
    }
}

/// What came of a roll.
#[derive(Clone, Debug)]
pub struct Rolled {
    /// Which one.
    pub roll: Roll,
    /// What was seen.
    pub history: History,
    /// From the first heartbeat to when every member had what it was to have.
    pub founded: Micros,
    /// A while in which nothing happened.
    pub quiet: Load,
    /// The restarts.
    pub restarts: Load,
    /// How often a member that lived was told that it is in the group no more.
    pub fenced: u64,
}

/// What a span of time cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// How long it was.
    pub seconds: f64,
    /// Processor seconds of all brokers.
    pub cpu: f64,
    /// Heartbeats answered.
    pub beats: u64,
}

/// Founds a group, lets it rest, and restarts its members one after the other.
pub(super) async fn carry_out(cluster: &Cluster, plan: &Plan, roll: Roll, shared: Shared) -> anyhow::Result<Rolled> {
    let group = roll.to_string().replace(' ', "-");
    let mut rolling = Rolling { cluster, plan, roll, group, shared, lives: Vec::new() };
    rolling.coordinated().await?;
    let begun = rolling.shared.ledger.now();
    for number in 0..plan.members {
        rolling.lives.push(rolling.begin_life(number, roll.assignors().0));
    }
    let founded = rolling.settled().await.context("the group is not founded")? - begun;
    let quiet = rolling
        .measure(async |_| {
            tokio::time::sleep(plan.quiet).await;
            Ok(())
        })
        .await?
        .1;
    let (restarts, load) = rolling.measure(Rolling::restart_all).await?;
    let tenures = rolling.shared.ledger.tenures();
    let fenced = rolling.shared.fenced.load(Ordering::Relaxed);
    for (number, life) in rolling.lives.into_iter().enumerate() {
        // One that leaves for a while would stay in the group.
        life.leave(Departure::ForGood).await.with_context(|| format!("member {number}"))?;
    }
    let history = History { partitions: plan.partitions, tenures, restarts };
    Ok(Rolled { roll, history, founded, quiet, restarts: load, fenced })
}

struct Rolling<'p> {
    cluster: &'p Cluster,
    plan: &'p Plan,
    roll: Roll,
    group: String,
    shared: Shared,
    lives: Vec<Life>,
}

impl Rolling<'_> {
    fn begin_life(&self, number: usize, assignor: &'static str) -> Life {
        let identity = Identity {
            group: self.group.as_str().into(),
            topic: TOPIC.into(),
            // As clients make them, so that a member that joins anew has no place of its own in the order of ids.
            id: format!("{:032x}", rand::random::<u128>()).into(),
            instance_id: Kind::of(number).is_static().then(|| format!("instance-{number:03}").into()),
            assignor: assignor.into(),
        };
        Life::begin(&self.shared, identity)
    }

    async fn restart_all(&mut self) -> anyhow::Result<Vec<Restart>> {
        let mut restarts = Vec::new();
        for member in 0..self.plan.members {
            let kind = Kind::of(member);
            restarts.push(self.restart(member).await.with_context(|| format!("restart of member {member}, {kind}"))?);
        }
        Ok(restarts)
    }

    async fn restart(&mut self, member: usize) -> anyhow::Result<Restart> {
        let kind = Kind::of(member);
        let began = self.shared.ledger.now();
        let former = self.lives.remove(member);
        let mut known = began;
        match kind {
            Kind::Leave => former.leave(Departure::ForGood).await?,
            Kind::Pause => former.leave(Departure::ForAWhile).await?,
            Kind::Kill | Kind::KillStatic => known = former.kill().await? + self.plan.session.as_micros() as Micros,
        }
        let successor = self.begin_life(member, self.roll.assignors().1);
        self.lives.insert(member, successor);
        let over = self.settled().await?;
        Ok(Restart { member, kind, began, known, over })
    }

    /// Waits until all partitions are owned, and the coordinator says that all members have what they are to have while
    /// no owner changes; when that was.
    async fn settled(&mut self) -> anyhow::Result<Micros> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(number) = self.lives.iter().position(Life::has_failed) {
                // Its outcome tells why.
                self.lives.remove(number).leave(Departure::ForGood).await?;
                bail!("member {number} has ended by itself");
            }
            let before = self.shared.ledger.standing();
            let is_whole = before.owned == self.plan.partitions as usize;
            if is_whole && self.is_stable().await? {
                let after = self.shared.ledger.standing();
                if after.changes == before.changes {
                    return Ok(after.at);
                }
            }
            ensure!(Instant::now() < deadline, "not settled after {PATIENCE:?}: {} partitions are owned", before.owned);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the group has a coordinator: the first one of a cluster waits for the offsets topic.
    async fn coordinated(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.shared.client.send_to_coordinator(&self.group, &self.question()).await {
            ensure!(Instant::now() < deadline, "the group has no coordinator after {PATIENCE:?}: {error}");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn question(&self) -> ConsumerGroupDescribeRequest {
        ConsumerGroupDescribeRequest { group_ids: vec![self.group.as_str().into()], ..Default::default() }
    }

    /// Whether the coordinator knows of all members, and each has what it is to have.
    async fn is_stable(&self) -> anyhow::Result<bool> {
        let answer = self.shared.client.send_to_coordinator(&self.group, &self.question()).await?;
        let group = answer.groups.into_iter().next().context("the answer lacks the group")?;
        ensure!(group.error_code == ErrorCode::NONE, "describe: {:?}", group.error_code);
        Ok(group.group_state.as_str() == "Stable" && group.members.len() == self.plan.members)
    }

    /// What `work` gives, and what it cost.
    async fn measure<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, Load)> {
        let beats = self.shared.beats.load(Ordering::Relaxed);
        let (cpu, begun) = (self.cluster.cpu_seconds()?, Instant::now());
        let given = work(self).await?;
        let load = Load {
            seconds: begun.elapsed().as_secs_f64(),
            cpu: self.cluster.cpu_seconds()? - cpu,
            beats: self.shared.beats.load(Ordering::Relaxed) - beats,
        };
        Ok((given, load))
    }
}
