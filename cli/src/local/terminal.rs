//! What a person sees: one live line for each thing waited for, or plain lines where there is no terminal.
//!
//! Everything goes to standard output; logs never do.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where progress is shown.
#[derive(Debug)]
pub struct Terminal {
    began: Instant,
    /// Only on a terminal.
    live: Option<MultiProgress>,
    lines: BTreeMap<String, Line>,
}

#[derive(Debug)]
struct Line {
    bar: Option<ProgressBar>,
    text: String,
    done: bool,
}

impl Terminal {
    /// A terminal for a run that begins now.
    pub fn new() -> Self {
        let live = std::io::stdout().is_terminal().then(MultiProgress::new);
        Self { began: Instant::now(), live, lines: BTreeMap::new() }
    }

    /// How long the run has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// `what` is not yet as it should be, because of `why`.
    pub fn waiting(&mut self, what: &str, why: impl Display) {
        self.show(what, why.to_string(), false);
    }

    /// `what` is as it should be.
    pub fn done(&mut self, what: &str, how: impl Display) {
        self.show(what, how.to_string(), true);
    }

    /// A line that stays.
    pub fn say(&self, text: impl Display) {
        match &self.live {
            Some(live) => drop(live.println(text.to_string())),
            None => write_line(&text),
        }
    }

    /// Ends the live lines: what they said last stays, and everything after it is written below.
    pub fn settle(&mut self) {
        for line in std::mem::take(&mut self.lines).into_values() {
            if let Some(bar) = line.bar.filter(|bar| !bar.is_finished()) {
                bar.abandon();
            }
        }
        self.live = None;
    }

    fn show(&mut self, what: &str, text: String, done: bool) {
        if self.lines.get(what).is_some_and(|line| line.text == text && line.done == done) {
            return;
        }
        let elapsed = self.began.elapsed().as_secs_f32();
        let Some(live) = &self.live else {
            let mark = if done { "ok " } else { "...." };
            write_line(&format_args!("{elapsed:6.2}s {mark:4} {what:24} {text}"));
            self.lines.insert(what.to_owned(), Line { bar: None, text, done });
            return;
        };
        let before = self.lines.remove(what);
        let bar = before.and_then(|line| line.bar).filter(|bar| !bar.is_finished()).unwrap_or_else(|| {
            let bar = live.add(ProgressBar::new_spinner().with_style(style("{spinner:.cyan} {prefix:24} {msg}")));
            bar.enable_steady_tick(Duration::from_millis(80));
            bar.set_prefix(what.to_owned());
            bar
        });
        if done {
            bar.set_style(style("{spinner:.green} {prefix:24} {msg}").tick_strings(&["✔", "✔"]));
            bar.finish_with_message(format!("{text} ({elapsed:.1} s)"));
        } else {
            bar.set_message(text.clone());
        }
        self.lines.insert(what.to_owned(), Line { bar: Some(bar), text, done });
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are well-formed")
}

fn write_line(text: &impl Display) {
    // With nobody reading, there is nobody to tell.
    let _ = writeln!(std::io::stdout(), "{text}");
}
