//! `compaction`: a compacted topic whose broker is killed in the midst of cleans.

use std::path::PathBuf;
use std::process::ExitCode;

use ottla_nemesis::compaction::{Kill, Outcome, Plan, Script, run};
use ottla_nemesis::process::Flavor;

use super::{runtime, tell};

/// The arguments.
#[derive(clap::Args)]
pub struct Compaction {
    /// Records to write.
    #[arg(default_value_t = 10_000_000)]
    records: u64,
    /// Keys that they have.
    #[arg(default_value_t = 100_000)]
    keys: u64,
    /// How often the broker is killed while it cleans.
    #[arg(default_value_t = 10)]
    kills: usize,
    /// The seed; a random one is made and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// The broker.
    #[arg(long, default_value = "target/local/ottla-broker")]
    broker: PathBuf,
    /// Have the DumpLogSegments of the Kafka that tests/clients/install brings dump what is left.
    #[arg(long)]
    dump: bool,
}

impl Compaction {
    /// Writes, kills and checks.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let seed = self.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
        let kafka = match self.dump.then(Flavor::installed_kafka).transpose()? {
            Some(Flavor::Kafka { libs }) => Some(libs),
            Some(Flavor::Ottla { .. }) | None => None,
        };
        let folder = tempfile::TempDir::with_prefix("ottla-compaction-")?;
        let plan = Plan {
            broker: std::path::absolute(&self.broker)?,
            folder: folder.path().to_owned(),
            script: Script { records: self.records, keys: self.keys.max(1), seed },
            kills: self.kills,
            kafka,
        };
        let outcome = runtime()?.block_on(run(&plan));
        if outcome.is_err() {
            eprintln!("seed {seed}; data and logs are kept in {}", folder.keep().display());
        }
        Ok(tell(&page(&plan, &outcome?), true))
    }
}

fn page(plan: &Plan, outcome: &Outcome) -> String {
    let Script { records, keys, seed } = plan.script;
    let found = &outcome.found;
    let dump = match outcome.dumped {
        Some(count) => format!("DumpLogSegments finds the same {count} records, every batch valid.\n"),
        None => String::new(),
    };
    let exchanges = outcome.kills.iter().filter(|kill| kill.met_exchange()).count();
    format!(
        "{records} records of {keys} keys, seed {seed}; killed {} times in the midst of a clean, {exchanges} of them while \
         segments were exchanged, and checked after each kill; {:.0} s.\n\
         Left are {} records in {} bytes: of {} keys the last value, each at its offset; {} keys were deleted, and none of \
         them is there again. Below offset {}, up to which all is clean, no key has two records.\n{dump}\n{}",
        outcome.kills.len(),
        outcome.took.as_secs_f64(),
        found.records,
        outcome.bytes,
        found.values,
        found.deleted,
        found.cleaned,
        table(&outcome.kills),
    )
}

/// What shows that each kill met a clean.
fn table(kills: &[Kill]) -> String {
    let mut table = String::from("| records written | files of the clean that the kill left |\n|---|---|\n");
    for kill in kills {
        let left: Vec<String> = kill.left.iter().map(|(name, size)| format!("{name} ({size} bytes)")).collect();
        table += &format!("| {} | {} |\n", kill.written, left.join(", "));
    }
    table
}
