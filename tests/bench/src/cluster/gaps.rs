//! How long partitions go without an ack when a broker is harmed: trials of the nemesis.

use std::time::Duration;

use anyhow::ensure;
use ottla_nemesis::checker::Report;
use ottla_nemesis::nemesis::{Plan, run};
use ottla_nemesis::process::Network;
use tokio::runtime::Runtime;

use super::{Arguments, Kind};

/// The verdict over all trials: gaps, and whether anything was lost.
pub(super) fn measure(runtime: &Runtime, kind: Kind, arguments: &Arguments, trials: usize) -> anyhow::Result<Report> {
    let folder = arguments.folder()?;
    let flavor = arguments.flavor(kind)?;
    let plan = Plan::of_trials(flavor, Network::loopback(), folder.path().to_owned(), ("", trials));
    // Kafka is slower in coming back.
    let patience = if kind == Kind::Kafka { Duration::from_secs(180) } else { plan.patience };
    let report = runtime.block_on(run(&Plan { patience, ..plan }))?.report;
    ensure!(report.counts.acked > 0, "nothing was acked");
    Ok(report)
}
