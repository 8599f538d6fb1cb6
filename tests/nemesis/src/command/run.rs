//! `run`: faults of all kinds for some minutes.

use std::process::ExitCode;
use std::time::Duration;

use ottla_nemesis::nemesis::{self, Plan, Series, means_here};
use ottla_nemesis::process::Network;
use ottla_nemesis::report;
use ottla_nemesis::workload::Load;

use super::{Common, carry_out, runtime, tell};

/// Bytes of each broker's own file system; sparse, so only what is written counts.
const DISK: u64 = 8 << 30;

/// The arguments.
#[derive(clap::Args)]
pub struct Run {
    /// Minutes of faults.
    #[arg(default_value_t = 3.0)]
    minutes: f64,
    /// The seed; a random one is made and printed.
    seed: Option<u64>,
    /// How many brokers.
    #[arg(long, default_value_t = 3)]
    brokers: usize,
    /// Only faults whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// The longest freeze or cut, in seconds.
    #[arg(long, default_value_t = 10)]
    longest: u64,
    /// Calls that each writer begins per second at most.
    #[arg(long, default_value_t = 60.0)]
    calls_per_second: f64,
    /// Transactional producers, of which the last works by version 1 of transactions; 0 for none.
    #[arg(long, default_value_t = 4)]
    transactors: u32,
    #[command(flatten)]
    common: Common,
}

impl Run {
    /// Runs, inside namespaces where that is possible.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if Network::inside().is_none()
            && let Some(status) = Network::reenter(self.brokers)?
        {
            return Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
        }
        runtime()?.block_on(self.run_here())
    }

    async fn run_here(self) -> anyhow::Result<ExitCode> {
        let seed = self.seed.unwrap_or_else(|| rand::random_range(0..1_000_000));
        let folder = self.common.folder()?;
        let network = Network::inside().unwrap_or_else(Network::loopback);
        let (disks, boots) = means_here(&folder.path);
        eprintln!("seed {seed}; faults of the network: {}; of disks: {disks}; reboots: {boots}", network.can_cut());
        if !(network.can_cut() && disks && boots) {
            eprintln!(
                "what needs namespaces or file systems of its own is left out, since this is not allowed to make them"
            );
        }
        let plan = Plan {
            flavor: self.common.flavor()?,
            brokers: self.brokers,
            network,
            disk: disks.then_some(DISK),
            boots,
            folder: folder.path.clone(),
            seed,
            series: Series::Seeded(self.only, Duration::from_secs_f64(self.minutes * 60.0)),
            longest: Duration::from_secs(self.longest),
            patience: self.common.patience(),
            needless_wait: self.common.needless_wait(),
            load: Load { calls_per_second: self.calls_per_second, transactors: self.transactors, ..Load::default() },
        };
        let outcome = carry_out(nemesis::run(&plan)).await;
        if !outcome.as_ref().is_ok_and(|summary| summary.report.violations.is_empty()) {
            folder.keep();
        }
        let summary = outcome?;
        let (minutes, name) = (summary.seconds / 60.0, self.common.name());
        let title = format!("seed {seed}, {minutes:.1} minutes, {} brokers, {name}", plan.brokers);
        let page = report::page(&title, &summary.report);
        self.common.write(&page)?;
        Ok(tell(&page, summary.report.violations.is_empty()))
    }
}
