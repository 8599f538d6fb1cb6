//! How long partitions go without an ack when a broker is harmed.

use std::time::Duration;

use anyhow::ensure;
use ottla_nemesis::checker::Report;
use ottla_nemesis::nemesis::{Fault, Plan, Series, Target, run};
use ottla_nemesis::process::Network;
use ottla_nemesis::workload::Load;
use tokio::runtime::Runtime;

use super::{Arguments, Kind};

/// The verdict over all trials: gaps, and whether anything was lost.
pub(super) fn measure(runtime: &Runtime, kind: Kind, arguments: &Arguments, trials: usize) -> anyhow::Result<Report> {
    let folder = arguments.folder()?;
    // Long enough that the broker's own return ends no gap: what is measured is how the others take over.
    let away = Duration::from_secs(if kind == Kind::Kafka { 20 } else { 3 });
    let frozen = Duration::from_secs(if kind == Kind::Kafka { 20 } else { 6 });
    let kinds = [
        Fault::Kill(Target::Leader, away),
        Fault::Kill(Target::Follower, away),
        Fault::Kill(Target::Controller, away),
        Fault::Kill(Target::LeaderAndController, away),
        Fault::Freeze(Target::Leader, frozen),
        Fault::KillAll,
        Fault::Roll,
    ];
    let faults = (0..trials).flat_map(|_| kinds).collect();
    let plan = Plan {
        flavor: arguments.flavor(kind)?,
        brokers: 3,
        network: Network::loopback(),
        disk: None,
        folder: folder.path().to_owned(),
        seed: 1,
        series: Series::Listed(faults),
        longest: frozen,
        load: Load { calls_per_second: 50.0, most_records: 2, consumers: 0, members: 0, ..Load::default() },
    };
    let report = runtime.block_on(run(&plan))?.report;
    ensure!(report.counts.acked > 0, "nothing was acked");
    Ok(report)
}
