//! Medians over the rounds, as a Markdown table, with each figure's ratio to the limit of its own round.

use std::collections::BTreeMap;

use crate::cell::{Cell, Measure};
use crate::server::{Kind, Server};

const GB: f64 = 1e9;

/// What the rounds gave.
#[derive(Default)]
pub struct Report {
    cells: BTreeMap<(Cell, Kind), Vec<Measure>>,
    starts: BTreeMap<Kind, Vec<f64>>,
    idle: BTreeMap<Kind, Vec<f64>>,
    loaded: BTreeMap<Kind, Vec<f64>>,
}

impl Report {
    /// Notes start time and idle memory.
    pub fn start(&mut self, kind: Kind, server: &Server) {
        self.starts.entry(kind).or_default().push(server.started_in.as_secs_f64() * 1e3);
        self.idle.entry(kind).or_default().push(mebibytes(server.idle_memory));
    }

    /// Notes the memory after all cells.
    pub fn loaded(&mut self, kind: Kind, server: &Server) -> anyhow::Result<()> {
        self.loaded.entry(kind).or_default().push(mebibytes(server.memory()?));
        Ok(())
    }

    /// Notes what a cell gave.
    pub fn add(&mut self, kind: Kind, cell: Cell, measure: Measure) {
        self.cells.entry((cell, kind)).or_default().push(measure);
    }

    /// Prints the tables.
    #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
    pub fn print(&self) {
        println!(
            "| cell | server | throughput | CPU | latency p50 / p99 / p99.9 | of the limit (min–max) | generator |"
        );
        println!("|---|---|---|---|---|---|---|");
        for ((cell, kind), measures) in &self.cells {
            let figures = figures(*cell, measures);
            let ratio = if *kind == Kind::Null { "–".into() } else { self.ratio(*cell, measures) };
            println!("| {} | {kind:?} | {figures} | {ratio} | {} |", cell.name(), own_cost(measures));
        }
        println!("\n| server | start to first answer | idle memory | loaded memory |\n|---|---|---|---|");
        for (kind, starts) in &self.starts {
            let memory = |values: &BTreeMap<Kind, Vec<f64>>| median(values.get(kind).cloned().unwrap_or_default());
            println!(
                "| {kind:?} | {:.1} ms | {:.1} MiB | {:.1} MiB |",
                median(starts.clone()),
                memory(&self.idle),
                memory(&self.loaded)
            );
        }
    }

    /// Ratio of the cell's figure to the null server's, round by round: throughput, or median latency.
    fn ratio(&self, cell: Cell, measures: &[Measure]) -> String {
        let Some(limits) = self.cells.get(&(cell, Kind::Null)) else { return "–".into() };
        let figure = |m: &Measure| if cell.is_latency() { m.latency.value_at_quantile(0.5) as f64 } else { m.bytes };
        let ratios: Vec<f64> = measures.iter().zip(limits).map(|(m, limit)| figure(m) / figure(limit)).collect();
        let (least, most) = ratios.iter().fold((f64::MAX, f64::MIN), |(l, m), r| (l.min(*r), m.max(*r)));
        format!("{:.2} ({least:.2}–{most:.2})", median(ratios))
    }
}

fn figures(cell: Cell, measures: &[Measure]) -> String {
    let of = |figure: fn(&Measure) -> f64| median(measures.iter().map(figure).collect());
    let per_request = of(|m| m.cpu / m.requests.max(1) as f64 * 1e6);
    if cell.is_latency() {
        let quantile = |q: f64| median(measures.iter().map(|m| m.latency.value_at_quantile(q) as f64 / 1e3).collect());
        return format!(
            "{:.1} k/s | {per_request:.0} µs per request | {:.2} / {:.2} / {:.2} ms",
            of(|m| m.records) / 1e3,
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
        );
    }
    format!(
        "{:.2} GB/s, {:.2} M rec/s | {:.2} s/GB, {per_request:.1} µs per request | –",
        of(|m| m.bytes) / GB,
        of(|m| m.records) / 1e6,
        of(|m| m.cpu / (m.bytes * m.seconds) * GB),
    )
}

fn own_cost(measures: &[Measure]) -> String {
    format!("{:.2} s/GB", median(measures.iter().map(|m| m.own_cpu / (m.bytes * m.seconds) * GB).collect()))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
