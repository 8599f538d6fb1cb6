//! `soak`: brokers that work for hours without a restart.

use std::process::ExitCode;
use std::time::Duration;

use ottla_nemesis::soak::{self, Plan, grown};
use ottla_nemesis::workload::Load;

use super::{Common, carry_out, runtime, tell};

/// The arguments.
#[derive(clap::Args)]
pub struct Soak {
    /// Minutes in all.
    #[arg(default_value_t = 60.0)]
    minutes: f64,
    /// Minutes of load of a turn, each with topics of its own.
    #[arg(long, default_value_t = 5.0)]
    turn: f64,
    /// How many brokers.
    #[arg(long, default_value_t = 3)]
    brokers: usize,
    /// Calls that each writer begins per second at most.
    #[arg(long, default_value_t = 30.0)]
    calls_per_second: f64,
    #[command(flatten)]
    common: Common,
}

impl Soak {
    /// Runs turns and judges them.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        runtime()?.block_on(self.soak())
    }

    async fn soak(self) -> anyhow::Result<ExitCode> {
        let folder = self.common.folder()?;
        let minutes = |minutes: f64| Duration::from_secs_f64(minutes * 60.0);
        let plan = Plan {
            flavor: self.common.flavor()?,
            brokers: self.brokers,
            folder: folder.path.clone(),
            length: minutes(self.minutes),
            turn: minutes(self.turn),
            patience: self.common.patience(),
            load: Load { calls_per_second: self.calls_per_second, ..Load::default() },
        };
        let outcome = carry_out(soak::run(&plan)).await;
        let is_good = |soaked: &soak::Soaked| soaked.violations.is_empty() && grown(&soaked.turns).is_empty();
        if !outcome.as_ref().is_ok_and(is_good) {
            folder.keep();
        }
        let soaked = outcome?;
        let page = soak::page(&format!("{} brokers, {}", plan.brokers, self.common.name()), &soaked);
        self.common.write(&page)?;
        Ok(tell(&page, is_good(&soaked)))
    }
}
