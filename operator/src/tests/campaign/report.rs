//! What a campaign tried, as a page.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::super::mortal::{Fate, When};

/// Where pages are written, if anywhere.
const PAGES: &str = "OTTLA_CAMPAIGN_PAGES";

/// What befell the calls of one scenario, over all its runs.
pub struct Report {
    title: String,
    counts: BTreeMap<(String, Fate), usize>,
    runs: usize,
}

impl Report {
    /// Of nothing yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), counts: BTreeMap::new(), runs: 0 }
    }

    /// Adds what befell the calls of one run.
    pub fn add(&mut self, effects: Vec<(String, Fate)>) {
        self.runs += 1;
        for effect in effects {
            *self.counts.entry(effect).or_default() += 1;
        }
    }

    /// Prints it, and writes it as `file` where the environment asks for pages.
    pub fn publish(&self, file: &str, told: &str) {
        let page = self.page(told);
        println!("{page}");
        if let Some(folder) = std::env::var_os(PAGES) {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(Path::new(&folder).join(format!("{file}.md")), page).unwrap();
        }
    }

    fn page(&self, told: &str) -> String {
        let total: usize = self.counts.values().sum();
        let mut page = format!("### {}\n\n{} runs, {total} blows, no violation. {told}\n\n", self.title, self.runs);
        let kinds: Vec<&str> =
            COLUMNS.into_iter().filter(|kind| self.counts.keys().any(|(_, fate)| column(*fate) == *kind)).collect();
        let _ = writeln!(page, "| call | {} |\n|---|{}", kinds.join(" | "), "---|".repeat(kinds.len()));
        let mut rows: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for ((call, fate), count) in &self.counts {
            *rows.entry(call).or_default().entry(column(*fate)).or_default() += count;
        }
        for (call, counts) in rows {
            let cell = |kind: &&str| counts.get(kind).map_or(String::new(), ToString::to_string);
            let _ = writeln!(page, "| {call} | {} |", kinds.iter().map(cell).collect::<Vec<_>>().join(" | "));
        }
        page
    }
}

const COLUMNS: [&str; 7] =
    ["killed before", "killed after", "deposed, done late", "refused", "answer lost", "old answer", "watch ended"];

fn column(fate: Fate) -> &'static str {
    match fate {
        Fate::Done => "",
        Fate::Die(When::Before) => COLUMNS[0],
        Fate::Die(When::After) => COLUMNS[1],
        Fate::Die(When::Late) => COLUMNS[2],
        Fate::Fail(_) => COLUMNS[3],
        Fate::LoseAnswer(_) => COLUMNS[4],
        Fate::Stale => COLUMNS[5],
        Fate::EndEarly => COLUMNS[6],
    }
}
