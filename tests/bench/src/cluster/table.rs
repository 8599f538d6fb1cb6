//! Medians over the rounds, with their ratios to Kafka's of the same round, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use ottla_nemesis::checker::Report;
use ottla_nemesis::nemesis::Gaps;

use super::{Kind, Part};

/// What is asked of the figures of a cluster that acks as Kafka does; in `fsync` 0.7 of its throughput.
const GOALS: [(&str, &str); 6] = [
    (super::loads::THROUGHPUT, "≥ 3 × Kafka"),
    (super::loads::CPU, "≤ 0.3 × Kafka"),
    (super::loads::SERIAL, "≤ 0.25"),
    (super::loads::SERIAL_CPU, "≤ 0.25 × Kafka"),
    (super::loads::STEADY[0], "≤ 0.35"),
    (super::loads::STEADY[1], "≤ 1"),
];

/// What one round of one server gave, in the order of the table.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<(String, f64)>);

impl Figures {
    pub(super) fn add(&mut self, name: &str, value: f64) {
        eprintln!("  {name}: {value:.3}");
        self.0.push((name.to_owned(), value));
    }
}

/// All rounds.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: Vec<String>,
    values: BTreeMap<(String, Kind), Vec<f64>>,
    gaps: BTreeMap<Kind, Report>,
    failures: Vec<String>,
}

impl Table {
    pub(super) fn add(&mut self, kind: Kind, figures: Figures) {
        for (name, value) in figures.0 {
            if !self.names.contains(&name) {
                self.names.push(name.clone());
            }
            self.values.entry((name, kind)).or_default().push(value);
        }
    }

    pub(super) fn add_gaps(&mut self, kind: Kind, report: Report) {
        self.gaps.insert(kind, report);
    }

    pub(super) fn fail(&mut self, kind: Kind, part: Part, error: &anyhow::Error) {
        self.failures.push(format!("{kind:?}, {part:?}: {error:#}"));
    }

    /// The page.
    pub(super) fn page(&self) -> String {
        let mut page = String::from(
            "# Three brokers, beside Apache Kafka\n\nMade by `just bench cluster`: three brokers and the load on one machine, \
             replication factor 3, min ISR 2, acks=all. Medians over the rounds (lowest – highest); in brackets the median of \
             the ratios to Kafka's figure of the same round. `Replicated` acks from page caches, as Kafka does; `Fsync` \
             is Ottla's default and acks what is on the disk of every in-sync replica; its goal in throughput is 0.7 of \
             `Replicated`.\n\n",
        );
        if !self.names.is_empty() {
            self.write_figures(&mut page);
        }
        for (kind, report) in &self.gaps {
            write_gaps(&mut page, *kind, report);
        }
        for failure in &self.failures {
            // Writing to a string does not fail.
            let _ = writeln!(page, "\nNot measured: {failure}");
        }
        page
    }

    fn write_figures(&self, page: &mut String) {
        let kinds = [Kind::Kafka, Kind::Replicated, Kind::Fsync];
        page.push_str("| figure | goal | Kafka 4.3.1 | Ottla, replicated | Ottla, fsync |\n|---|---|---|---|---|\n");
        for name in &self.names {
            let goal = GOALS.iter().find(|(figure, _)| figure == name).map_or("", |(_, goal)| goal);
            let _ = write!(page, "| {name} | {goal} |");
            let kafka = self.values.get(&(name.clone(), Kind::Kafka));
            for kind in kinds {
                match self.values.get(&(name.clone(), kind)) {
                    None => page.push_str(" – |"),
                    Some(values) => {
                        let [low, median, high] = spread(values);
                        let _ = write!(page, " {median:.2} ({low:.2} – {high:.2})");
                        if let Some(kafka) = kafka.filter(|_| kind != Kind::Kafka) {
                            let ratios: Vec<f64> = values.iter().zip(kafka).map(|(own, its)| own / its).collect();
                            let _ = write!(page, " [{:.2}×]", spread(&ratios)[1]);
                        }
                        page.push_str(" |");
                    }
                }
            }
            page.push('\n');
        }
    }
}

fn write_gaps(page: &mut String, kind: Kind, report: &Report) {
    let _ = writeln!(
        page,
        "\n## Longest time without an ack: {kind:?}\n\nOf the partition that waited longest, per trial. {} records acked, {} \
         violations of what clients are promised.\n\n| fault | trials | median | worst |\n|---|---|---|---|",
        report.counts.acked,
        report.violations.len()
    );
    for gaps in Gaps::of(&report.outages) {
        let (median, worst) = (gaps.median() as f64 / 1e6, gaps.worst() as f64 / 1e6);
        let _ = writeln!(page, "| {} | {} | {median:.2} s | {worst:.2} s |", gaps.kind, gaps.lengths.len());
    }
    for violation in report.violations.iter().take(5) {
        let _ = writeln!(page, "\n- {violation}");
    }
}

/// Lowest, median, highest.
fn spread(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]]
}
