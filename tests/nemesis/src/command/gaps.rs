//! `gaps`: trials of single faults, for the gaps that they leave between acks.

use std::process::ExitCode;
use std::time::Duration;

use ottla_nemesis::nemesis::{self, Plan};
use ottla_nemesis::process::Network;
use ottla_nemesis::report;

use super::{Common, carry_out, runtime, tell};

/// Trials of Kafka, whose gaps are long and alike.
const OF_KAFKA: usize = 3;
const HOUR: Duration = Duration::from_secs(3600);

/// The arguments.
#[derive(clap::Args)]
pub struct Gaps {
    /// Trials of each kind; of Kafka there are three.
    #[arg(long, default_value_t = 20)]
    trials: usize,
    /// Only kinds whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    #[command(flatten)]
    common: Common,
}

impl Gaps {
    /// Measures.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        runtime()?.block_on(self.measure())
    }

    async fn measure(self) -> anyhow::Result<ExitCode> {
        let folder = self.common.folder()?;
        let trials = if self.common.kafka { self.trials.min(OF_KAFKA) } else { self.trials };
        let flavor = self.common.flavor()?;
        let plan = Plan {
            // Kafka is there for comparison.
            needless_wait: if self.common.kafka { HOUR } else { self.common.needless_wait() },
            patience: self.common.patience(),
            ..Plan::of_trials(flavor, Network::loopback(), folder.path.clone(), (&self.only, trials))
        };
        let outcome = carry_out(nemesis::run(&plan)).await;
        let misses = outcome.as_ref().map(|summary| {
            let gaps = nemesis::Gaps::of(&summary.report.outages);
            gaps.iter().flat_map(nemesis::Gaps::misses).collect::<Vec<_>>()
        });
        let may_miss = self.common.loaded || self.common.kafka;
        let is_good = |summary: &nemesis::Summary, misses: &[String]| {
            summary.report.violations.is_empty() && (may_miss || misses.is_empty())
        };
        let misses = misses.unwrap_or_default();
        if !outcome.as_ref().is_ok_and(|summary| is_good(summary, &misses)) {
            folder.keep();
        }
        let summary = outcome?;
        let title = format!("Gaps between acks: {}, {:.1} minutes", self.common.name(), summary.seconds / 60.0);
        let page = report::trials(&title, &summary.report, &misses);
        self.common.write(&page)?;
        Ok(tell(&page, is_good(&summary, &misses)))
    }
}
