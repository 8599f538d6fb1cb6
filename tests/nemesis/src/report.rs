//! A verdict as a page of Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::checker::{Counts, Outage, Report, Transactions};
use crate::history::Micros;
use crate::nemesis::{Gaps, Limits};

/// At most so many violations of each promise are listed.
const LISTED: usize = 5;

/// The page of a run of all kinds of faults.
pub fn page(title: &str, report: &Report) -> String {
    let mut page = head(title, &report.counts);
    page.push_str(&of_transactions(&report.transactions));
    page.push_str(
        "| fault | times | longest ack gap of a partition: median | worst | longest wait where a killed broker held \
         nothing |\n|---|---|---|---|---|\n",
    );
    for (fault, outages) in by_fault(&report.outages) {
        let mut gaps: Vec<Micros> = outages.iter().map(|outage| outage.gap).collect();
        gaps.sort_unstable();
        let (median, worst) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
        let elsewhere = outages.iter().filter_map(|outage| outage.elsewhere).map(|wait| wait.length).max();
        let elsewhere = elsewhere.map_or_else(|| "–".to_owned(), seconds);
        // Writing to a string does not fail.
        let _ = writeln!(page, "| {fault} | {} | {} | {} | {elsewhere} |", gaps.len(), seconds(median), seconds(worst));
    }
    write_violations(&mut page, report);
    page
}

/// The page of trials of single faults.
pub fn trials(title: &str, report: &Report, misses: &[String]) -> String {
    let mut page = head(title, &report.counts);
    page.push_str(
        "| fault | trials | longest ack gap of any partition: median | worst | limit | acked records lost | longest wait \
         where a killed broker held nothing |\n|---|---|---|---|---|---|---|\n",
    );
    for gaps in Gaps::of(&report.outages) {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            gaps.kind,
            gaps.lengths.len(),
            seconds(gaps.median()),
            seconds(gaps.worst()),
            limits(gaps.limits),
            gaps.lost,
            gaps.elsewhere.map_or_else(|| "–".to_owned(), seconds)
        );
    }
    for miss in misses {
        let _ = writeln!(page, "\n- too long: {miss}");
    }
    write_violations(&mut page, report);
    page
}

fn head(title: &str, counts: &Counts) -> String {
    format!(
        "## {title}\n\n{} produce calls, {} records acked, {} calls with an open outcome; {} records read by consumers and \
         group members, {} commits; {} records in the final log, {} replicas compared byte by byte; {} faults, each with \
         evidence; {} ListOffsets answered by leaders that did not know yet of their successors.\n\n",
        counts.calls,
        counts.acked,
        counts.unknown,
        counts.read,
        counts.commits,
        counts.kept,
        counts.replicas,
        counts.faults,
        counts.outdated
    )
}

/// A paragraph about transactions, if there were any.
fn of_transactions(found: &Transactions) -> String {
    if found.producers == 0 {
        return String::new();
    }
    format!(
        "Transactions of {} producers: {} committed ({} by version 1), {} aborted, {} fenced by a successor, {} aborted by \
         their coordinator, {} that copied; {} commits with an open outcome, of which {} were found committed; {} records in the final \
         logs, {} read by readers of committed records; {} circles of writes with {} committed transactions in them (G0, \
         which Kafka's transactions allow).\n\n",
        found.producers,
        found.committed,
        found.committed_by_version_1,
        found.aborted,
        found.fenced,
        found.timed_out,
        found.copying,
        found.open,
        found.open_committed,
        found.kept,
        found.read,
        found.write_cycles,
        found.in_write_cycles,
    )
}

fn limits(limits: Limits) -> String {
    let (word, median) = (if limits.median_is_goal { "goal" } else { "median" }, limits.median);
    let parts = [median.map(|limit| format!("{word} {}", seconds(limit))), limits.worst.map(seconds)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn seconds(micros: Micros) -> String {
    format!("{:.2} s", micros as f64 / 1e6)
}

/// The outages of each fault, in their order.
fn by_fault(outages: &[Outage]) -> BTreeMap<&str, Vec<&Outage>> {
    let mut faults: BTreeMap<&str, Vec<&Outage>> = BTreeMap::new();
    outages.iter().for_each(|outage| faults.entry(&outage.fault).or_default().push(outage));
    faults
}

fn write_violations(page: &mut String, report: &Report) {
    if report.violations.is_empty() {
        page.push_str("\nNo violation.\n");
        return;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::{Violation, Wait};
    use crate::nemesis::Trial;

    fn outage(fault: &str, gap: Micros) -> Outage {
        let elsewhere = Some(Wait { partition: 1, invoked: 0, length: 20_000 });
        Outage { fault: fault.into(), gap, partition: 0, comeback: 0, elsewhere, lost: 0 }
    }

    fn empty() -> Report {
        let (counts, transactions) = (Counts::default(), Transactions::default());
        Report { violations: Vec::new(), counts, transactions, outages: Vec::new() }
    }

    #[test]
    fn a_page_tells_of_transactions_only_where_there_were_some() {
        assert!(!page("a run", &empty()).contains("Transactions"));
        let transactions = Transactions { producers: 4, committed: 71, fenced: 6, ..Transactions::default() };
        let page = page("a run", &Report { transactions, ..empty() });
        assert!(page.contains("of 4 producers: 71 committed") && page.contains("6 fenced by a successor"), "{page}");
    }

    #[test]
    fn a_page_tells_the_median_and_the_worst_of_each_fault_and_what_was_violated() {
        let violations = vec![Violation { property: "C1", what: "lost".into() }];
        let outages = vec![outage("a", 5_000_000), outage("b", 1_000_000), outage("a", 3_000_000)];
        let page = page("a run", &Report { violations, outages, ..empty() });
        assert!(page.contains("| a | 2 | 5.00 s | 5.00 s | 0.02 s |\n| b | 1 | 1.00 s | 1.00 s | 0.02 s |"), "{page}");
        assert!(page.contains("**C1** is violated 1 times:\n\n- lost"), "{page}");
    }

    #[test]
    fn a_page_of_trials_tells_limits_and_misses() {
        let outages = vec![outage(&Trial::KillLeader.to_string(), 300_000)];
        let report = Report { outages, ..empty() };
        let page = trials("gaps", &report, &["trial 1".into()]);
        let row = "| kill −9 of a leader | 1 | 0.30 s | 0.30 s | median 0.50 s, 2.00 s | 0 | 0.02 s |";
        assert!(page.contains(row) && page.contains("- too long: trial 1") && page.contains("No violation."), "{page}");
    }
}
