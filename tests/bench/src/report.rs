//! Medians over the rounds as a Markdown table: a row a cell, each server beside the limit and Kafka of its own round.

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

    /// The table, and where Kafka was measured a chart of the ratios to it.
    pub fn page(&self) -> String {
        let kinds: Vec<Kind> = self.idle.keys().copied().collect();
        let heads: String = kinds.iter().map(|kind| self.head(*kind)).collect();
        let columns = kinds.iter().map(|kind| self.width(*kind)).sum::<usize>() + 3;
        let mut lines =
            vec![format!("| cell | goal | {heads}generator, CPU-s/GB |"), format!("|{}", "---|".repeat(columns))];
        for cell in self.measured() {
            let row: String = kinds.iter().map(|kind| self.columns(cell, *kind)).collect();
            let own = self.cells.get(&(cell, Kind::Null)).map_or("–".into(), |measures| own_cost(measures));
            lines.push(format!("| {} | {} | {row}{own} |", cell.name(), cell.goal()));
        }
        let memory = |values: &BTreeMap<Kind, Vec<f64>>| -> String {
            let of = |kind: &Kind| format!("{:.1} MiB | ", median(values.get(kind).cloned().unwrap_or_default()));
            kinds.iter().map(|kind| of(kind) + &"| ".repeat(self.width(*kind) - 1)).collect()
        };
        lines.push(format!("| memory, idle | ≤ 12 MiB | {}|", memory(&self.idle)));
        lines.push(format!("| memory, after all cells | ≤ 40 MiB | {}|", memory(&self.loaded)));
        if self.idle.contains_key(&Kind::Kafka) && self.idle.contains_key(&Kind::Replicated) {
            lines
                .push(self.chart("Throughput, in multiples of Kafka's (of latencies: Kafka's in multiples)", speed_up));
            lines.push(self.chart("Processor time per request, in hundredths of Kafka's", cost));
        }
        lines.join("\n") + "\n"
    }

    fn measured(&self) -> Vec<Cell> {
        let is_measured = |cell: &Cell| self.cells.keys().any(|(measured, _)| measured == cell);
        Cell::all().into_iter().filter(is_measured).collect()
    }

    /// A bar for each cell, of replicated mode against Kafka round by round.
    fn chart(&self, title: &str, ratio: fn(Cell, &Measure, &Measure) -> f64) -> String {
        let none = Vec::new();
        let of = |cell, kind| self.cells.get(&(cell, kind)).unwrap_or(&none);
        let bar = |cell| {
            let rounds = of(cell, Kind::Replicated).iter().zip(of(cell, Kind::Kafka));
            format!("{:.1}", median(rounds.map(|(own, kafka)| ratio(cell, own, kafka)).collect()))
        };
        let cells = self.measured();
        let names: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.name())).collect();
        let bars: Vec<String> = cells.iter().map(|cell| bar(*cell)).collect();
        let (names, bars) = (names.join(", "), bars.join(", "));
        format!("\n```mermaid\nxychart-beta horizontal\n  title \"{title}\"\n  x-axis [{names}]\n  bar [{bars}]\n```")
    }

    fn columns(&self, cell: Cell, kind: Kind) -> String {
        let Some(measures) = self.cells.get(&(cell, kind)) else {
            return "– | ".repeat(self.width(kind));
        };
        let mut columns = vec![figures(cell, measures)];
        columns.extend(self.compared(kind).into_iter().map(|to| self.ratio(cell, measures, to)));
        columns.into_iter().map(|column| column + " | ").collect()
    }

    /// What a server is held against: the limit, and for Ottla Kafka, where they were measured.
    fn compared(&self, kind: Kind) -> Vec<Kind> {
        let all = match kind {
            Kind::Null | Kind::Whole => &[][..],
            Kind::Kafka | Kind::Flushed => &[Kind::Null],
            Kind::Replicated => &[Kind::Null, Kind::Kafka],
            Kind::Fsync => &[Kind::Null, Kind::Flushed, Kind::Replicated],
        };
        all.iter().copied().filter(|kind| self.idle.contains_key(kind)).collect()
    }

    fn width(&self, kind: Kind) -> usize {
        1 + self.compared(kind).len()
    }

    fn head(&self, kind: Kind) -> String {
        let name = match kind {
            Kind::Null => "null server",
            Kind::Whole => "null server, whole frames",
            Kind::Kafka => "Kafka, acks=1",
            Kind::Flushed => "Kafka that flushes, acks=all",
            Kind::Replicated => "Replicated, acks=1",
            Kind::Fsync => "Fsync, acks=all",
        };
        let against = |kind| match kind {
            Kind::Null | Kind::Whole => "of the limit | ",
            Kind::Kafka | Kind::Flushed => "of Kafka; CPU | ",
            Kind::Replicated | Kind::Fsync => "of Replicated; CPU | ",
        };
        format!("{name} | ") + &self.compared(kind).into_iter().map(against).collect::<String>()
    }

    /// The cell's figure as a ratio to another server's, round by round: throughput, or median latency. To Kafka's, with that
    /// of the processor time per request.
    fn ratio(&self, cell: Cell, measures: &[Measure], to: Kind) -> String {
        let Some(others) = self.cells.get(&(cell, to)) else { return "–".into() };
        let ratios = |figure: &dyn Fn(&Measure) -> f64| -> Vec<f64> {
            measures.iter().zip(others).map(|(own, other)| figure(own) / figure(other)).collect()
        };
        let speed = |m: &Measure| if cell.is_latency() { m.latency.value_at_quantile(0.5) as f64 } else { m.bytes };
        let speed = spread(ratios(&speed), 2);
        if to == Kind::Null {
            return speed;
        }
        format!("{speed}; {:.2}", median(ratios(&per_request)))
    }
}

fn speed_up(cell: Cell, own: &Measure, kafka: &Measure) -> f64 {
    let median = |m: &Measure| m.latency.value_at_quantile(0.5) as f64;
    if cell.is_latency() { median(kafka) / median(own) } else { own.bytes / kafka.bytes }
}

fn cost(_: Cell, own: &Measure, kafka: &Measure) -> f64 {
    per_request(own) / per_request(kafka) * 100.0
}

/// Processor seconds of the server for one request.
pub fn per_request(measure: &Measure) -> f64 {
    measure.cpu / measure.requests.max(1) as f64
}

fn figures(cell: Cell, measures: &[Measure]) -> String {
    let of = |figure: fn(&Measure) -> f64| median(measures.iter().map(figure).collect());
    let per_request = of(|m| per_request(m) * 1e6);
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
