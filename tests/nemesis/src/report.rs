//! A verdict as a page of Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::checker::{Gap, Report};

/// At most so many violations of each promise are listed.
const LISTED: usize = 5;

/// The page.
pub fn page(title: &str, report: &Report) -> String {
    let mut page = format!("## {title}\n\n");
    let counts = report.counts;
    // Writing to a string does not fail.
    let _ = writeln!(
        page,
        "{} produce calls, {} records acked, {} calls with an open outcome; {} records read by consumers and group members, \
         {} commits; {} records in the final log, {} replicas compared byte by byte; {} faults, each with evidence.\n",
        counts.calls,
        counts.acked,
        counts.unknown,
        counts.read,
        counts.commits,
        counts.kept,
        counts.replicas,
        counts.faults
    );
    let _ = writeln!(page, "| fault | times | longest ack gap of a partition: median | worst |\n|---|---|---|---|");
    for (fault, mut worst) in worst_by_fault(&report.gaps) {
        worst.sort_unstable();
        let seconds = |micros: u64| micros as f64 / 1e6;
        let (median, most) = (seconds(worst[worst.len() / 2]), seconds(worst[worst.len() - 1]));
        let _ = writeln!(page, "| {fault} | {} | {median:.2} s | {most:.2} s |", worst.len());
    }
    if report.violations.is_empty() {
        page.push_str("\nNo violation.\n");
        return page;
    }
    let mut by_property: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for violation in &report.violations {
        by_property.entry(violation.property).or_default().push(&violation.what);
    }
    for (property, whats) in by_property {
        let _ = writeln!(page, "\n**{property}** is violated {} times:\n", whats.len());
        for what in whats.iter().take(LISTED) {
            let _ = writeln!(page, "- {what}");
        }
    }
    page
}

/// For every time a fault was done, the longest gap of any partition. The gaps of one time follow each other, with
/// ascending partitions.
pub fn worst_by_fault(gaps: &[Gap]) -> BTreeMap<&str, Vec<u64>> {
    let mut worst: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut last = None;
    for gap in gaps {
        let of = worst.entry(&gap.fault).or_default();
        let goes_on = last.is_some_and(|(fault, partition)| fault == &gap.fault && partition < gap.partition);
        match of.last_mut().filter(|_| goes_on) {
            Some(length) => *length = (*length).max(gap.length),
            None => of.push(gap.length),
        }
        last = Some((&gap.fault, gap.partition));
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_of_a_fault_counts_with_its_longest_partition() {
        let gap = |fault: &str, partition, length| Gap { fault: fault.into(), partition, length };
        let gaps = [gap("a", 0, 5), gap("a", 1, 9), gap("a", 0, 3), gap("a", 1, 2), gap("b", 0, 1)];
        let expected = BTreeMap::from([("a", vec![9, 3]), ("b", vec![1])]);
        assert_eq!(worst_by_fault(&gaps), expected);
    }
}
