//! Medians over the rounds as a Markdown table: a row a cell, each server beside the limit of its own round.

use std::collections::BTreeMap;

use crate::cell::{Cell, Measure};
use crate::server::{Kind, Server};

const GB: f64 = 1e9;

/// What the rounds gave.
#[derive(Default)]
pub struct Report {
    cells: BTreeMap<(Cell, Kind), Vec<Measure>>,
    idle: BTreeMap<Kind, Vec<f64>>,
    loaded: BTreeMap<Kind, Vec<f64>>,
}

impl Report {
    /// Notes the memory of a server that has done nothing yet.
    pub fn start(&mut self, kind: Kind, server: &Server) {
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

    /// Prints the table.
    #[allow(clippy::print_stdout, reason = "the table is what the program is for")]
    pub fn print(&self) {
        let kinds: Vec<Kind> = self.idle.keys().copied().collect();
        let is_measured = |cell: &Cell| self.cells.keys().any(|(measured, _)| measured == cell);
        let heads: String = kinds.iter().map(|kind| head(*kind)).collect();
        let columns = kinds.iter().map(|kind| if kind.is_null() { 1 } else { 2 }).sum::<usize>() + 2;
        println!("| cell | {heads}generator, CPU-s/GB |\n|{}", "---|".repeat(columns));
        for cell in Cell::all().into_iter().filter(is_measured) {
            let row: String = kinds.iter().map(|kind| self.columns(cell, *kind)).collect();
            let own = self.cells.get(&(cell, Kind::Null)).map_or("–".into(), |measures| own_cost(measures));
            println!("| {} | {row}{own} |", cell.name());
        }
        let memory = |values: &BTreeMap<Kind, Vec<f64>>| -> String {
            let of = |kind: &Kind| format!("{:.1} MiB | ", median(values.get(kind).cloned().unwrap_or_default()));
            let of = |kind: &Kind| if kind.is_null() { of(kind) } else { of(kind) + "| " };
            kinds.iter().map(of).collect()
        };
        println!("| memory, idle | {}|", memory(&self.idle));
        println!("| memory, after all cells | {}|", memory(&self.loaded));
    }

    fn columns(&self, cell: Cell, kind: Kind) -> String {
        let Some(measures) = self.cells.get(&(cell, kind)) else {
            return if kind.is_null() { "– | ".into() } else { "– | – | ".into() };
        };
        let figures = figures(cell, measures);
        if kind.is_null() { format!("{figures} | ") } else { format!("{figures} | {} | ", self.ratio(cell, measures)) }
    }

    /// Ratio of the cell's figure to the null server's, round by round: throughput, or median latency.
    fn ratio(&self, cell: Cell, measures: &[Measure]) -> String {
        let Some(limits) = self.cells.get(&(cell, Kind::Null)) else { return "–".into() };
        let figure = |m: &Measure| if cell.is_latency() { m.latency.value_at_quantile(0.5) as f64 } else { m.bytes };
        spread(measures.iter().zip(limits).map(|(m, limit)| figure(m) / figure(limit)).collect(), 2)
    }
}

fn head(kind: Kind) -> String {
    match kind {
        Kind::Null => "null server | ".into(),
        Kind::Whole => "null server, whole frames | ".into(),
        Kind::Replicated => "Replicated, acks=1 | of the limit | ".into(),
        Kind::Fsync => "Fsync, acks=all | of the limit | ".into(),
    }
}

fn figures(cell: Cell, measures: &[Measure]) -> String {
    let of = |figure: fn(&Measure) -> f64| median(measures.iter().map(figure).collect());
    let per_request = of(|m| m.cpu / m.requests.max(1) as f64 * 1e6);
    if cell.is_latency() {
        let quantile = |q: f64| median(measures.iter().map(|m| m.latency.value_at_quantile(q) as f64 / 1e3).collect());
        let (p50, p99, p999) = (quantile(0.5), quantile(0.99), quantile(0.999));
        return format!("{p50:.3} / {p99:.2} / {p999:.2} ms, {per_request:.0} µs a request");
    }
    let throughput = if cell.counts_records() {
        format!("{:.2} M rec/s", of(|m| m.records) / 1e6)
    } else {
        format!("{:.2} GB/s", of(|m| m.bytes) / GB)
    };
    let per_gb = of(|m| m.cpu / (m.bytes * m.seconds) * GB);
    format!("{throughput}, {per_gb:.2} CPU-s/GB, {per_request:.1} µs a request")
}

fn own_cost(measures: &[Measure]) -> String {
    format!("{:.2}", median(measures.iter().map(|m| m.own_cpu / (m.bytes * m.seconds) * GB).collect()))
}

/// The median, with the least and the most.
pub fn spread(values: Vec<f64>, digits: usize) -> String {
    let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(l, m), value| (l.min(*value), m.max(*value)));
    format!("{:.digits$} ({least:.digits$}–{most:.digits$})", median(values))
}

/// The middle one; of an even number the upper one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Bytes as MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
