//! Collects events from many tasks, and writes them down a line each.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;

use super::{Decision, Event, Micros, Outcome};

/// All events of a run, in the order of their ends.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The events.
    pub events: Vec<Event>,
}

impl History {
    /// Reads a file that a [`Recorder`] wrote.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let lines = BufReader::new(File::open(path)?).lines();
        let parse = |(number, line): (usize, std::io::Result<String>)| {
            serde_json::from_str(&line?).with_context(|| format!("line {} of {}", number + 1, path.display()))
        };
        Ok(Self { events: lines.enumerate().map(parse).collect::<anyhow::Result<_>>()? })
    }
}

/// A handle on the history of a run; clones record into the same.
#[derive(Clone, Debug)]
pub struct Recorder {
    began: Instant,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    events: Vec<Event>,
    file: BufWriter<File>,
}

impl Recorder {
    /// Begins a history whose lines go to `path`.
    pub fn begin(path: &Path) -> anyhow::Result<Self> {
        let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        Ok(Self { began: Instant::now(), shared: Arc::new(Mutex::new(Shared { events: Vec::new(), file })) })
    }

    /// The time.
    pub fn now(&self) -> Micros {
        self.began.elapsed().as_micros() as Micros
    }

    /// Adds an event. A file that cannot be written is told of at the end.
    pub fn record(&self, event: Event) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = serde_json::to_writer(&mut shared.file, &event);
        let _ = shared.file.write_all(b"\n");
        shared.events.push(event);
    }

    /// The writers of the calls that began at `since` or later and have been acked.
    pub fn acked_since(&self, since: Micros) -> BTreeSet<u32> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = shared.events.iter().rev().filter_map(|event| match event {
            Event::Produce(call) => Some(call),
            _ => None,
        });
        // Events come about in the order of their ends, but for the moment in which two tasks race to record.
        let recent = calls.take_while(|call| call.completed + 1_000_000 >= since);
        let acked = recent.filter(|call| call.invoked >= since && !matches!(call.outcome, Outcome::Unknown(_)));
        acked.map(|call| call.writer).collect()
    }

    /// The transactional producers of the transactions that began at `since` or later and whose commit has been acked.
    pub fn committed_since(&self, since: Micros) -> BTreeSet<u32> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = shared.events.iter().rev().filter_map(|event| match event {
            Event::Transaction(transaction) => Some((transaction, transaction.end.as_ref()?)),
            _ => None,
        });
        let recent = ended.take_while(|(_, end)| end.completed + 1_000_000 >= since);
        let acked = recent
            .filter(|(transaction, end)| transaction.began >= since && end.commit && end.outcome == Decision::Acked);
        acked.map(|(transaction, _)| transaction.producer).collect()
    }

    /// Ends the history.
    pub fn end(&self) -> anyhow::Result<History> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.file.flush().context("the history could not be written")?;
        Ok(History { events: std::mem::take(&mut shared.events) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{End, Produce, Transaction};
    use super::*;

    #[test]
    fn a_history_is_read_as_it_was_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let recorder = Recorder::begin(&path).unwrap();
        for outcome in [Outcome::Acked(7), Outcome::Duplicate, Outcome::Unknown("gone".into())] {
            let produce = Produce { writer: 1, first: 2, count: 3, invoked: 4, completed: 5, outcome };
            recorder.record(Event::Produce(produce));
        }
        let history = recorder.end().unwrap();
        assert_eq!(history.events.len(), 3);
        assert_eq!(History::load(&path).unwrap().events, history.events);
    }

    #[test]
    fn who_was_acked_lately_is_known_while_the_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::begin(&dir.path().join("history.jsonl")).unwrap();
        let call = |writer, invoked, outcome| {
            Event::Produce(Produce { writer, first: 0, count: 1, invoked, completed: invoked + 10, outcome })
        };
        recorder.record(call(1, 90, Outcome::Acked(0)));
        recorder.record(call(2, 100, Outcome::Duplicate));
        recorder.record(call(3, 100, Outcome::Unknown("gone".into())));
        recorder.record(call(4, 99, Outcome::Acked(1)));
        assert_eq!(recorder.acked_since(100), BTreeSet::from([2]));
    }

    #[test]
    fn which_transactional_producers_have_committed_lately_is_known_while_the_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::begin(&dir.path().join("history.jsonl")).unwrap();
        let transaction = |producer, began, commit, outcome| {
            let end = Some(End { commit, invoked: began + 5, completed: began + 10, outcome });
            let (copied, appends) = (None, Vec::new());
            Event::Transaction(Transaction { id: 0, producer, session: (9, 0), began, copied, appends, end })
        };
        recorder.record(transaction(1, 99, true, Decision::Acked));
        recorder.record(transaction(2, 100, true, Decision::Acked));
        recorder.record(transaction(3, 100, false, Decision::Acked));
        recorder.record(transaction(4, 100, true, Decision::Unknown("gone".into())));
        assert_eq!(recorder.committed_since(100), BTreeSet::from([2]));
    }
}
