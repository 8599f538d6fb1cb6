//! What no change may lose: processor time of the data path, as a ratio to what the null server takes for the same.
//!
//! Throughput says nothing on a machine that does other work, but both are slowed alike in what they burn. The limits are
//! half as much again as what was measured, for what varies from run to run.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use crate::cell::Cell;
use crate::pin::on_one_processor;
use crate::report::{median, per_request, spread};
use crate::server::{Kind, Server};

const ROUNDS: usize = 5;
const LENGTH: Duration = Duration::from_secs(1);
/// Processor time per request, as a multiple of the null server's.
const LIMITS: [(Cell, f64); 4] = [
    (Cell::Produce(64, 1024, 2), 1.5),
    (Cell::Produce(10, 100, 2), 1.5),
    (Cell::Serial, 1.8),
    (Cell::Fetch(256 << 10), 2.2),
];

/// Measures in interleaved rounds, prints the ratios, and fails if one is over its limit.
#[allow(clippy::print_stdout, reason = "the table is what the program is for")]
pub fn run(broker: &Path) -> anyhow::Result<()> {
    let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); LIMITS.len()];
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}", round + 1);
        let servers = (Server::start(Kind::Null, broker, None)?, Server::start(Kind::Replicated, broker, None)?);
        for ((cell, _), ratios) in LIMITS.iter().zip(&mut ratios) {
            let limit = processor_time(*cell, &servers.0)?;
            ratios.push(processor_time(*cell, &servers.1)? / limit);
        }
    }
    println!("| cell | processor time beside the null server's | limit |\n|---|---|---|");
    for ((cell, limit), ratios) in LIMITS.iter().zip(&ratios) {
        println!("| {} | {} | {limit:.1} |", cell.name(), spread(ratios.clone(), 2));
    }
    for ((cell, limit), ratios) in LIMITS.iter().zip(ratios) {
        let ratio = median(ratios);
        ensure!(ratio <= *limit, "{} takes {ratio:.2} times the null server's processor time", cell.name());
    }
    Ok(())
}

/// Of one request.
fn processor_time(cell: Cell, server: &Server) -> anyhow::Result<f64> {
    let measure = || cell.measure_cold(server, LENGTH);
    let measured = if cell == Cell::Serial { on_one_processor(server, measure) } else { measure() };
    Ok(per_request(&measured?))
}
