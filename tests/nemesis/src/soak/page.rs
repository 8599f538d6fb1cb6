//! A soak as a page of Markdown: figures of the turns, charts of what brokers use, and the verdict.

use std::fmt::Write;

use super::trend::LEAST;
use super::{Sample, Soaked, Turn, grown};

/// As many points of a chart and rows of a table can be read.
const SHOWN: usize = 24;

/// The page.
pub fn page(title: &str, soaked: &Soaked) -> String {
    let turns = &soaked.turns;
    let sum = |count: fn(&Turn) -> u64| turns.iter().map(count).sum::<u64>();
    let mut page = format!(
        "## {title}\n\n{} turns in {}: {} records acked, {} read, {} transactions committed, {} commits of groups.\n\n",
        turns.len(),
        turns.last().map_or_else(|| "no time".to_owned(), |turn| hours(turn.ended)),
        sum(|turn| turn.counts.acked),
        sum(|turn| turn.counts.read),
        sum(|turn| turn.committed),
        sum(|turn| turn.counts.commits),
    );
    page.push_str(
        "| turn, after | acked | produce p50 / p99 | memory of each broker, MiB | open files | threads | disk, MiB | processor of all, % |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let step = turns.len().div_ceil(SHOWN).max(1);
    for (number, turn) in turns.iter().enumerate().filter(|(number, _)| number % step == 0 || number + 1 == turns.len())
    {
        let before = number.checked_sub(1).map(|before| &turns[before]);
        page.push_str(&row(number, turn, before));
    }
    page.push_str(&chart("Resident memory of each broker, MiB", turns, step, |sample| sample.memory >> 20));
    page.push_str(&chart("Open files of each broker", turns, step, |sample| sample.files));
    page.push_str(&verdict(soaked));
    page
}

/// One turn, for whoever watches.
pub fn line(turn: &Turn) -> String {
    let memory = all(turn, |sample| sample.memory >> 20);
    format!("{:>8}: {} records acked, {memory} MiB", hours(turn.ended), turn.counts.acked)
}

fn row(number: usize, turn: &Turn, before: Option<&Turn>) -> String {
    let [p50, p99] = turn.latency.map(|micros| micros as f64 / 1e3);
    let cpu = |turn: &Turn| turn.samples.iter().map(|sample| sample.cpu).sum::<f64>();
    let (then, since) = before.map_or((0.0, 0.0), |before| (cpu(before), before.ended));
    let busy = (cpu(turn) - then) / (turn.ended - since) * 100.0;
    format!(
        "| {}, {} | {} | {p50:.1} / {p99:.1} ms | {} | {} | {} | {} | {busy:.0} |\n",
        number + 1,
        hours(turn.ended),
        turn.counts.acked,
        all(turn, |sample| sample.memory >> 20),
        all(turn, |sample| sample.files),
        all(turn, |sample| sample.threads),
        all(turn, |sample| sample.disk >> 20),
    )
}

fn all(turn: &Turn, read: fn(&Sample) -> u64) -> String {
    turn.samples.iter().map(|sample| read(sample).to_string()).collect::<Vec<_>>().join(" / ")
}

/// A line for each broker.
fn chart(title: &str, turns: &[Turn], step: usize, read: fn(&Sample) -> u64) -> String {
    let Some(first) = turns.first() else { return String::new() };
    let shown = || turns.iter().step_by(step);
    let ends: Vec<String> = shown().map(|turn| format!("\"{}\"", hours(turn.ended))).collect();
    let mut chart = format!("\n```mermaid\nxychart-beta\n  title \"{title}\"\n  x-axis [{}]\n", ends.join(", "));
    for broker in 0..first.samples.len() {
        let values: Vec<String> = shown().map(|turn| read(&turn.samples[broker]).to_string()).collect();
        // Writing to a string does not fail.
        let _ = writeln!(chart, "  line [{}]", values.join(", "));
    }
    chart + "```\n"
}

fn verdict(soaked: &Soaked) -> String {
    let grown = grown(&soaked.turns);
    let mut verdict = String::new();
    if soaked.violations.is_empty() {
        verdict.push_str("\nNo violation of what clients are promised.\n");
    }
    if soaked.turns.len() < LEAST {
        let _ = writeln!(verdict, "\nFewer than {LEAST} turns do not show whether anything grows.");
    } else if grown.is_empty() {
        verdict.push_str("\nNothing that a broker uses has grown from the first quarter to the last.\n");
    }
    let violations = soaked.violations.iter().map(ToString::to_string);
    for what in violations.take(10).chain(grown) {
        let _ = writeln!(verdict, "\n- {what}");
    }
    verdict
}

fn hours(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    format!("{}:{:02} h", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::{Counts, Violation};

    fn turn(nth: u64) -> Turn {
        let sample = Sample { memory: (20 + nth) << 20, files: 40, threads: 6, disk: 5 << 20, cpu: nth as f64 * 30.0 };
        let counts = Counts { acked: 1000, read: 2000, ..Counts::default() };
        Turn { ended: 300.0 * nth as f64, counts, committed: 7, latency: [900, 12_000], samples: vec![sample; 2] }
    }

    #[test]
    fn a_page_has_a_row_a_turn_charts_and_the_verdict() {
        let soaked = Soaked { turns: (1..=3).map(turn).collect(), violations: Vec::new() };
        let page = page("a soak", &soaked);
        assert!(page.contains("3 turns in 0:15 h: 3000 records acked, 6000 read, 21 transactions committed"), "{page}");
        let row = "| 2, 0:10 h | 1000 | 0.9 / 12.0 ms | 22 / 22 | 40 / 40 | 6 / 6 | 5 / 5 | 20 |\n";
        assert!(page.contains(row), "{page}");
        let chart = "  x-axis [\"0:05 h\", \"0:10 h\", \"0:15 h\"]\n  line [21, 22, 23]\n  line [21, 22, 23]\n";
        assert!(page.contains(chart) && page.contains("No violation"), "{page}");
        assert!(page.contains("Fewer than 8 turns") && !page.contains("Nothing that"), "{page}");
    }

    #[test]
    fn a_long_soak_is_told_in_as_many_rows_as_can_be_read_and_a_violation_by_its_name() {
        let violations = vec![Violation { property: "C1", what: "lost".into() }];
        let page = page("a soak", &Soaked { turns: (1..=100).map(turn).collect(), violations });
        assert!(page.matches(" h | 1000 |").count() <= SHOWN + 1, "{page}");
        assert!(page.contains("| 100, 8:20 h |") && page.contains("- C1: lost"), "{page}");
        assert!(page.contains("- resident memory, in MiB of broker 1 grew from 34 to 109"), "{page}");
    }
}
