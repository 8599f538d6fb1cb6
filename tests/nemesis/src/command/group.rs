//! `group`: a large group of the consumer protocol, restarted member by member.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use ottla_nemesis::group::{Kind, Load, Plan, Roll, Rolled, Settled, run};
use ottla_nemesis::history::Micros;

use super::{Common, carry_out, runtime, tell};

/// How long a restart may take to settle.
const LIMIT: Micros = 5_000_000;

/// The arguments.
#[derive(clap::Args)]
pub struct Group {
    /// Members of the group.
    #[arg(default_value_t = 100)]
    members: usize,
    /// Partitions of its topic.
    #[arg(default_value_t = 1000)]
    partitions: i32,
    /// Milliseconds between the heartbeats of a member.
    #[arg(long, default_value_t = 1000)]
    heartbeat: u64,
    /// Milliseconds that a member may be silent.
    #[arg(long, default_value_t = 5000)]
    session: u64,
    /// How many brokers.
    #[arg(long, default_value_t = 3)]
    brokers: usize,
    /// Only the group with this assignor.
    #[arg(long, value_enum)]
    only: Option<Roll>,
    #[command(flatten)]
    common: Common,
}

impl Group {
    /// Restarts and judges.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        runtime()?.block_on(self.roll())
    }

    async fn roll(self) -> anyhow::Result<ExitCode> {
        let folder = self.common.folder()?;
        let plan = Plan {
            flavor: self.common.flavor()?,
            brokers: self.brokers,
            folder: folder.path.clone(),
            rolls: self.only.map_or(Roll::ALL.to_vec(), |only| vec![only]),
            members: self.members.max(1),
            partitions: self.partitions.max(1),
            heartbeat: Duration::from_millis(self.heartbeat),
            session: Duration::from_millis(self.session),
            quiet: Duration::from_millis(self.heartbeat * 5),
        };
        let rolled = carry_out(run(&plan)).await;
        let found = rolled.as_ref().map(|rolled| wrong(rolled, self.common.loaded)).unwrap_or_default();
        if rolled.is_err() || !found.is_empty() {
            folder.keep();
        }
        let page = page(self.common.name(), &plan, &rolled?, &found);
        self.common.write(&page)?;
        Ok(tell(&page, found.is_empty()))
    }
}

/// What is violated and, unless the machine does other work too, what took too long.
fn wrong(rolled: &[Rolled], is_loaded: bool) -> Vec<String> {
    let mut found = Vec::new();
    for Rolled { roll, history, .. } in rolled {
        found.extend(history.violations().into_iter().map(|violation| format!("{roll}: {violation}")));
        let slow = history.settled().into_iter().filter(|settled| !is_loaded && settled.settle > LIMIT);
        found.extend(slow.map(|Settled { member, kind, settle, .. }| {
            format!("{roll}: the restart of member {member} ({kind}) settled after {}", seconds(settle))
        }));
    }
    found
}

fn page(name: &str, plan: &Plan, rolled: &[Rolled], found: &[String]) -> String {
    let Plan { members, partitions, brokers, heartbeat, session, .. } = plan;
    let mut page = format!(
        "## Restarts of a group: {name}, {members} members, {partitions} partitions, {brokers} brokers, a heartbeat every \
         {heartbeat:?}, sessions of {session:?}\n\n\
         | assignor | restart | times | settled: median | worst | limit | worst with the session that had to end |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for Rolled { roll, history, .. } in rolled {
        let settled = history.settled();
        for kind in Kind::ALL {
            write_kind(&mut page, *roll, kind, settled.iter().filter(|settled| settled.kind == kind));
        }
    }
    page.push('\n');
    for rolled in rolled {
        write_costs(&mut page, rolled);
    }
    if found.is_empty() {
        page.push_str("\nNo partition was ever owned by two members, and all were owned after every restart.\n");
    }
    for what in found {
        // Writing to a string does not fail.
        let _ = writeln!(page, "\n- {what}");
    }
    page
}

fn write_kind<'s>(page: &mut String, roll: Roll, kind: Kind, settled: impl Iterator<Item = &'s Settled>) {
    let (mut settles, wholes): (Vec<Micros>, Vec<Micros>) = settled.map(|one| (one.settle, one.whole)).unzip();
    settles.sort_unstable();
    let (Some(worst), Some(whole)) = (settles.last(), wholes.into_iter().max()) else { return };
    let whole = if kind.is_kill() { seconds(whole) } else { "–".to_owned() };
    let (times, median) = (settles.len(), seconds(settles[settles.len() / 2]));
    let _ =
        writeln!(page, "| {roll} | {kind} | {times} | {median} | {} | {} | {whole} |", seconds(*worst), seconds(LIMIT));
}

fn write_costs(page: &mut String, rolled: &Rolled) {
    let Rolled { roll, history, founded, quiet, restarts, fenced } = rolled;
    let cost = |load: &Load| {
        let (rate, cpu) = (load.beats as f64 / load.seconds, load.cpu / load.seconds * 100.0);
        format!("{rate:.0} heartbeats a second for {cpu:.1} % of a processor in all brokers")
    };
    let _ = writeln!(
        page,
        "- {roll}: founded in {}; at rest {}; {} restarts in {:.0} s, {}; {} tenures; {fenced} times a member that lived was \
         taken out.",
        seconds(*founded),
        cost(quiet),
        history.restarts.len(),
        restarts.seconds,
        cost(restarts),
        history.tenures.len(),
    );
}

fn seconds(micros: Micros) -> String {
    format!("{:.2} s", micros as f64 / 1e6)
}
